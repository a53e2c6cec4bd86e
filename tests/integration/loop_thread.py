"""An event loop that outlives a test."""

import asyncio
import threading


class LoopThread:
    """An event loop in a thread of its own, so that an engine outlives one test."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable, timeout=540):
        return asyncio.run_coroutine_threadsafe(awaitable, self.loop).result(timeout)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
