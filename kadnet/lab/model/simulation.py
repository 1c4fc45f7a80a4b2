"""One strategy in one world, from the first join to the last lookup.

The tables are built by real joins: the nodes come one after the other, each through the first three of those who live,
and all they know afterwards they were told. Then they are left to their upkeep; under churn each stays for a session
and is replaced. Values are stored by nodes that chance picks, some of the nodes die at one instant, and each value is
looked up once by a node that does not hold it. A node whose session is over while it waits for such a lookup stays
until that has ended, so that every lookup has an end; the newcomer in its place comes on time, as in every other world.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Final

from kadnet.errors import InputError
from kadnet.lab.model.node import Node
from kadnet.lab.model.plan import Plan
from kadnet.lab.model.putting import TimedPuts
from kadnet.lab.model.report import Report, Sample
from kadnet.lab.model.textbook import Textbook
from kadnet.lab.model.textbook_table import TextbookSettings
from kadnet.lab.model.world import Actor, Finding, World
from kadnet.overlay.settings import Tuning

Progress = Callable[[str, int, int], object]
_DOORS = 3  # bootstrap addresses that a newcomer is given
_STEP = 1.0  # virtual seconds between two looks at whether a phase is over
_TELLS = 10  # times in each of them that it says how far it is: with thousands of nodes it can take a real second
_JOINING = 60.0  # virtual seconds from the last start to the first upkeep that counts: the same for every strategy, so
# that all of them meet the same world afterwards; whoever has not joined by then goes on with it
_LONGEST_LOOKUP = 600.0
_TRIES = 1000  # askers drawn before one is taken that holds the value: in tiny worlds everybody does
_NAME_BYTES = 2048  # what is left of a node that died, in the heap and in the tables of others
_LOOKUP_BYTES = 1024  # its key, its place in the heap, its sample


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to do it. `told`: a line for people; `k`: how many of the closest make a set; `make(world, name, contact)`
    gives a node; `bytes_per_node(nodes)`: memory, measured, with a margin."""

    told: str
    k: int
    make: Callable[..., Actor]
    kib_per_node: float


def _kadnet(tuning: Tuning) -> Callable[..., Actor]:
    return partial(Node, tuning=tuning)


def _textbook(k: int, parallelism: int, timeout: float) -> Strategy:
    settings = TextbookSettings(k=k, parallelism=parallelism, timeout=timeout)
    told = f"textbook Kademlia in rounds: k = {k}, α = {parallelism}, a timeout of {timeout:g} s"
    return Strategy(told, k, partial(Textbook, settings=settings), 200.0)


_STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {
        "kadnet": Strategy("kadnet as it ships", Tuning().lookup.k, _kadnet(Tuning()), 450.0),
        "k8-a3-2s": _textbook(8, 3, 2.0),
        "k20-a3-5s": _textbook(20, 3, 5.0),
        "k20-a10-10s": _textbook(20, 10, 10.0),
    }
)

STRATEGIES: Final[Mapping[str, str]] = MappingProxyType({name: one.told for name, one in _STRATEGIES.items()})
"""The strategies by name, each with a line for people, in the order in which they are shown."""


def bytes_needed(plan: Plan, strategy: str) -> int:
    """Bytes of memory that a simulation takes at most, beside the interpreter: measured per node, with a margin."""
    once_there = plan.nodes
    if plan.churn is not None:  # of the dead little is kept, but it is kept
        once_there += int(plan.nodes * (plan.settling + _JOINING) / plan.churn)
    living = int(plan.nodes * _strategy(strategy).kib_per_node * 1024)
    return living + once_there * _NAME_BYTES + plan.lookups * _LOOKUP_BYTES


def _strategy(name: str) -> Strategy:
    if name not in _STRATEGIES:
        raise InputError(f"there is no strategy {name!r}", hint=f"choose from {', '.join(_STRATEGIES)}")
    return _STRATEGIES[name]


class Simulation:
    """`run` once; `report` at any time."""

    def __init__(self, plan: Plan, strategy: str, *, tuning: Tuning | None = None) -> None:
        """`tuning`: for "kadnet", instead of what ships. InputError for a strategy that there is not."""
        chosen = _strategy(strategy)
        if strategy == "kadnet":
            ours = tuning or Tuning()
            self._make_warm = _kadnet(ours)
            if plan.cached is not None:
                ours = replace(ours, contact_cache=replace(ours.contact_cache, max_contacts=plan.cached))
            chosen = replace(chosen, k=ours.lookup.k, make=_kadnet(ours))
        else:
            self._make_warm = chosen.make
        self._strategy = chosen
        self._name = strategy
        self.plan = plan
        self.world = World(plan.seed, plan.network(), plan.loss)
        self.samples: list[Sample] = []
        self._joins = 0
        self._joined = 0
        self._warm: list[Actor] = []
        self._puts = TimedPuts(self.world, plan.seed, chosen.k)
        self._keys = [self.world.rng.getrandbits(256) for _ in range(plan.lookups)]
        self._build_messages = 0
        self._waiting: Counter[bytes] = Counter()  # lookups of ours that each asker has under way, by its ID
        self._overdue: set[bytes] = set()  # askers that leave when theirs have ended

    def run(self, progress: Progress) -> Report:
        """Do all of it. `progress(phase, done, total)` is called often; what it raises ends the run."""
        with _seldom_swept():
            self._join_all(progress)
            self._settle(progress)
            self._look_up(progress)
            if self.plan.puts:
                self._put_timed(progress)
        return self.report()

    def go_on(self, settle: float, lookups: int, progress: Progress) -> Report:
        """After `run`: leave them to themselves for `settle` seconds more, then as many lookups of new values. A report
        of these alone. So a network is built once and seen twice: soon after the joins, and warm."""
        self.plan = replace(self.plan, settle=settle, lookups=lookups)
        self._keys = [self.world.rng.getrandbits(256) for _ in range(lookups)]
        self.samples = []
        with _seldom_swept():
            self._settle(progress)
            self._look_up(progress)
        return self.report()

    def report(self) -> Report:
        """What came of the lookups that have ended so far."""
        return Report(
            self._name,
            self.plan,
            self.world.latency.median_round_trip,
            tuple(self.samples),
            self._joins,
            self._build_messages,
            complete=len(self.samples) >= self.plan.lookups and len(self._puts.samples) >= self.plan.puts,
            puts=self._puts.samples,
            size_estimates=tuple(self._puts.size_estimates),
            k=self._strategy.k,
        )

    # Joining.

    def _join_all(self, progress: Progress) -> None:
        plan, engine = self.plan, self.world.engine
        for number in range(plan.nodes):
            engine.at(number * plan.pace, self._start, self._rest)
        end = plan.nodes * plan.pace + _JOINING
        while engine.now < end:
            for _ in self._bits(min(engine.now + _STEP, end)):
                progress("join", min(self._joined, plan.nodes), plan.nodes)

    def _bits(self, end: float) -> Iterator[None]:
        """Let everything happen until `end`, bit by bit."""
        engine = self.world.engine
        start = engine.now
        for number in range(1, _TELLS):
            engine.run_until(start + (end - start) * number / _TELLS)
            yield
        engine.run_until(end)
        yield

    def _start(self, stays: Callable[[], float]) -> None:
        """A newcomer, through the first of those who live."""
        world = self.world
        doors = [actor.contact for actor in world.living[:_DOORS]]
        number = self._joins
        self._joins += 1
        is_warm = 0 <= number - (self.plan.nodes - self.plan.warm) < self.plan.warm
        make = self._make_warm if is_warm else self._strategy.make
        actor = make(world, f"n{number}", world.contact(number))
        world.add(actor)
        if is_warm:
            self._warm.append(actor)
        if doors:
            actor.join(doors, self._has_joined)
        else:
            self._has_joined()
        if self.plan.churn is not None:
            world.engine.at(world.engine.now + stays(), self._leave, actor)

    def _has_joined(self) -> None:
        self._joined += 1

    def _leave(self, actor: Actor) -> None:
        if not actor.alive:
            return
        if self._waiting[actor.contact.id]:
            self._overdue.add(actor.contact.id)
        else:
            self.world.kill(actor)
        self._start(self._session)

    def _rest(self) -> float:
        """The first nodes have been there for a while already; their leaving begins when all have come."""
        before = self.plan.nodes * self.plan.pace - self.world.engine.now
        return before + self.plan.rest(self.world.rng)

    def _session(self) -> float:
        return self.plan.session(self.world.rng)

    # Upkeep and values.

    def _settle(self, progress: Progress) -> None:
        """Leave them to themselves; values are stored meanwhile, with time enough for the slowest."""
        plan, world = self.plan, self.world
        engine = world.engine
        start, length = engine.now, plan.settling
        for key in self._keys:
            engine.at(start + length * world.rng.uniform(0.2, 0.5), self._put, key)
        for actor in self._warm:
            engine.at(start + plan.traffic * world.rng.random(), self._live, actor, start + length)
        while engine.now < start + length:
            for _ in self._bits(min(engine.now + _STEP, start + length)):
                progress("settle", int(engine.now - start), int(length))
        self._build_messages = world.messages

    def _live(self, actor: Actor, until: float) -> None:
        """What a node does that is in use: a lookup now and then."""
        world = self.world
        if actor.alive and world.engine.now < until:
            actor.walk(world.rng.getrandbits(256), _nothing)
            world.engine.at(world.engine.now + self.plan.traffic, self._live, actor, until)

    def _put_timed(self, progress: Progress) -> None:
        """The timed puts, and then the judgement of the network's size, which rests on lookups of its own."""
        plan, engine, puts = self.plan, self.world.engine, self._puts
        puts.begin(plan.puts, plan.lookup_pace)
        for begin in (None, puts.measure):
            if begin is not None:
                begin()
            end = engine.now + plan.puts * plan.lookup_pace + _LONGEST_LOOKUP
            while puts.open and engine.now < end:
                for _ in self._bits(engine.now + _STEP):
                    progress("put", len(puts.samples), plan.puts)

    def _put(self, key: int) -> None:
        writer = self.world.rng.choice(self.world.living)
        writer.put(key, _nothing)

    # Lookups.

    def _look_up(self, progress: Progress) -> None:
        plan, world = self.plan, self.world
        engine = world.engine
        for actor in world.rng.sample(world.living, min(plan.dying, len(world.living) - 2)):
            world.kill(actor)
        begun = engine.now
        for number, key in enumerate(self._keys):
            engine.at(begun + number * plan.lookup_pace, self._one, key)
        end = begun + plan.lookups * plan.lookup_pace + _LONGEST_LOOKUP
        while len(self.samples) < plan.lookups and engine.now < end:
            for _ in self._bits(engine.now + _STEP):
                progress("look up", len(self.samples), plan.lookups)

    def _one(self, key: int) -> None:
        world = self.world
        holders = [actor for actor in world.living if key in actor.held]
        asker = self._asker(key)
        direct = min((2 * world.one_way(asker, holder) for holder in holders if holder is not asker), default=None)
        self._waiting[asker.contact.id] += 1
        asker.walk(key, partial(self._note, key, asker, direct))

    def _asker(self, key: int) -> Actor:
        """Who looks it up: of an order of chance, the same for every strategy, the first who does not hold it."""
        living = [actor for actor in self._warm if actor.alive] or self.world.living
        chance = Random(f"kadnet model asker {self.plan.seed} {key}")
        for _ in range(_TRIES):
            asker = chance.choice(living)
            if key not in asker.held and asker.contact.id not in self._overdue:
                break
        return asker

    def _note(self, key: int, asker: Actor, direct: float | None, found: Finding) -> None:
        k = self._strategy.k
        nearest = set(self.world.nearest(key, k, asker))
        met = {contact.position for contact in found.closest()}
        recall = len(nearest & met) / len(nearest)
        whole = found.whole if met else None  # an asker that knows nobody is done at once, with nothing
        self.samples.append(Sample(found.first, direct, whole, found.messages, found.hops, recall))
        self._waiting[asker.contact.id] -= 1
        if not self._waiting[asker.contact.id] and asker.contact.id in self._overdue:
            self.world.kill(asker)


@contextmanager
def _seldom_swept() -> Iterator[None]:
    """Millions of objects live as long as the simulation: looking through them for circles costs half of its time, and
    there are none."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1_000_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _nothing(*_outcome: object) -> None:
    """Whether a value was stored is seen when it is looked up; what other traffic finds, nobody asks."""
