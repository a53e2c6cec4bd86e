// The weights of three categories as a point in a triangle, moved with the pointer or the arrow keys.

import { make } from "./call.js";
import { drawn, original, zoomFor } from "./zoom.js";

/** Steps from weight 0 to 1, and the finer ones of an enlarged triangle. */
export const STEPS = 20;
const FINE_STEPS = 100;
const [WIDTH, HEIGHT] = [280, 236];

const SVG = "http://www.w3.org/2000/svg";
// The corners, where one weight is 1: relevance left, factuality on top, completeness right.
const CORNERS = [[24, 196], [140, 20], [256, 196]];
const ANCHORS = ["start", "middle", "end"];

/** The point of three weights that sum to 1. */
export function position(weights) {
  return [0, 1].map((axis) => weights.reduce((sum, weight, i) => sum + weight * CORNERS[i][axis], 0));
}

/** The steps (three whole numbers that sum to `count`) nearest to a point, or for a point outside to the edge beside it. */
export function steps([x, y], count = STEPS) {
  const [[ax, ay], [bx, by], [cx, cy]] = CORNERS;
  const area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy);
  const a = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area;
  const b = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area;
  return rounded([a, b, 1 - a - b].map((weight) => Math.max(0, weight)), count);
}

/** Weights as whole steps that sum to `count`. */
export function rounded(weights, count = STEPS) {
  const sum = weights.reduce((a, b) => a + b);
  const exact = weights.map((weight) => (weight / sum) * count);
  const whole = exact.map(Math.floor);
  const order = [0, 1, 2].sort((i, j) => exact[j] - whole[j] - (exact[i] - whole[i]));
  const left = count - whole[0] - whole[1] - whole[2];
  for (const i of order.slice(0, left)) whole[i] += 1;
  return whole;
}

/** The steps after an arrow key, or null for any other key. */
export function moved(at, key) {
  const [relevance, factuality, completeness] = at;
  switch (key) {
    case "ArrowLeft":
      return completeness ? [relevance + 1, factuality, completeness - 1] : at;
    case "ArrowRight":
      return relevance ? [relevance - 1, factuality, completeness + 1] : at;
    case "ArrowUp":
      if (factuality === STEPS) return at;
      return relevance > completeness
        ? [relevance - 1, factuality + 1, completeness]
        : [relevance, factuality + 1, completeness - 1];
    case "ArrowDown":
      if (factuality === 0) return at;
      return relevance > completeness
        ? [relevance, factuality - 1, completeness + 1]
        : [relevance + 1, factuality - 1, completeness];
    case "Home":
      return rounded([1, 1, 1]);
    default:
      return null;
  }
}

/** A triangle for `names`, three categories; `onMove` is called when the user moves the point, `onPick` with a profile's name. */
export class Triangle {
  constructor(figure, names, { onMove, onPick }) {
    this.names = names;
    this.onMove = onMove;
    this.onPick = onPick;
    this.weights = [1 / 3, 1 / 3, 1 / 3];
    this.profiles = [];
    this.view = zoomFor([], WIDTH, HEIGHT);
    this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "Weights" });
    this.area = shape("polygon", { class: "area" });
    this.grid = [1, 2, 3].map(() => shape("path", { class: "grid" }));
    this.svg.append(this.area, ...this.grid);
    this.marks = shape("g", { class: "marks", "aria-hidden": "true" });
    this.numbers = CORNERS.map(([x, y], i) => this.corner(i, x, y));
    this.handle = shape("circle", {
      class: "handle", r: 9, tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-label": `Weights of ${names.join(", ")}`, "aria-roledescription": "point in a triangle",
    });
    this.svg.append(this.marks, this.handle);
    this.zoomButton = make("button", { type: "button", className: "quiet", onclick: () => this.toggleZoom() });
    figure.append(this.svg, make("figcaption", {}, "Drag the point, or move it with the arrow keys. ", this.zoomButton));
    this.listen();
    this.draw();
  }

  /** Draw everything as it is seen now. */
  draw() {
    const seen = (point) => drawn(this.view, point);
    this.area.setAttribute("points", CORNERS.map((corner) => seen(corner)).join(" "));
    this.grid.forEach((path, i) => path.setAttribute("d", lines((i + 1) / 4, seen)));
    this.marks.replaceChildren(...this.profiles.map(({ name, weights }) => {
      const [x, y] = seen(position(weights));
      const mark = shape("g", { class: "profile" });
      mark.append(shape("circle", { class: "mark", cx: x, cy: y, r: 5 }), text(name, x, y - 14, "middle", "name"));
      mark.dataset.name = name;
      return mark;
    }));
    const enlarged = this.view.scale > 1;
    this.zoomButton.hidden = !enlarged && zoomFor(this.places(), WIDTH, HEIGHT).scale === 1;
    this.zoomButton.textContent = enlarged ? "Show the whole triangle" : "Enlarge the profiles";
    this.svg.classList.toggle("enlarged", enlarged);
    this.set(this.weights);
  }

  places() {
    return this.profiles.map(({ weights }) => position(weights));
  }

  toggleZoom() {
    this.view = zoomFor(this.view.scale > 1 ? [] : this.places(), WIDTH, HEIGHT);
    this.draw();
  }

  /** Show weights, without calling `onMove`. */
  set(weights) {
    this.weights = weights;
    const [x, y] = drawn(this.view, position(weights));
    if (this.view.scale > 1 && !(x >= 0 && x <= WIDTH && y >= 0 && y <= HEIGHT)) {
      this.toggleZoom(); // it has left what is seen
      return;
    }
    this.handle.setAttribute("cx", x);
    this.handle.setAttribute("cy", y);
    const percentages = weights.map((weight) => percent(weight));
    this.numbers.forEach((number, i) => { number.textContent = percentages[i]; });
    this.handle.setAttribute("aria-valuenow", Math.round(weights[0] * 100));
    this.handle.setAttribute("aria-valuetext", this.words());
  }

  /** The weights in words. */
  words() {
    return this.names.map((name, i) => `${name} ${percent(this.weights[i])}`).join(", ");
  }

  /** Mark the profiles, {name, weights}, enlarged if their points would nearly touch. */
  mark(profiles) {
    this.profiles = profiles;
    this.view = zoomFor(this.places(), WIDTH, HEIGHT);
    this.draw();
  }

  corner(i, x, y) {
    const middle = ANCHORS[i] === "middle";
    const number = text("", middle ? x + 14 : x, middle ? y + 6 : y + 36, middle ? "start" : ANCHORS[i], "number");
    const name = text(this.names[i], middle ? x - 14 : x, middle ? y + 6 : y + 20, middle ? "end" : ANCHORS[i], "corner");
    this.svg.append(name, number);
    return number;
  }

  listen() {
    const follow = (event) => {
      const matrix = this.svg.getScreenCTM().inverse();
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
      const count = this.view.scale > 1 ? FINE_STEPS : STEPS;
      this.move(steps(original(this.view, [x, y]), count), count);
    };
    this.svg.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const profile = event.target.closest(".profile")?.dataset.name;
      if (profile) {
        this.onPick(profile);
        return;
      }
      this.svg.setPointerCapture(event.pointerId);
      this.handle.focus();
      follow(event);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (this.svg.hasPointerCapture(event.pointerId)) follow(event);
    });
    this.handle.addEventListener("keydown", (event) => {
      const to = moved(rounded(this.weights), event.key);
      if (!to) return;
      event.preventDefault();
      this.move(to);
    });
  }

  move(to, count = STEPS) {
    this.set(to.map((step) => step / count));
    this.onMove(this.weights);
  }
}

/** A weight in words. */
export function percent(weight) {
  return `${Math.round(weight * 100)} %`;
}

/** Grid lines where one weight is `share`; `seen` says where a point is drawn. */
function lines(share, seen) {
  return [0, 1, 2].map((i) => {
    const ends = [1, 2].map((other) => {
      const weights = [0, 0, 0];
      weights[i] = share;
      weights[(i + other) % 3] = 1 - share;
      return seen(position(weights)).join(" ");
    });
    return `M${ends.join("L")}`;
  }).join("");
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

function text(content, x, y, anchor, kind) {
  const element = shape("text", { x, y, "text-anchor": anchor, class: kind });
  element.textContent = content;
  return element;
}
