"""Counts in Redis, as `limits` keeps them, over connections that give up soon."""

from typing import Any

from limits.aio.storage import RedisStorage

_SECONDS = 1.0


class RedisCounts(RedisStorage):
    """A RedisStorage with a pool of its own."""

    def __init__(self, url: str) -> None:
        """No connection is opened yet."""
        from redis.asyncio import ConnectionPool

        self._pool: Any = ConnectionPool.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
        options: Any = {"connection_pool": self._pool}
        super().__init__(f"async+{url}", wrap_exceptions=True, implementation="redispy", **options)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()
