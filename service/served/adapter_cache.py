"""The adapters that the engine holds beyond the roster: mixtures and pinned versions, loaded when first asked for."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from service.domain.policy import ServedPolicy
from service.errors import Overloaded, RateLimited, Unavailable

MakePolicy = Callable[[], Awaitable[ServedPolicy]]
OnPolicy = Callable[[ServedPolicy], Awaitable[None]]


class InUse:
    """The policies that are answering requests now."""

    def __init__(self, when_idle: Callable[[ServedPolicy], None]) -> None:
        """`when_idle` is called with a policy whose last request has ended."""
        self._requests: Counter[int] = Counter()
        self._when_idle = when_idle

    @contextmanager
    def hold(self, policy: ServedPolicy) -> Iterator[None]:
        """Count a request while it is answered."""
        self._requests[policy.adapter_id] += 1
        try:
            yield
        finally:
            self._requests[policy.adapter_id] -= 1
            if not self._requests[policy.adapter_id]:
                del self._requests[policy.adapter_id]
                self._when_idle(policy)

    def __contains__(self, policy: ServedPolicy) -> bool:
        return policy.adapter_id in self._requests


class AdapterCache:
    """At most `limit` adapters by key. The least recently used idle adapter makes room for another one.

    Adapters are made and loaded one at a time. So there are never more than `limit` in the engine, which would drop
    one by itself, and read it from disk again in the middle of a step.
    """

    def __init__(self, load: OnPolicy, unload: OnPolicy, in_use: InUse, limit: int) -> None:
        """`load` loads an adapter into the engine, `unload` unloads it."""
        self._load_adapter, self._unload_adapter = load, unload
        self._in_use = in_use
        self._limit = limit
        self._loaded: OrderedDict[str, ServedPolicy] = OrderedDict()
        self._loading: dict[str, asyncio.Task[ServedPolicy]] = {}
        self._waiting: Counter[str] = Counter()
        """Requests that wait for a key, and use its adapter as soon as they go on."""
        self._one_at_a_time = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._loaded)

    def get(self, key: str) -> ServedPolicy | None:
        """The adapter of a key if it is loaded; it is then the most recently used one."""
        if key not in self._loaded:
            return None
        self._loaded.move_to_end(key)
        return self._loaded[key]

    async def get_or_load(self, key: str, make: MakePolicy, allow: Callable[[], None] = lambda: None) -> ServedPolicy:
        """The adapter of a key. The first request makes and loads it while others for the same key wait.

        A request that is cancelled does not stop the others. Raises what `make` and `load` raise, to all of them, and
        Unavailable when every loaded adapter is in use; to the first alone what its `allow` raises, which is called
        when its turn has come. Hold the adapter at once: others may be loaded from then on.
        """
        while True:
            if loaded := self.get(key):
                return loaded
            loading = self._loading.get(key)
            first = loading is None
            if loading is None:
                loading = self._loading[key] = asyncio.create_task(self._load(key, make, allow))
                loading.add_done_callback(lambda task: self._done(key, task))
            try:
                with self._waits(key):
                    return await asyncio.shield(loading)
            except (RateLimited, Overloaded):
                if first:
                    raise

    @contextmanager
    def _waits(self, key: str) -> Iterator[None]:
        self._waiting[key] += 1
        try:
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    def forget(self) -> None:
        """Forget all adapters: the engine is a new one and holds none."""
        self._loaded.clear()

    async def _load(self, key: str, make: MakePolicy, allow: Callable[[], None]) -> ServedPolicy:
        async with self._one_at_a_time:
            allow()
            while len(self._loaded) >= self._limit:
                await self._unload_idle()
            policy = await make()
            await self._load_adapter(policy)
            self._loaded[key] = policy
            return policy

    async def make_room(self) -> None:
        """Unload an idle adapter, for one that is not kept here. Raises Unavailable when there is none."""
        async with self._one_at_a_time:
            await self._unload_idle()

    async def _unload_idle(self) -> None:
        """Unload the idle adapter that was used least recently."""
        for key, policy in self._loaded.items():
            if policy not in self._in_use and key not in self._waiting:
                del self._loaded[key]
                await self._unload_adapter(policy)
                return
        raise Unavailable(
            f"All {len(self._loaded)} adapters beyond the profiles' own are in use; try again, or ask for a profile."
        )

    def _done(self, key: str, task: "asyncio.Task[ServedPolicy]") -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieved, because every request that waited may be gone
