// How much an annotator has done and how much is left, and the answers done last, to go back to.

import { getProgress } from "./annotation.js";
import { make, Problem } from "./call.js";

/** As many or more are left; the service does not count further. */
const MOST_COUNTED = 1000;
const line = document.getElementById("progress");

/** Show an annotator's progress; `onPick(id)` is called when an answer in the list is picked. */
export async function showProgress(annotator, { kind, order, onPick }) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  try {
    const { done, today, left, last } = await getProgress({ annotator, kind, order, since: midnight.toISOString() });
    line.textContent = inWords(done, today, left);
    if (onPick) showLast(last, onPick);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    line.textContent = "";
  }
}

/** Progress in words. */
export function inWords(done, today, left) {
  return `${today} today, ${done} in all; ${left >= MOST_COUNTED ? `${MOST_COUNTED} or more` : left} left`;
}

function showLast(last, onPick) {
  const box = document.getElementById("last");
  box.hidden = !last.length;
  box.querySelector("ol").replaceChildren(...last.map(({ response_id: id, question, at, skipped, marks, profile }) => {
    const outcome = skipped ? "skipped" : marks ? `${marks} ${marks === 1 ? "mark" : "marks"}` : "clean";
    const time = new Date(at).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
    const facts = [outcome, ...(profile ? [`by “${profile}”`] : []), time].join(" · ");
    const pick = make("button", { type: "button", className: "quiet", onclick: () => { box.open = false; onPick(id); } },
      make("bdi", { textContent: question }));
    return make("li", {}, pick, make("span", { className: "soft", textContent: facts }));
  }));
}
