"""Words, names, numbers and n-grams of a text, in the one way that all features count them."""

import re
from collections.abc import Collection, Iterable, Sequence

STOP_WORDS = frozenset(
    "a an and are as at be been but by did do does for from had has have he her his how i if in into is it its of on "
    "or s she t that the their them they this to was we were what when where which who whom whose why will with "
    "you".split()
)
_TOKEN = re.compile(r"\w+")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w'-]+")
_CAPITALISED = re.compile(r"\b[A-Z][\w'-]+")


def tokens_of(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return _TOKEN.findall(text.lower())


def content_words(text: str) -> set[str]:
    """The distinct words of a text without stop words."""
    return {token for token in tokens_of(text) if token not in STOP_WORDS}


def names_of(text: str) -> list[str]:
    """Capitalised words that do not begin a sentence, in lower case."""
    return [m.group().lower() for m in _NAME.finditer(text)]


def capitalised_of(text: str) -> list[str]:
    """All capitalised words, in lower case."""
    return [m.group().lower() for m in _CAPITALISED.finditer(text)]


def numbers_of(tokens: Iterable[str]) -> list[str]:
    """The tokens that contain a digit."""
    return [t for t in tokens if any(c.isdigit() for c in t)]


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n tokens, in order."""
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def share(part: int, whole: int) -> float:
    """part / whole; 0 if the whole is 0."""
    return part / whole if whole else 0.0


def share_in(items: Collection[object], source: frozenset[object] | frozenset[str]) -> float:
    """Share of the items that are in the source; 1 without items, since then nothing is unsupported."""
    return sum(item in source for item in items) / len(items) if items else 1.0


def mean_words(texts: Sequence[str]) -> float:
    """Mean number of whitespace-separated words; 0 for no texts."""
    return sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0
