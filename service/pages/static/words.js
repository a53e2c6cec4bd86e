// Words, ends of sentences and the direction of a text in any script. Offsets are UTF-16 units.

/** Scripts that are written without spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const OPENING = /^[「『（【《〈“‘([{]+$/u;
const ENDING = /[.!?…。！？．؟۔।]["'”’)\]」』）】》〉]*$/u;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/** The words of a text with their punctuation: [{start, end}]. */
export function wordsOf(text) {
  return [...text.matchAll(/\S+/gu)].flatMap(({ 0: word, index }) => (
    UNSPACED.test(word) ? segmented(word, index) : [{ start: index, end: index + word.length }]));
}

/** The words of a text without spaces that begins at `at`. */
function segmented(text, at) {
  const words = [];
  let pending = null; // where punctuation begins that belongs to the next word
  for (const { segment, index, isWordLike } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    const [start, end] = [at + index, at + index + segment.length];
    if (isWordLike) {
      words.push({ start: pending ?? start, end });
      pending = null;
    } else if (OPENING.test(segment) || !words.length) pending ??= start;
    else if (pending === null) words.at(-1).end = end;
  }
  if (pending !== null) words.push({ start: pending, end: at + text.length });
  return words;
}

/** Whether a sentence ends with this word. */
export const endsSentence = (word) => ENDING.test(word);

/** Whether the paragraph of `text` around the offset `at` is written from right to left: by its first letter. */
export function isRightToLeft(text, at = 0) {
  const end = text.indexOf("\n", at);
  const paragraph = text.slice(text.lastIndexOf("\n", at - 1) + 1, end < 0 ? undefined : end);
  const [letter] = paragraph.match(/\p{L}/u) ?? [""];
  return RIGHT_TO_LEFT.test(letter);
}

/** A range of a text without white space at its ends, or null if it contains nothing else. */
export function trimmed(text, start, end) {
  const part = text.slice(start, end);
  const inner = part.trim();
  if (!inner) return null;
  const from = start + part.indexOf(inner);
  return { start: from, end: from + inner.length };
}

/** Whether two texts differ in more than line ends, which text fields change, and outer white space. */
export function differ(text, other) {
  const plain = (value) => value.replace(/\r\n?/g, "\n").trim();
  return plain(text) !== plain(other);
}
