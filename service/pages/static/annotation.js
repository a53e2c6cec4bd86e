// The service's endpoints for feedback.

import { callJson } from "./call.js";

const post = (path, body) => callJson(path, { method: "POST", body });

/** The next response for an annotator: {response, state, version, draft}, or null when there is none. */
export const nextResponse = (annotator, order) => post("annotation/next", { annotator, order });

/** Store a draft: any JSON, returned with the assignment. `basedOn` is the assignment's version. */
export const saveDraft = (annotator, id, draft, basedOn) =>
  post("annotation/draft", { annotator, response_id: id, draft, based_on: basedOn });

/** Store an annotation; the same submission sent twice is stored once. */
export const submit = (annotation) => post("annotation/submit", annotation);

/** Leave a response to others, with a reason. */
export const skip = (annotator, id, reason, basedOn) =>
  post("annotation/skip", { annotator, response_id: id, reason, based_on: basedOn });

/** A response with what the annotator has submitted for it: {response, state, draft, annotation}. */
export const openAgain = (annotator, id) => post("annotation/open", { annotator, response_id: id });

/** How much is done and left: {done, today, left, last}. */
export const getProgress = (query) => post("annotation/progress", query);

/** A response, drawn for the error rate, whose sentences are judged, or null when there is none. */
export const nextToJudge = (annotator) => post("annotation/judgements/next", { annotator });

/** Store whether each sentence of a response is supported: {response_id, annotator, sentences}. */
export const judge = (judgement) => post("annotation/judgements", judgement);

/** Two answers to compare: {a, b, shown_first}, or null when there are none. */
export const nextPair = (annotator) => post("annotation/pairs", { annotator });

/** Leave a pair to others, with a reason. */
export const skipPair = (annotator, a, b, reason) => post("annotation/pairs/skip", { annotator, a, b, reason });

/** Store a comparison. */
export const compare = (comparison) => post("annotation/compare", comparison);

/** Store quick feedback on an answer: {submission_id, thumb}. */
export const giveFeedback = (id, feedback) => post(`responses/${encodeURIComponent(id)}/feedback`, feedback);

/** A random submission id. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const NAME = "fgctl-annotator";

/** Remember the annotator's name between visits. */
export function rememberName(input) {
  input.value = localStorage.getItem(NAME) ?? "";
  input.addEventListener("change", () => localStorage.setItem(NAME, input.value.trim()));
}
