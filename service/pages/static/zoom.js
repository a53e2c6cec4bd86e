// The part of the triangle that is shown: all of it, or enlarged around points that would nearly touch.

/** The distance at which neighbouring points can be told apart and picked, in the triangle's units. */
const APART = 46;
const LARGEST = 5;

/** How to show points in a drawing of this width and height: {scale, center: [x, y], focus: [x, y]}; scale 1 is all of it. */
export function zoomFor(points, width, height) {
  const center = [width / 2, height / 2];
  const distances = points.flatMap((a, i) => points.slice(i + 1).map((b) => Math.hypot(a[0] - b[0], a[1] - b[1]))).filter(Boolean);
  const ends = (axis) => [Math.min, Math.max].map((pick) => pick(...points.map((point) => point[axis])));
  const [[left, right], [top, bottom]] = points.length ? [ends(0), ends(1)] : [[0, width], [0, height]];
  const fits = Math.min((0.6 * width) / Math.max(right - left, 1), (0.6 * height) / Math.max(bottom - top, 1), LARGEST);
  const needed = distances.length ? APART / Math.min(...distances) : 1;
  const scale = Math.min(fits, needed);
  if (scale < 1.5) return { scale: 1, center, focus: center };
  return { scale, center, focus: [(left + right) / 2, (top + bottom) / 2] };
}

/** Where a point is drawn. */
export const drawn = ({ scale, center, focus }, point) => point.map((value, axis) => center[axis] + scale * (value - focus[axis]));

/** The point that is drawn at a place. */
export const original = ({ scale, center, focus }, place) => place.map((value, axis) => focus[axis] + (value - center[axis]) / scale);
