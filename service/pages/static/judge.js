// The quick task: one sentence of an answer after another, is it supported by the passages?

import * as service from "./annotation.js";
import { make, Problem, show, showQuestion } from "./call.js";
import { dialogOpen, isFresh, isPlain, showFresh } from "./keys.js";
import { slice } from "./offsets.js";
import { showProgress } from "./progress.js";
import { offerUndo, takeBack } from "./undoing.js";

const $ = (id) => document.getElementById(id);
const annotator = () => $("annotator").value.trim();
const SAYS = { yes: true, no: false, unknown: null };
const WORDS = { yes: "supported", no: "not supported", unknown: "cannot tell" };

/** The answer being judged: {response, sentences: [{start, end}], verdicts: one of SAYS for each sentence so far}; or null. */
let task = null;
/** Counts what is shown, so that a reply that comes too late shows nothing. */
let turn = 0;
let busy = false;

async function next() {
  if (!$("queue").reportValidity()) return;
  show($("problem"), null);
  const mine = (turn += 1);
  try {
    const assignment = await service.nextToJudge(annotator());
    if (mine !== turn) return;
    if (assignment) open({ response: assignment.response, sentences: sentencesOf(assignment.response), verdicts: [] });
    else {
      task = null;
      $("task").hidden = true;
      $("status").textContent = "There is nothing left to judge. Come back when the service has answered more questions.";
    }
  } catch (error) {
    fail(error);
  }
  showProgress(annotator(), { kind: "judgement", order: "error_rate" });
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  show($("problem"), error.message);
  $("problem").scrollIntoView({ block: "nearest" });
}

/** The sentences that the reward models judge; of an answer without any, the whole as one. */
function sentencesOf({ scored, text }) {
  const segments = scored?.scores?.factuality?.segments;
  return segments?.length ? segments : [{ start: 0, end: [...text].length }];
}

function open(opened) {
  turn += 1;
  task = opened;
  const { response } = task;
  showQuestion($("question"), response.question);
  $("passages").replaceChildren(...response.passages.map(({ title, text }) => (
    make("p", { dir: "auto" }, make("strong", { textContent: title }), " ", text))));
  Object.assign($("task"), { hidden: false, inert: false });
  show($("problem"), null);
  redraw();
  $("status").textContent = `Response ${response.id}`;
  $("question").focus({ preventScroll: true });
  $("passages").scrollTop = 0;
  document.querySelector(".state").scrollIntoView();
  showFresh($("task"));
}

/** Show the answer with the verdicts on its sentences, and mark the one that is asked about. */
function redraw() {
  const { response: { text }, sentences, verdicts } = task;
  const parts = [];
  let at = 0;
  for (const [number, { start, end }] of sentences.entries()) {
    parts.push(slice(text, at, start));
    const part = make("span", { textContent: slice(text, start, end) });
    if (verdicts[number]) {
      part.dataset.says = WORDS[verdicts[number]];
      part.className = verdicts[number];
    } else if (number === verdicts.length) part.className = "now";
    parts.push(part);
    at = end;
  }
  parts.push(slice(text, at, [...text].length));
  $("answer").replaceChildren(...parts);
  const now = sentences[verdicts.length];
  if (now) $("sentence").textContent = `Sentence ${verdicts.length + 1} of ${sentences.length}: ${slice(text, now.start, now.end)}`;
  $("answer").querySelector(".now")?.scrollIntoView({ block: "nearest" });
}

async function say(choice) {
  if (busy || !task || isFresh($("task"))) return;
  if (choice === "back") {
    task.verdicts.pop();
    redraw();
    return;
  }
  task.verdicts.push(choice);
  redraw();
  if (task.verdicts.length === task.sentences.length) await submit();
}

async function submit() {
  const { response, sentences, verdicts } = task;
  const judged = sentences.map(({ start, end }, number) => ({ start, end, supported: SAYS[verdicts[number]] }));
  busy = true;
  try {
    await service.judge({ response_id: response.id, annotator: annotator(), sentences: judged });
  } catch (error) {
    verdicts.pop(); // the last sentence can be judged again
    redraw();
    fail(error);
    return;
  } finally {
    busy = false;
  }
  task = null;
  $("task").inert = true;
  const by = response.profile ? `; it was by “${response.profile}”` : "";
  offerUndo(`Saved${by}.`, () => open({ response, sentences, verdicts: verdicts.slice(0, -1) }));
  await next();
}

$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("choices").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.value) say(button.value);
});
document.addEventListener("keydown", (event) => {
  const { target: at, key } = event;
  if (dialogOpen() || at.matches("input")) return;
  if (key === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault(); // the browser would undo what was typed into the name
    if (task?.verdicts.length) say("back");
    else takeBack();
  }
  const choice = { 1: "yes", 2: "no", 3: "unknown", Backspace: "back" }[key];
  if (!choice || !task || !isPlain(event) || !(at === document.body || $("task").contains(at))) return;
  event.preventDefault();
  say(choice);
});
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
if (annotator()) next();
