"""The people who annotate, and which key owns a name. Call these inside a writing transaction."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.domain.caller import Caller, kept_caller
from service.domain.names import name_problem
from service.errors import Forbidden, InvalidRequest
from service.feedback.errors import NotStored
from service.feedback.store.tables import Annotator


def key_of(name: str) -> str:
    """What names have in common that differ in case and outer space alone."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


async def named(session: AsyncSession, names: Iterable[str]) -> dict[str, Annotator]:
    """The annotators of these names, by name: those written exactly so, else alike but for case and outer space."""
    wanted = {name: key_of(name) for name in names}
    query = select(Annotator).where(Annotator.key.in_(set(wanted.values()))).order_by(Annotator.id.desc())
    rows = (await session.scalars(query)).all()
    by_key = {row.key: row for row in rows}
    exact = {row.name: row for row in rows}
    return {name: row for name, key in wanted.items() if (row := exact.get(name.strip()) or by_key.get(key))}


async def find(session: AsyncSession, name: str, by: Caller | None = None) -> Annotator:
    """The annotator of that name. If no key owns the name yet, the key of the caller `by` does from now on.

    Raises NotStored, Forbidden if another key owns the name and `by` lacks the scope `admin`, and InvalidRequest for an
    annotator who has retired.
    """
    annotator = (await named(session, [name])).get(name)
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
    """Add an annotator; False if there is one of that name. Raises InvalidRequest for an empty or confusing name."""
    if await named(session, [name]):
        return False
    if problem := name_problem(name.strip()):
        raise InvalidRequest(problem, "annotator")
    await add(session, name, now)
    return True


async def add(session: AsyncSession, name: str, now: datetime) -> Annotator:
    """Add an annotator of a name that nobody has. Raises InvalidRequest for a name of white space."""
    if not key_of(name):
        raise InvalidRequest("The annotator's name is empty; send a name.", "annotator")
    annotator = Annotator(name=name.strip(), key=key_of(name), created=now)
    session.add(annotator)
    await session.flush()
    return annotator


def ids_of(name: str) -> Select[Any]:
    """The query for the ids of everybody of that name."""
    return select(Annotator.id).where(Annotator.key == key_of(name))


async def names(session: AsyncSession) -> dict[int, str]:
    """Every annotator's name by id."""
    rows = await session.execute(select(Annotator.id, Annotator.name))
    return {row.id: row.name for row in rows}
