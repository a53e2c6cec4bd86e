"""Which language a text is in: English, another, or too short to tell."""

from functools import cache
from typing import TYPE_CHECKING

from rewards.statistics.distribution_shift import ENGLISH, OTHER, UNKNOWN

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_CONFIDENT = 0.3
"""The probability that a language must have. The identifier's is lower for short texts, so that little is said of a few
words. Of QA-Feedback's questions, all English, 0.3 % count as another language so, and 0.6 % as unknown."""
_TAKEN_FOR_ENGLISH = "pcm"
"""Nigerian Pidgin, which short questions in English are often mistaken for: its share of the probability goes to the
others."""
_NO_LANGUAGE = "zxx"
_UNDETERMINED = "und"
_READ = 1000
"""Characters that are read: enough to tell, however long the text is."""


def language(text: str) -> str:
    """The bin of a text's language: `en`, `other`, or `unknown` where it is too short, or of no language.

    By py3langid (naive Bayes on byte n-grams: Lui & Baldwin 2012, "langid.py: An Off-the-shelf Language Identification
    Tool"). Its model is read once a process, at the first call, which takes most of a second and some 75 MB; a call
    takes 0.03 ms.
    """
    found, _ = _identifier().classify(text[:_READ])
    if found in (_UNDETERMINED, _NO_LANGUAGE):
        return UNKNOWN
    return ENGLISH if found == "en" else OTHER


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENT)
    identifier.set_languages([name for name in identifier.labels if name != _TAKEN_FOR_ENGLISH])
    return identifier
