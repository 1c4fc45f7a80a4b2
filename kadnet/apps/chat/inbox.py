"""Following the inbox: a cursor over chat.db.

A reader holds one page of messages and the number it has come to. New messages wake it, and wait for it in the database
and nowhere else; so it may be as slow as it likes, and several readers cost each other nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

import trio

from kadnet.apps.chat.mailbox import Message


class Bell:
    """Wakes everybody who waits for it."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = trio.Event()

    async def wait(self) -> None:
        """Wait for the next ring."""
        await self._rung.wait()


class Inbox:
    """The messages after a number, and then each new one as it comes, without an end. Made by `Chat.messages`."""

    def __init__(self, after: int, read: Callable[[int], list[Message]], bell: Bell) -> None:
        """`read(number)`: a page of the messages after that number."""
        self._number = after
        self._read = read
        self._bell = bell
        self._page: deque[Message] = deque()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """The next message. A cancelled wait loses none. `trio.ClosedResourceError` after the block of `messages`."""
        await trio.lowlevel.checkpoint()
        while not self._closed:
            if not self._page:
                self._page.extend(self._read(self._number))
            if self._page:
                message = self._page.popleft()
                self._number = message.number
                return message
            await self._bell.wait()
        raise trio.ClosedResourceError("this reader of the inbox is closed")

    def close(self) -> None:
        self._closed = True
        self._page.clear()
