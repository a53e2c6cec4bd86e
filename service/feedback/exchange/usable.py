"""A record as an item, or why it cannot be used: the steps that every format takes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.feedback.exchange.files import reason_of, records
from service.feedback.exchange.item import Item, LeftOut, Read, Refusal, objection


def read_rows(path: Path, item_of: Callable[[dict[str, Any]], tuple[Item, Iterable[str]]]) -> Iterator[Read]:
    """The items of a file whose records are one item each, and what cannot be used.

    `item_of` is called as in `read_item`. Raises FgctlError if the file as a whole cannot be read.
    """
    for where, row in records(path):
        if isinstance(row, Refusal):
            yield row
        else:
            yield from read_item(where, row, item_of)


def read_item(where: str, row: Any, item_of: Callable[[Any], tuple[Item, Iterable[str]]]) -> Iterator[Read]:
    """The item of a record and what is left out of it, or a refusal.

    `item_of` gives both, and raises ValueError where there is no item; an item to which there is an objection is
    refused too.
    """
    try:
        item, left_out = item_of(row)
    except ValueError as error:
        yield Refusal(where, reason_of(error))
        return
    reason = objection(item)
    yield Refusal(where, reason) if reason else replace(item, where=where)
    yield from (LeftOut(where, what) for what in left_out)
