// The service counts code points, JavaScript UTF-16 units: an emoji is one of the first and two of the second.

/** Code points before the UTF-16 index `unit` of `text`; inside a surrogate pair, those up to the pair's start. */
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
