"""Undoes the usual disguises of words, so that a scorer reads what people read."""

import re
import unicodedata

_LEET = str.maketrans("013457@$!", "oieastasi")
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_]){2,}[^\W\d_](?!\w)")
_MIXED = re.compile(r"(?<!\S)(?=\S*[a-z])[a-z]*[013457@$!]+[a-z][a-z013457@$!]*")
_REPEATED = re.compile(r"([a-z])\1{2,}")
_SEPARATORS = re.compile(r"[ .\-_]")


def normalise(text: str) -> str:
    """Lower case, with `s t u p i d` and `s.t.u.p.i.d` joined, `1d1ot` spelt in letters, `stuuupid` shortened."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = _SPACED.sub(lambda match: _SEPARATORS.sub("", match[0]), text)
    text = _MIXED.sub(lambda match: match[0].translate(_LEET), text)
    return _REPEATED.sub(r"\1", text)
