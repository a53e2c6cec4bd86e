// What an annotator has marked of one response, without a page: offsets are code points.

import { newId } from "./annotation.js";

export class Marks {
  /** `suggestions` are the models' errors: {category, start, end, label, error_probability}. */
  constructor(suggestions, categoryOf) {
    this.suggestions = suggestions;
    this.categoryOf = categoryOf;
    this.state = { errors: [], missing: {}, dismissed: [] };
    this.past = [];
    this.submissionId = newId();
  }

  /** Mark a span, change the label of one that is marked, or unmark one that has the label. Says what was done. */
  mark(label, start, end) {
    const same = this.state.errors.find((error) => error.start === start && error.end === end);
    const others = this.state.errors.filter((error) => error !== same);
    if (same?.label === label) return this.become({ errors: others }, "unmarked");
    const error = { label, start, end, explanation: same?.explanation ?? "" };
    return this.become({ errors: [...others, error].sort((a, b) => a.start - b.start) }, "marked");
  }

  unmark(error) {
    this.become({ errors: this.state.errors.filter((other) => other !== error) });
  }

  /** Say that a passage's sentence (both from 1, sentence 0 being the title) holds what is missing, or no longer. Says what was done. */
  miss(label, passage, sentence) {
    const missing = { ...this.state.missing };
    const place = `${passage}.${sentence}`;
    if (!label || missing[place] === label) delete missing[place];
    else missing[place] = label;
    return this.become({ missing }, missing[place] ? "marked" : "unmarked");
  }

  /** Take back missing information, as `asJson` has it. */
  unmiss({ label, passage_id: passage, sentence_id: numbers }) {
    const places = new Set(numbers.map((number) => `${passage}.${number}`));
    const kept = Object.entries(this.state.missing).filter(([place, of]) => of !== label || !places.has(place));
    this.become({ missing: Object.fromEntries(kept) });
  }

  dismiss(suggestion) {
    this.become({ dismissed: [...this.state.dismissed, this.suggestions.indexOf(suggestion)] });
  }

  explain(error, explanation) {
    error.explanation = explanation;
    this.submissionId = newId();
  }

  /** Suggestions that wait for a decision. */
  get open() {
    return this.suggestions.filter((suggestion, i) => (
      !this.state.dismissed.includes(i) && this.outcome(suggestion) === "rejected"));
  }

  /** What the marks make of a suggestion: the same is accepted, one of the category at the place has changed it. */
  outcome({ category, start, end, label }) {
    const there = this.state.errors.filter((error) => (
      this.categoryOf(error.label) === category && error.start < end && start < error.end));
    if (there.some((error) => error.start === start && error.end === end && (error.label === label || !label))) {
      return "accepted";
    }
    return there.length ? "changed" : "rejected";
  }

  undo() {
    const last = this.past.pop();
    if (last) this.state = JSON.parse(last);
    this.submissionId = newId();
    return Boolean(last);
  }

  become(change, done) {
    this.past.push(JSON.stringify(this.state));
    this.state = { ...this.state, ...change };
    this.submissionId = newId();
    return done;
  }

  /** The fields of a submission that are marks. */
  asJson() {
    const missing = new Map();
    for (const [place, label] of Object.entries(this.state.missing)) {
      const [passage, sentence] = place.split(".").map(Number);
      const key = `${label} ${passage}`;
      if (!missing.has(key)) missing.set(key, { label, passage_id: passage, sentence_id: [] });
      missing.get(key).sentence_id.push(sentence);
    }
    for (const item of missing.values()) item.sentence_id.sort((a, b) => a - b);
    const suggestions = this.suggestions.map((suggestion) => ({ ...suggestion, outcome: this.outcome(suggestion) }));
    return { errors: this.state.errors, missing: [...missing.values()], suggestions };
  }
}

/** The models' errors in a judgement, as suggestions. */
export function suggestionsIn(scored, judged) {
  return judged.flatMap((category) => (scored?.scores?.[category]?.segments ?? [])
    .filter(({ error }) => error)
    .map(({ start, end, label, error_probability }) => ({ category, start, end, label: label ?? null, error_probability })));
}
