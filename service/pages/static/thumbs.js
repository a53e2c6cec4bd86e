// Quick feedback on one answer: a thumb up or down, which can be changed and taken back.

import { giveFeedback, newId } from "./annotation.js";
import { LOST, Problem, show } from "./call.js";

const KEPT = {
  1: "Kept: a good answer. Press it again to take it back.",
  [-1]: "Kept: a bad answer. Press it again to take it back.",
  0: "Taken back.",
};

/** Show the buttons for the answer of an id, where the service keeps feedback. */
export function offerThumbs(box, id) {
  const template = document.getElementById("thumbs");
  if (!template) return;
  box.replaceChildren(template.content.cloneNode(true));
  const buttons = [...box.querySelectorAll("button")];
  const [said, problem] = ["[role=status]", "[role=alert]"].map((selector) => box.querySelector(selector));
  let given = 0;
  /** What has no reply yet: sent again, it must have the same id. */
  let sent = null;
  let last = Promise.resolve();

  async function give(pressed) {
    const thumb = pressed === given ? 0 : pressed;
    if (sent?.thumb !== thumb) sent = { submission_id: newId(), thumb };
    try {
      await giveFeedback(id, sent);
    } catch (error) {
      show(problem, error instanceof Problem ? error.message : LOST);
      return;
    }
    [given, sent] = [thumb, null];
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.value) === given);
    show(problem, null);
    said.textContent = KEPT[given];
  }

  for (const button of buttons) {
    button.addEventListener("click", () => { last = last.then(() => give(Number(button.value))); });
  }
}
