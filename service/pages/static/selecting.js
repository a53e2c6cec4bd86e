// A text in which words are selected by keys or mouse. All offsets are UTF-16 units, those of marks too.

import { make } from "./call.js";

const ENDS = /[.!?…]["'”’)\]]*$/u;

export class Selecting {
  /** `onChange` is called when the selection changes. */
  constructor(box, onChange) {
    this.box = box;
    this.onChange = onChange;
    this.setText("");
    box.addEventListener("keydown", (event) => this.key(event));
    let dragging = false;
    box.addEventListener("pointerdown", () => { dragging = true; });
    document.addEventListener("pointerup", () => {
      if (dragging) this.fromMouse();
      dragging = false;
    });
    box.addEventListener("focus", () => this.redraw());
    box.addEventListener("blur", () => this.redraw());
  }

  setText(text) {
    this.text = text;
    this.words = [...text.matchAll(/\S+/gu)].map((match) => ({ start: match.index, end: match.index + match[0].length }));
    this.caret = 0;
    this.anchor = null;
    this.range = null;
    this.marks = [];
  }

  /** The selection, or null in an empty text. Without one it is the word at the caret, and `chosen` is false. */
  get selected() {
    if (!this.words.length) return null;
    if (this.range) return { ...this.range, chosen: true };
    const [from, to] = [this.caret, this.anchor ?? this.caret].sort((a, b) => a - b);
    return { start: this.words[from].start, end: this.words[to].end, chosen: this.anchor !== null };
  }

  /** Show marks: {start, end, tag, kind}. */
  draw(marks) {
    this.marks = marks;
    this.redraw();
  }

  redraw() {
    const at = document.activeElement === this.box || this.range ? this.selected : null;
    const cuts = new Set([0, this.text.length]);
    for (const { start, end } of [...this.marks, ...(at ? [at] : [])]) cuts.add(start).add(end);
    const sorted = [...cuts].sort((a, b) => a - b);
    this.box.replaceChildren(...sorted.slice(1).map((end, i) => {
      const start = sorted[i];
      const here = this.marks.filter((mark) => mark.start <= start && end <= mark.end);
      const piece = make("span", { textContent: this.text.slice(start, end) });
      for (const mark of here) piece.classList.add(mark.kind);
      const ending = here.filter((mark) => mark.end === end).map(({ tag }) => tag);
      if (ending.length) piece.dataset.tag = ending.join(" ");
      if (at && at.start <= start && end <= at.end) piece.classList.add("selected");
      return piece;
    }));
  }

  key(event) {
    const to = this.goal(event);
    if (to === null) return;
    event.preventDefault();
    if (event.shiftKey) this.anchor ??= this.caret;
    else this.anchor = null;
    this.range = null;
    this.caret = Math.max(0, Math.min(this.words.length - 1, to));
    this.changed();
  }

  /** The word that a key moves the caret to, or null for other keys. */
  goal({ key, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey || !this.words.length) return null;
    const ends = (i) => ENDS.test(this.text.slice(this.words[i].start, this.words[i].end));
    let to = this.caret;
    switch (key) {
      case "ArrowLeft": return to - 1;
      case "ArrowRight": return to + 1;
      case "Home": return 0;
      case "End": return this.words.length - 1;
      case "ArrowDown":
        do to += 1; while (to < this.words.length - 1 && !ends(to));
        return to;
      case "ArrowUp":
        do to -= 1; while (to > 0 && !ends(to - 1));
        return to;
      default: return null;
    }
  }

  fromMouse() {
    const selection = getSelection();
    if (!selection.rangeCount || !this.box.contains(selection.anchorNode) || !this.box.contains(selection.focusNode)) return;
    const range = selection.getRangeAt(0);
    const [start, end] = [this.unit(range.startContainer, range.startOffset), this.unit(range.endContainer, range.endOffset)];
    this.anchor = null;
    this.range = trimmed(this.text, start, end);
    this.caret = Math.max(0, this.words.findLastIndex((word) => word.start <= start));
    this.box.focus();
    this.changed();
  }

  /** The offset in the text of a position in the page. */
  unit(node, offset) {
    const before = document.createRange();
    before.setStart(this.box, 0);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  changed() {
    this.redraw();
    this.onChange(this.selected);
  }
}

/** A range of a text without white space at its ends, or null if it contains nothing else. */
function trimmed(text, start, end) {
  const part = text.slice(start, end);
  const inner = part.trim();
  if (!inner) return null;
  const from = start + part.indexOf(inner);
  return { start: from, end: from + inner.length };
}
