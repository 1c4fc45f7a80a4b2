"""Puts in the model: ours by the shipped rules of `kademlia.spreading`, and timed ones of any strategy.

As `overlay.putting` does it: a STORE to whoever has answered the walk and stands near enough, the rest at its end, each
up to three times, and the put returns when enough have acknowledged. Left out: records, their seqs, and refusals, so
only the dead are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.spreading import Spread
from kadnet.lab.model.request import Call
from kadnet.lab.model.walk import Walk
from kadnet.lab.model.world import Actor, Finding, Put, World
from kadnet.wire.messages import MAX_CONTACTS

if TYPE_CHECKING:
    from kadnet.lab.model.node import Node

_STORE_ATTEMPTS = 3  # as in overlay.storing
_LOOK_AFTER = 5.0  # seconds from the beginning of a put until its copies are counted
_MEASURERS = 16  # nodes that judge the size of the network
_WALKS = 16  # after so many lookups each


@dataclass(frozen=True, slots=True)
class PutSample:
    """One put. `done`: seconds until it returned, None when it never did.

    `replicas_after_5s`: how many of the k living nodes closest to the key had it 5 s after the put began, the writer
    left out. `messages`: requests sent for it, repeated ones included.
    """

    done: float | None
    replicas_after_5s: int
    messages: int


class Putting:
    """One put of ours: `begin` once; `done` is called when it returns, and the rest goes on."""

    __slots__ = ("_calls", "_done", "_key", "_node", "_spread", "_walk", "_walked_with")

    def __init__(self, node: Node, key: int, done: Callable[[], object]) -> None:
        self._node = node
        self._key = key
        self._done: Callable[[], object] | None = done
        self._calls: list[Call] = []
        self._walked_with = 0
        tuning = node.tuning
        self._spread = Spread(key, tuning.lookup.k, tuning.spread, is_near=node.is_among_closest)
        self._walk: _Told | None = _Told(node, key, self._walked, self._replied)

    @property
    def messages(self) -> int:
        """Requests sent so far, repeated ones included."""
        walking = self._walked_with if self._walk is None else self._walk.sent
        return walking + sum(call.sent for call in self._calls)

    def begin(self) -> None:
        if self._walk is not None:
            self._walk.advance()

    def _replied(self, contact: Contact) -> None:
        if self._spread.replied(contact):
            self._store(contact)

    def _walked(self, _found: Finding) -> None:
        walk, self._walk = self._walk, None  # they know each other, and nobody sweeps circles up here
        if walk is not None:
            self._walked_with = walk.sent
            others = partial(self._node.starts, self._key, 2 * MAX_CONTACTS)
            for contact in self._spread.walked(walk.answered(), others):
                self._store(contact)
            self._look()

    def _store(self, contact: Contact) -> None:
        def took(*_answer: object) -> None:
            self._spread.took()
            self._look()

        def failed() -> None:
            instead = self._spread.refused(replace=True)
            if instead is not None:
                self._store(instead)
            self._look()

        self._calls.append(self._node.ask(contact, self._key, took, failed, attempts=_STORE_ATTEMPTS, store=True))

    def _look(self) -> None:
        if self._done is not None and self._spread.is_enough:
            done, self._done = self._done, None
            done()


class _Told(Walk):
    """A walk that tells of each who answers it."""

    __slots__ = ("_replied", "_told")

    def __init__(
        self, node: Node, key: int, ended: Callable[[Finding], object], replied: Callable[[Contact], object]
    ) -> None:
        super().__init__(node, key, ended)
        self._replied = replied
        self._told: set[bytes] = set()

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self._lookup.queries

    def answered(self) -> list[Contact]:
        """All that answered it so far, nearest first."""
        return self._lookup.closest(self._lookup.answers)

    def advance(self) -> None:
        for contact in self.answered():
            if contact.id not in self._told:
                self._told.add(contact.id)
                self._replied(contact)
        super().advance()


class _Timed:
    """One timed put as far as it has come."""

    __slots__ = ("begun", "copies", "done", "put", "writer")

    def __init__(self, writer: Actor, begun: float) -> None:
        self.writer = writer
        self.begun = begun
        self.put: Put | None = None
        self.done: float | None = None
        self.copies: int | None = None

    @property
    def is_open(self) -> bool:
        return self.copies is None or (self.done is None and self.writer.alive)


class TimedPuts:
    """Puts of new values by writers of chance, the same for every strategy, and what became of them."""

    def __init__(self, world: World, seed: int, k: int) -> None:
        """`k`: how many of the closest make a set."""
        self._world = world
        self._k = k
        self._chance = Random(f"kadnet model puts {seed}")
        self._puts: list[_Timed] = []
        self._walking = 0
        self.size_estimates: list[float] = []
        """What nodes hold the number of nodes for, as a part of the true one."""

    @property
    def samples(self) -> tuple[PutSample, ...]:
        """Those of which the copies have been counted."""
        return tuple(
            PutSample(one.done, one.copies, 0 if one.put is None else one.put.messages)
            for one in self._puts
            if one.copies is not None
        )

    @property
    def open(self) -> int:
        """How many puts, or walks of those who measure, have not ended."""
        return self._walking + sum(one.is_open for one in self._puts)

    def begin(self, puts: int, pace: float) -> None:
        """`puts` of them, one every `pace` seconds. Whoever dies meanwhile gives up."""
        engine = self._world.engine
        writers = self._chance.choices(self._world.living, k=puts)
        for number, writer in enumerate(writers):
            one = _Timed(writer, engine.now + number * pace)
            self._puts.append(one)
            engine.at(one.begun, self._put, one, self._chance.getrandbits(256))

    def _put(self, one: _Timed, key: int) -> None:
        engine = self._world.engine

        def returned() -> None:
            one.done = engine.now - one.begun

        if one.writer.alive:
            one.put = one.writer.put(key, returned)
        engine.at(one.begun + _LOOK_AFTER, self._count, one, key)

    def _count(self, one: _Timed, key: int) -> None:
        nearest = set(self._world.nearest(key, self._k, one.writer))
        one.copies = sum(key in actor.held for actor in self._world.living if actor.contact.position in nearest)

    def measure(self) -> None:
        """Some nodes judge the size of the network, after lookups to places of chance, one after the other."""
        living = self._world.living
        for actor in self._chance.sample(living, min(_MEASURERS, len(living))):
            self._walking += 1
            self._walk_on(actor, _WALKS)

    def _walk_on(self, actor: Actor, left: int, _found: Finding | None = None) -> None:
        if left:
            actor.walk(self._chance.getrandbits(256), partial(self._walk_on, actor, left - 1))
            return
        self._walking -= 1
        estimate = actor.network_size()
        if estimate is not None:
            self.size_estimates.append(estimate / len(self._world.living))
