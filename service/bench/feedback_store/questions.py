"""What a service asks of its feedback store: for requests, for the annotation pages, and now and then for metrics."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import get_args

from service.feedback.records import Order
from service.feedback.runtime import MOST_ANSWERS
from service.feedback.store.feedback_store import FeedbackStore
from service.feedback.store.sampling.draws import WINDOW

ORDERS: tuple[Order, ...] = get_args(Order)
PAGE = 10
"""Rows of a page: as many as both stores have."""
Call = Callable[[int], Awaitable[object]]
"""A call to the store, by its number from 0."""


async def questions(store: FeedbackStore, answer: str, caller: str, people: str, calls: int) -> dict[str, Call]:
    """Each question to a store by what it is for; each will be asked `calls` times.

    `answer` is the id of a stored answer, and `caller` somebody who has given thumbs. An order hands out each answer to
    another annotator, because it gives the same one again what they have begun; the names of these annotators, who are
    added to the store, begin with `people`.
    """
    for order in ORDERS:
        for number in range(calls):
            await store.sign_in(_name(people, order, number))
    annotator = _name(people, "sampled", 0)
    since = datetime.now(UTC) - WINDOW
    levels = await store.sampling_levels(since)

    def next_answer(order: Order) -> Call:
        return lambda number: store.next_response_for(_name(people, order, number), order)

    def progress(order: Order) -> Call:
        return lambda _: store.progress(annotator, "annotation", order)

    return {
        "an answer by its id": lambda _: store.response(answer),
        "thumbs of a caller": lambda _: store.opinions(caller),
        **{f"next answer, {order}": next_answer(order) for order in ORDERS},
        **{f"progress, {order}": progress(order) for order in ORDERS},
        "next pair": lambda _: store.next_pair(annotator),
        "progress, pairs": lambda _: store.progress(annotator, "comparison"),
        "sampling_levels": lambda _: store.sampling_levels(since),
        "start_of_the_last": lambda _: store.start_of_the_last(MOST_ANSWERS),
        "a page of traffic": lambda _: store.traffic(levels, since, limit=PAGE),
        "a page of annotated answers": lambda _: store.responses(limit=PAGE, annotated=True),
        "a page of annotations": lambda _: store.annotations(limit=PAGE, latest=True),
        "figures": lambda _: store.figures(),
        "counts": lambda _: store.counts(),
    }


def _name(people: str, order: Order, number: int) -> str:
    return f"{people} {order} {number}"
