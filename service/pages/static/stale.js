// The question whether to replace feedback that the same person gave elsewhere in the meantime.

const dialog = document.getElementById("stale-dialog");

/** Whether a failure is that of feedback that is not based on the latest. */
export const isStale = (error) => error.status === 409 && error.body?.version !== undefined;

/** Ask the question of such a failure, and return whether to replace. Enter and Escape keep what there is. */
export function confirmReplacing(error) {
  document.getElementById("stale-question").textContent = error.body.question;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "replace"), { once: true });
  });
}
