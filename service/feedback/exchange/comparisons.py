"""The store's comparisons, to be put beside the annotations of the answers that they are between."""

from collections import defaultdict
from collections.abc import Sequence

from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 500


class Compared:
    """Everybody's last word on each pair of answers. Each is given out once."""

    def __init__(self) -> None:
        self._better: dict[tuple[str, frozenset[str]], str | None] = {}
        """By person and pair, the better answer's id, or None for a tie."""
        self._partners: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
        """By answer and person, the answers that it was compared with, in order."""

    @classmethod
    async def of(cls, store: FeedbackStore) -> "Compared":
        """All comparisons of a store. Raises StoreFailed."""
        compared, cursor = cls(), None
        while True:
            page = await store.comparisons(cursor, _PAGE)
            for one in page.items:
                compared.add(one.annotator, one.a, one.b, one.choice)
            cursor = page.next
            if cursor is None:
                return compared

    def add(self, annotator: str, a: str, b: str, choice: str) -> None:
        """Add a comparison; it replaces the same person's earlier one of the pair."""
        self._better[annotator, frozenset((a, b))] = {"a": a, "b": b}.get(choice)
        self._partners[a][annotator][b] = None
        self._partners[b][annotator][a] = None

    def people(self, response_id: str) -> list[str]:
        """Who compared an answer with another."""
        return list(self._partners.get(response_id, {}))

    def partners(self, response_id: str, people: Sequence[str]) -> list[str]:
        """With what any of these people compared an answer, unless it was given out."""
        by_person = self._partners.get(response_id, {})
        return [
            other
            for name in people
            for other in by_person.get(name, {})
            if (name, frozenset((response_id, other))) in self._better
        ]

    def take(self, a: str, b: str, people: Sequence[str]) -> int:
        """The last word on a pair by the first of these people who has one left: 0 tie or none, 1 the first, 2 the
        second."""
        for name in people:
            key = (name, frozenset((a, b)))
            if key in self._better:
                return {a: 1, b: 2}.get(self._better.pop(key) or "", 0)
        return 0

    @property
    def left(self) -> int:
        """How many were not given out: of answers that nobody annotated."""
        return len(self._better)
