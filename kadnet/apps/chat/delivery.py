"""Carries messages out of the outbox: the courier machine driven by a pump, its attempts made through the host.

An attempt sends what waits for one recipient, one message after the other in their order; each is delivered when its
receipt is in our database. It stops at the first failure that may concern the rest as well, and the courier says when
to try again. Whoever sent a message in this process can wait for what its first attempt comes to.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import trio

from kadnet.apps.chat import protocol
from kadnet.apps.chat.book import Book
from kadnet.apps.chat.courier import Courier, Deliver
from kadnet.apps.chat.mailbox import Mailbox, Queued, Receipt
from kadnet.apps.chat.protocol import Body
from kadnet.apps.chat.settings import ChatSettings
from kadnet.bounded import Bounded
from kadnet.errors import InputError, KadnetError, Malformed, NotFound, PeerRefused, PeerUnreachable, StorageFailed
from kadnet.events import ContactAdded, LinkUp, PeerBack
from kadnet.identity.address import Address, parse_address
from kadnet.identity.text import printable
from kadnet.metrics import Reasons
from kadnet.pump import Handle, Pump

if TYPE_CHECKING:
    from kadnet.host import Host

_WORDS = {
    protocol.FULL: "its inbox has no room for us",
    "no-protocol": "it does not chat",
    "storage-failed": "its disk did not take the message",
    "busy": "it has too much to do",
    "text-size": "the text is too long for it",
    protocol.TOO_LARGE: "the text is too long for it",
}


class _Waiter:
    """Somebody who waits to hear of a message. `first`: of its first attempt; else only of its delivery."""

    __slots__ = ("_done", "_receipt", "first")

    def __init__(self, *, first: bool) -> None:
        self.first = first
        self._done = trio.Event()
        self._receipt: Receipt | None = None

    def tell(self, receipt: Receipt) -> None:
        self._receipt = receipt
        self._done.set()

    async def wait(self) -> Receipt:
        await self._done.wait()
        assert self._receipt is not None
        return self._receipt


class _Held(NamedTuple):
    """A message that its recipient finds fault with: not before `until`, which was `pause` seconds ahead."""

    until: float
    pause: float
    problem: str


class Delivery:
    """Delivers what is in the outbox while `run` runs."""

    def __init__(self, host: Host, mailbox: Mailbox, book: Book, settings: ChatSettings, counters: Reasons) -> None:
        """Reads for whom something waits; StorageFailed when that cannot be done."""
        self._host = host
        self._mailbox = mailbox
        self._book = book
        self._settings = settings
        self._counters = counters
        self._now = host.runtime.now
        self._pump = Pump(self._now)
        self._courier = Courier(settings, host.runtime.rng)
        self._handle: Handle[Deliver] = self._pump.add(self._courier, self._do)
        self._nursery: trio.Nursery | None = None
        self._held_back: Bounded[bytes, _Held] = Bounded(settings.outbox_messages)
        self._waiting = mailbox.recipients()
        self._untried: dict[bytes, set[bytes]] = {}  # of each recipient, the messages that no attempt was made for
        self._waiters: dict[bytes, list[_Waiter]] = {}  # of each message

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled. What waited before this process is tried at once."""
        async with self._host.events(ContactAdded, LinkUp, PeerBack) as stream, trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await nursery.start(self._pump.run)
                self._courier.restarted(self._waiting, self._now())
                self._handle.kick()
                task_status.started()
                async for event in stream:
                    if isinstance(event, ContactAdded | PeerBack):
                        self.heard(event.peer, event.at, unasked=False)
                    elif isinstance(event, LinkUp):
                        self.heard(event.peer, event.at, unasked=not event.dialed)
            finally:
                self._nursery = None
                self._handle.stop()

    async def post(self, body: Body, recipient: bytes, address: Address | None) -> Receipt:
        """Queue a message; its first attempt begins by itself. InputError, StorageFailed."""

        def told(_number: int) -> None:
            self._untried.setdefault(recipient, set()).add(body.id)
            self._counters.add("queued")
            self._courier.queued(recipient, self._now())
            self._handle.kick()

        await self._mailbox.enqueue(body, recipient, None if address is None else str(address), told)
        return Receipt(body.id, recipient, "queued", None, None)

    def receipt(self, id: bytes) -> Receipt:
        """How a message of ours stands. NotFound when there is none of this id."""
        receipt = self._mailbox.receipt(id)
        if receipt is None:
            raise NotFound(f"no message {printable(id.hex(), 40)} was sent from here", hint="see: kadnet outbox")
        return receipt

    async def attempted(self, id: bytes) -> Receipt:
        """Wait until a message was tried once, by this process or an earlier one. NotFound, StorageFailed."""
        receipt = self.receipt(id)
        if receipt.state == "delivered" or id not in self._untried.get(receipt.recipient, ()):
            return receipt
        return await self._wait(id, _Waiter(first=True))

    async def delivered(self, id: bytes) -> Receipt:
        """Wait until a message is delivered. NotFound, StorageFailed."""
        receipt = self.receipt(id)
        if receipt.state == "delivered":
            return receipt
        return await self._wait(id, _Waiter(first=False))

    def heard(self, peer: bytes, at: float, *, unasked: bool) -> None:
        """A peer lived at `at`; `unasked`: it came to us."""
        self._courier.heard(peer, at, unasked=unasked)
        self._handle.kick()

    def next_try(self, recipient: bytes) -> float | None:
        """The moment on our clock when this recipient is tried next; None while that goes on."""
        return self._courier.next_try(recipient)

    async def _wait(self, id: bytes, waiter: _Waiter) -> Receipt:
        waiters = self._waiters.setdefault(id, [])
        waiters.append(waiter)
        try:
            return await waiter.wait()
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[id]

    def _do(self, action: Deliver) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._attempt, action.recipient)

    async def _attempt(self, recipient: bytes) -> None:
        # Only the end of this room breaks it off; then nobody asks the courier any more.
        problem, more = await self._deliver(recipient)
        now = self._now()
        self._courier.ended(recipient, problem is None, now)
        if more:
            self._courier.queued(recipient, now)
        if problem is not None:
            self._told_failed(recipient, problem)
        self._handle.kick()

    async def _deliver(self, recipient: bytes) -> tuple[str | None, bool]:
        """Send what waits: the last problem met, or None; and whether something is left after a whole batch."""
        number, sent, problem = 0, 0, None
        try:
            while page := self._mailbox.queued_for(recipient, number, self._settings.page):
                for queued in page:
                    if sent >= self._settings.batch:
                        return problem, problem is None
                    number = queued.number
                    held = self._held_back.get(queued.body.id)
                    if held is not None and held.until > self._now():
                        problem = held.problem
                        continue
                    sent += 1
                    failure = await self._try(recipient, queued)
                    if failure is None:
                        self._held_back.pop(queued.body.id, None)
                        continue
                    problem = _told(failure)
                    await self._mailbox.failed(queued.body.id, problem)
                    if not (isinstance(failure, PeerRefused) and failure.reason in protocol.FAULTS):
                        return problem, False
                    self._hold_back(queued.body.id, problem)
        except StorageFailed as error:  # our own disk; what was acknowledged meanwhile is acknowledged again
            self._counters.add("storage-failed")
            return printable(str(error)), False
        return problem, False

    def _hold_back(self, id: bytes, problem: str) -> None:
        """The fault lies in this message: it is not sent again with each one behind it, but more and more seldom."""
        before = self._held_back.get(id)
        pause = self._settings.longest_retry if before is None else 2 * before.pause
        pause = min(pause, self._settings.longest_hold)
        self._held_back[id] = _Held(self._now() + pause, pause, problem)

    async def _try(self, recipient: bytes, queued: Queued) -> KadnetError | Malformed | None:
        """Send one message and keep its receipt; what went wrong. StorageFailed when our own disk does."""
        body, answer = queued.body, None
        try:
            with trio.move_on_after(self._settings.patience):
                answer = await self._host.request(self._way_to(recipient, queued), protocol.NAME, protocol.encode(body))
            if answer is None:
                raise PeerUnreachable(f"no answer within {self._settings.patience:g} s")
            proof = protocol.decode_receipt(answer)
            signed = protocol.signed_data(self._host.id, recipient, body.id, proof.received_at, body.text.encode())
            if not self._host.verify(recipient, protocol.RECEIPT, signed, proof.signature):
                raise Malformed("signature")
        except (KadnetError, Malformed) as error:
            self._counters.add("bad-receipt" if isinstance(error, Malformed) else "failed")
            if not isinstance(error, PeerRefused | Malformed):
                self._host.watch_for(recipient)
            return error
        at = protocol.unix_seconds(self._host.runtime.wall())
        await self._mailbox.delivered(body.id, recipient, proof, at, self._told_delivered)
        return None

    def _way_to(self, recipient: bytes, queued: Queued) -> bytes | Address:
        """Where they were said to be with this message, else by the book, else just who they are."""
        address = self._book.address_of(recipient)
        if queued.address is not None:
            with suppress(InputError):  # a text that the disk has changed
                address = parse_address(queued.address, need_id=True)
        return recipient if address is None or address.id != recipient else address

    def _told_delivered(self, receipt: Receipt) -> None:
        self._counters.add("delivered")
        untried = self._untried.get(receipt.recipient)
        if untried is not None:
            untried.discard(receipt.id)
            if not untried:
                del self._untried[receipt.recipient]
        for waiter in self._waiters.get(receipt.id, ()):
            waiter.tell(receipt)

    def _told_failed(self, recipient: bytes, problem: str) -> None:
        """An attempt failed: it was the first one of all that had not been tried yet."""
        for id in self._untried.pop(recipient, ()):
            for waiter in self._waiters.get(id, ()):
                if waiter.first:
                    waiter.tell(Receipt(id, recipient, "queued", problem, None))


def _told(failure: KadnetError | Malformed) -> str:
    """A failure in one line for people."""
    if isinstance(failure, Malformed):
        return f"its receipt is not valid ({failure.reason})"
    if isinstance(failure, PeerRefused) and failure.reason:
        words = _WORDS.get(failure.reason, str(failure))
        return printable(f"refused ({failure.reason}): {words}")
    return printable(str(failure))
