"""A node's events as an async iterator: one bounded window for each reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from kadnet.events import Event, Events, Subscription


@asynccontextmanager
async def follow(events: Events, size: int = 256) -> AsyncIterator[AsyncIterator[Event]]:
    """What happens from now on: `async with follow(events) as stream: async for event in stream`.

    A reader more than `size` events behind loses the oldest. RuntimeError past the bound on readers.
    """
    subscription = events.subscribe(size)
    stream = _stream(subscription)
    try:
        yield stream
    finally:
        events.unsubscribe(subscription)
        with trio.CancelScope(shield=True):
            await stream.aclose()


async def _stream(subscription: Subscription) -> AsyncGenerator[Event, None]:
    woken = trio.Event()

    def wake() -> None:
        woken.set()

    subscription.wake = wake
    while True:
        while (event := subscription.take()) is not None:
            yield event
        await woken.wait()
        woken = trio.Event()
