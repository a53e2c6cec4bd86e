// The lists below a response: suggestions of the reward models, and marks.

import { data, make } from "./call.js";
import { slice } from "./offsets.js";
import { placeName } from "./passages.js";
import { share } from "./scored.js";

const LONGEST_QUOTE = 90;

/** Rows for the suggestions without a decision; `change(act, announcement)` changes the marks. */
export function suggestionRows(marks, text, change) {
  return marks.open.map((suggestion) => suggestionRow(
    suggestion, text, data.labels.filter((spec) => spec.category === suggestion.category), {
      onLabel: (label) => change(() => marks.mark(label, suggestion.start, suggestion.end), () => `${label} marked`),
      onReject: () => change(() => marks.dismiss(suggestion), () => "Suggestion rejected"),
    },
  ));
}

/** Rows for everything that is marked; `onExplain` is called after an explanation has changed. */
export function markRows(marks, text, change, onExplain) {
  return [
    ...marks.state.errors.map((error) => errorRow(error, text, data.labels.find((spec) => spec.label === error.label), {
      onExplain: (explanation) => { marks.explain(error, explanation); onExplain(); },
      onRemove: () => change(() => marks.unmark(error), () => `${error.label} removed`),
    })),
    ...marks.asJson().missing.map((item) => missingRow(item, {
      onRemove: () => change(() => marks.unmiss(item), () => `${item.label} removed`),
    })),
  ];
}

/** A suggestion about a part of `text`, with buttons for the `labels` of its category. */
function suggestionRow(suggestion, text, labels, { onLabel, onReject }) {
  return make("li", {},
    quote(text, suggestion),
    make("span", { className: "soft", textContent: `${share(suggestion.error_probability)} likely an error of ${suggestion.category}` }),
    make("span", { className: "choices" },
      ...labels.map(({ label, digit }) => labelButton(label, digit, {
        className: label === suggestion.label ? "likely" : "", onclick: () => onLabel(label),
      })),
      make("button", { type: "button", className: "quiet", textContent: "Reject", onclick: onReject }),
    ),
  );
}

/** An error marked in `text`, with a field to explain it; `label` is its entry in the page's data. */
function errorRow(error, text, label, { onExplain, onRemove }) {
  return make("li", {},
    make("strong", { textContent: error.label }),
    quote(text, error),
    make("input", {
      type: "text", dir: "auto", value: error.explanation, ariaLabel: `Why ${error.label}`,
      placeholder: label?.needs_sources ? "Which sentences contradict it?" : "Why? (optional)",
      oninput: ({ target }) => onExplain(target.value),
    }),
    removeButton(error.label, onRemove),
  );
}

/** Missing information {label, passage_id, sentence_id}. */
function missingRow({ label, passage_id: passage, sentence_id: numbers }, { onRemove }) {
  const where = placeName(passage, numbers);
  return make("li", {},
    make("strong", { textContent: label }), make("span", { className: "where", textContent: where }),
    removeButton(`${label}, ${where}`, onRemove),
  );
}

/** A button that gives a label, and shows the digit that does the same. */
export function labelButton(label, digit, properties) {
  return make("button", { type: "button", ...properties }, make("kbd", { textContent: digit, ariaHidden: "true" }), ` ${label}`);
}

function removeButton(what, onclick) {
  return make("button", { type: "button", className: "quiet", textContent: "Remove", ariaLabel: `Remove ${what}`, onclick });
}

function quote(text, { start, end }) {
  const part = slice(text, start, end);
  return make("q", { dir: "auto", textContent: part.length > LONGEST_QUOTE ? `${part.slice(0, LONGEST_QUOTE - 2)} …` : part });
}
