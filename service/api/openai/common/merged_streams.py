"""Several streams as one, for requests of several prompts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    error: Exception | None = None


async def merged(streams: Sequence[AsyncGenerator[Item, None]]) -> AsyncGenerator[tuple[int, Item], None]:
    """The items of all streams as they come, each with its stream's number.

    The first error of a stream is raised. Closing this, or an error, closes all of them.
    """
    # One item waits at a time, so that a slow reader slows the streams down.
    queue: asyncio.Queue[tuple[int, Item | _End]] = asyncio.Queue(1)

    async def drain(number: int, stream: AsyncGenerator[Item, None]) -> None:
        end = _End()
        try:
            async with aclosing(stream):
                async for item in stream:
                    await queue.put((number, item))
        except Exception as error:  # noqa: BLE001  # raised again below, to whoever reads
            end = _End(error)
        await queue.put((number, end))

    tasks = [asyncio.create_task(drain(number, stream)) for number, stream in enumerate(streams)]
    left = len(tasks)
    try:
        while left:
            number, item = await queue.get()
            if not isinstance(item, _End):
                yield number, item
            elif item.error is not None:
                raise item.error
            else:
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
