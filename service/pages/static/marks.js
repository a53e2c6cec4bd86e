// The marks of an annotator on one response, independent of the page. Offsets are code points.

import { newId } from "./annotation.js";

export class Marks {
  /** `suggestions` are errors found by the models: {category, start, end, label, error_probability}. */
  constructor(suggestions, categoryOf) {
    this.suggestions = suggestions;
    this.categoryOf = categoryOf;
    this.state = { errors: [], missing: {}, dismissed: [] };
    this.past = [];
    this.submissionId = newId();
  }

  /** Mark a span, relabel a marked one, or unmark one that has the label. Returns "marked" or "unmarked". */
  mark(label, start, end) {
    const same = this.state.errors.find((error) => error.start === start && error.end === end);
    const others = this.state.errors.filter((error) => error !== same);
    if (same?.label === label) return this.become({ errors: others }, "unmarked");
    const error = { label, start, end, explanation: same?.explanation ?? "" };
    return this.become({ errors: [...others, error].sort((a, b) => a.start - b.start) }, "marked");
  }

  /** Begin with the marks of an annotation that was submitted. */
  restore({ errors, missing, suggestions }) {
    const places = missing.flatMap(({ label, passage_id: passage, sentence_id: numbers }) => (
      numbers.map((number) => [`${passage}.${number}`, label])));
    const rejected = suggestions.filter(({ outcome }) => outcome === "rejected");
    const same = (a, b) => ["category", "start", "end"].every((field) => a[field] === b[field]);
    const dismissed = [...this.suggestions.keys()].filter((i) => rejected.some((other) => same(other, this.suggestions[i])));
    this.state = { errors: errors.map((error) => ({ ...error })), missing: Object.fromEntries(places), dismissed };
  }

  unmark(error) {
    this.become({ errors: this.state.errors.filter((other) => other !== error) });
  }

  /** Mark a passage's sentence as missing from the response, or unmark it. Both count from 1; sentence 0 is the title. */
  miss(label, passage, sentence) {
    const missing = { ...this.state.missing };
    const place = `${passage}.${sentence}`;
    if (!label || missing[place] === label) delete missing[place];
    else missing[place] = label;
    return this.become({ missing }, missing[place] ? "marked" : "unmarked");
  }

  /** Unmark missing information, in the shape of `asJson`. */
  unmiss({ label, passage_id: passage, sentence_id: numbers }) {
    const places = new Set(numbers.map((number) => `${passage}.${number}`));
    const remaining = Object.entries(this.state.missing).filter(([place, of]) => of !== label || !places.has(place));
    this.become({ missing: Object.fromEntries(remaining) });
  }

  dismiss(suggestion) {
    this.become({ dismissed: [...this.state.dismissed, this.suggestions.indexOf(suggestion)] });
  }

  explain(error, explanation) {
    error.explanation = explanation;
    this.submissionId = newId();
  }

  /** Suggestions without a decision. */
  get open() {
    return this.suggestions.filter((suggestion, i) => (
      !this.state.dismissed.includes(i) && this.outcome(suggestion) === "rejected"));
  }

  /** A suggestion is accepted if the same span has the same label, changed if another error of its category overlaps it, else rejected. */
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

  /** Change the state, so that it can be undone and is a new submission. Returns `outcome`. */
  become(change, outcome) {
    this.past.push(JSON.stringify(this.state));
    this.state = { ...this.state, ...change };
    this.submissionId = newId();
    return outcome;
  }

  /** The marks as fields of a submission. */
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

/** The errors in the scores of these categories, as suggestions. */
export function suggestionsIn(scored, categories) {
  return categories.flatMap((category) => (scored?.scores?.[category]?.segments ?? [])
    .filter(({ error }) => error)
    .map(({ start, end, label, error_probability }) => ({ category, start, end, label: label ?? null, error_probability })));
}
