"""The most that one feedback request may hold, for every list and text in it. docs/api.md has the same table."""

LIMITS: dict[str, int] = {
    "errors": 500,
    "missing": 200,
    "sentence_id": 200,
    "suggestions": 1000,
    "spans": 1000,
    "sentences": 2000,
    "label": 100,
    "category": 100,
    "explanation": 10_000,
    "comment": 10_000,
    "reason": 10_000,
    "corrected": 100_000,
    "draft": 500_000,
}
"""By field: the entries of a list, the characters of a text, and those of a draft as JSON. Ids and names have 200."""
LARGEST = 10**9
"""The largest offset, passage and sentence; the rules then say what the response has."""
