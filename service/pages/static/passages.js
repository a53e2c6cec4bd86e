// Passages as a title and numbered sentences, each of which can be marked as missing from a response. The title is sentence 0.

import { make } from "./call.js";

/** Show passages; `onKey(event, passage, sentence)` is called for keys on a sentence, `onPick` when it gets the focus. */
export function showPassages(box, passages, { onKey, onPick }) {
  box.replaceChildren(...passages.map((passage, p) => {
    const name = make("h3", { textContent: `Passage ${p + 1}`, id: `passage-${p + 1}` });
    const list = make("ol", { role: "listbox", attrs: { "aria-labelledby": name.id } });
    const sentences = passage.sentences.length ? passage.sentences : [passage.text];
    if (passage.title) list.append(option(passage.title, p + 1, 0));
    list.append(...sentences.map((sentence, s) => option(sentence, p + 1, s + 1)));
    return make("div", { className: "given-passage" }, name, list);
  }));
  const options = [...box.querySelectorAll("[role=option]")];
  const place = (option) => [Number(option.dataset.passage), Number(option.dataset.sentence)];
  if (options.length) options[0].tabIndex = 0;
  for (const option of options) option.addEventListener("focus", () => onPick(...place(option)));
  const go = (option) => {
    for (const other of options) other.tabIndex = other === option ? 0 : -1;
    option.focus();
  };
  box.onclick = (event) => {
    const option = event.target.closest("[role=option]");
    if (option) go(option);
  };
  box.onkeydown = (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    const along = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (along) {
      event.preventDefault();
      const to = options[options.indexOf(option) + along];
      if (to) go(to);
    } else onKey(event, ...place(option));
  };
}

/** Show which sentences are marked; `missing` has labels by "passage.sentence". */
export function showMissing(box, missing) {
  for (const option of box.querySelectorAll("[role=option]")) {
    const label = missing[`${option.dataset.passage}.${option.dataset.sentence}`];
    option.setAttribute("aria-selected", Boolean(label));
    const tag = option.querySelector(".tag");
    tag.textContent = label ?? "";
    tag.hidden = !label;
  }
}

function option(sentence, passage, number) {
  const item = make("li", { role: "option", tabIndex: -1, ariaSelected: "false", className: number ? "" : "title" },
    make("span", { className: "index", textContent: number || "" }),
    make("span", { dir: "auto" }, sentence.trim(), " ", make("b", { className: "tag", hidden: true })),
  );
  Object.assign(item.dataset, { passage, sentence: number });
  return item;
}

/** Sentences of a passage in words, for example "passage 2, title, sentence 1". */
export function placeName(passage, numbers) {
  const counted = numbers.filter(Boolean);
  const parts = [...(numbers.includes(0) ? ["title"] : []), ...(counted.length ? [`sentence ${counted.join(", ")}`] : [])];
  return `passage ${passage}, ${parts.join(", ")}`;
}
