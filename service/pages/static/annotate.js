// The annotation page: a response at a time, marked by mouse or keyboard.

import * as service from "./annotation.js";
import { data, make, Problem, show, showQuestion } from "./call.js";
import { forgetDraft, keepDraft, latestDraft, stopSaving } from "./drafts.js";
import { Marks, suggestionsIn } from "./marks.js";
import { slice, toPoints, toUnits } from "./offsets.js";
import { placeName, showMissing, showPassages } from "./passages.js";
import { errorRow, labelButton, missingRow, showRows, suggestionRow } from "./rows.js";
import { Selecting } from "./selecting.js";

const $ = (id) => document.getElementById(id);
const category = Object.fromEntries(data.labels.map(({ label, category: of }) => [label, of]));
const JUDGED = [...new Set(data.labels.map((l) => l.category))].filter((name) => name !== "completeness");

/** The response being annotated, or null. */
let task = null;
/** The passage's sentence that is reached, as [passage, sentence]; null when the response is. */
let sentence = null;

const selecting = new Selecting($("response"), (selected) => {
  sentence = null;
  offer();
  if (selected) say(`“${selecting.text.slice(selected.start, selected.end)}”`);
});

function say(text) {
  $("said").textContent = text;
}

const annotator = () => $("annotator").value.trim();

async function next() {
  if (!$("queue").reportValidity()) return;
  show($("problem"), null);
  try {
    const given = await service.nextResponse(annotator(), $("order").value);
    if (given) open(given);
    else {
      $("task").hidden = true;
      task = null;
      $("status").textContent = "There is nothing left to annotate. Come back when more has been asked.";
    }
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  show($("problem"), error.message);
  $("problem").scrollIntoView({ block: "nearest" });
}

function open({ response, draft }) {
  const marks = new Marks(suggestionsIn(response.scored, JUDGED), (label) => category[label]);
  task = { response, marks, seconds: 0, since: performance.now() };
  const kept = latestDraft(annotator(), response.id, draft);
  if (kept?.state) marks.state = kept.state;
  if (kept?.submission_id) marks.submissionId = kept.submission_id;
  task.seconds = kept?.seconds ?? 0;
  showQuestion($("question"), response.question);
  $("corrected").value = kept?.corrected ?? response.text;
  $("draft").textContent = kept ? "Your draft is back." : "";
  showPassages($("passages"), response.passages, {
    onPick: (passage, number) => { sentence = [passage, number]; offer(); },
    onKey: sentenceKey,
  });
  selecting.setText(response.text);
  $("task").hidden = false;
  show($("problem"), null);
  violations([]);
  redraw();
  $("response").focus();
  $("status").textContent = `Response ${response.id}${response.profile ? ` by “${response.profile}”` : ""}`;
}

/** Do something to the marks, show it and keep it. */
function change(act, said) {
  const done = act(task.marks);
  redraw();
  keep();
  if (said) say(said(done));
}

function redraw() {
  const { response: { text }, marks } = task;
  const placed = ({ start, end }) => ({ start: toUnits(text, start), end: toUnits(text, end) });
  selecting.draw([
    ...marks.open.map((s) => ({ ...placed(s), tag: `${s.label ?? s.category}?`, kind: `maybe-${s.category}` })),
    ...marks.state.errors.map((e) => ({ ...placed(e), tag: e.label, kind: category[e.label] })),
  ]);
  showMissing($("passages"), marks.state.missing);
  showSuggestions();
  showMarks();
  offer();
}

function showSuggestions() {
  list("suggestions", "Suggested by the reward models", task.marks.open.map((suggestion) => suggestionRow(
    suggestion, task.response.text, data.labels.filter((l) => l.category === suggestion.category), {
      onLabel: (label) => change((marks) => marks.mark(label, suggestion.start, suggestion.end), () => `${label} marked`),
      onReject: () => change((marks) => marks.dismiss(suggestion), () => "Suggestion rejected"),
    },
  )));
}

function showMarks() {
  const { response: { text }, marks } = task;
  list("marks", "Marked by you", [
    ...marks.state.errors.map((error) => errorRow(error, text, {
      onExplain: (explanation) => { marks.explain(error, explanation); keep(); },
      onRemove: () => change(() => marks.unmark(error), () => `${error.label} removed`),
    })),
    ...marks.asJson().missing.map((item) => missingRow(item, {
      onRemove: () => change(() => marks.unmiss(item), () => `${item.label} removed`),
    })),
  ]);
}

/** Show rows; the focus must not be lost with a button that goes. */
function list(id, title, rows) {
  const focused = document.activeElement;
  if ($(id).contains(focused) && focused.matches("button")) $("response").focus();
  showRows($(id), title, rows);
}

/** Show which labels can be given to what is selected. */
function offer() {
  for (const button of $("palette").children) {
    button.disabled = !task || (button.dataset.category === "completeness") !== Boolean(sentence);
  }
}

/** Give a label to the sentence or the part of the response that is selected. */
function give(label) {
  if (category[label] === "completeness") {
    if (sentence) change((marks) => marks.miss(label, ...sentence), (done) => `${placeName(sentence[0], [sentence[1]])}: ${label} ${done}`);
    return;
  }
  const span = target(label);
  if (!span || sentence) return;
  change((marks) => marks.mark(label, span.start, span.end), (done) => `“${slice(task.response.text, span.start, span.end)}”: ${label} ${done}`);
}

/** What a label is for: the selection, or, where just the caret is, the suggestion of the category or the mark there. */
function target(label) {
  const text = task.response.text;
  const selected = selecting.selected;
  if (!selected) return null;
  const span = { start: toPoints(text, selected.start), end: toPoints(text, selected.end) };
  if (selected.chosen) return span;
  const holds = (other) => other.start <= span.start && span.end <= other.end;
  return task.marks.open.find((s) => s.category === category[label] && holds(s)) ?? span;
}

function discard() {
  const span = target("");
  if (!span) return;
  const overlaps = (other) => other.start < span.end && span.start < other.end;
  const error = task.marks.state.errors.findLast(overlaps);
  const suggestion = task.marks.open.find(overlaps);
  if (error) change((marks) => marks.unmark(error), () => `${error.label} removed`);
  else if (suggestion) change((marks) => marks.dismiss(suggestion), () => "Suggestion rejected");
}

function sentenceKey(event, passage, number) {
  const label = data.labels.find((l) => l.digit === event.key && l.category === "completeness")?.label;
  if (label) give(label);
  else if (event.key === "Backspace") change((marks) => marks.miss(null, passage, number), () => "Removed");
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function keep() {
  const { response, marks } = task;
  const draft = { at: Date.now(), state: marks.state, corrected: $("corrected").value, submission_id: marks.submissionId, seconds: spent() };
  $("draft").textContent = "Draft kept in this browser";
  keepDraft(annotator(), response.id, draft, () => {
    if (task?.response === response) $("draft").textContent = "Draft kept";
  });
}

function spent() {
  return Math.round(task.seconds + (performance.now() - task.since) / 1000);
}

function violations(sentences) {
  $("violations").replaceChildren(make("ul", {}, ...sentences.map((text) => make("li", { textContent: text }))));
  $("violations").hidden = !sentences.length;
  if (sentences.length) $("violations").scrollIntoView({ block: "nearest" });
}

function submission() {
  const { response, marks } = task;
  const corrected = $("corrected").value.trim();
  return {
    submission_id: marks.submissionId,
    response_id: response.id,
    annotator: annotator(),
    ...marks.asJson(),
    corrected: corrected && corrected !== response.text.trim() ? corrected : null,
    seconds: spent(),
  };
}

async function submit() {
  if (!task || $("submit").disabled) return;
  const { response, marks } = task;
  stopSaving();
  violations([]);
  $("submit").disabled = true;
  // Sent again after a lost connection, it must be the same to the letter, the time taken too.
  if (task.sent?.submission_id !== marks.submissionId) task.sent = submission();
  try {
    await service.submit(task.sent);
    forgetDraft(annotator(), response.id);
    say("Submitted. Here is the next one.");
    await next();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    violations((error.body.violations ?? [error]).map(({ message }) => message));
  } finally {
    $("submit").disabled = false;
  }
}

async function skip(reason) {
  stopSaving();
  try {
    await service.skip(annotator(), task.response.id, reason);
    forgetDraft(annotator(), task.response.id);
    await next();
  } catch (error) {
    fail(error);
  }
}

document.addEventListener("keydown", (event) => {
  const { target: at, key } = event;
  if (!task || document.querySelector("dialog[open]")) return;
  const writing = at.matches("input, textarea, select");
  const submits = key === "Enter" && (event.ctrlKey || event.metaKey || !at.matches("input, textarea, select, button, a, summary"));
  if (submits) submit();
  else if (key === "z" && (event.ctrlKey || event.metaKey) && !writing) $("undo").click();
  else if (at !== $("response")) return;
  else if (key === "Backspace") discard();
  else if (/^[1-9]$/.test(key) && data.labels.some((l) => l.digit === key)) give(data.labels.find((l) => l.digit === key).label);
  else return;
  event.preventDefault();
});

$("palette").append(...data.labels.map(({ label, digit, category: of }) => {
  const button = labelButton(label, digit, { disabled: true, onclick: () => give(label) });
  button.dataset.category = of;
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // else the selection is lost
  return button;
}));
$("response").addEventListener("focus", () => { sentence = null; offer(); });
$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("corrected").addEventListener("input", () => { task.marks.submissionId = service.newId(); keep(); });
$("submit").addEventListener("click", submit);
$("undo").addEventListener("click", () => {
  if (task.marks.undo()) { redraw(); keep(); say("Undone"); } else say("There is nothing to undo");
});
$("skip").addEventListener("click", () => { $("reason").value = ""; $("skip-dialog").returnValue = ""; $("skip-dialog").showModal(); });
$("skip-dialog").addEventListener("close", ({ target: { returnValue } }) => {
  const reason = returnValue === "own" ? $("reason").value.trim() || "no reason given" : returnValue;
  if (reason) skip(reason);
});
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
if (annotator()) next();
