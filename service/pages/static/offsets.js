// Offsets in code points, which the service counts, and in UTF-16 units, which JavaScript counts. An emoji is one code point and two units.

/** The number of code points before UTF-16 index `unit` of `text`; inside a surrogate pair, before the pair. */
export function toPoints(text, unit) {
  let points = 0;
  for (let at = 0; at < unit; points += 1) {
    at += width(text, at);
    if (at > unit) break;
  }
  return points;
}

/** The UTF-16 index of the code point `point` of `text`. */
export function toUnits(text, point) {
  let at = 0;
  for (let points = 0; points < point && at < text.length; points += 1) at += width(text, at);
  return at;
}

/** The part of `text` between two code-point offsets. */
export function slice(text, start, end) {
  return text.slice(toUnits(text, start), toUnits(text, end));
}

function width(text, at) {
  return text.codePointAt(at) > 0xffff ? 2 : 1;
}
