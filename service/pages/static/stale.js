// The question what to do about feedback that the same person has given elsewhere in the meantime.

const dialog = document.getElementById("stale-dialog");

/** Whether a failure is that of feedback that is not based on the latest. */
export const isStale = (error) => error.status === 409 && error.body?.version !== undefined;

/** Ask the question of such a failure. Resolves to "keep", "show" or "replace"; Enter and Escape keep what there is. */
export function askAboutStale(error) {
  document.getElementById("stale-question").textContent = error.body.question;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || "keep"), { once: true });
  });
}
