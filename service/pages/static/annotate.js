// The annotation page: one response at a time, marked by mouse or keyboard.

import * as service from "./annotation.js";
import { data, make, Problem, show, showQuestion } from "./call.js";
import { forgetDraft, keepDraft, latestDraft, stopSaving } from "./drafts.js";
import { dialogOpen, isFresh, isPlain, showFresh } from "./keys.js";
import { Marks, suggestionsIn } from "./marks.js";
import { slice, toPoints, toUnits } from "./offsets.js";
import { placeName, showMissing, showPassages } from "./passages.js";
import { showProgress } from "./progress.js";
import { labelButton, markRows, suggestionRows } from "./rows.js";
import { Selecting } from "./selecting.js";
import { askWhy } from "./skipping.js";
import { askAboutStale, isStale } from "./stale.js";
import { offerUndo, takeBack } from "./undoing.js";
import { differ } from "./words.js";

const $ = (id) => document.getElementById(id);
const LABELS = Object.fromEntries(data.labels.map((spec) => [spec.label, spec]));
const categoryOf = (label) => LABELS[label]?.category;
/** Categories of errors in a response, which the reward models may suggest. */
const SEGMENT_CATEGORIES = [...new Set(data.labels.filter((spec) => !spec.missing).map((spec) => spec.category))];

/** The response being annotated, with its marks and the correction, or null. */
let task = null;
/** Counts what is shown, so that a reply that comes too late shows nothing. */
let turn = 0;
const REPLACES = "You have dealt with this one before; what you submit now replaces that.";
/** The sentence in focus, as [passage, sentence]; null when the response is in focus. */
let sentence = null;

const selecting = new Selecting($("response"), (selected) => {
  sentence = null;
  offer();
  if (selected && !selecting.native) say(`“${selecting.text.slice(selected.start, selected.end)}”`);
});

function say(text) {
  $("said").textContent = text;
}

const annotator = () => $("annotator").value.trim();

async function next() {
  if (!$("queue").reportValidity()) return;
  show($("problem"), null);
  const mine = (turn += 1);
  try {
    const assignment = await service.nextResponse(annotator(), $("order").value);
    if (mine !== turn) return;
    if (assignment) open(assignment);
    else {
      $("task").hidden = true;
      task = null;
      $("status").textContent = "There is nothing left to annotate. Come back when the service has answered more questions.";
    }
  } catch (error) {
    fail(error);
  }
  showProgress(annotator(), { kind: "annotation", order: $("order").value, onPick: goBack });
}

/** Open a response again that was submitted or skipped. */
async function goBack(id) {
  try {
    open(await service.openAgain(annotator(), id));
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  show($("problem"), error.message);
  $("problem").scrollIntoView({ block: "nearest" });
}

function open({ response, draft, annotation, version }) {
  const marks = new Marks(suggestionsIn(response.scored, SEGMENT_CATEGORIES), categoryOf);
  const saved = latestDraft(annotator(), response.id, draft);
  if (saved?.state) marks.state = saved.state;
  else if (annotation) marks.restore(annotation);
  if (saved?.submission_id) marks.submissionId = saved.submission_id;
  display({
    response, marks, version,
    corrected: saved?.corrected ?? annotation?.corrected ?? response.text,
    seconds: saved?.seconds ?? annotation?.seconds ?? 0,
    note: saved ? "Your draft is back." : annotation ? REPLACES : "",
  });
}

/** Show a task at its top. */
function display(opened) {
  turn += 1;
  task = { ...opened, since: performance.now() };
  const { response } = task;
  showQuestion($("question"), response.question);
  $("corrected").value = task.corrected;
  $("draft").textContent = task.note;
  showPassages($("passages"), response.passages, {
    onPick: (passage, number) => { sentence = [passage, number]; offer(); },
    onKey: sentenceKey,
  });
  selecting.setText(response.text);
  Object.assign($("task"), { hidden: false, inert: false });
  show($("problem"), null);
  violations([]);
  redraw();
  $("status").textContent = `Response ${response.id}`;
  $("response").focus({ preventScroll: true });
  for (const box of document.querySelectorAll(".given, #passages")) box.scrollTop = 0;
  document.querySelector(".state").scrollIntoView();
  showFresh($("task"));
}

/** Show a task again that was just submitted or skipped. */
function undoDone(done) {
  done.marks.submissionId = service.newId();
  display({ ...done, note: REPLACES });
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
  showRows("suggestions", suggestionRows(marks, text, change));
  showRows("marks", markRows(marks, text, change, saveDraft));
  offer();
}

/** Show the rows of a list. If the focused button disappears, the response gets the focus. */
function showRows(id, rows) {
  const focused = document.activeElement;
  if ($(id).contains(focused) && focused.matches("button")) $("response").focus();
  $(id).hidden = !rows.length;
  $(id).querySelector("ul").replaceChildren(...rows);
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
  return Math.max(0, Math.round(task.seconds + (performance.now() - task.since) / 1000));
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
    corrected: corrected && differ(corrected, response.text) ? corrected : null,
    seconds: spent(),
    based_on: task.version,
  };
}

/** The task as it is now, to come back to. */
function finished() {
  const { response, marks, version } = task;
  return { response, marks, version, corrected: $("corrected").value, seconds: spent() };
}

/** The task is dealt with: nothing may change it while the next one is on its way. */
function leave() {
  task = null;
  $("task").inert = true;
}

async function submit() {
  if (!task || $("submit").disabled || isFresh($("task"))) return;
  const { response, marks } = task;
  const done = finished();
  stopSaving();
  violations([]);
  $("submit").disabled = true;
  // After a lost connection the same submission is sent again unchanged, with the same time taken.
  if (task.sent?.submission_id !== marks.submissionId) task.sent = submission();
  let stale = null;
  try {
    done.version = (await service.submit(task.sent)).version;
    forgetDraft(annotator(), response.id);
    leave();
    offerUndo(`Submitted${response.profile ? `; it was by “${response.profile}”` : ""}.`, () => undoDone(done));
    await next();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (isStale(error)) stale = error;
    else violations((error.body.violations ?? [error]).map(({ message }) => message));
  } finally {
    $("submit").disabled = false;
  }
  if (stale) await settle(stale, response.id);
}

/** Ask what to do about a response that the same person has submitted elsewhere in the meantime. */
async function settle(stale, id) {
  const answer = await askAboutStale(stale);
  if (answer === "replace") {
    task.version = stale.body.version;
    task.sent.based_on = task.version;
    await submit();
    return;
  }
  forgetDraft(annotator(), id);
  await (answer === "show" ? goBack(id) : next());
}

async function skip() {
  if (isFresh($("task"))) return;
  const done = finished();
  const reason = await askWhy();
  if (!reason) return;
  stopSaving();
  try {
    await service.skip(annotator(), done.response.id, reason, done.version);
    forgetDraft(annotator(), done.response.id);
    leave();
    offerUndo("Skipped.", () => undoDone(done));
    await next();
  } catch (error) {
    if (!isStale(error)) return fail(error);
    say("You have submitted this response elsewhere in the meantime; it is not skipped.");
    forgetDraft(annotator(), done.response.id);
    await next();
  }
}

function undo() {
  if (task?.marks.undo()) {
    redraw();
    saveDraft();
    say("Undone");
  } else if (!takeBack()) say("There is nothing to undo");
}

document.addEventListener("keydown", (event) => {
  const { target: at, key } = event;
  if (dialogOpen()) return;
  const writing = at.matches("input, textarea, select");
  const commands = event.ctrlKey || event.metaKey;
  const inText = at === $("response") && isPlain(event);
  if (key === "z" && commands && !writing) undo();
  else if (!task) return;
  else if (key === "Enter" && (commands ? $("task").contains(at) : inText)) submit();
  else if (key === "c" && isPlain(event) && at.closest("#response, #passages")) $("corrected").focus();
  else if (key === "s" && isPlain(event) && at.closest("#response, #passages")) skip();
  else if (key === "Escape" && at === $("corrected")) $("response").focus();
  else if (!inText) return;
  else if (key === "Backspace") discard();
  else if (data.labels.some((spec) => spec.digit === key)) give(data.labels.find((spec) => spec.digit === key).label);
  else return;
  event.preventDefault();
});

$("palette").append(...data.labels.map(({ label, digit, meaning }) => {
  const button = labelButton(label, digit, { disabled: true, title: meaning, onclick: () => give(label) });
  button.dataset.label = label;
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // otherwise the selection is lost
  return button;
}));
$("response").addEventListener("focus", () => { sentence = null; offer(); });
$("queue").addEventListener("submit", (event) => { event.preventDefault(); next(); });
$("corrected").addEventListener("input", () => { task.marks.submissionId = service.newId(); saveDraft(); });
$("submit").addEventListener("click", submit);
$("undo").addEventListener("click", undo);
$("skip").addEventListener("click", skip);
service.rememberName($("annotator"));
window.addEventListener("key", () => { if (!task && annotator()) next(); });
const asked = new URLSearchParams(location.search).get("response");
if (annotator()) (asked ? goBack(asked) : next());
