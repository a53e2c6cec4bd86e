"""Why people skip a response or a pair. Statistics count by code, since anybody may write words of their own."""

SKIP_REASONS: dict[str, str] = {
    "cannot_judge": "I cannot judge it",
    "bad_question": "The question makes no sense",
    "broken_passages": "The passages are broken",
}
"""The reasons that the pages offer, by code."""
OWN_WORDS = "own_words"
SKIPPED_KINDS = ("annotation", "comparison")

_CODES = {sentence: code for code, sentence in SKIP_REASONS.items()}


def reason_code(reason: str | None) -> str:
    """The code of a reason: one of SKIP_REASONS, or OWN_WORDS for any other text."""
    return _CODES.get(reason or "", OWN_WORDS)
