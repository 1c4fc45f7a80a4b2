"""This node and one peer: their links, what waits to be sent, and the requests that wait for answers.

The machine (`states.py`) decides; here its decisions are carried out, and what happens on the links is told to it.
A message belongs to the pair and not to a link: which link takes it is settled when it is handed over, and an answer
comes back on whichever link there is by then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from kadnet.errors import KadnetError, LinkLost, PeerRefused, PeerUnreachable
from kadnet.events import LinkDown, LinkUp
from kadnet.identity import nodeid
from kadnet.links.dial import Proven
from kadnet.links.link import Link
from kadnet.links.means import Asked, Means, Outgoing
from kadnet.links.services import Answer, Job
from kadnet.links.states import RESTARTED, Action, Dial, Down, Drop, Fail, FailOpen, Finish, Give, Peering, Tell, Up
from kadnet.wire import envelopes
from kadnet.wire.envelopes import Envelope, Head


class _Reply(Outgoing):
    """An answer of ours, counted while it waits."""

    __slots__ = ("_pair", "instance")

    def __init__(self, message: bytes, pair: Pair, instance: bytes) -> None:
        super().__init__(message)
        self._pair = pair
        self.instance = instance
        """The start of the peer that asked."""
        pair.reply_bytes += self._cost

    @property
    def _cost(self) -> int:
        """Bytes of memory, about: a refusal of 25 bytes takes twenty times that with what it is wrapped in."""
        return len(self.message) + self._pair.reply_overhead

    def given(self, now: float) -> None:
        self._pair.reply_bytes -= self._cost

    def fail(self, error: KadnetError) -> None:
        self._pair.reply_bytes -= self._cost


class Pair:
    """The links between this node and `peer`."""

    def __init__(self, means: Means, peer: bytes, over: Callable[[Pair], object]) -> None:
        """`over(pair)` is called when nothing is left of it: no link, nothing queued, nobody waiting."""
        self.peer = peer
        self.links: dict[int, Link] = {}
        self.reply_bytes = 0
        self.reply_overhead = means.settings.reply_overhead
        self.serving = 0
        """Requests of the peer that are not answered yet."""
        self.rested_at = means.runtime.now()
        self.heard_at = self.rested_at
        self._means = means
        self._over = over
        self._now = means.runtime.now
        self._open: dict[int, Asked] = {}
        self._room = trio.lowlevel.ParkingLot()
        self._entering = 0  # who waits for room, or has just been given some
        self.machine = Peering(means.own_id, peer, means.settings.states, means.runtime.rng)
        self._handle = means.pump.add(self.machine, self._perform)

    def usable(self) -> list[Link]:
        """The links that stand and are not closing, oldest first."""
        return [link for link in self.links.values() if link.number in self.machine.usable_links]

    def closing(self) -> list[Link]:
        """The links that stand and are being closed."""
        usable = self.machine.usable_links
        return [link for link in self.links.values() if link.number not in usable]

    @property
    def is_busy(self) -> bool:
        """Whether anything waits to be sent or answered."""
        return bool(self._open) or self.machine.queued[0] > 0

    # --- what apps ask

    async def request(self, protocol: str, body: bytes) -> bytes:
        """Send a request and wait for its answer. Raises PeerUnreachable, LinkLost, PeerRefused, NotConnected."""
        await self._wait_for_room(lambda: len(self._open) < self._means.settings.max_open)
        number = self._free_id()
        asked = Asked(envelopes.encode_envelope(protocol, envelopes.REQUEST, number, body))
        self._open[number] = asked
        try:
            self.machine.expecting(len(self._open), self._now())
            self._submit(asked)
            await asked.answered.wait()
        finally:
            self._open.pop(number, None)
            self.machine.cancel(asked)
            self._settle()
        if asked.error is not None:
            raise asked.error
        assert asked.answer is not None
        return asked.answer

    async def notify(self, protocol: str, body: bytes) -> None:
        """Send a notice; returns when it is on a link, or behind few enough others. Raises as `request` does."""
        await self._wait_for_room(lambda: True)
        notice = Outgoing(envelopes.encode_envelope(protocol, envelopes.NOTICE, 0, body))
        if self.machine.usable and self.machine.queued[1] + len(body) < self._means.settings.queue_bytes // 2:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._submit(notice)
            return
        notice.settled = trio.Event()
        self._submit(notice)
        try:
            await notice.settled.wait()
        except BaseException:
            self.machine.cancel(notice)
            self._settle()
            raise
        if notice.error is not None:
            raise notice.error

    def retire(self, reason: str) -> None:
        """Close its links in good order: the node needs the place, or ends."""
        self.machine.retire(reason, self._now())
        self._handle.kick()

    def met(self) -> None:
        """The overlay has heard the peer."""
        self.machine.met(self._now())
        self._handle.kick()

    def stop(self) -> None:
        """Send what is queued, then say goodbye."""
        self.machine.stop(self._now())
        self._handle.kick()

    # --- links

    def adopt(self, proven: Proven, *, dialed: bool, first: tuple[bytes, bool] | None = None) -> Link:
        """Take in a connection that has proved itself.

        To one that we called the machine sends a ping first: the answerer waits for a frame, and for a small one.
        """
        means = self._means
        means.counters.proven += 1
        link = Link(
            means.next_number(),
            proven,
            dialed=dialed,
            now=self._now,
            settings=means.settings,
            budget=means.budget,
            first=first,
            received=self._received,
            too_large=partial(self._too_large, proven.instance),
            heard=self._heard,
            written=self._written,
        )
        self.links[link.number] = link
        means.nursery.start_soon(self._live, link)
        self.machine.up(link.number, dialed, proven.instance, self._now())
        self._handle.kick()
        return link

    async def _live(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            self.links.pop(link.number, None)
            self._means.counters.ended.add(link.ended or "stopped")
            self.machine.lost(link.number, link.ended or "stopped", self._now())
            self._settle()

    def _lose(self, why: str, before: float) -> None:
        """Fail the requests handed over up to `before`: their answers would have come by now, or nobody knows them."""
        what = "the peer was restarted" if why == RESTARTED else "the link was lost"
        for asked in list(self._open.values()):
            if asked.given_at <= before:
                asked.fail(LinkLost(f"{what} before the answer came from {self._name}"))

    async def _call(self) -> None:
        counters = self._means.counters
        counters.dialed += 1
        try:
            proven = await self._means.dial(self.peer)
        except KadnetError as error:
            counters.dials_failed += 1
            self.machine.dial_failed(error, self._now())
            self._settle()
            return
        self.adopt(proven, dialed=True)

    # --- what the machine decides

    def _perform(self, action: Action) -> None:
        match action:
            case Give(link=number, items=items):
                # An answer to a former start of the peer would be taken for one to the present start.
                fresh = [item for item in items if not (isinstance(item, _Reply) and self._stale(item.instance))]
                self.links[number].give(fresh)
                for item in items:
                    item.given(self._now())
                self._room.unpark_all()
            case Tell(link=number, control=control):
                self.links[number].put(envelopes.encode_control(control))
            case Dial():
                self._means.nursery.start_soon(self._call)
            case Finish(link=number):
                self.links[number].finish()
            case Drop(link=number, reason=reason):
                self.links[number].end(reason)
            case Fail(items=items, why=why):
                error = why if isinstance(why, KadnetError) else PeerUnreachable(f"{self._name} was lost: {why}")
                for item in items:
                    item.fail(error)
                self._room.unpark_all()
            case FailOpen(why=why, before=before):
                self._lose(why, before)
            case Up(link=number):
                self._means.events.publish(LinkUp(self._now(), self.peer, self.links[number].dialed))
            case Down(reason=reason):
                self._means.events.publish(LinkDown(self._now(), self.peer, reason))

    def _heard(self, link: Link) -> None:
        self.heard_at = self._now()
        self.machine.heard(link.number, self._now())

    def _written(self, link: Link) -> None:
        self.machine.ready(link.number, self._now())
        self._handle.kick()

    # --- what comes

    async def _received(self, link: Link, envelope: Envelope) -> None:
        protocol, kind, number, body = envelope
        if kind == envelopes.RESPONSE or kind == envelopes.ERROR:
            self._answered(envelope)
        elif protocol == envelopes.LINK:
            if kind == envelopes.NOTICE:
                control = envelopes.decode_control(body)
                if control is None:
                    self._means.counters.unknown += 1
                else:
                    self.machine.control(link.number, control, self._now())
                    self._handle.kick()
        else:
            self.rested_at = self._now()
            await self._serve(link, protocol, kind, number, body)

    async def _serve(self, link: Link, protocol: str, kind: int, number: int, body: bytes) -> None:
        services, counters = self._means.services, self._means.counters
        service = services.get(protocol)
        answer = partial(self._reply, link.instance, protocol, number) if kind == envelopes.REQUEST else None
        if answer is not None and self.reply_bytes > self._means.settings.queue_bytes:
            # It asks and does not take the answers. Refusals are small; past twice the bound there are none either.
            if self.reply_bytes > 2 * self._means.settings.queue_bytes:
                link.end("stalled")
            else:
                services.refuse(answer, "busy")
        elif service is None:
            if answer is not None:
                services.refuse(answer, "no-protocol")
            else:
                counters.unknown += 1
        elif len(body) > service.max_body:
            counters.too_large += 1
            if answer is not None:
                services.refuse(answer, "too-large", f"at most {service.max_body} bytes")
        else:
            if answer is not None:
                self.serving += 1
                answer = partial(self._served, answer)
            if await services.offer(service, Job(self.peer, body, answer)):
                self._heard(link)  # what it says meanwhile waits unread: a full service is no sign of its death

    def _served(self, answer: Callable[[Answer], object], outcome: Answer) -> None:
        self.serving -= 1
        answer(outcome)

    def _too_large(self, instance: bytes, head: Head) -> bool:
        """Whether a message in parts is to be passed over; a request is told so."""
        if head.kind in (envelopes.RESPONSE, envelopes.ERROR):
            asked = self._open.get(head.id)
            if asked is None or asked.answered.is_set():
                self._means.counters.unclaimed += 1
                return True
            if head.body_length > self._means.settings.max_message:
                asked.fail(PeerRefused(f"the answer of {self._name} is too large for a link", reason="too-large"))
                return True
            return False
        service = self._means.services.get(head.protocol)
        if service is not None and head.body_length <= service.max_body:
            return False
        self._means.counters.too_large += 1
        if head.kind == envelopes.REQUEST:
            code = "no-protocol" if service is None else "too-large"
            detail = "" if service is None else f"at most {service.max_body} bytes"
            self._means.services.refuse(partial(self._reply, instance, head.protocol, head.id), code, detail)
        return True

    def _answered(self, envelope: Envelope) -> None:
        asked = self._open.get(envelope.id)
        if asked is None or asked.answered.is_set():
            self._means.counters.unclaimed += 1
        elif envelope.kind == envelopes.RESPONSE:
            asked.resolve(envelope.body)
        else:
            code, detail = envelopes.decode_error(envelope.body)
            said = f"{code}: {detail}" if detail else code
            asked.fail(PeerRefused(f"{self._name} refused: {said}", reason=code))

    def _reply(self, instance: bytes, protocol: str, number: int, answer: Answer) -> None:
        """Send the answer to a request of `instance` of the peer; a later one has forgotten the request."""
        if self._stale(instance):
            return
        if not answer.code and len(answer.body) > self._means.settings.max_message:
            answer = Answer(b"", "too-large", "the answer is too large for a link")
        if answer.code:
            body, kind = envelopes.encode_error(answer.code, answer.detail), envelopes.ERROR
        else:
            body, kind = answer.body, envelopes.RESPONSE
        self._submit(_Reply(envelopes.encode_envelope(protocol, kind, number, body), self, instance))

    def _stale(self, instance: bytes) -> bool:
        return self.machine.instance != instance

    # --- the rest

    @property
    def _name(self) -> str:
        return nodeid.encode(self.peer)

    def _submit(self, item: Outgoing) -> None:
        self.machine.submit(item, len(item.message), self._now())
        self._handle.kick()

    def _settle(self) -> None:
        """Tell the machine where the requests stand, let it decide, and end the pair when nothing is left of it."""
        self.rested_at = self._now()
        self.machine.expecting(len(self._open), self._now())
        self._handle.kick()
        self._room.unpark_all()
        if self.machine.over and not self.links and not self._open and not self._entering:
            self._handle.stop()
            self._over(self)

    async def _wait_for_room(self, also: Callable[[], bool]) -> None:
        settings = self._means.settings
        self._entering += 1
        try:
            while True:
                items, size = self.machine.queued
                if items < settings.queue_items and size < settings.queue_bytes and also():
                    break
                await self._room.park()
        except BaseException:
            self._entering -= 1
            self._settle()
            raise
        self._entering -= 1

    def _free_id(self) -> int:
        """Not counted for each pair by itself: a late answer must find nothing when the pair was let go of."""
        while True:
            number = self._means.next_number() % envelopes.MAX_ID + 1
            if number not in self._open:
                return number
