// Keys and buttons that decide something: a held key acts once, and nothing decides about an answer that nobody has read.

/** Milliseconds after an answer is shown in which nothing can be decided about it. */
const UNREAD = 700;
const ACTING = /^(Enter|Backspace|[0-9]|z)$/;

/** Whether a key event is a repeat of a held key that would act again. Held keys may move, and write in text fields. */
export function actsAgain({ repeat, key, ctrlKey, metaKey, target }) {
  if (!repeat || !ACTING.test(key)) return false;
  if (target.matches("textarea")) return key === "Enter" && (ctrlKey || metaKey);
  return key === "Enter" || !target.matches("input");
}

document.addEventListener("keydown", (event) => {
  if (!actsAgain(event)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

/** Note that `box` now shows another answer. */
export function showFresh(box) {
  box.dataset.fresh = "";
  clearTimeout(box.freshTimer);
  box.freshTimer = setTimeout(() => { delete box.dataset.fresh; }, UNREAD);
}

/** Whether the answer in `box` is on the screen too briefly to have been read. */
export const isFresh = (box) => "fresh" in box.dataset;

/** Whether an event is a key without modifiers but Shift. */
export const isPlain = (event) => !event.ctrlKey && !event.metaKey && !event.altKey;

/** Whether a dialog is open, so that keys belong to it. */
export const dialogOpen = () => Boolean(document.querySelector("dialog[open]"));
