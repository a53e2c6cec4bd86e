// "Submitted. Undo": for ten seconds the last decision can be taken back.

const OFFERED = 10_000;
const box = document.getElementById("done");
const [text, button] = box.children;
let undo = null;
let timer = null;

/** Say what was done, and offer to take it back by calling `takeBack`. */
export function offerUndo(sentence, takeBack) {
  text.textContent = sentence;
  box.hidden = false;
  undo = takeBack;
  clearTimeout(timer);
  timer = setTimeout(stopOffering, OFFERED);
}

/** Take the last decision back, if that is still offered. Returns whether it is. */
export function takeBack() {
  const act = undo;
  stopOffering();
  act?.();
  return Boolean(act);
}

function stopOffering() {
  clearTimeout(timer);
  undo = null;
  box.hidden = true;
}

button.addEventListener("click", takeBack);
