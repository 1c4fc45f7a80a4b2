"""Walks through worlds of random knowledge, delays, losses, deaths and liars, driven by a small heap of events."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import ARRIVED, Ask, Lookup, LookupSettings

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
    lookup: Lookup = field(init=False)
    now: float = 0.0
    asks: list[tuple[Ask, float]] = field(default_factory=list)
    met: dict[bytes, Contact] = field(default_factory=dict)
    answered: dict[bytes, Contact] = field(default_factory=dict)
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
        seeds = self.rng.sample(self.nodes, min(world.seeds, world.nodes))
        self.meet(seeds)
        self.lookup = Lookup(self.target, seeds, world.settings, own_id=OWN, timeout=lambda contact: RTO, now=self.now)

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
            self.failed.discard(contact.id)
            self.meet(contacts)
            self.in_a_row = 0 if min(map(self.distance, self.met.values())) < nearest else self.in_a_row + 1
        self.lookup.on_reply(contact.id, contacts, self.now, contact)

    def knowledge(self, contact: Contact) -> list[Contact]:
        """What an honest node names: of those it has met, the closest to the target."""
        mine = random.Random(contact.id).sample(self.nodes, min(len(self.nodes), 3 * self.world.known))
        return sorted(mine, key=self.distance)[: self.world.known]

    def lies(self, contact: Contact) -> list[Contact]:
        """Ourselves, itself, itself elsewhere, an honest node elsewhere, and nodes that nobody has ever met."""
        made_up = [self.somebody() for _ in range(3)]
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


@given(truthful)
def test_no_slot_is_idle_while_a_closer_contact_is_unasked(world: World) -> None:
    def check(journey: Journey) -> None:
        asked = {ask.contact.id for ask, _ in journey.asks}
        unasked = [contact for contact in journey.closest_live(without=journey.in_doubt()) if contact.id not in asked]
        assert not unasked or journey.in_flight() >= world.settings.parallelism

    Journey(world, after_advance=check).run()


@given(truthful)
def test_termination_and_parallelism(world: World) -> None:
    def check(journey: Journey) -> None:
        arrived = journey.in_a_row >= world.settings.parallelism
        widened = max(world.settings.parallelism, world.settings.arrived_parallelism)
        doubted[0] = max(doubted[0], len(journey.in_doubt()))  # for each of these one more may have been asked
        narrow = world.settings.parallelism + doubted[0]
        assert journey.in_flight() <= (max(widened, narrow) if arrived or widest[0] else narrow)
        widest[0] = widest[0] or arrived  # what was sent after an arrival is still under way when it proves wrong

    widest, doubted = [False], [0]
    journey = Journey(world, after_advance=check).run()
    assert len(journey.asks) == journey.lookup.queries <= world.nodes * world.settings.attempts


@given(worlds)
def test_nobody_is_asked_twice_at_one_endpoint_with_one_attempt(world: World) -> None:
    journey = Journey(world).run()
    asked = [(ask.contact, ask.attempt) for ask, _ in journey.asks]
    assert len(set(asked)) == len(asked)
    assert all(1 <= attempt <= world.settings.attempts for _, attempt in asked)
    assert OWN not in {contact.id for contact, _ in asked}


@given(worlds, st.integers(1, 30))
def test_nobody_is_asked_twice_however_little_is_remembered(world: World, bound: int) -> None:
    journey = Journey(World(**{**vars(world), "settings": remembering(world.settings, bound)})).run()
    asked = [(ask.contact, ask.attempt) for ask, _ in journey.asks]
    assert len(set(asked)) == len(asked)


@given(worlds)
def test_the_result_is_the_k_closest_of_those_who_answered(world: World) -> None:
    journey = Journey(world).run()
    outcome = journey.lookup.outcome()
    answered = sorted(journey.answered.values(), key=journey.distance)
    assert list(outcome.closest) == answered[: world.settings.k]
    assert outcome.answers == len(answered)
    assert outcome.hops <= len(answered)


@given(truthful)
def test_nobody_closer_than_the_result_was_left_unasked(world: World) -> None:
    journey = Journey(world).run()
    outcome = journey.lookup.outcome()
    assert [contact.id for contact in journey.closest_live()] == [contact.id for contact in outcome.closest]
    assert (outcome.reason == ARRIVED) is (len(outcome.closest) == world.settings.k)


@given(worlds)
def test_a_quiet_world_that_knows_itself_is_searched_to_the_end(world: World) -> None:
    calm = {"dead": 0.0, "lost": 0.0, "slow": RTO / 2, "liars": 0.0, "known": world.nodes}
    journey = Journey(World(**{**vars(world), **calm, "seeds": max(1, world.seeds)})).run()
    true = sorted(journey.nodes, key=journey.distance)[: world.settings.k]
    assert list(journey.lookup.outcome().closest) == true


@given(worlds, st.integers(1, 60))
def test_liars_cannot_make_it_run_forever(world: World, bound: int) -> None:
    limits = remembering(world.settings, bound)
    journey = Journey(World(**{**vars(world), "liars": 1.0, "lost": 0.0, "settings": limits})).run()
    assert journey.lookup.queries <= max(bound, 1) * limits.attempts * limits.max_endpoints
    assert journey.now <= (bound + 1) * RTO * limits.attempts * limits.max_endpoints


@given(worlds, st.floats(0.0, 3.0))
def test_a_walk_can_be_stopped_at_any_time(world: World, when: float) -> None:
    def stop(journey: Journey) -> None:
        if journey.now >= when:
            journey.lookup.stop("enough")

    journey = Journey(world, after_advance=stop).run()
    sent = len(journey.asks)
    for _, _, what in journey.events:
        what()
    assert journey.lookup.advance(journey.now) == ([], None)
    assert len(journey.asks) == sent


def remembering(settings: LookupSettings, bound: int) -> LookupSettings:
    return LookupSettings(
        k=settings.k,
        parallelism=settings.parallelism,
        arrived_parallelism=settings.arrived_parallelism,
        attempts=settings.attempts,
        max_candidates=bound,
    )
