"""Walks: the lookup machine driven over RPC, for nodes and for values.

`kademlia.lookup` decides whom to ask and when to stop; this room sends what it says and feeds back what comes. A walk
for a value asks FIND_VALUE on the same path. A blob ends it at once, being proved by its own hash; entries are
collected until the closest have all answered, because a newer one may lie with any of them. Each distinct record is
verified once in a walk, however many holders send it.

A get of entries may end with a quorum of the closest when the others are in doubt. Where all of that quorum are
milliseconds away it asks them first, and the others only if one of them is in doubt or has anything else than the rest
of them: to ask later costs no time there (docs/decisions/0025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from heapq import nsmallest

import trio

from kadnet.errors import Malformed
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.disjoint import DisjointLookup
from kadnet.kademlia.lookup import Ask, Lookup, LookupSettings
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.overlay.calls import Call
from kadnet.overlay.peers import ContactBook
from kadnet.overlay.rpc import Rpc
from kadnet.pump import Pump, Timer
from kadnet.wire import messages
from kadnet.wire.kinds import BLOB
from kadnet.wire.messages import COMPLETE, Carried, FindNode, FindValue, Nodes, Values
from kadnet.wire.records import Parsed, is_authentic, is_current, parse

FOUND = "the value was found"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A verified record with the seconds of life that its longest-lived holder gave it."""

    parsed: Parsed
    remaining: int


@dataclass(frozen=True, slots=True)
class Means:
    """What a walk works with; the same for every walk of a node."""

    rpc: Rpc
    pump: Pump
    now: Callable[[], float]
    wall: Callable[[], float]
    contacts: ContactBook
    starts: Callable[[int, int, int], list[Contact]]  # (family, target, count): whom to ask first
    near: Callable[[int, int], int]  # (family, count): within which distance a contact is one of the closest
    heard_of: Callable[[list[Contact], float], object]  # told of the contacts that a peer named
    walked: Callable[[LookupOutcome], object]  # told of every walk that has ended
    settings: LookupSettings
    page_wait: float  # seconds to wait for further pages that bring nothing new, once the walk itself is over
    page_limit: float  # and for all of them
    max_entries: int  # records of one key that a walk keeps
    own_id: bytes
    network: bytes


class Walk:
    """One walk over one family's contacts, or over both: `await run()` once.

    With `value_kind` it looks for records under `key`; `records` are the verified ones, the newest of each publisher.
    """

    def __init__(
        self,
        means: Means,
        key: bytes,
        *,
        value_kind: int | None = None,
        k: int | None = None,
        quorum: float | None = None,
        seeds: Sequence[Contact] = (),
        max_pages: int = 64,
        named: Callable[[Contact], object] | None = None,
        replied: Callable[[Contact], object] | None = None,
        paths: int = 1,
    ) -> None:
        """`k`, `quorum`: as in LookupSettings, whose values they replace here. `seeds`: asked beside the table's.

        `max_pages`: answers asked of one holder for one shared key; it holds at most 64 entries. `named(contact)` is
        told of every contact the walk hears of, before anybody has asked it, `replied(contact)` of each that has
        answered, after what it brought was looked at. `paths`: above 1, so many disjoint ones.
        """
        self._means = means
        self._key = key
        self._kind = value_kind
        self._max_pages = max_pages
        self._named = named
        self._tell = replied
        self._done = trio.Event()
        self._calls: dict[bytes, Call] = {}
        self._extra = 0
        self._page_timer: Timer | None = None
        self._pages_end: float | None = None
        self._news_at = 0.0
        self._seen: set[tuple[bytes, bytes]] = set()
        self._said: set[tuple[bytes, bytes]] | None = None
        self._agreed = True
        self.records: dict[bytes, Fetched] = {}
        self.cached_only: dict[bytes, Fetched] = {}
        self._flags_families = sorted(means.rpc.families)
        target = int.from_bytes(key, "big")
        settings = means.settings
        if k is not None or quorum is not None:
            settings = _adapted(settings, k or settings.k, quorum or settings.quorum)
        known = list(seeds)
        # A blob mostly comes from the first who are asked: the others would be looked up and ranked for nothing.
        # More than k, for everybody names the same sixteen: with the dead among them a walk would end short of k.
        starts = messages.MAX_CONTACTS // 2 if value_kind == BLOB else settings.k + messages.MAX_CONTACTS
        for family in self._flags_families:
            known += means.starts(family, target, starts * paths)
        if named is not None:
            for contact in known:
                named(contact)
        machine: Callable[..., Lookup | DisjointLookup]
        if paths > 1:
            machine = partial(DisjointLookup, paths=paths)
        else:
            first = self._first(known, target, settings)
            machine = partial(Lookup, first=first, agreed=lambda: self._agreed and bool(self.records))
        self._lookup = machine(
            target,
            known,
            settings,
            own_id=means.own_id,
            timeout=means.rpc.timeout,
            second=means.rpc.second_timeout,
            now=means.now(),
            silent=means.rpc.is_silent,  # the dead are handed on for minutes after their end
            near=self._near(settings.k),
        )
        self._handle = means.pump.add(self, self._perform)

    def _near(self, count: int) -> int:
        """Whoever is that near is asked at once, but for a blob: the first holder of it ends the walk."""
        if self._kind == BLOB:
            return 0
        known = [self._means.near(family, count) for family in self._flags_families]
        return min((distance for distance in known if distance), default=0)

    def _first(self, known: list[Contact], target: int, settings: LookupSettings) -> int:
        """How many make a quorum, if so many are known and the nearest of them all answer within milliseconds; else 0.

        0 as well where all have to answer, and for a blob, which the first holder proves.
        """
        quorum = math.ceil(settings.quorum * settings.k)
        if quorum >= settings.k or self._kind in (None, BLOB):
            return 0
        rpc, now = self._means.rpc, self._means.now()
        distinct = {contact.id: contact for contact in known}.values()  # the table names some of the cache again
        nearest = nsmallest(quorum, distinct, key=lambda contact: contact.position ^ target)
        return quorum if len(nearest) == quorum and all(rpc.is_near(contact, now) for contact in nearest) else 0

    async def run(self) -> LookupOutcome:
        """Walk to the end. Cancelling it leaves nothing behind but answers that will be ignored."""
        try:
            self._advance()
            await self._done.wait()
        finally:
            self._done.set()  # also when cancelled: what still comes in is neither verified nor paged through
            self._lookup.stop()
            self._handle.stop()
            if self._page_timer is not None:
                self._page_timer.cancel()
            self._calls.clear()  # they know this walk: see Handle.stop
        outcome = self._lookup.outcome()
        self._means.walked(outcome)
        return outcome

    def known(self) -> list[Contact]:
        """Who is known near the key by now, asked or not."""
        means, target = self._means, int.from_bytes(self._key, "big")
        count = 2 * messages.MAX_CONTACTS
        return [contact for family in self._flags_families for contact in means.starts(family, target, count)]

    def advance(self, now: float) -> tuple[list[Ask], float | None]:
        """The lookup, for the pump; here so that a walk which ends by a timer is noticed like any other."""
        decided = self._lookup.advance(now)
        if self._lookup.done and not self._done.is_set():
            if not self._extra or self._lookup.reason == FOUND:
                self._done.set()
            elif self._pages_end is None:
                self._news_at = now
                self._pages_end = now + self._means.page_limit
                self._wait_for_pages()
        return decided

    def _wait_for_pages(self) -> None:
        """Pages may go on after the walk while they bring something new, and not for ever."""
        now, end = self._means.now(), self._pages_end or 0.0
        until = min(self._news_at + self._means.page_wait, end)
        if now >= until:
            self._done.set()
        else:
            self._page_timer = self._means.pump.call_at(until, self._wait_for_pages)

    def _advance(self) -> None:
        self._handle.kick()

    def _perform(self, ask: Ask) -> None:
        contact = ask.contact
        if ask.attempt > 1:
            call = self._calls.get(contact.id)
            if call is not None and call.contact is contact:
                self._means.rpc.retransmit(call)
            return
        peer_id = contact.id

        def failed(_reason: str) -> None:
            self._calls.pop(peer_id, None)
            self._lookup.on_failure(peer_id, self._means.now(), contact)
            self._advance()

        if self._kind is None:
            call = self._means.rpc.ask(contact, FindNode, (self._key,), self._nodes_from(contact), failed)
        else:
            call = self._means.rpc.ask(contact, FindValue, (self._key, -1, b""), self._values_from(contact), failed)
        if call is not None:
            self._calls[peer_id] = call

    def _nodes_from(self, contact: Contact) -> Callable[[Nodes, float, float], None]:
        def answered(answer: Nodes, _rtt: float, now: float) -> None:
            self._replied(contact, answer, now)

        return answered

    def _values_from(self, contact: Contact) -> Callable[[Values, float, float], None]:
        def answered(answer: Values, _rtt: float, now: float) -> None:
            if self._done.is_set():
                return
            self._take(answer.records)
            self._agreed = self._agreed and self._says_the_same(answer)
            if self._kind == BLOB and self.records:
                self._lookup.on_reply(contact.id, (), now, contact)
                self._lookup.stop(FOUND)
            elif answer.records and answer.status == messages.MORE and answer.after:
                self._next_page(contact, answer.after, self._max_pages - 1)
            if answer.records and not answer.contacts4 and not answer.contacts6 and not self._lookup.done:
                # The records left no room for contacts; the walk needs some to go on.
                self._ask_beside(contact, FindNode, (self._key,), self._nodes_from(contact))
                return
            self._replied(contact, answer, now)

        return answered

    def _replied(self, contact: Contact, answer: Nodes | Values, now: float) -> None:
        found = self._means.contacts.decode(answer.contacts4, answer.contacts6, contact.scope)
        self._means.heard_of(found, now)
        if self._named is not None:
            for each in found:
                self._named(each)
        self._lookup.on_reply(contact.id, found, now, contact)
        self._advance()
        if self._tell is not None and not self._done.is_set():
            self._tell(contact)

    def _next_page(self, contact: Contact, after: bytes, left: int) -> None:
        """Ask on, of every holder by itself: what one leaves out another may have."""
        if left <= 0:
            return

        def answered(answer: Values, _rtt: float, _now: float) -> None:
            if self._done.is_set():
                return
            self._take(answer.records)
            if answer.records and answer.status == messages.MORE and answer.after > after:
                self._next_page(contact, answer.after, left - 1)

        self._ask_beside(contact, FindValue, (self._key, -1, after), answered)

    def _ask_beside(
        self,
        contact: Contact,
        kind: type[FindNode] | type[FindValue],
        args: tuple[object, ...],
        on_answer: Callable[..., None],
    ) -> None:
        """A question to a peer that has just answered, which the walk waits for although the machine does not know."""
        self._extra += 1

        def answered(answer: Nodes | Values, rtt: float, now: float) -> None:
            self._extra -= 1
            on_answer(answer, rtt, now)
            self._advance()

        def failed(_reason: str) -> None:
            self._extra -= 1
            self._lookup.on_reply(contact.id, (), self._means.now(), contact)
            self._advance()

        self._means.rpc.ask(contact, kind, args, answered, failed, attempts=2)

    def _take(self, carried: Sequence[Carried]) -> None:
        """Verify and keep what belongs under the key: of each publisher the newest, cached copies apart."""
        for record in carried:
            if record.kind != self._kind:
                continue
            fingerprint = (record.payload, record.signature)
            if fingerprint in self._seen:
                if not record.cached:
                    self._promote(record)
                continue
            self._seen.add(fingerprint)
            try:
                parsed = parse(record.record)
            except Malformed:
                continue
            if len(self.records) + len(self.cached_only) >= self._means.max_entries:
                if parsed.publisher not in self.records and parsed.publisher != self._means.own_id:
                    continue
            if parsed.key != self._key or not is_current(parsed, self._means.wall()):
                continue
            if is_authentic(parsed, self._means.network):
                shelf = self.cached_only if record.cached and self._kind != BLOB else self.records
                _keep_newest(shelf, Fetched(parsed, record.remaining))
                self._news_at = self._means.now()

    def _says_the_same(self, answer: Values) -> bool:
        """Whether this holder has, in earnest and in one answer, the very records that all before it had."""
        said = {(record.payload, record.signature) for record in answer.records if not record.cached}
        if self._said is None:
            self._said = said
        return bool(said) and said == self._said and len(said) == len(answer.records) and answer.status == COMPLETE

    def _promote(self, record: Carried) -> None:
        """A record known from a cached copy is now seen with a holder in earnest."""
        for publisher, fetched in list(self.cached_only.items()):
            if fetched.parsed.record == record.record:
                del self.cached_only[publisher]
                _keep_newest(self.records, Fetched(fetched.parsed, record.remaining))


@lru_cache(maxsize=64)
def _adapted(settings: LookupSettings, k: int, quorum: float) -> LookupSettings:
    """The settings for walks of this kind: a node has two or three of them and walks thousands of times."""
    arrived = max(settings.parallelism, min(settings.arrived_parallelism, k))
    return replace(settings, k=k, quorum=quorum, arrived_parallelism=arrived)


def _keep_newest(shelf: dict[bytes, Fetched], new: Fetched) -> None:
    old = shelf.get(new.parsed.publisher)
    if old is None or new.parsed.rank > old.parsed.rank:
        shelf[new.parsed.publisher] = new


def newest(shelves: Sequence[dict[bytes, Fetched]]) -> dict[bytes, Fetched]:
    """The newest record of each publisher over several shelves."""
    result: dict[bytes, Fetched] = {}
    for shelf in shelves:
        for fetched in shelf.values():
            _keep_newest(result, fetched)
    return result
