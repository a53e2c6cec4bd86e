"""Generators that must not run past a deadline, whether they are slow or their reader is."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

Item = TypeVar("Item")


async def until(
    deadline: float, items: AsyncGenerator[Item, None], abandoned: Callable[[], object]
) -> AsyncGenerator[Item, None]:
    """The items, until the deadline by the event loop's clock. Raises TimeoutError after closing their generator.

    A reader that holds an item and does not come back cannot be told; `abandoned` is called then. No task is made for
    an item, and no timer but the event loop's.
    """
    loop = asyncio.get_running_loop()
    closing: asyncio.Task[None] | None = None
    waiting = False

    def expire() -> None:
        nonlocal closing
        if not waiting:
            closing = loop.create_task(_close(items))
            abandoned()

    timer = loop.call_at(deadline, expire)
    try:
        while closing is None:
            waiting = True
            try:
                async with asyncio.timeout_at(deadline):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            finally:
                waiting = False
            yield item
        raise TimeoutError
    finally:
        timer.cancel()
        await (_close(items) if closing is None else closing)


async def _close(items: AsyncGenerator[Item, None]) -> None:
    await items.aclose()
