"""Pages of rows in the order in which they were stored; rows that come meanwhile are on later pages."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Invalid
from service.feedback.records import Page

T = TypeVar("T")
MAX_PAGE = 1000
"""Rows of a page."""


async def fetch(
    session: AsyncSession, query: Select[Any], table: Any, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """The query's rows of `table` after the cursor, at most `limit`, and the cursor of those that follow.

    Raises Invalid for what is no cursor, and for a limit that is none.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit is {limit}; give one from 1 to {MAX_PAGE}.", "limit")
    if cursor is not None:
        created, last = _read(cursor, table.id.type.python_type)
        query = query.where(or_(table.created > created, and_(table.created == created, table.id > last)))
    rows = (await session.scalars(query.order_by(table.created, table.id).limit(limit + 1))).all()
    following = _cursor(rows[limit - 1].created, rows[limit - 1].id) if len(rows) > limit else None
    return rows[:limit], following


async def all_items(pages: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """The items of all pages; `pages` gives the one after a cursor."""
    cursor: str | None = None
    while True:
        page = await pages(cursor)
        for item in page.items:
            yield item
        if (cursor := page.next) is None:
            return


def _cursor(created: datetime, last: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps([created.isoformat(), last]).encode()).decode()


def _read(cursor: str, kind: type) -> tuple[datetime, Any]:
    try:
        created, last = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(created)
        if type(last) is not kind or moment.tzinfo is None:
            raise ValueError
        if isinstance(last, int) and not 0 <= last < 1 << 31:  # what PostgreSQL would refuse to compare
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise Invalid("The cursor is not one that a page named; begin again without it.", "cursor") from None
    return moment, last
