"""Generators that must not run past a deadline, whether they are slow or their reader is."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

Item = TypeVar("Item")


async def until(
    deadline: float, items: AsyncGenerator[Item, None], abandoned: Callable[[], object]
) -> AsyncGenerator[Item, None]:
    """The items, until the deadline by the event loop's clock. Raises TimeoutError after closing their generator.

    A reader that holds an item and does not come back cannot be told; `abandoned` is called then. There is one timer
    for all items, and no task for any, because an answer has hundreds of items.
    """
    loop = asyncio.get_running_loop()
    closing: asyncio.Task[None] | None = None
    reader: asyncio.Task[object] | None = None
    expired = False

    def expire() -> None:
        nonlocal closing, expired
        expired = True
        if reader is None:
            closing = loop.create_task(_close(items))
            abandoned()
        else:
            reader.cancel()

    timer = loop.call_at(deadline, expire)
    try:
        while closing is None:
            reader = asyncio.current_task()
            cancelling = reader.cancelling() if reader else 0
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                # As asyncio.timeout does it: it is no time-out for somebody who was cancelled for another reason, too.
                if reader is not None and expired and reader.uncancel() <= cancelling:
                    raise TimeoutError from None
                raise
            finally:
                reader = None
            yield item
        raise TimeoutError
    finally:
        timer.cancel()
        await (_close(items) if closing is None else closing)


async def _close(items: AsyncGenerator[Item, None]) -> None:
    await items.aclose()
