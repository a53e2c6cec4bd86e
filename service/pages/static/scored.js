// A text with the reward models' scores of each of its segments.

import { data, make } from "./call.js";
import { slice } from "./offsets.js";
import { isRightToLeft } from "./words.js";

const LEVELS = [0.3, 0.6];
const TAGS = { relevance: "R", factuality: "F", toxicity: "T" };

/** Show `text` in `box`, with segments coloured by `scores` and a tip on hover and focus. */
export function showScored(box, text, scores) {
  const names = Object.keys(scores).filter((name) => data.categories[name]?.density !== "response");
  const tip = make("div", { className: "tip", role: "tooltip", id: `tip-${box.id}`, hidden: true });
  const words = make("p", { className: "words", dir: "auto" });
  let at = 0;
  for (const piece of pieces(scores, names)) {
    words.append(slice(text, at, piece.start), element(text, piece, tip));
    at = piece.end;
  }
  words.append(slice(text, at, Infinity));
  box.replaceChildren(words, tip);
  listen(box, words, tip, isRightToLeft(text) ? -1 : 1);
}

/** The parts of the text between the ends of segments: {start, end, of: {category: segment}}. */
export function pieces(scores, names) {
  const cuts = new Set();
  for (const name of names) for (const { start, end } of scores[name].segments) cuts.add(start).add(end);
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(1).map((end, i) => {
    const start = sorted[i];
    const of = {};
    for (const name of names) {
      const segment = scores[name].segments.find((s) => s.start <= start && end <= s.end);
      if (segment) of[name] = segment;
    }
    return { start, end, of };
  }).filter(({ of }) => Object.keys(of).length);
}

/** The strength of the faint mark on a segment that is not counted as an error, from 0 to 2. */
export function level(probability) {
  return LEVELS.filter((least) => probability >= least).length;
}

function element(text, { start, end, of }, tip) {
  const part = slice(text, start, end);
  const blank = !part.trim(); // the space between two sub-sentences
  const piece = make("span", blank ? { className: "blank" } : {
    className: "piece", tabIndex: 0, role: "button", attrs: { "aria-describedby": tip.id },
  }, part);
  for (const [name, segment] of Object.entries(of)) {
    piece.dataset[TAGS[name] ? name : "other"] = segment.error ? "error" : level(segment.error_probability);
    if (segment.error && segment.end === end) {
      piece.append(make("b", { className: "tag", textContent: TAGS[name] ?? name, attrs: { "aria-hidden": "true" } }));
    }
  }
  piece.judged = of;
  return piece;
}

/** The models' verdict on one segment in words. */
export function verdict(name, segment) {
  const label = segment.label ? `, most likely ${segment.label}` : "";
  return `${share(segment.error_probability)} likely an error${segment.error ? label : ", counted as correct"}`;
}

/** A probability in words. */
export function share(probability) {
  const percent = Math.round(probability * 100);
  return percent < 1 ? "under 1 %" : percent > 99 ? "over 99 %" : `${percent} %`;
}

function listen(box, words, tip, forward) {
  const open = (event) => {
    const piece = event.target.closest?.(".piece");
    if (!piece) return;
    tip.replaceChildren(...Object.entries(piece.judged).map(([name, segment]) => make("p", {},
      make("strong", { textContent: `${name[0].toUpperCase()}${name.slice(1)} of this ${data.categories[name].density}: ` }),
      verdict(name, segment),
    )));
    tip.hidden = false;
    place(box, piece, tip);
  };
  const close = () => { tip.hidden = true; };
  words.addEventListener("pointerover", open);
  words.addEventListener("focusin", open);
  words.addEventListener("click", open);
  box.addEventListener("pointerleave", close);
  words.addEventListener("focusout", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    const along = { ArrowRight: forward, ArrowLeft: -forward }[event.key];
    if (!along || !event.target.classList.contains("piece")) return;
    const all = [...words.querySelectorAll(".piece")];
    all[all.indexOf(event.target) + along]?.focus();
    event.preventDefault();
  });
}

function place(box, piece, tip) {
  const frame = box.getBoundingClientRect();
  const rects = piece.getClientRects();
  const last = rects[rects.length - 1];
  tip.style.top = `${last.bottom - frame.top + 6}px`;
  tip.style.left = `${Math.max(0, Math.min(last.left - frame.left, frame.width - tip.offsetWidth))}px`;
}

/** Show the completeness score, as a bar and a sentence. */
export function showWhole(box, scores) {
  const whole = scores.completeness;
  if (whole?.score === undefined) {
    box.replaceChildren();
    return;
  }
  const chance = 1 / (1 + Math.exp(-whole.score));
  const meter = make("span", { className: "meter", role: "meter", ariaLabel: "Completeness" }, make("span"));
  for (const [name, value] of Object.entries({ min: 0, max: 100, now: Math.round(chance * 100) })) {
    meter.setAttribute(`aria-value${name}`, value);
  }
  meter.firstChild.style.width = `${chance * 100}%`;
  box.replaceChildren(
    make("span", { className: "name", textContent: "Completeness" }),
    meter,
    make("span", { textContent: `${share(chance)} likely to cover more than an average answer` }),
  );
}

/** A table of all segments with their scores by category. */
export function scoreTable(text, scores) {
  const rows = Object.entries(scores).flatMap(([name, { segments }]) => segments.map((segment) => make("tr", {},
    make("td", { textContent: name }),
    make("td", { textContent: data.categories[name].density === "response" ? "the whole answer" : slice(text, segment.start, segment.end) }),
    make("td", { className: "number", textContent: share(segment.error_probability) }),
    make("td", { textContent: segment.error ? segment.label ?? "error" : "" }),
  )));
  const head = ["Category", "Segment", "Error", "Label"].map((name) => make("th", { scope: "col", textContent: name }));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}
