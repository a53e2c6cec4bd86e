"""The people who annotate, and which key owns a name. Call these inside a writing transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.domain.caller import Caller, kept_caller
from service.domain.names import name_problem
from service.errors import Forbidden, InvalidRequest
from service.feedback.errors import NotStored
from service.feedback.store.tables import Annotator


async def find(session: AsyncSession, name: str, by: Caller | None = None) -> Annotator:
    """The annotator of that name. If no key owns the name yet, the key of the caller `by` does from now on.

    Raises NotStored, Forbidden if another key owns the name and `by` lacks the scope `admin`, and InvalidRequest for an
    annotator who has retired.
    """
    annotator = await session.scalar(select(Annotator).where(Annotator.name == name))
    if annotator is None:
        raise NotStored(f"There is no annotator {name[:64]!r}; sign in first.", "annotator")
    if by is not None and (key := kept_caller(by.id)) is not None:
        annotator.caller = annotator.caller or key
        if annotator.caller != key and "admin" not in by.scopes:
            raise Forbidden(
                f"The annotator's name {name[:64]!r} belongs to another key; use that key or another name, or have the "
                f"name released by `fgctl feedback annotators --release`.",
                "annotator",
            )
    if annotator.retired is not None:
        raise InvalidRequest(f"The annotator {name[:64]!r} has retired; sign in with another name.", "annotator")
    return annotator


async def add_if_new(session: AsyncSession, name: str, now: datetime) -> bool:
    """Add an annotator; False if there is one of that name. Raises InvalidRequest for a name that looks like others."""
    if await session.scalar(id_of(name)) is not None:
        return False
    if problem := name_problem(name.strip()):
        raise InvalidRequest(problem, "annotator")
    session.add(Annotator(name=name, created=now))
    await session.flush()
    return True


def id_of(name: str) -> Select[Any]:
    """The query for the id of the annotator of that name."""
    return select(Annotator.id).where(Annotator.name == name)


async def names(session: AsyncSession) -> dict[int, str]:
    """Every annotator's name by id."""
    rows = await session.execute(select(Annotator.id, Annotator.name))
    return {row.id: row.name for row in rows}
