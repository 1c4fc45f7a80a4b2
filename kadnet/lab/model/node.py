"""A node of ours in the model: the shipped table, contact cache, timers and lookup, on the model's heap.

What decides is imported from `kadnet.kademlia` and the settings are those that ship; here is only what carries a
request there and an answer back, as `overlay.rpc`, `overlay.neighbours` and `overlay.walk` do it with sockets: one
outcome for each request, repeated by a timer of its own or by the walk, late answers welcome.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import cast

from kadnet.bounded import Bounded
from kadnet.kademlia.buckets import UNSCHEDULED
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache
from kadnet.kademlia.keyspace import random_in_bucket
from kadnet.kademlia.network_size import NetworkSize
from kadnet.kademlia.rtt import NodeRtt
from kadnet.kademlia.table import RoutingTable
from kadnet.lab.latency import Place
from kadnet.lab.model.joining import knock, walk_to_all
from kadnet.lab.model.putting import Putting
from kadnet.lab.model.request import Call, Known
from kadnet.lab.model.walk import Walk
from kadnet.lab.model.world import Finding, Put, World
from kadnet.overlay.settings import Tuning
from kadnet.wire.messages import MAX_CONTACTS


class Node:
    """One node of ours."""

    __slots__ = (
        "_armed", "_known", "_rng", "alive", "cache", "contact", "heard_at", "held", "place", "rtt", "size", "table",
        "tuning", "world",
    )  # fmt: skip

    def __init__(self, world: World, name: str, contact: Contact, tuning: Tuning) -> None:
        self.world = world
        self.tuning = tuning
        self.contact = contact
        self.place: Place = world.place(name)
        self.alive = True
        self.held: set[int] = set()
        self._rng = Random(f"kadnet model {world.seed} {name}")
        self.table = RoutingTable(contact.id, tuning.table, self._rng)
        self.cache = ContactCache(tuning.contact_cache)
        self.rtt = NodeRtt(tuning.rto)
        self.size = NetworkSize(tuning.network_size)
        # Nobody is renewed in it by being asked: few worlds have so many nodes, and it would cost every request.
        self._known: Bounded[bytes, Known] = Bounded(tuning.peers.max_asked)
        self.heard_at = 0.0
        self._armed: float | None = None

    # What the world asks of it.

    def join(self, doors: list[Contact], joined: Callable[[], object]) -> None:
        """Ping the doors; from the first answer on as `Overlay._join`: walk home, then into every bucket."""
        engine = self.world.engine
        knock(
            doors,
            lambda door, met, missed: self.ask(door, None, met, missed, attempts=3),
            lambda: engine.at(engine.now + self.tuning.join_pause, self._refresh, 0.0, joined),
            lambda: engine.at(engine.now + self.tuning.bootstrap.first_pause, self._knock_again, doors, joined),
        )

    def _knock_again(self, doors: list[Contact], joined: Callable[[], object]) -> None:
        if self.alive:
            self.join(doors, joined)

    def forget(self) -> None:
        del self.table, self.cache, self._known, self._rng
        self.held = set()

    def walk(self, key: int, ended: Callable[[Finding], object]) -> None:
        self.cache.used(self.world.engine.now)
        self._walk(key, ended)

    def _walk(self, key: int, ended: Callable[[Finding], object]) -> None:
        Walk(self, key, ended).advance()

    def put(self, key: int, done: Callable[[], object]) -> Put:
        self.cache.used(self.world.engine.now)
        putting = Putting(self, key, done)
        putting.begin()
        return putting

    def network_size(self) -> float | None:
        return self.size.nodes(len(self.table))

    def is_among_closest(self, distance: int, k: int) -> bool:
        """See `NetworkSize`."""
        return self.size.is_among_closest(distance, k, len(self.table))

    # Upkeep.

    def _refresh(self, age: float, done: Callable[[], object] | None) -> None:
        """Walk to ourselves, then to a chance place in every bucket that has been quiet for `age` seconds."""
        if not self.alive:
            return

        def home(found: Finding) -> None:
            now = self.world.engine.now
            if done is not None:
                self.cache.used(now)
            if done is not None and not found.closest():  # whom it met was gone before it named anybody
                self.world.engine.at(now + self.tuning.join_again, self._refresh, age, done)
                return
            # As `overlay.upkeep` does: uniform in half to the whole of the interval.
            every = self.tuning.upkeep.refresh_every
            self.world.engine.at(now + every * self._rng.uniform(0.5, 1.0), self._refresh, every, None)
            targets = []
            for index in self.table.stale_buckets(now, age):
                self.table.touch(index, now)
                targets.append(random_in_bucket(self.contact.position, index, self._rng))
            walk_to_all(targets, self._walk, done)

        self._walk(self.contact.position, home)

    def _revalidate(self) -> None:
        """Send the pings that are due, and come back for the next."""
        engine = self.world.engine
        pings, wake_at = self.table.advance(engine.now)
        for ping in pings:
            contact = ping.contact
            stands = self.table.get(contact.id)
            if stands is contact or stands == contact:
                target = self.cache.question(engine.now, self._rng)
                self.ask(contact, target, None if target is None else self._named, None, attempts=3)
                unknown = self.cache.explore(engine.now, self._rng)
                if unknown is not None:
                    self.ask(unknown[0], unknown[1], self._explored, None, attempts=3)
            else:
                self.ask(contact, None, None, None)
        if wake_at is not None and wake_at != self._armed:
            self._armed = wake_at
            engine.at(wake_at, self._wake, wake_at)

    def _named(self, contacts: list[Contact], _holds: bool, now: float) -> None:
        self.cache.named(contacts, now)

    def _explored(self, contacts: list[Contact], _holds: bool, now: float) -> None:
        self.cache.explored(contacts, now)

    def _wake(self, armed: float) -> None:
        if armed == self._armed and self.alive:
            self._armed = None
            self._revalidate()

    # Asking and being asked.

    def ask(
        self,
        contact: Contact,
        key: int | None,
        answered: Callable[[list[Contact], bool, float], object] | None,
        failed: Callable[[], object] | None,
        *,
        attempts: int = 1,
        store: bool = False,
    ) -> Call:
        """Send a request; see `Call`."""
        known = self._known.get(contact.id)
        if known is None:
            peer = cast("Node", self.world.actors[contact.id])  # a world has nodes of one strategy
            known = self._known[contact.id] = Known(peer, self.world.latency.between(self.place, peer.place))
        call = Call(self, contact, known, key, answered, failed, attempts, store)
        call.transmit()
        return call

    def serve(self, call: Call, sent_at: float, way: float) -> None:
        """A request has arrived."""
        world = self.world
        if not self.alive:
            call.lose(sent_at, way)
            return
        asker = call.node.contact
        if self.table.heard(asker, world.engine.now):
            self._revalidate()
        contacts: list[Contact] = []
        key = call.key
        holds = False
        if call.store:
            assert key is not None
            self.held.add(key)
        elif key is not None:
            asking = asker.id
            near = self.table.closest(key, MAX_CONTACTS + 1)
            contacts = [contact for contact in near if contact.id != asking][:MAX_CONTACTS]
            holds = key in self.held
        if world.is_lost():
            call.lose(sent_at, way)
        else:
            world.engine.at(sent_at + 2 * way, call.arrive, contacts, holds, sent_at)

    def met(self, contact: Contact, rtt: float, now: float) -> None:
        """`contact` answered us."""
        self.cache.answered(contact, now)
        kind = self.table.answered(contact, rtt, now).kind
        if kind not in UNSCHEDULED:
            self._revalidate()

    def missed(self, contact: Contact) -> None:
        """`contact` did not answer us."""
        self.cache.failed(contact)
        now = self.world.engine.now
        if self.table.failed(contact.id, now, endpoint=contact.endpoint).kind not in UNSCHEDULED:
            self._revalidate()

    def starts(self, key: int, count: int) -> list[Contact]:
        """Where a walk begins: see `Neighbours.starts`."""
        return self.cache.starts(self.table, key, count, self.world.engine.now)

    def near(self) -> int:
        """A distance within which a contact is probably one of the k closest: see `Neighbours.near`."""
        return self.table.radius(self.tuning.lookup.k)

    def timeout(self, contact: Contact) -> float:
        """Seconds in which an answer of this contact is to be expected."""
        known = self._known.get(contact.id)
        return self.rtt.timeout(None if known is None else known.rtt)

    def second_timeout(self, contact: Contact) -> float:
        """See `Rpc.second_timeout`."""
        known = self._known.get(contact.id)
        return self.rtt.second(None if known is None else known.rtt)

    def is_silent(self, contact: Contact, now: float) -> bool:
        """Whether it is no use to ask it just now: see `Silence`."""
        known = self._known.get(contact.id)
        if known is None or known.silence.unanswered < 2:  # nearly always: spare the rest
            return False
        return known.silence.lasts(
            contact.endpoint,
            now,
            timeout=self.rtt.timeout(known.rtt),
            heard_at=self.heard_at,
            memory=self.tuning.rpc.silence,
        )
