"""Worlds for lookups: random knowledge, delays, losses, deaths and liars, driven by a small heap of events.

Liars name ourselves, themselves, honest peers at wrong addresses, peers that nobody has met, and now and then hundreds
of these in one answer.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from hypothesis import strategies as st

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.disjoint import DisjointLookup
from kadnet.kademlia.lookup import Ask, Lookup, LookupSettings

RTO = 0.5
PATIENCE = 2.5
OWN = b"own" * 10 + b"!!"


@dataclass(frozen=True)
class World:
    """What is drawn: how many nodes there are, what each knows, and how badly the network treats datagrams."""

    seed: int
    nodes: int
    seeds: int
    known: int
    dead: float
    lost: float
    slow: float  # the longest round trip in seconds
    liars: float
    settings: LookupSettings


settings = st.builds(
    LookupSettings,
    k=st.integers(1, 20),
    parallelism=st.integers(1, 4),
    arrived_parallelism=st.integers(4, 16),
    attempts=st.integers(1, 3),
    max_candidates=st.just(192),  # more than there are honest nodes
)
worlds = st.builds(
    World,
    seed=st.integers(0, 2**32),
    nodes=st.integers(1, 80),
    seeds=st.integers(0, 20),
    known=st.integers(1, 16),
    dead=st.sampled_from([0.0, 0.3, 0.9]),
    lost=st.sampled_from([0.0, 0.1, 0.5]),
    slow=st.sampled_from([0.05, 0.6, 3.0]),
    liars=st.sampled_from([0.0, 0.2, 1.0]),
    settings=settings,
)


@dataclass
class Journey:
    """A walk to its end, and what the world saw of it, kept without a look inside the machine."""

    world: World
    machine: Callable[..., Lookup | DisjointLookup] = Lookup
    lookup: Lookup | DisjointLookup = field(init=False)
    now: float = 0.0
    asks: list[tuple[Ask, float]] = field(default_factory=list)
    met: dict[bytes, Contact] = field(default_factory=dict)
    answered: dict[bytes, Contact] = field(default_factory=dict)
    answered_at: dict[bytes, float] = field(default_factory=dict)
    named_by: dict[bytes, set[bytes]] = field(default_factory=dict)
    failed: set[bytes] = field(default_factory=set)
    in_a_row: int = 0  # answers that brought nobody closer
    after_advance: Callable[[Journey], None] = lambda journey: None

    def __post_init__(self) -> None:
        world = self.world
        self.rng = random.Random(world.seed)
        self.target = self.rng.getrandbits(256)
        self.nodes = [self.somebody() for _ in range(world.nodes)]
        self.dead = {node.id for node in self.nodes if self.rng.random() < world.dead}
        self.honest = {node.id for node in self.nodes if self.rng.random() >= world.liars}
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.serial = 0
        self.seeds = self.rng.sample(self.nodes, min(world.seeds, world.nodes))
        self.meet(self.seeds)
        self.lookup = self.machine(
            self.target, self.seeds, world.settings, own_id=OWN, timeout=lambda contact: RTO, now=self.now
        )

    def somebody(self) -> Contact:
        host = f"10.{self.rng.randrange(256)}.{self.rng.randrange(256)}.{self.rng.randrange(256)}"
        return Contact(self.rng.randbytes(32), Endpoint(host, self.rng.randint(1, 65535)))

    def distance(self, contact: Contact) -> int:
        return contact.position ^ self.target

    def meet(self, contacts: list[Contact]) -> None:
        for contact in contacts:
            if contact.id != OWN:
                self.met.setdefault(contact.id, contact)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.events, (when, self.serial, what))

    def run(self) -> Journey:
        for _ in range(100_000):
            asks, wake_at = self.lookup.advance(self.now)
            for ask in asks:
                self.asks.append((ask, self.now))
                self.send(ask)
            if self.lookup.done:
                assert (asks, wake_at) == ([], None)
                return self
            self.after_advance(self)
            assert wake_at is not None
            assert wake_at > self.now
            if self.events and self.events[0][0] <= wake_at:
                self.now, _, what = heapq.heappop(self.events)
                what()
            else:
                self.now = wake_at
        raise AssertionError("it does not end")

    def send(self, ask: Ask) -> None:
        contact, rng, now = ask.contact, self.rng, self.now
        if contact.id in self.dead or rng.random() < self.world.lost:
            if ask.attempt == 1 and rng.random() < 0.8:
                self.at(now + PATIENCE, lambda: self.fail(contact))
            elif rng.random() < 0.3:
                self.at(now, lambda: self.fail(contact))  # the system said so
        else:
            self.at(now + rng.uniform(0.001, self.world.slow), lambda: self.reply(contact))

    def fail(self, contact: Contact) -> None:
        if contact.id not in self.answered:
            self.failed.add(contact.id)
        self.lookup.on_failure(contact.id, self.now, contact)

    def reply(self, contact: Contact) -> None:
        contacts = self.knowledge(contact) if contact.id in self.honest else self.lies(contact)
        if contact.id not in self.answered and not self.lookup.done:
            nearest = min(map(self.distance, self.met.values()))
            self.answered[contact.id] = contact
            self.answered_at[contact.id] = self.now
            self.failed.discard(contact.id)
            for named in contacts:
                self.named_by.setdefault(named.id, set()).add(contact.id)
            self.meet(contacts)
            self.in_a_row = 0 if min(map(self.distance, self.met.values())) < nearest else self.in_a_row + 1
        self.lookup.on_reply(contact.id, contacts, self.now, contact)

    def knowledge(self, contact: Contact) -> list[Contact]:
        """What an honest node names: of those it has met, the closest to the target."""
        mine = random.Random(contact.id).sample(self.nodes, min(len(self.nodes), 3 * self.world.known))
        return sorted(mine, key=self.distance)[: self.world.known]

    def lies(self, contact: Contact) -> list[Contact]:
        """Ourselves, itself, itself elsewhere, an honest node elsewhere, and nodes that nobody has ever met."""
        made_up = [self.somebody() for _ in range(300 if self.rng.random() < 0.02 else 3)]
        for one in made_up[:2]:  # as if ground until they lie ever closer
            one.position = self.target ^ self.rng.getrandbits(max(60, 240 - len(self.asks)))
        own = Contact(OWN, self.somebody().endpoint)
        return [own, contact, self.elsewhere(contact), self.elsewhere(self.rng.choice(self.nodes)), *made_up]

    def elsewhere(self, contact: Contact) -> Contact:
        other = Contact(contact.id, Endpoint(f"10.0.0.{self.rng.randrange(2)}", 1))
        other.position = contact.position
        return other

    def late(self) -> set[bytes]:
        """Who was asked as often as may be and let the last timer pass."""
        latest = {ask.contact.id: (ask.attempt, when) for ask, when in self.asks}
        attempts = self.world.settings.attempts
        late = {id for id, (attempt, when) in latest.items() if attempt == attempts and when + RTO <= self.now}
        return late - self.answered.keys()

    def given_up_before_they_answered(self) -> set[bytes]:
        """Who answered after its last short timer had run out."""
        return {id for id in self.answered if self.answered_at[id] >= self.last_asked(id) + RTO}

    def last_asked(self, id: bytes) -> float:
        return max(when for ask, when in self.asks if ask.contact.id == id)

    def in_flight(self) -> int:
        """First requests whose short timer still runs."""
        first = [ask.contact.id for ask, when in self.asks if ask.attempt == 1 and when + RTO > self.now]
        return sum(1 for id in first if id not in self.answered and id not in self.failed)

    def in_doubt(self) -> set[bytes]:
        """Who let a timer pass and has not answered."""
        return {ask.contact.id for ask, when in self.asks if when + RTO <= self.now} - self.answered.keys()

    def closest_live(self, without: Set[bytes] = frozenset()) -> list[Contact]:
        gone = self.failed | self.late() | without
        live = [contact for contact in self.met.values() if contact.id not in gone]
        return sorted(live, key=self.distance)[: self.world.settings.k]


truthful = worlds.map(lambda world: World(**{**vars(world), "liars": 0.0}))
