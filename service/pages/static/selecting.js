// A text in which parts are selected by keys, mouse or touch. All offsets are UTF-16 units, those of marks too.
//
// What is seen to be selected is what is selected: while the browser shows a selection of its own, this is that selection
// clipped to the text; otherwise the words with the class `selected` are.

import { make } from "./call.js";
import { endsSentence, isRightToLeft, trimmed, wordsOf } from "./words.js";

export class Selecting {
  /** `onChange` is called when the selection changes. */
  constructor(box, onChange) {
    this.box = box;
    this.onChange = onChange;
    this.setText("");
    box.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("selectionchange", () => this.follow());
    document.addEventListener("pointerup", (event) => {
      if (this.native && event.pointerType === "mouse") this.settle();
    });
  }

  setText(text) {
    this.text = text;
    this.words = wordsOf(text);
    this.caret = 0;
    this.anchor = null;
    this.range = null;
    /** Whether the browser shows the selection itself. */
    this.native = false;
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
    this.release();
    const cuts = new Set([0, this.text.length]);
    for (const { start, end } of [...this.words, ...marks, ...(this.range ? [this.range] : [])]) cuts.add(start).add(end);
    const sorted = [...cuts].sort((a, b) => a - b);
    this.box.replaceChildren(...sorted.slice(1).map((end, i) => this.piece(sorted[i], end)));
    this.show();
  }

  piece(start, end) {
    const here = this.marks.filter((mark) => mark.start <= start && end <= mark.end);
    const piece = make("span", { textContent: this.text.slice(start, end) });
    for (const mark of here) piece.classList.add(mark.kind);
    const ending = here.filter((mark) => mark.end === end).map(({ tag }) => tag);
    if (ending.length) piece.dataset.tag = ending.join(" ");
    Object.assign(piece, { start, end });
    return piece;
  }

  /** Show what is selected. The pieces stay, so that the browser's own selection does too. */
  show() {
    const at = this.native ? null : this.selected;
    for (const piece of this.box.children) {
      piece.classList.toggle("selected", Boolean(at) && at.start <= piece.start && piece.end <= at.end);
    }
  }

  key(event) {
    const to = this.goal(event);
    if (to === null) return;
    event.preventDefault();
    this.release();
    if (event.shiftKey) this.anchor ??= this.caret;
    else this.anchor = null;
    this.range = null;
    this.caret = Math.max(0, Math.min(this.words.length - 1, to));
    this.changed();
  }

  /** The word that a key moves the caret to, or null for other keys. */
  goal({ key, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey || !this.words.length) return null;
    const ends = (i) => endsSentence(this.text.slice(this.words[i].start, this.words[i].end));
    const leftward = isRightToLeft(this.text, this.words[this.caret].start) ? 1 : -1;
    let to = this.caret;
    switch (key) {
      case "ArrowLeft": return to + leftward;
      case "ArrowRight": return to - leftward;
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

  /** Take over the browser's selection, however it came about: mouse, handles on a touch screen, select all. */
  follow() {
    const selection = getSelection();
    const range = selection.rangeCount ? selection.getRangeAt(0) : null;
    const within = range?.collapsed ? this.box.contains(range.startContainer) : range?.intersectsNode(this.box);
    const clipped = within ? this.clipped(range) : null;
    if (clipped && !range.collapsed) {
      this.take(clipped, true);
    } else if (range?.collapsed && within) {
      this.caret = this.wordAt(this.unit(range.startContainer, range.startOffset));
      this.take(null, false);
    } else if (this.native) {
      this.native = false; // the browser no longer shows it
      this.draw(this.marks);
    }
  }

  take(range, native) {
    this.anchor = null;
    this.range = range;
    this.native = native;
    if (range) this.caret = this.wordAt(range.start);
    this.changed();
  }

  wordAt(unit) {
    return Math.max(0, this.words.findLastIndex((word) => word.start <= unit));
  }

  /** The part of a range of the page that lies within the text, or null if that is empty. */
  clipped(range) {
    const inside = (node) => this.box.contains(node);
    const start = inside(range.startContainer) ? this.unit(range.startContainer, range.startOffset) : 0;
    const end = inside(range.endContainer) ? this.unit(range.endContainer, range.endOffset) : this.text.length;
    return trimmed(this.text, start, end);
  }

  /** After a drag: let the browser show what is selected and no more, and let keys act on it. */
  settle() {
    const { start, end } = this.range;
    getSelection().setBaseAndExtent(...this.place(start), ...this.place(end));
    this.box.focus({ preventScroll: true });
  }

  /** End the browser's selection in the text, which would move when the pieces are replaced. */
  release() {
    if (this.native || this.box.contains(getSelection().anchorNode)) getSelection().removeAllRanges();
    this.native = false;
  }

  /** The offset in the text of a position in the page. */
  unit(node, offset) {
    const before = document.createRange();
    before.setStart(this.box, 0);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  /** The position in the page of an offset in the text. */
  place(unit) {
    const piece = [...this.box.children].find((candidate) => unit <= candidate.end);
    return [piece.firstChild, unit - piece.start];
  }

  changed() {
    this.show();
    this.onChange(this.selected);
  }
}
