// The comparison page: two answers to one question, in a random order that the service chooses.

import * as service from "./annotation.js";
import { make, Problem, show, showQuestion } from "./call.js";
import { confirmReplacing, isStale } from "./stale.js";

const $ = (id) => document.getElementById(id);
const annotator = () => $("annotator").value.trim();

/** The pair being compared, with which of a and b comes first. */
let task = null;
let busy = false;

async function next(remark = "") {
  if (!$("queue").reportValidity()) return;
  try {
    const pair = await service.nextPair(annotator());
    show($("problem"), null);
    $("task").hidden = !pair;
    task = pair && { ...pair, first: pair.shown_first, submissionId: service.newId() };
    $("status").textContent = remark;
    if (pair) open();
    else $("status").textContent = `${remark} There is nothing left to compare. A comparison needs two answers to the same question.`.trim();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  show($("problem"), error.message);
}

const second = () => (task.first === "a" ? "b" : "a");

function open() {
  const { question, passages } = task.a;
  showQuestion($("question"), question);
  $("passages").replaceChildren(...passages.map(({ title, text }) => make("p", {}, make("strong", { textContent: title }), " ", text)));
  $("first").textContent = task[task.first].text;
  $("second").textContent = task[second()].text;
  $("question").focus();
}

/** `basedOn` is how often this person has compared the pair: a pair that is handed out, never. */
async function choose(side, basedOn = 0) {
  if (busy) return;
  busy = true;
  let stale = null;
  const choice = { first: task.first, second: second(), tie: "tie" }[side];
  try {
    const receipt = await service.compare({
      submission_id: task.submissionId, a: task.a.id, b: task.b.id, shown_first: task.first, choice, annotator: annotator(),
      based_on: basedOn,
    });
    await next(receipt.contradicts?.length ? circle(receipt.contradicts) : "Saved.");
  } catch (error) {
    if (isStale(error)) stale = error;
    else fail(error);
  } finally {
    busy = false;
  }
  if (!stale) return;
  if (await confirmReplacing(stale)) await choose(side, stale.body.version);
  else await next();
}

function circle(ids) {
  return `Saved. But your choices now go in a circle (${[...ids, ids[0]].join(" over ")}): one of them may be wrong.`;
}

$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("choices").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) choose(button.value);
});
document.addEventListener("keydown", (event) => {
  if (!task || document.querySelector("dialog[open]") || event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const side = { 1: "first", 2: "second", 3: "tie" }[event.key];
  if (side) choose(side);
});
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
if (annotator()) next();
