// The annotation page: one response at a time, marked by mouse or keyboard.

import * as service from "./annotation.js";
import { data, make, Problem, show, showQuestion } from "./call.js";
import { forgetDraft, keepDraft, latestDraft, stopSaving } from "./drafts.js";
import { Marks, suggestionsIn } from "./marks.js";
import { slice, toPoints, toUnits } from "./offsets.js";
import { placeName, showMissing, showPassages } from "./passages.js";
import { errorRow, labelButton, missingRow, showRows, suggestionRow } from "./rows.js";
import { Selecting } from "./selecting.js";
import { confirmReplacing, isStale } from "./stale.js";

const $ = (id) => document.getElementById(id);
const LABELS = Object.fromEntries(data.labels.map((spec) => [spec.label, spec]));
const categoryOf = (label) => LABELS[label]?.category;
/** Categories of errors in a response, which the reward models may suggest. */
const SEGMENT_CATEGORIES = [...new Set(data.labels.filter((spec) => !spec.missing).map((spec) => spec.category))];

/** The response being annotated, or null. */
let task = null;
/** The sentence in focus, as [passage, sentence]; null when the response is in focus. */
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
    const assignment = await service.nextResponse(annotator(), $("order").value);
    if (assignment) open(assignment);
    else {
      $("task").hidden = true;
      task = null;
      $("status").textContent = "There is nothing left to annotate. Come back when the service has answered more questions.";
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

function open({ response, draft, version }) {
  const marks = new Marks(suggestionsIn(response.scored, SEGMENT_CATEGORIES), categoryOf);
  task = { response, marks, version, seconds: 0, since: performance.now() };
  const saved = latestDraft(annotator(), response.id, draft);
  if (saved?.state) marks.state = saved.state;
  if (saved?.submission_id) marks.submissionId = saved.submission_id;
  task.seconds = saved?.seconds ?? 0;
  showQuestion($("question"), response.question);
  $("corrected").value = saved?.corrected ?? response.text;
  $("draft").textContent = saved ? "Your draft is back." : "";
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

/** Change the marks, show the result and save a draft; `announcement` turns the outcome into words. */
function change(act, announcement) {
  const outcome = act(task.marks);
  redraw();
  saveDraft();
  if (announcement) say(announcement(outcome));
}

function redraw() {
  const { response: { text }, marks } = task;
  const placed = ({ start, end }) => ({ start: toUnits(text, start), end: toUnits(text, end) });
  selecting.draw([
    ...marks.open.map((s) => ({ ...placed(s), tag: `${s.label ?? s.category}?`, kind: `maybe-${s.category}` })),
    ...marks.state.errors.map((e) => ({ ...placed(e), tag: e.label, kind: categoryOf(e.label) })),
  ]);
  showMissing($("passages"), marks.state.missing);
  showSuggestions();
  showMarks();
  offer();
}

function showSuggestions() {
  list("suggestions", "Suggested by the reward models", task.marks.open.map((suggestion) => suggestionRow(
    suggestion, task.response.text, data.labels.filter((spec) => spec.category === suggestion.category), {
      onLabel: (label) => change((marks) => marks.mark(label, suggestion.start, suggestion.end), () => `${label} marked`),
      onReject: () => change((marks) => marks.dismiss(suggestion), () => "Suggestion rejected"),
    },
  )));
}

function showMarks() {
  const { response: { text }, marks } = task;
  list("marks", "Marked by you", [
    ...marks.state.errors.map((error) => errorRow(error, text, LABELS[error.label], {
      onExplain: (explanation) => { marks.explain(error, explanation); saveDraft(); },
      onRemove: () => change(() => marks.unmark(error), () => `${error.label} removed`),
    })),
    ...marks.asJson().missing.map((item) => missingRow(item, {
      onRemove: () => change(() => marks.unmiss(item), () => `${item.label} removed`),
    })),
  ]);
}

/** Show rows. If the focused button disappears, the response gets the focus. */
function list(id, title, rows) {
  const focused = document.activeElement;
  if ($(id).contains(focused) && focused.matches("button")) $("response").focus();
  showRows($(id), title, rows);
}

/** Enable the labels that fit the selection. */
function offer() {
  for (const button of $("palette").children) {
    button.disabled = !task || LABELS[button.dataset.label].missing !== Boolean(sentence);
  }
}

/** Give a label to the sentence in focus, or to the selected part of the response. */
function give(label) {
  if (LABELS[label].missing) {
    if (sentence) change((marks) => marks.miss(label, ...sentence), (outcome) => `${placeName(sentence[0], [sentence[1]])}: ${label} ${outcome}`);
    return;
  }
  const span = target(label);
  if (!span || sentence) return;
  change((marks) => marks.mark(label, span.start, span.end), (outcome) => `“${slice(task.response.text, span.start, span.end)}”: ${label} ${outcome}`);
}

/** What a label applies to: the selection, or without one the suggestion of its category at the caret, or the word there. */
function target(label) {
  const text = task.response.text;
  const selected = selecting.selected;
  if (!selected) return null;
  const span = { start: toPoints(text, selected.start), end: toPoints(text, selected.end) };
  if (selected.chosen) return span;
  const holds = (other) => other.start <= span.start && span.end <= other.end;
  return task.marks.open.find((s) => s.category === categoryOf(label) && holds(s)) ?? span;
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
  const label = data.labels.find((spec) => spec.digit === event.key && spec.missing)?.label;
  if (label) give(label);
  else if (event.key === "Backspace") change((marks) => marks.miss(null, passage, number), () => "Removed");
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function saveDraft() {
  const { response, marks } = task;
  const draft = { at: Date.now(), state: marks.state, corrected: $("corrected").value, submission_id: marks.submissionId, seconds: spent() };
  $("draft").textContent = "Draft kept in this browser";
  const report = (text) => { if (task?.response === response) $("draft").textContent = text; };
  keepDraft(annotator(), response.id, draft, {
    basedOn: task.version,
    onSaved: () => report("Draft kept"),
    onFailed: (error) => { if (isStale(error)) report("You have submitted this response elsewhere"); },
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
    based_on: task.version,
  };
}

async function submit() {
  if (!task || $("submit").disabled) return;
  const { response, marks } = task;
  stopSaving();
  violations([]);
  $("submit").disabled = true;
  // After a lost connection the same submission is sent again unchanged, with the same time taken.
  if (task.sent?.submission_id !== marks.submissionId) task.sent = submission();
  let stale = null;
  try {
    await service.submit(task.sent);
    forgetDraft(annotator(), response.id);
    say("Submitted. Here is the next one.");
    await next();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (isStale(error)) stale = error;
    else violations((error.body.violations ?? [error]).map(({ message }) => message));
  } finally {
    $("submit").disabled = false;
  }
  if (!stale) return;
  if (await confirmReplacing(stale)) {
    task.version = stale.body.version;
    task.sent.based_on = task.version;
    await submit();
  } else {
    forgetDraft(annotator(), response.id);
    await next();
  }
}

async function skip(reason) {
  stopSaving();
  try {
    await service.skip(annotator(), task.response.id, reason, task.version);
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
  else if (data.labels.some((spec) => spec.digit === key)) give(data.labels.find((spec) => spec.digit === key).label);
  else return;
  event.preventDefault();
});

$("palette").append(...data.labels.map(({ label, digit }) => {
  const button = labelButton(label, digit, { disabled: true, onclick: () => give(label) });
  button.dataset.label = label;
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // otherwise the selection is lost
  return button;
}));
$("response").addEventListener("focus", () => { sentence = null; offer(); });
$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("corrected").addEventListener("input", () => { task.marks.submissionId = service.newId(); saveDraft(); });
$("submit").addEventListener("click", submit);
$("undo").addEventListener("click", () => {
  if (task.marks.undo()) { redraw(); saveDraft(); say("Undone"); } else say("There is nothing to undo");
});
$("skip").addEventListener("click", () => { $("reason").value = ""; $("skip-dialog").returnValue = ""; $("skip-dialog").showModal(); });
$("skip-dialog").addEventListener("close", ({ target: { returnValue } }) => {
  const reason = returnValue === "own" ? $("reason").value.trim() || "no reason given" : returnValue;
  if (reason) skip(reason);
});
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
if (annotator()) next();
