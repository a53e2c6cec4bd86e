"""The database behind the feedback store: SQLite or PostgreSQL, one writer at a time, errors as sentences."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
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
_BUSY = "The feedback store was kept busy too long by others; send the request again."
_BUSY_MILLISECONDS = 20_000
"""How long a writer waits for a writer in another process."""
_ENDING_SECONDS = 5.0
"""How long closing waits for calls whose caller was cancelled."""
_CONNECT_SECONDS = "10"
"""How long a PostgreSQL server may take to accept a connection, unless the URL says."""
_LOCK = 0x66676374
"""The number of the PostgreSQL advisory lock that a writer holds."""
_CHECK_URL = "give sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def async_url(url: str) -> URL:
    """The URL with its asynchronous driver. Raises FgctlError unless it names SQLite or PostgreSQL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # for example a port that is not a number
        raise FgctlError(f"The URL of the feedback store cannot be read; {_CHECK_URL}.") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise FgctlError("The URL of the feedback store names no file; give sqlite:///PATH.")
        return parsed.set(drivername="sqlite+aiosqlite")
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise FgctlError(f"The feedback store cannot use the database {kind[:32]!r}; {_CHECK_URL}.")


async def is_empty(url: str) -> bool:
    """Whether a database has nothing in it yet: no file or an empty one, or no tables. Changes nothing.

    Raises FgctlError.
    """
    parsed = async_url(url)
    if parsed.drivername.startswith("sqlite"):
        file = Path(parsed.database or "")
        return not file.exists() or file.stat().st_size == 0
    query = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    engine = create(parsed)
    try:
        with _as_sentences(opening=True):
            async with engine.connect() as connection:
                return not await connection.scalar(text(query))
    finally:
        await engine.dispose()


class Database:
    """Connections to one database with up-to-date tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        self._running: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Connect and bring the tables up to date. Raises FgctlError, for example StoreFailed."""
        parsed = async_url(url)
        try:
            if parsed.drivername.startswith("sqlite") and parsed.database:
                file = Path(parsed.database).absolute()
                file.parent.mkdir(parents=True, exist_ok=True)
                _create_private(file)
            database = cls(create(parsed))
        except (NoSuchModuleError, ImportError):
            raise FgctlError("The database's driver is missing; install fgctl again.") from None
        except OSError as error:
            raise FgctlError(f"{error.filename} cannot be created ({error.strerror}); choose another store.") from None
        try:
            await database._migrate()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection, after waiting a few seconds for running calls."""
        if self._running:
            await asyncio.wait(self._running, timeout=_ENDING_SECONDS)
        await self._engine.dispose()

    async def to_its_end(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to its end even if the task that awaits it is cancelled. Returns what the call returns.

        A connection abandoned in the middle of a transaction would hold SQLite's lock until it is garbage-collected.
        """
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A reading transaction, which sees one state throughout. Raises StoreFailed."""
        with _as_sentences():
            async with self._engine.connect() as connection, AsyncSession(connection) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """The only writing transaction at a time; durable when the block is left. Raises StoreFailed."""
        with _as_sentences():
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
        with _as_sentences(opening=True):
            async with self._writer() as connection:
                await connection.run_sync(migrate)

    async def truncate_log(self) -> None:
        """Remove deleted rows from SQLite's write-ahead log too; `secure_delete` overwrites them in the file."""
        if self.sqlite:
            with _as_sentences():
                async with self._engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    driver: Any = raw.driver_connection
                    await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _create_private(file: Path) -> None:
    """Create SQLite's file where there is none, for its owner alone; its log has the same permissions.

    What prevents that, SQLite says better.
    """
    with suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def create(url: URL) -> AsyncEngine:
    """An engine for a URL from `async_url`; it connects when first used."""
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
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
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
def _as_sentences(opening: bool = False) -> Iterator[None]:
    """Turn driver errors into StoreFailed. Only the message for `opening` says where the database is."""
    try:
        yield
    except DBAPIError as error:
        raise StoreFailed(_sentence(error.orig, error, opening)) from error
    except PoolTimeout as error:
        raise StoreFailed(_BUSY) from error
    except OSError as error:
        raise StoreFailed(f"The feedback store does not respond ({error.strerror or error}); try again.") from error


def _sentence(cause: BaseException | None, error: DBAPIError, opening: bool) -> str:
    detail = str(cause).strip().partition("\n")[0]
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    # PostgreSQL has a code for a full disk, but none for a quota or a file size limit.
    full = code in ("SQLITE_FULL", "53100") or detail.startswith("could not extend file")
    if full or code.startswith("SQLITE_IOERR"):
        return f"The feedback store's disk is full or failing ({detail}); free some space and send the request again."
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "55P03")):
        return _BUSY
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"The feedback store's file is damaged ({detail}); replace it with a backup."
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"The feedback store's file cannot be written ({detail}); give the service write permission."
    if error.connection_invalidated or code[:2] in ("08", "57", ""):
        logger.error("the feedback store's database does not respond: %s", detail)
        reason = f" ({detail})" if opening else ""
        return f"The feedback store's database does not respond{reason}; check that it runs and send the request again."
    return f"The feedback store's database reports an error ({detail}); see the database's log."
