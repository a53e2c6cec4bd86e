"""Counts in PostgreSQL, in the form in which `limits` counts: an own storage, as the package has none for it.

They lie in one unlogged table, which a crash of the server empties. Windows begin at multiples of their length by the
server's clock, so replicas whose clocks differ count in the same ones.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from limits.aio.storage import SlidingWindowCounterSupport, Storage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

_TABLE = """
CREATE UNLOGGED TABLE IF NOT EXISTS fgctl_limits
  (key text PRIMARY KEY, value bigint NOT NULL, expires timestamptz NOT NULL)
"""
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_ADD = text("""
INSERT INTO fgctl_limits AS l VALUES (:key, :amount, now() + make_interval(secs => :expiry))
ON CONFLICT (key) DO UPDATE SET
  value = CASE WHEN l.expires <= now() THEN EXCLUDED.value ELSE l.value + EXCLUDED.value END,
  expires = CASE WHEN l.expires <= now() THEN EXCLUDED.expires ELSE l.expires END
RETURNING value
""")
_GET = text("SELECT value FROM fgctl_limits WHERE key = :key AND expires > now()")
_EXPIRY = text("SELECT extract(epoch FROM expires) FROM fgctl_limits WHERE key = :key AND expires > now()")
_NOW = text("SELECT extract(epoch FROM now())")
_CLEAN = text("DELETE FROM fgctl_limits WHERE expires < now()")
_CLEAN_EVERY = 1000
"""Changes between two removals of what has expired."""


class PostgresCounts(Storage, SlidingWindowCounterSupport):
    """The storage, and the engine whose connections it uses."""

    def __init__(self, url: str) -> None:
        """No connection is opened yet."""
        super().__init__(url, wrap_exceptions=True)
        driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine = create_async_engine(driver, pool_pre_ping=True, connect_args={"connect_timeout": 2})
        self._has_table = False
        self._changes = 0

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What a database that is away raises."""
        return (SQLAlchemyError, OSError)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count that is forgotten `expiry` seconds after it began. Returns the sum."""
        async with self._begin() as connection:
            return await _added(connection, key, expiry, amount)

    async def get(self, key: str) -> int:
        """A count; 0 where there is none."""
        async with self._begin() as connection:
            return int((await connection.execute(_GET, {"key": key})).scalar() or 0)

    async def get_expiry(self, key: str) -> float:
        """When a count is forgotten, in seconds since 1970; now where there is none."""
        async with self._begin() as connection:
            expires = (await connection.execute(_EXPIRY, {"key": key})).scalar()
            return float(expires if expires is not None else await _now(connection))

    async def check(self) -> bool:
        """Whether the database answers."""
        async with self._begin():
            return True

    async def reset(self) -> int | None:
        """Forget everything. Returns how many counts there were."""
        async with self._begin() as connection:
            return (await connection.execute(text("DELETE FROM fgctl_limits"))).rowcount

    async def clear(self, key: str) -> None:
        """Forget a count."""
        async with self._begin() as connection:
            await connection.execute(text("DELETE FROM fgctl_limits WHERE key = :key"), {"key": key})

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add an amount, unless this window's count and the previous one's remaining share would exceed the limit."""
        if amount > limit:
            return False
        async with self._begin() as connection:
            await connection.execute(_LOCK, {"key": key})
            previous, remaining, current, _, number = await _windows(connection, key, expiry)
            if previous * remaining / expiry + current + amount > limit:
                return False
            await _added(connection, f"{key}/{number}", 2 * expiry, amount)
            return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The previous window's count and seconds left of it, and the current one's."""
        async with self._begin() as connection:
            return (await _windows(connection, key, expiry))[:4]

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        async with self._begin() as connection:
            number = (await _windows(connection, key, expiry))[4]
            for window in (number - 1, number):
                await connection.execute(text("DELETE FROM fgctl_limits WHERE key = :key"), {"key": f"{key}/{window}"})

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction with the table. It is made at first, and again after a failure, for which it may be missing."""
        try:
            async with self._engine.begin() as connection:
                if not self._has_table:
                    await connection.execute(_LOCK, {"key": "fgctl_limits"})
                    await connection.execute(text(_TABLE))
                self._changes += 1
                if self._changes % _CLEAN_EVERY == 0:
                    await connection.execute(_CLEAN)
                yield connection
            self._has_table = True
        except BaseException:
            self._has_table = False
            raise


async def _added(connection: AsyncConnection, key: str, expiry: int, amount: int) -> int:
    values = {"key": key, "amount": amount, "expiry": expiry}
    return int((await connection.execute(_ADD, values)).scalar_one())


async def _now(connection: AsyncConnection) -> float:
    return float((await connection.execute(_NOW)).scalar_one())


async def _windows(connection: AsyncConnection, key: str, expiry: int) -> tuple[int, float, int, float, int]:
    """Count and seconds left of the previous window, of the current one, and the current one's number."""
    now = await _now(connection)
    number = int(now // expiry)
    counts: list[Any] = [
        (await connection.execute(_GET, {"key": f"{key}/{window}"})).scalar() or 0 for window in (number - 1, number)
    ]
    left = (number + 1) * expiry - now
    return int(counts[0]), left, int(counts[1]), left + expiry, number
