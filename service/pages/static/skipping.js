// The dialog that asks why something is skipped.

const dialog = document.getElementById("skip-dialog");
const words = document.getElementById("reason");

/** Ask for the reason. Resolves to it, or to null if the person goes back. */
export function askWhy() {
  words.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const { returnValue } = dialog;
      resolve(returnValue === "own" ? words.value.trim() || "no reason given" : returnValue || null);
    }, { once: true });
  });
}

// No submit buttons: Enter in the text field presses a form's first one.
for (const button of dialog.querySelectorAll("button[type=button]")) {
  button.addEventListener("click", () => dialog.close(button.value));
}
