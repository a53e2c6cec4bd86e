"""A record as an item, or why it cannot be used: the steps that every format takes."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from service.feedback.exchange.files import reason_of, records
from service.feedback.exchange.item import Item, LeftOut, Read, Refusal, objection

T = TypeVar("T")
logger = logging.getLogger(__name__)


def read_rows(path: Path, item_of: Callable[[dict[str, Any]], tuple[Item, Iterable[str]]], tool: str) -> Iterator[Read]:
    """The items of a file whose records are one item each, and what cannot be used.

    `item_of` and `tool` are as for `read_item`. Raises FgctlError if the file as a whole cannot be read.
    """
    for where, row in records(path):
        if isinstance(row, Refusal):
            yield row
        else:
            yield from read_item(where, row, item_of, tool)


def read_item(where: str, row: Any, item_of: Callable[[Any], tuple[Item, Iterable[str]]], tool: str) -> Iterator[Read]:
    """The item of a record and what is left out of it, or a refusal.

    `item_of` gives both, and raises ValueError where there is no item; an item to which there is an objection is
    refused too. `tool` is what should have written the record.
    """

    def usable() -> tuple[Item, str | None, Iterable[str]]:
        item, left_out = item_of(row)
        return item, objection(item), left_out

    match part_of(where, usable, tool):
        case Refusal() as refusal:
            yield refusal
        case item, reason, left_out:
            yield Refusal(where, reason) if reason else replace(item, where=where)
            yield from (LeftOut(where, what) for what in left_out)


def part_of(where: str, read: Callable[[], T], tool: str) -> T | Refusal:
    """What `read` gives of a record; a refusal if it raises.

    A ValueError says why. Anything else comes from an oddity that nobody foresaw, which must not end the import of
    the other records.
    """
    try:
        return read()
    except ValueError as error:
        return Refusal(where, reason_of(error))
    except Exception:
        logger.debug("%s cannot be read", where, exc_info=True)
        return Refusal(where, f"It is not what {tool} writes.")
