// The lists below a response: suggestions of the reward models, and marks.

import { make } from "./call.js";
import { slice } from "./offsets.js";
import { placeName } from "./passages.js";
import { share } from "./scored.js";

const LONGEST_QUOTE = 90;

/** A suggestion about a part of `text`, with buttons for the `labels` of its category. */
export function suggestionRow(suggestion, text, labels, { onLabel, onReject }) {
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
export function errorRow(error, text, label, { onExplain, onRemove }) {
  return make("li", {},
    make("strong", { textContent: error.label }),
    quote(text, error),
    make("input", {
      type: "text", value: error.explanation, ariaLabel: `Why ${error.label}`,
      placeholder: label?.needs_sources ? "Which sentences contradict it?" : "Why? (optional)",
      oninput: ({ target }) => onExplain(target.value),
    }),
    removeButton(error.label, onRemove),
  );
}

/** Missing information {label, passage_id, sentence_id}. */
export function missingRow({ label, passage_id: passage, sentence_id: numbers }, { onRemove }) {
  const where = placeName(passage, numbers);
  return make("li", {},
    make("strong", { textContent: label }), make("span", { className: "where", textContent: where }),
    removeButton(`${label}, ${where}`, onRemove),
  );
}

/** Show rows under a title, or nothing if there are none. */
export function showRows(box, title, rows) {
  box.replaceChildren(...(rows.length ? [make("h3", { textContent: title }), make("ul", {}, ...rows)] : []));
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
  return make("q", { textContent: part.length > LONGEST_QUOTE ? `${part.slice(0, LONGEST_QUOTE - 2)} …` : part });
}
