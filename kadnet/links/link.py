"""One proven connection: what it is given it seals and sends, in order; what comes it opens and hands on.

Two tasks: a writer, which seals whatever has gathered since its last write into one call of the system; and a reader.
What anything means is for the pair of nodes to say (`pair.py`); when a connection counts as dead, for the machine
(`states.py`). Whatever is wrong on the connection ends it, with a reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from kadnet.errors import Malformed
from kadnet.links.dial import Proven
from kadnet.links.settings import LinkSettings
from kadnet.wire.channel import Assembler
from kadnet.wire.envelopes import MAX_HEAD, OVERHEAD, Envelope, Head, decode_envelope, head
from kadnet.wire.frames import MORE

CLOSED = "closed"
"""How a link ends that both sides have closed: all that was said on it has arrived."""


class Budget:
    """Bytes of messages under way in parts, over all links of a node."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Malformed when all links together bring more parts than a node can hold."""
        if size > self._left:
            raise Malformed("too-many-parts")
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


class Item(Protocol):
    """What a pair gives a link to send."""

    message: bytes


class Link:
    """One connection. `first`: a part that was opened while the connection was proved, with whether more follow."""

    def __init__(
        self,
        number: int,
        proven: Proven,
        *,
        dialed: bool,
        now: Callable[[], float],
        settings: LinkSettings,
        budget: Budget,
        first: tuple[bytes, bool] | None,
        received: Callable[[Link, Envelope], Awaitable[None]],
        too_large: Callable[[Head], bool],
        heard: Callable[[Link], object],
        written: Callable[[Link], object],
    ) -> None:
        """`received` takes each message, `too_large(head)` judges one that comes in parts by its beginning; `heard` is
        called when whole frames have come, `written` when a batch has gone out."""
        self.number = number
        self.dialed = dialed
        self.since = now()
        self.instance = proven.instance
        self.remote = proven.remote
        self.ended: str | None = None
        """Why it is over."""
        self.frames_in = 0
        self.messages_out = 0
        self._stream = proven.stream
        self._reader = proven.reader
        self._channel = proven.channel
        self._now = now
        self._settings = settings
        self._budget = budget
        self._first = first
        self._received = received
        self._too_large = too_large
        self._heard = heard
        self._written = written
        self._assembler = Assembler(settings.max_message + OVERHEAD)
        self._held = 0  # of the budget
        self._begun_at = 0.0
        self._skipping = False
        self._queue: list[bytes] = []
        self._batch = False
        self._finishing = False
        self._wake = trio.Event()
        self._scope = trio.CancelScope()

    def put(self, message: bytes) -> None:
        """Queue one message behind the others."""
        self._queue.append(message)
        self._wake.set()
        if len(self._queue) > self._settings.link_queue:
            self.end("stalled")

    def give(self, items: Sequence[Item]) -> None:
        """Queue a batch; `written` is called when it has gone out."""
        self._queue += [item.message for item in items]
        self._batch = True
        self._wake.set()

    def finish(self) -> None:
        """Send what is queued, then end."""
        self._finishing = True
        self._wake.set()

    def end(self, reason: str) -> None:
        """End now. The first reason stands."""
        if self.ended is None:
            self.ended = CLOSED if self._finishing else reason
        self._scope.cancel()

    async def run(self) -> None:
        """Live until the connection is over; `ended` then says why."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            self._budget.give_back(self._held)
            self.ended = self.ended or "stopped"
            await trio.aclose_forcefully(self._stream)

    async def _write(self) -> None:
        while True:
            if not self._queue and not self._batch:
                if self._finishing:
                    break
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            messages, self._queue = self._queue, []
            batch, self._batch = self._batch, False
            seal = self._channel.seal
            data = b"".join([seal(message) for message in messages])
            self.messages_out += len(messages)
            with trio.move_on_after(self._settings.stalled) as patience:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return self.end("broken")
            if patience.cancelled_caught:
                return self.end("stalled")
            if batch:
                self._written(self)
        # Closing a socket on bytes that are not read yet would take back what the peer has not read either.
        with trio.move_on_after(self._settings.last_words):
            try:
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                await trio.sleep_forever()  # until the reader meets the end of the stream
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        self.end(CLOSED)

    async def _read(self) -> None:
        """Read to the end of the stream."""
        try:
            if self._first is not None:
                first, self._first = self._first, None
                await self._part(*first)
            while True:
                await self._read_frames()
                data = await self._stream.receive_some(self._settings.read_size)
                if not data:
                    return self.end("eof")
                self._reader.feed(data)
        except Malformed as error:
            self.end(error.reason)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.end("broken")

    async def _read_frames(self) -> None:
        next_frame, unseal = self._reader.next_frame, self._channel.open
        frame = next_frame()
        if frame is None:
            return
        told = False
        while frame is not None:
            part = unseal(frame)
            self.frames_in += 1
            if self.frames_in % self._settings.breathe == 0:
                await trio.lowlevel.checkpoint()
            if not told:  # once for all that came together, and before anything waits for room
                told = True
                self._heard(self)
            await self._part(part, bool(frame.flags & MORE))
            frame = next_frame()

    async def _part(self, part: bytes, more: bool) -> None:
        """Put a message together; one that is too large for its protocol is passed over, never held."""
        if self._skipping:
            self._skipping = more
            return
        if more and not self._held:
            beginning = head(part)
            if beginning is None:  # no sender's first part is so short
                raise Malformed("message-part")
            if self._too_large(beginning):
                self._skipping = True
                return
            self._assembler.limit = beginning.body_length + MAX_HEAD  # as it said itself, and no more
            self._begun_at = self._now()
        elif self._held and self._now() - self._begun_at > self._settings.stalled:
            raise Malformed("message-time")  # who dawdles would hold a share of what all links may hold together
        message = self._assembler.add(part, more)
        if message is None:
            self._budget.take(len(part))
            self._held += len(part)
            return
        if self._held:
            self._budget.give_back(self._held)
            self._held = 0
            self._assembler.limit = self._settings.max_message + OVERHEAD
        await self._received(self, decode_envelope(message))
