"""People judge an arena on `/compare`: its answers go into a feedback store, and the comparisons come back.

An answer's id is a hash of its question and text and it has no profile, so that nothing on the page tells who wrote it;
what people said of the same texts before counts, too. The answers are imported ones: they are offered once a person has
compared what a service answered, and each pair to one person.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rewards.dataset import Example
    from service.feedback.records import NewResponse, StoredComparison
    from service.feedback.store.feedback_store import FeedbackStore
    from trainer.arena.arena import Answered, Arena
    from trainer.arena.matches import Match, Verdict

T = TypeVar("T")


def questions_in(url: str) -> "list[Example]":
    """The questions with passages that a feedback store holds, without reference answers. Raises FgctlError."""
    from rewards.dataset import Example, Passage
    from service.feedback.store.paging import all_items

    async def read(store: "FeedbackStore") -> "list[Example]":
        return [
            Example(
                question=response.question,
                passages=tuple(Passage(title=passage.title, text=passage.text) for passage in response.passages),
                answer="",
            )
            async for response in all_items(store.responses)
            if response.question and response.passages and not (response.extra or {}).get(ARENA)
        ]

    return asyncio.run(_with(url, read))


def ask_people(url: str, arena: "Arena", answered: "Answered") -> "list[Verdict]":
    """Put the answers into the store unless they are there, and return what people have said so far.

    Of several comparisons of a pair by the same person the latest counts. Raises FgctlError.
    """
    from service.feedback.store.paging import all_items

    matches: dict[frozenset[str], list[Match]] = {}
    for match in answered.different:
        matches.setdefault(frozenset(_ids(arena, answered, match)), []).append(match)

    async def exchange(store: "FeedbackStore") -> "list[StoredComparison]":
        await store.record(list(_responses(arena, answered).values()))
        return [
            comparison
            async for comparison in all_items(store.comparisons)
            if frozenset((comparison.a, comparison.b)) in matches
        ]

    latest = {(frozenset((c.a, c.b)), c.annotator): c for c in asyncio.run(_with(url, exchange))}
    return [
        _verdict(match, comparison, same_order=comparison.a == _ids(arena, answered, match)[0])
        for (pair, _), comparison in latest.items()
        for match in matches[pair]
    ]


ARENA = "arena"
"""The key of a stored answer's `extra` that says it belongs to an arena."""


def _responses(arena: "Arena", answered: "Answered") -> "dict[str, NewResponse]":
    """The texts of the matches, by id; those of equal texts to a question are one."""
    from service.feedback.records import NewResponse, StoredPassage

    responses = {}
    for match in answered.different:
        example = arena.questions[match.question].example
        passages = tuple(StoredPassage(title=p.title, text=p.text) for p in example.passages)
        for response_id, text in zip(_ids(arena, answered, match), answered.text(match), strict=True):
            responses[response_id] = NewResponse(
                id=response_id, text=text, question=example.question, passages=passages, source="imported",
                extra={ARENA: True},
            )  # fmt: skip
    return responses


def _ids(arena: "Arena", answered: "Answered", match: "Match") -> tuple[str, str]:
    """The ids of the texts of `a` and `b`."""
    question = arena.questions[match.question].key
    a, b = ("arena-" + hashlib.sha256(f"{question} {text}".encode()).hexdigest()[:24] for text in answered.text(match))
    return a, b


def _verdict(match: "Match", comparison: "StoredComparison", *, same_order: bool) -> "Verdict":
    """A comparison of the match's texts, which the store may have in the other order."""
    from trainer.arena.matches import Verdict

    turned = {} if same_order else {"a": "b", "b": "a"}
    choice, first = (turned.get(str(side), side) for side in (comparison.choice, comparison.shown_first))
    return Verdict.model_validate({"match": match.key, "choice": choice, "first": first, "who": comparison.annotator})


async def _with(url: str, work: Callable[["FeedbackStore"], Awaitable[T]]) -> T:
    from service.feedback.store.feedback_store import open_store

    store = await open_store(url)
    try:
        return await work(store)
    finally:
        await store.close()
