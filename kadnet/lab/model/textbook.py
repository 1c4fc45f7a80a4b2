"""The control: Kademlia as the paper has it, in rounds, so that gains are seen in the same world.

Maymounkov and Mazières 2002: walks that ask α at a time and then all of the k closest that are left (section 2.3), a
refresh of each bucket in which nothing was looked up for an hour; its table is `textbook_table`. One attempt and one
fixed timeout for each request, and a round ends when all of it has answered or timed out: the value that one of them
brought is looked at then, as in programs that gather a round. k = 20, α = 3 and 5 s are those of the Python package
`kademlia` 2.2.3, k = 8 and 2 s Mainline's, α = 10 and 10 s libp2p's. Who does not answer leaves the table.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from functools import partial
from random import Random

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import random_in_bucket
from kadnet.lab.latency import Place
from kadnet.lab.model.joining import knock, walk_to_all
from kadnet.lab.model.textbook_table import TextbookSettings, TextbookTable
from kadnet.lab.model.world import Finding, Put, World


class RoundWalk:
    """One walk in rounds."""

    __slots__ = (
        "_answered", "_ended", "_found", "_hop", "_key", "_known", "_node", "_open", "_order", "_started", "_unasked",
        "first", "hops", "messages", "whole",
    )  # fmt: skip

    def __init__(self, node: Textbook, key: int, ended: Callable[[Finding], object]) -> None:
        self._node = node
        self._key = key
        self._ended = ended
        self._started = node.world.engine.now
        self._order: list[tuple[int, bytes]] = []  # of all that were not given up
        self._known: dict[bytes, Contact] = {}
        self._hop: dict[bytes, int] = {}
        self._unasked: set[bytes] = set()
        self._answered: set[bytes] = set()
        self._open = 0
        self._found: int | None = None  # hop of the first value of this round
        self.first: float | None = None
        self.whole: float | None = None
        self.hops: int | None = None
        self.messages = 0
        for contact in node.table.closest(key, node.settings.k):
            self._learn(contact, 1)

    def closest(self) -> list[Contact]:
        found = [self._known[id] for _, id in self._order if id in self._answered]
        return found[: self._node.settings.k]

    def begin(self) -> None:
        """The first round."""
        self._round(everybody=False)

    def _learn(self, contact: Contact, hop: int) -> None:
        if contact.id not in self._known and contact.id != self._node.contact.id:
            self._known[contact.id] = contact
            self._hop[contact.id] = hop
            self._unasked.add(contact.id)
            insort(self._order, (contact.position ^ self._key, contact.id))

    def _round(self, everybody: bool) -> None:
        """Ask the next α of the k closest, or all that are left of them; the end when none is."""
        settings = self._node.settings
        left = [id for _, id in self._order[: settings.k] if id in self._unasked]
        if not left:
            self._end()
            return
        nearest = self._order[0][0]
        chosen = left if everybody else left[: settings.parallelism]
        self._open = len(chosen)
        self.messages += len(chosen)
        for id in chosen:
            self._unasked.discard(id)
            self._ask(self._known[id], nearest)

    def _ask(self, contact: Contact, nearest: int) -> None:
        def answered(contacts: list[Contact], holds: bool) -> None:
            self._answered.add(contact.id)
            hop = self._hop[contact.id]
            if holds and self._found is None:
                self._found = hop
            for each in contacts:
                self._learn(each, hop + 1)
            self._one_less(nearest)

        def failed() -> None:
            self._order.remove((contact.position ^ self._key, contact.id))
            self._one_less(nearest)

        self._node.ask(contact, self._key, answered, failed)

    def _one_less(self, nearest: int) -> None:
        self._open -= 1
        if self._open:
            return
        if self._found is not None and self.first is None:
            self.first = self._node.world.engine.now - self._started
            self.hops = self._found
        # Nobody closer came: section 2.3 asks all of the k closest that are left.
        self._round(everybody=not self._order or self._order[0][0] >= nearest)

    def _end(self) -> None:
        self.whole = self._node.world.engine.now - self._started
        self._ended(self)


class RoundPut:
    """One put: a walk, then a STORE to each of the closest, and the answers of all are waited for."""

    __slots__ = ("_done", "_left", "_node", "_walk", "messages")

    def __init__(self, node: Textbook, key: int, done: Callable[[], object]) -> None:
        self._node = node
        self._done = done
        self._left = 0
        self._walk = RoundWalk(node, key, partial(self._store, key))
        self.messages = 0

    def begin(self) -> None:
        self._walk.begin()

    def _store(self, key: int, found: Finding) -> None:
        closest = found.closest()
        self._left = len(closest)
        self.messages = found.messages + len(closest)
        for contact in closest:
            self._node.ask(contact, key, self._one_less, self._one_less, store=True)
        if not closest:
            self._done()

    def _one_less(self, *_answer: object) -> None:
        self._left -= 1
        if not self._left:
            self._done()


class Textbook:
    """A node of the control."""

    __slots__ = ("_rng", "alive", "contact", "held", "place", "settings", "table", "world")

    def __init__(self, world: World, name: str, contact: Contact, settings: TextbookSettings) -> None:
        self.world = world
        self.settings = settings
        self.contact = contact
        self.place: Place = world.place(name)
        self.alive = True
        self.held: set[int] = set()
        self.table = TextbookTable(contact, settings)
        self._rng = Random(f"kadnet textbook {world.seed} {name}")

    def join(self, doors: list[Contact], joined: Callable[[], object]) -> None:
        """Ping the doors; walk home, then refresh every bucket."""
        engine = self.world.engine
        knock(
            doors,
            lambda door, met, missed: self.ask(door, None, met, missed),
            lambda: engine.at(engine.now + 0.05, self._refresh, 0.0, joined),
            lambda: engine.at(engine.now + 1.0, self._knock_again, doors, joined),
        )

    def _knock_again(self, doors: list[Contact], joined: Callable[[], object]) -> None:
        if self.alive:
            self.join(doors, joined)

    def forget(self) -> None:
        del self.table, self._rng
        self.held = set()

    def walk(self, key: int, ended: Callable[[Finding], object]) -> None:
        if key != self.contact.position:
            self.table.looked_up(self.table.index(key), self.world.engine.now)
        RoundWalk(self, key, ended).begin()

    def put(self, key: int, done: Callable[[], object]) -> Put:
        put = RoundPut(self, key, done)
        put.begin()
        return put

    def network_size(self) -> None:
        """The paper does not judge it."""

    def ask(
        self,
        contact: Contact,
        key: int | None,
        answered: Callable[[list[Contact], bool], object] | None,
        failed: Callable[[], object] | None,
        *,
        store: bool = False,
    ) -> None:
        """One request, one attempt: `answered(contacts, holds)` or, at the timeout, `failed()`."""
        world = self.world
        engine = world.engine
        world.messages += 1
        peer = world.actors[contact.id]
        assert isinstance(peer, Textbook)
        way = world.latency.between(self.place, peer.place)
        waiting = True

        def serve() -> None:
            if not peer.alive:
                return
            peer.table.seen(self.contact)
            holds = key is not None and key in peer.held
            if store and key is not None:
                peer.held.add(key)
            contacts = [] if key is None or store else peer.table.closest(key, self.settings.k + 1)
            contacts = [each for each in contacts if each.id != self.contact.id][: self.settings.k]
            if not world.is_lost():
                engine.at(engine.now + way, arrive, contacts, holds)

        def arrive(contacts: list[Contact], holds: bool) -> None:
            nonlocal waiting
            if waiting and self.alive:
                waiting = False
                self.table.seen(contact)
                if answered is not None:
                    answered(contacts, holds)

        def expire() -> None:
            nonlocal waiting
            if waiting and self.alive:
                waiting = False
                self.table.failed(contact)
                if failed is not None:
                    failed()

        if not world.is_lost() and peer.alive:
            engine.at(engine.now + way, serve)
        engine.at(engine.now + self.settings.timeout, expire)

    def _refresh(self, age: float, done: Callable[[], object] | None) -> None:
        """Walk home, then to a chance place in each bucket in which nothing was looked up for `age` seconds."""
        if not self.alive:
            return
        engine = self.world.engine

        def home(_found: Finding) -> None:
            targets = [
                random_in_bucket(self.contact.position, index, self._rng) for index in self.table.quiet(engine.now, age)
            ]
            walk_to_all(targets, self.walk, done)

        self.walk(self.contact.position, home)
        every = self.settings.refresh_every
        engine.at(engine.now + every * self._rng.uniform(0.5, 1.0), self._refresh, every, None)
