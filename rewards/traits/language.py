"""Whether a text is in English, in another language, or too short to tell."""

from functools import cache
from typing import TYPE_CHECKING

from rewards.statistics.distribution_shift import ENGLISH, OTHER, UNKNOWN

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_CONFIDENT = 0.3
"""The lowest probability that identifies a language. Probabilities are lower for short texts, so a few words often stay
unknown. Of QA-Feedback's questions, all English, 0.3 % count as another language and 0.6 % as unknown."""
_TAKEN_FOR_ENGLISH = "pcm"
"""Nigerian Pidgin, which short English questions are often mistaken for. It is excluded; its probability goes to the
other languages."""
_NO_LANGUAGE = "zxx"
_UNDETERMINED = "und"
_READ = 1000
"""Only so many characters are read; they are enough to tell."""


def language(text: str) -> str:
    """The bin of a text's language: `en`, `other`, or `unknown` if it is too short or not in any language.

    Uses py3langid (naive Bayes on byte n-grams: Lui & Baldwin 2012, "langid.py: An Off-the-shelf Language
    Identification Tool"). The first call in a process loads its model, which takes most of a second and about 75 MB;
    later calls take 0.03 ms.
    """
    code, _ = _identifier().classify(text[:_READ])
    if code in (_UNDETERMINED, _NO_LANGUAGE):
        return UNKNOWN
    return ENGLISH if code == "en" else OTHER


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENT)
    identifier.set_languages([name for name in identifier.labels if name != _TAKEN_FOR_ENGLISH])
    return identifier
