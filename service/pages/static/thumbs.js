// Quick feedback on one answer: a thumb up or down, which can be changed and withdrawn.

import { giveFeedback, newId } from "./annotation.js";
import { LOST, Problem, show } from "./call.js";

const SAVED = {
  1: "Saved: a good answer. Press again to withdraw.",
  [-1]: "Saved: a bad answer. Press again to withdraw.",
  0: "Withdrawn.",
};

/** Show the buttons for an answer, if the service stores feedback. */
export function offerThumbs(box, id) {
  const template = document.getElementById("thumbs");
  if (!template) return;
  box.replaceChildren(template.content.cloneNode(true));
  const buttons = [...box.querySelectorAll("button")];
  const [status, problem] = ["[role=status]", "[role=alert]"].map((selector) => box.querySelector(selector));
  let current = 0;
  /** The submission without a reply: sent again, it must have the same id. */
  let pending = null;
  let last = Promise.resolve();

  async function give(pressed) {
    const thumb = pressed === current ? 0 : pressed;
    if (pending?.thumb !== thumb) pending = { submission_id: newId(), thumb };
    try {
      await giveFeedback(id, pending);
    } catch (error) {
      show(problem, error instanceof Problem ? error.message : LOST);
      return;
    }
    [current, pending] = [thumb, null];
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.value) === current);
    show(problem, null);
    status.textContent = SAVED[current];
  }

  for (const button of buttons) {
    button.addEventListener("click", () => { last = last.then(() => give(Number(button.value))); });
  }
}
