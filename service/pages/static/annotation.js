// The endpoints of the service that take what people say of answers.

import { callJson } from "./call.js";

const post = (path, body) => callJson(path, { method: "POST", body });

/** The next response for an annotator: {response, state, draft}, or null when there is none. */
export const nextResponse = (annotator, order) => post("annotation/next", { annotator, order });

/** Keep a draft: whatever the page wants back. */
export const saveDraft = (annotator, id, draft) => post("annotation/draft", { annotator, response_id: id, draft });

/** Keep an annotation; the same submission_id twice is one. */
export const submit = (annotation) => post("annotation/submit", annotation);

/** Give a response up, with a reason. */
export const skip = (annotator, id, reason) => post("annotation/skip", { annotator, response_id: id, reason });

/** Two answers to compare: {a, b, shown_first}, or null when there are none. */
export const nextPair = (annotator) => post("annotation/pairs", { annotator });

/** Keep a comparison. */
export const compare = (comparison) => post("annotation/compare", comparison);

/** Keep quick feedback on an answer: {submission_id, thumb}. */
export const giveFeedback = (id, given) => post(`responses/${encodeURIComponent(id)}/feedback`, given);

/** An id that no other submission has. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const NAME = "fgctl-annotator";

/** Keep the annotator's name in a field over visits. */
export function rememberName(input) {
  input.value = localStorage.getItem(NAME) ?? "";
  input.addEventListener("change", () => localStorage.setItem(NAME, input.value.trim()));
}
