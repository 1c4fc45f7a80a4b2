"""A node's events as an async iterator: one bounded window for each reader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from kadnet.events import Event, Events, Subscription


@asynccontextmanager
async def follow(events: Events, *kinds: type[Event], size: int = 256) -> AsyncIterator[AsyncIterator[Event]]:
    """What happens from now on: `async with follow(events) as stream: async for event in stream`.

    `kinds`: of event that are wanted; all without them. A reader more than `size` events behind
    loses the oldest. RuntimeError past the bound on readers.
    """
    subscription = events.subscribe(*kinds, size=size)
    try:
        yield _Stream(subscription)
    finally:
        events.unsubscribe(subscription)


class _Stream:
    """Not a generator: one whose reader is cancelled is over, and this one goes on."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._woken = trio.Event()
        subscription.wake = self._wake

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Event:
        await trio.lowlevel.checkpoint()
        while (event := self._subscription.take()) is None:
            self._woken = trio.Event()
            await self._woken.wait()
        return event

    def _wake(self) -> None:
        self._woken.set()
