"""The store's comparisons, looked up when the annotations of the responses that they compare are exported."""

from collections import defaultdict
from collections.abc import Sequence

from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 500


class ComparisonIndex:
    """Each person's latest preference for each pair of responses. Every preference is given out once."""

    def __init__(self) -> None:
        self._better: dict[tuple[str, frozenset[str]], str | None] = {}
        """By person and pair, the id of the better response, or None for a tie."""
        self._partners: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
        """By response and person, the responses that it was compared with, in order."""

    @classmethod
    async def of(cls, store: FeedbackStore) -> "ComparisonIndex":
        """All comparisons of a store. Raises StoreFailed."""
        index, cursor = cls(), None
        while True:
            page = await store.comparisons(cursor, _PAGE)
            for comparison in page.items:
                index.add(comparison.annotator, comparison.a, comparison.b, comparison.choice)
            cursor = page.next
            if cursor is None:
                return index

    def add(self, annotator: str, a: str, b: str, choice: str) -> None:
        """Add a comparison, replacing the same person's earlier one of the pair."""
        self._better[annotator, frozenset((a, b))] = {"a": a, "b": b}.get(choice)
        self._partners[a][annotator][b] = None
        self._partners[b][annotator][a] = None

    def people(self, response_id: str) -> list[str]:
        """Who compared a response with another."""
        return list(self._partners.get(response_id, {}))

    def partners(self, response_id: str, people: Sequence[str]) -> list[str]:
        """The responses that any of these people compared a response with, unless that preference was given out."""
        by_person = self._partners.get(response_id, {})
        return [
            other
            for name in people
            for other in by_person.get(name, {})
            if (name, frozenset((response_id, other))) in self._better
        ]

    def take(self, a: str, b: str, people: Sequence[str]) -> int:
        """Give out the preference between a pair by the first of these people who has one.

        0 is a tie or no preference, 1 prefers `a`, 2 prefers `b`.
        """
        for name in people:
            key = (name, frozenset((a, b)))
            if key in self._better:
                return {a: 1, b: 2}.get(self._better.pop(key) or "", 0)
        return 0
