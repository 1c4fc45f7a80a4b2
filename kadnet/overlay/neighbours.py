"""The neighbours: the routing tables of both families, kept alive, and kept on disk for the next start.

Here the tables meet the wire: an answer, a silence or a stranger's request is told to the table of its family, and what
the table decides is told to those who stand on it: the pump (pings), the event stream, the peer cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from kadnet.bounded import Bounded
from kadnet.errors import StorageFailed
from kadnet.events import ContactAdded, ContactLost, Events, PeerBack
from kadnet.identity.address import Endpoint, family, text
from kadnet.kademlia.buckets import UNSCHEDULED, BucketView, Change, ChangeKind
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache, ContactCacheSettings
from kadnet.kademlia.revalidation import Ping as PingAction
from kadnet.kademlia.table import RoutingTable, TableSettings
from kadnet.overlay.peercache import PeerCache
from kadnet.overlay.peers import Peer
from kadnet.pump import Handle, Pump, Timer
from kadnet.runtime import Runtime

_CAME = frozenset({ChangeKind.INSERTED, ChangeKind.PROMOTED, ChangeKind.MOVED})
_WENT = frozenset({ChangeKind.EVICTED, ChangeKind.PROMOTED})


@dataclass(slots=True)
class NeighbourCounters:
    """`checks_over_budget`: strangers not checked because their subnet, or all together, asked too often."""

    checks_over_budget: int = 0


class Neighbours:
    """One routing table a family, under one ID."""

    def __init__(
        self,
        own_id: bytes,
        runtime: Runtime,
        pump: Pump,
        events: Events,
        cache: PeerCache,
        *,
        families: Iterable[int],
        settings: TableSettings,
        contact_cache: ContactCacheSettings,
        settle: float,
        max_awaited: int,
        ping: Callable[[Contact, int], object],
        question: Callable[[Contact, int, Callable[[list[Contact], float], object]], object],
        within_budget: Callable[[Endpoint, float], bool],
        met: Callable[[], object],
        lonely: Callable[[], object],
    ) -> None:
        """`settle`: seconds from a change to its write. `max_awaited`: see `watch_for`.

        `ping(contact, attempts)`: ask it, and tell us what came. `question(contact, target, told)`: ask it for the
        neighbours of a position instead; `told(contacts, now)` is called with those it names.
        `met()` is called for every contact that comes, `lonely()` when the only one left does not answer.
        """
        self.counters = NeighbourCounters()
        self._now = runtime.now
        self._rng = runtime.rng
        self._pump = pump
        self._events = events
        self._cache = cache
        self._settle = settle
        self._ping = ping
        self._question = question
        self._within_budget = within_budget
        self._met = met
        self._lonely = lonely
        self._tables = {number: RoutingTable(own_id, settings, runtime.rng) for number in families}
        self._caches = {number: ContactCache(contact_cache) for number in self._tables}
        self._handles: dict[int, Handle[PingAction]] = {
            number: pump.add(table, self._revalidate) for number, table in self._tables.items()
        }
        self._awaited: Bounded[bytes, None] = Bounded(max_awaited)
        self._save_timer: Timer | None = None
        self._silent: set[int] = set()  # families whose last contact, which is never evicted, does not answer

    # Reading.

    @property
    def tables(self) -> list[RoutingTable]:
        return list(self._tables.values())

    def contacts(self) -> list[Contact]:
        """The live contacts of both families."""
        return [contact for table in self._tables.values() for contact in table.contacts()]

    def living(self) -> list[Contact]:
        """The contacts without a last one that is only kept because it is the last."""
        tables = [table for number, table in self._tables.items() if number not in self._silent]
        return [contact for table in tables for contact in table.contacts()]

    def count(self) -> int:
        """How many living nodes we know; who has an address of each family is one."""
        return len({contact.id for contact in self.living()})

    def buckets(self) -> list[BucketView]:
        """The tables bucket by bucket, family by family."""
        return [bucket for table in self._tables.values() for bucket in table.snapshot()]

    def get(self, peer_id: bytes) -> Contact | None:
        """The live contact with this ID, of either family."""
        found = (table.get(peer_id) for table in self._tables.values())
        return next((contact for contact in found if contact is not None), None)

    def closest(self, number: int, target: int, count: int) -> list[Contact]:
        """The live contacts of one family nearest to a target."""
        table = self._tables.get(number)
        return [] if table is None else table.closest(target, count)

    def starts(self, number: int, target: int, count: int) -> list[Contact]:
        """Where a walk of ours begins: with whom we met or heard of lately, and with some of the table."""
        return self._caches[number].starts(self._tables[number], target, count, self._now())

    def near(self, number: int, count: int) -> int:
        """A distance within which a contact is probably one of the `count` closest to whatever there is: as far as the
        `count`-th of our own neighbours is from us. 0 while we know fewer of them."""
        return self._tables[number].radius(count)

    def named(self, contacts: Iterable[Contact], now: float) -> None:
        """A peer that answered us named these: hearsay, for later walks to start from."""
        for number, cache in self._caches.items():
            cache.named((contact for contact in contacts if contact.family == number), now)

    def used(self) -> None:
        """This node joins, or was asked for something: who is in use explores. Upkeep is no use."""
        for cache in self._caches.values():
            cache.used(self._now())

    def is_far(self, key: int, count: int) -> bool:
        """Whether `count` live contacts are nearer to `key` than we are."""
        return any(table.is_far(key, count) for table in self._tables.values())

    def is_alone(self) -> bool:
        """Whether nobody who answers is left: the last contact of a table keeps its place although it is silent."""
        return all(number in self._silent or not len(table) for number, table in self._tables.items())

    def seeds(self) -> list[Contact]:
        """Contacts of an earlier run."""
        try:
            return self._cache.seeds()
        except StorageFailed:
            return []

    def forgotten(self, count: int) -> list[Contact]:
        """A few contacts by chance that answered once and stand in no table now."""
        live = {contact.id for contact in self.contacts()}
        try:
            return self._cache.forgotten(live, self._rng, count)
        except StorageFailed:
            return []

    def watch_for(self, peer_id: bytes) -> None:
        """Publish `PeerBack` when this peer answers next. One that asks us from where it stands is asked at once."""
        self._awaited[peer_id] = None

    # Hearing.

    def answered(self, contact: Contact, rtt: float, serves: bool, now: float) -> None:
        """A request of ours was answered. Who does not serve enters no table, and leaves it."""
        number = contact.family
        table = self._tables[number]
        if contact.id in self._awaited:
            del self._awaited[contact.id]
            self._events.publish(PeerBack(now, contact.id))
        if serves:
            if number in self._silent:
                self._silent.discard(number)
                self._met()
            self._caches[number].answered(contact, now)
            self._changed(number, table.answered(contact, rtt, now), now)
            return
        self._caches[number].failed(contact)
        if contact.id in table:
            self._changed(number, table.withdrew(contact.id, now), now)

    def failed(self, contact: Contact, now: float) -> None:
        """A request of ours to this contact, at this endpoint, was not answered in time."""
        number = contact.family
        table = self._tables[number]
        self._caches[number].failed(contact)
        self._changed(number, table.failed(contact.id, now, endpoint=contact.endpoint), now)
        last = table.get(contact.id)
        if len(table) == 1 and last is not None and last.endpoint == contact.endpoint and number not in self._silent:
            self._silent.add(number)
            self._lonely()

    def requested(self, peer: Peer, source: Endpoint, now: float) -> None:
        """A node that serves asked us something: perhaps worth one ping of ours, and no more than that."""
        number = family(source)
        table = self._tables[number]
        known = table.get(peer.id)
        if known is not None and known.endpoint == source:
            if peer.id in self._awaited and self._within_budget(source, now):
                self._ping(known, 1)
            return
        contact = peer.at(source)
        if contact.scope < 0 or not source.port:
            return
        if table.heard(contact, now):
            self._handles[number].kick()

    def close(self) -> None:
        """Stop pinging, and note who lives for the next start."""
        for handle in self._handles.values():
            handle.stop()
        if self._save_timer is not None:
            self._save_timer.cancel()
        self._save()

    def _revalidate(self, action: PingAction) -> None:
        contact, now = action.contact, self._now()
        table = self._tables[contact.family]
        if table.get(contact.id) == contact:
            cache = self._caches[contact.family]
            target = cache.question(now, self._rng)
            if target is None:
                self._ping(contact, 3)
            else:
                self._question(contact, target, self.named)
            unknown = cache.explore(now, self._rng)
            if unknown is not None:
                self._question(*unknown, partial(self._explored, contact.family))
        elif self._within_budget(contact.endpoint, now):
            self._ping(contact, 1)  # once: what a stranger's request sets off must not be more than the request was
        else:
            self.counters.checks_over_budget += 1
            table.failed(contact.id, now, endpoint=contact.endpoint)

    def _explored(self, number: int, contacts: list[Contact], now: float) -> None:
        self._caches[number].explored([contact for contact in contacts if contact.family == number], now)

    def _changed(self, number: int, change: Change, now: float) -> None:
        kind = change.kind
        if kind in UNSCHEDULED:
            return
        self._handles[number].kick()
        contact = change.contact
        if kind in _CAME and contact is not None:
            self._met()
            self._events.publish(ContactAdded(now, contact.id, text(contact.endpoint)))
            self._save_soon()
        if kind in _WENT and change.evicted is not None:
            self._events.publish(ContactLost(now, change.evicted.id, text(change.evicted.endpoint)))
            self._save_soon()

    def _save_soon(self) -> None:
        if self._save_timer is None or self._save_timer.fn is None:
            self._save_timer = self._pump.call_at(self._now() + self._settle, self._save)

    def _save(self) -> None:
        contacts = self.contacts()
        if contacts:
            self._cache.save(contacts)
