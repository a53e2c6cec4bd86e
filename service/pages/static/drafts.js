// Drafts of annotations: stored in this browser at once, and in the service when the annotator pauses.

import { saveDraft } from "./annotation.js";
import { Problem } from "./call.js";

/** Milliseconds without a change until the draft is sent to the service. */
const SAVE_AFTER = 800;
const place = (annotator, id) => `fgctl-draft ${annotator} ${id}`;
let saving = null;

/** The newer of the service's and the browser's draft, or null if there is none. */
export function latestDraft(annotator, id, served) {
  const local = JSON.parse(localStorage.getItem(place(annotator, id)) ?? "null");
  return [served, local].filter(Boolean).sort((a, b) => (b.at ?? 0) - (a.at ?? 0))[0] ?? null;
}

/** Store a draft; `onSaved` is called once the service has it, `onFailed` with the problem if it does not take it. */
export function keepDraft(annotator, id, draft, { basedOn, onSaved, onFailed }) {
  localStorage.setItem(place(annotator, id), JSON.stringify(draft));
  clearTimeout(saving);
  saving = setTimeout(async () => {
    try {
      await saveDraft(annotator, id, draft, basedOn);
      onSaved();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      onFailed(error);
    }
  }, SAVE_AFTER);
}

/** Cancel a pending draft, which would reopen a response that is submitted or skipped. */
export function stopSaving() {
  clearTimeout(saving);
}

export function forgetDraft(annotator, id) {
  localStorage.removeItem(place(annotator, id));
}
