"""Requests that wait for something to happen: for the next message, for a delivery.

Such a wait costs a connection and nothing else, so it has bounds of its own, and takes no turn from the verbs that
work. It ends when its client goes away, and as soon as the node is told to stop: then each is answered at once, and
nobody holds up the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio
from starlette.requests import Request

from kadnet.errors import KadnetError, TooBusy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WaitSettings:
    """`polls`: requests waiting for messages; each is a person or a program that follows the inbox. `deliveries`:
    requests waiting for a delivery; more of them wait for their place within their time. With the 64 verbs that run
    at once they leave 16 of the 128 connections."""

    polls: int = 16
    deliveries: int = 32


class Waits:
    """The waits of one control socket. `stopping` is set when the node is told to stop."""

    def __init__(self, stopping: trio.Event, settings: WaitSettings) -> None:
        self._stopping = stopping
        self._settings = settings
        self._polls = trio.Semaphore(settings.polls)
        self._deliveries = trio.Semaphore(settings.deliveries)

    async def poll(self, request: Request, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` returns; None when the node stops. TooBusy when too many poll already."""
        try:
            self._polls.acquire_nowait()
        except trio.WouldBlock:
            raise TooBusy(
                f"{self._settings.polls} others wait for messages already", hint="end one of them, and try again"
            ) from None
        try:
            return await self._while_wanted(request, work)
        finally:
            self._polls.release()

    async def delivery(self, request: Request, within: float, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` returns; None when it took longer than `within` seconds, or the node stops."""

        async def in_its_place() -> T:
            async with self._deliveries:
                return await work()

        with trio.move_on_after(within):
            return await self._while_wanted(request, in_its_place)
        return None

    async def _while_wanted(self, request: Request, work: Callable[[], Awaitable[T]]) -> T | None:
        found: T | None = None
        failure: KadnetError | None = None
        async with trio.open_nursery() as nursery:

            async def end_with_the_client() -> None:
                # Its body has been read, so all that can still come is that it has gone.
                await request.receive()
                nursery.cancel_scope.cancel()

            async def end_with_the_node() -> None:
                await self._stopping.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_with_the_client)
            nursery.start_soon(end_with_the_node)
            try:
                found = await work()
            except KadnetError as error:  # bare, not in the group that the nursery would make of it
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return found
