"""Pages of rows in the order in which they were stored. Rows added meanwhile appear on later pages."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import InvalidRequest
from service.feedback.records import Page

T = TypeVar("T")
MAX_PAGE = 1000
"""The most rows on a page."""


async def fetch_page(
    session: AsyncSession, query: Select[Any], table: Any, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """At most `limit` of the query's rows of `table` after the cursor, and the cursor of the next page.

    Raises InvalidRequest for a cursor that no page gave, and for a limit out of range.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidRequest(f"limit is {limit}; choose one from 1 to {MAX_PAGE}.", "limit")
    if cursor is not None:
        created, last = _decode(cursor, table.id.type.python_type)
        query = query.where(or_(table.created > created, and_(table.created == created, table.id > last)))
    rows = (await session.scalars(query.order_by(table.created, table.id).limit(limit + 1))).all()
    following = _encode(rows[limit - 1].created, rows[limit - 1].id) if len(rows) > limit else None
    return rows[:limit], following


async def next_moment(session: AsyncSession, table: Any, now: datetime) -> datetime:
    """A time later than every row of the table, so that pages stay stable even if the clock is set back."""
    latest = await session.scalar(select(func.max(table.created)))
    return now if latest is None or now > latest else latest + timedelta(microseconds=1)


async def all_items(pages: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """The items of all pages; `pages` returns the page after a cursor."""
    cursor: str | None = None
    while True:
        page = await pages(cursor)
        for item in page.items:
            yield item
        if (cursor := page.next) is None:
            return


def _encode(created: datetime, last: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps([created.isoformat(), last]).encode()).decode()


def _decode(cursor: str, kind: type) -> tuple[datetime, Any]:
    try:
        created, last = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(created)
        if type(last) is not kind or moment.tzinfo is None:
            raise ValueError
        if isinstance(last, int) and not 0 <= last < 1 << 31:  # PostgreSQL cannot compare a larger one
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest("The cursor was not given by a page; start again without one.", "cursor") from None
    return moment, last
