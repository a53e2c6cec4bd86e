// The comparison page: two answers to one question, in a random order that the service chooses.

import * as service from "./annotation.js";
import { make, Problem, show, showQuestion } from "./call.js";
import { dialogOpen, isFresh, isPlain, showFresh } from "./keys.js";
import { showProgress } from "./progress.js";
import { askWhy } from "./skipping.js";
import { askAboutStale, isStale } from "./stale.js";
import { offerUndo, takeBack } from "./undoing.js";

const $ = (id) => document.getElementById(id);
const annotator = () => $("annotator").value.trim();

/** The pair being compared, with which of a and b comes first, and how many times this person has compared it. */
let task = null;
/** Counts what is shown, so that a reply that comes too late shows nothing. */
let turn = 0;
let busy = false;

async function next(remark = "") {
  if (!$("queue").reportValidity()) return;
  const mine = (turn += 1);
  try {
    const pair = await service.nextPair(annotator());
    if (mine !== turn) return;
    show($("problem"), null);
    $("status").textContent = remark;
    if (pair) open({ ...pair, first: pair.shown_first, times: 0 });
    else {
      task = null;
      $("task").hidden = true;
      $("status").textContent = `${remark} There is nothing left to compare. A comparison needs two answers to the same question.`.trim();
    }
  } catch (error) {
    fail(error);
  }
  showProgress(annotator(), { kind: "comparison" });
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  show($("problem"), error.message);
}

const second = () => (task.first === "a" ? "b" : "a");

function open(pair) {
  turn += 1;
  task = { ...pair, submissionId: service.newId() };
  const { question, passages } = task.a;
  Object.assign($("task"), { hidden: false, inert: false });
  showQuestion($("question"), question);
  $("passages").replaceChildren(...passages.map(({ title, text }) => (
    make("p", { dir: "auto" }, make("strong", { textContent: title }), " ", text))));
  $("first").textContent = task[task.first].text;
  $("second").textContent = task[second()].text;
  $("question").focus({ preventScroll: true });
  document.querySelector(".state").scrollIntoView();
  showFresh($("task"));
}

/** Store something about the pair, unless it is too fresh, and go on to the next one. `store(pair)` resolves to a remark. */
async function decide(what, store) {
  if (busy || !task || isFresh($("task"))) return null;
  busy = true;
  const pair = task;
  try {
    const remark = await store(pair);
    task = null;
    $("task").inert = true;
    offerUndo(what, () => { open(pair); });
    await next(remark);
  } catch (error) {
    if (isStale(error)) return error;
    fail(error);
  } finally {
    busy = false;
  }
  return null;
}

async function choose(side) {
  const stale = await decide("Saved.", async (pair) => {
    const choice = { first: pair.first, second: second(), tie: "tie", neither: "neither" }[side];
    const receipt = await service.compare({
      submission_id: pair.submissionId, a: pair.a.id, b: pair.b.id, shown_first: pair.first, choice,
      annotator: annotator(), based_on: pair.times,
    });
    pair.times += 1;
    return receipt.contradicts?.length ? circle(receipt.contradicts) : "";
  });
  if (!stale) return;
  if (await askAboutStale(stale) === "replace") {
    task.times = stale.body.version;
    await choose(side);
  } else await next();
}

async function skip() {
  if (busy || !task || isFresh($("task"))) return;
  const reason = await askWhy();
  if (reason) await decide("Skipped.", async ({ a, b }) => { await service.skipPair(annotator(), a.id, b.id, reason); });
}

function circle(ids) {
  return `Your choices now go in a circle (${[...ids, ids[0]].join(" over ")}): one of them may be wrong.`;
}

$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("choices").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.value) choose(button.value);
});
$("skip").addEventListener("click", skip);
document.addEventListener("keydown", (event) => {
  const { target: at, key } = event;
  if (dialogOpen() || at.matches("input")) return;
  if (key === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault(); // the browser would undo what was typed into the name
    takeBack();
  }
  if (!task || !isPlain(event) || !(at === document.body || $("task").contains(at))) return;
  if (key === "s") {
    event.preventDefault();
    skip();
  }
  const side = { 1: "first", 2: "second", 3: "tie", 4: "neither" }[key];
  if (side) choose(side);
});
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
if (annotator()) next();
