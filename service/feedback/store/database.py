"""The database behind the feedback store: SQLite or PostgreSQL, one writer at a time, errors in words."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from rewards.errors import FgctlError
from service.feedback.errors import StoreFailed
from service.feedback.migrations import migrate

T = TypeVar("T")
logger = logging.getLogger(__name__)
_BUSY = "The feedback store was kept busy too long by others; send it again."
_BUSY_MILLISECONDS = 20_000
"""How long a writer waits for another process that writes."""
_ENDING_SECONDS = 5.0
"""How long closing waits for calls that nobody awaits any more."""
_CONNECT_SECONDS = "10"
"""How long a PostgreSQL server may take to accept a connection, where the URL does not say."""
_LOCK = 0x66676374
"""The number of PostgreSQL's advisory lock that a writer holds."""
_CHECK_URL = "give sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def async_url(url: str) -> URL:
    """The URL with its asynchronous driver. Raises FgctlError for a database that is neither of the two."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number
        raise FgctlError(f"The URL of the feedback store cannot be read; {_CHECK_URL}.") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise FgctlError("The feedback store has no file to be kept in; give sqlite:///PATH.")
        return parsed.set(drivername="sqlite+aiosqlite")
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise FgctlError(f"The feedback store cannot be kept in {kind[:32]}; {_CHECK_URL}.")


class Database:
    """Connections to one database, whose tables are as this version of fgctl needs them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        self._running: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Connect, and bring the tables up to date. Raises FgctlError, which StoreFailed is, when that cannot be."""
        parsed = async_url(url)
        try:
            if parsed.drivername.startswith("sqlite") and parsed.database:
                Path(parsed.database).absolute().parent.mkdir(parents=True, exist_ok=True)
            database = cls(create(parsed))
        except (NoSuchModuleError, ImportError):
            raise FgctlError("The database's driver is missing; install fgctl again.") from None
        except OSError as error:
            raise FgctlError(f"{error.filename} cannot be made ({error.strerror}); choose another store.") from None
        try:
            await database._migrate()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection, once what is under way has ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=_ENDING_SECONDS)
        await self._engine.dispose()

    async def whole(self, call: Coroutine[Any, Any, T]) -> T:
        """What a call gives, which goes on to its end when who awaits it is cancelled.

        A connection that is abandoned in the middle of a transaction would hold SQLite's lock until it is collected.
        """
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one state. Raises StoreFailed."""
        with _in_words():
            async with self._engine.connect() as connection, AsyncSession(connection) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """The only transaction that writes; what it wrote is durable once the block is left. Raises StoreFailed."""
        with _in_words():
            async with self._writer() as connection, AsyncSession(connection, expire_on_commit=False) as session:
                yield session
                await session.flush()

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            await connection.execution_options(fgctl_writes=True)
            async with connection.begin():
                if not self.sqlite:
                    await connection.execute(text(f"SET LOCAL lock_timeout = {_BUSY_MILLISECONDS}"))
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                yield connection

    async def _migrate(self) -> None:
        with _in_words(opening=True):
            async with self._writer() as connection:
                await connection.run_sync(migrate)

    async def forget(self) -> None:
        """Leave no trace of deleted rows in SQLite's log; its file is overwritten as rows are deleted."""
        if self.sqlite:
            with _in_words():
                async with self._engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    driver: Any = raw.driver_connection
                    await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def create(url: URL) -> AsyncEngine:
    """An engine for a URL of `async_url`; it connects when it is first used."""
    postgresql = url.drivername.startswith("postgresql")
    if postgresql and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _CONNECT_SECONDS})
    engine = create_async_engine(
        url,
        pool_pre_ping=postgresql,
        json_serializer=partial(json.dumps, ensure_ascii=False),
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, not where the driver thinks
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_MILLISECONDS}", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
        "secure_delete = ON",
    ):  # fmt: skip
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("fgctl_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _in_words(opening: bool = False) -> Iterator[None]:
    """Turns what the driver raises into StoreFailed; where the database is, it tells only who opens it."""
    try:
        yield
    except DBAPIError as error:
        raise StoreFailed(_sentence(error.orig, error, opening)) from error
    except PoolTimeout as error:
        raise StoreFailed(_BUSY) from error
    except OSError as error:
        raise StoreFailed(f"The feedback store does not answer ({error.strerror or error}); try again.") from error


def _sentence(cause: BaseException | None, error: DBAPIError, opening: bool) -> str:
    said = str(cause).strip().partition("\n")[0]
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    # PostgreSQL has a code for a full disk, but none for a quota or a file that may not grow.
    full = code in ("SQLITE_FULL", "53100") or said.startswith("could not extend file")
    if full or code.startswith("SQLITE_IOERR"):
        return f"The feedback store's disk is full or failing ({said}); free some room and send it again."
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "55P03")):
        return _BUSY
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"The feedback store's file is damaged ({said}); put a backup in its place."
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"The feedback store's file cannot be written ({said}); give the service leave to write it."
    if error.connection_invalidated or code[:2] in ("08", "57", ""):
        logger.error("the feedback store's database does not answer: %s", said)
        reason = f" ({said})" if opening else ""
        return f"The feedback store's database does not answer{reason}; see that it runs and send it again."
    return f"The feedback store's database refuses ({said}); its log says more."
