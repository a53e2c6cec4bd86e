"""Which language a text is in: English, another, or too short to tell."""

from functools import cache
from typing import TYPE_CHECKING

from rewards.distribution import ENGLISH, OTHER, UNKNOWN

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_CONFIDENT = 0.2
"""The probability that a language must have. The identifier's falls with the length of a text, so that little is said
of a few words."""
_NO_LANGUAGE = "zxx"
_UNDETERMINED = "und"
_READ = 1000
"""Characters that are read: enough to tell, however long the text is."""


def language(text: str) -> str:
    """The bin of a text's language: `en`, `other`, or `unknown` where it is too short, or of no language.

    By py3langid (a naive Bayes classifier of byte n-grams: Lui & Baldwin 2012, "langid.py"); its model is read once a
    process, at the first call.
    """
    found, _ = _identifier().classify(text[:_READ])
    if found in (_UNDETERMINED, _NO_LANGUAGE):
        return UNKNOWN
    return ENGLISH if found == "en" else OTHER


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENT)
