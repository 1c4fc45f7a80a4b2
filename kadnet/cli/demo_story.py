"""What the demo does and measures: put, get, kill, get again, and what counts as a miss.

A get proves something only when the asker could not answer it alone. So after each put every node is asked how many
records it holds: those with one more are the holders, and they and the publisher are never asked for that record. What
comes back is judged all the same: a wrong value, none, or one that nobody was asked for is a miss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

from kadnet.errors import KadnetError
from kadnet.identity import nodeid
from kadnet.kademlia.keyspace import position
from kadnet.shapes import Found, GetStats, Status, Stored

SHARED, OWNED, BLOB = "shared", "owned", "blob"


class Asked(Protocol):
    """What the story needs of a client; `kadnet.client.Client` has it."""

    def status(self) -> Status: ...
    def put(self, key: str, value: bytes) -> Stored: ...
    def get(self, key: str, *, stats: bool = False) -> Found: ...


class Player(Protocol):
    """What the story needs of a node; `demo_fleet.Member` has it."""

    @property
    def number(self) -> int: ...
    @property
    def client(self) -> Asked: ...


class Named(Protocol):
    """Whoever has a node ID."""

    @property
    def id(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, slots=True)
class Piece:
    """A record that was put: what is typed to get it, who published it, and the nodes that hold it."""

    key: str
    kind: str
    value: bytes
    publisher: int
    holders: frozenset[int]
    replicas: int


@dataclass(frozen=True, slots=True)
class Get:
    """One get. `miss` says what was wrong with the answer; None when it was right and came from the network."""

    key: str
    asker: int
    miss: str | None
    stats: GetStats | None


@dataclass(frozen=True, slots=True)
class Round:
    """All records looked up once."""

    gets: tuple[Get, ...]

    @property
    def answered(self) -> int:
        return sum(get.miss is None for get in self.gets)

    @property
    def misses(self) -> list[Get]:
        return [get for get in self.gets if get.miss is not None]

    def figures(self) -> dict[str, tuple[float, float]]:
        """(median, most) over the gets that were answered from the network, by name."""
        good = [get.stats for get in self.gets if get.miss is None and get.stats is not None]
        values: dict[str, list[float]] = {
            "datagrams_out": [stats.datagrams_out or 0 for stats in good],
            "datagrams_in": [stats.datagrams_in or 0 for stats in good],
            "hops": [stats.hops for stats in good],
            "ms": [stats.ms for stats in good],
        }
        return {name: (median(numbers), max(numbers)) for name, numbers in values.items() if numbers}


def store(
    players: Sequence[Player], count: int, held: Callable[[], dict[int, int]], before: dict[int, int]
) -> Iterator[Piece]:
    """Put `count` records, shared, owned and blobs in turn, each through the next node.

    `held()` counts the records of every node, `before` is what it said last. One put at a time, so that every copy
    that appears is known by its record.
    """
    for number in range(count):
        player = players[number % len(players)]
        kind = (SHARED, OWNED, BLOB)[number % 3]
        value = f"what {kind} record {number + 1} says".encode()
        typed = {SHARED: f"color-{number + 1}", OWNED: f"me/page-{number + 1}", BLOB: "blob:"}[kind]
        stored = player.client.put(typed, value)
        after = held()
        holders = frozenset(n for n, records in after.items() if records > before[n])
        before = after
        yield Piece(stored.key, kind, value, player.number, holders, stored.replicas)


def fetch(pieces: Sequence[Piece], players: Sequence[Player], barred: Collection[int] = ()) -> Iterator[Get]:
    """Look up every record from a node that neither published nor holds it, spread over the nodes.

    `barred`: places of nodes that are not to be asked at all.
    """
    turns: Counter[int] = Counter()
    for piece in pieces:
        free = [p for p in players if p.number != piece.publisher and p.number not in piece.holders]
        free = [player for player in free if player.number not in barred]
        if not free:
            yield Get(piece.key, -1, "every living node holds it", None)
            continue
        asker = min(free, key=lambda player: turns[player.number])
        turns[asker.number] += 1
        yield ask(piece, asker)


def ask(piece: Piece, asker: Player) -> Get:
    """One get, judged."""
    try:
        found = asker.client.get(piece.key, stats=True)
    except KadnetError as error:
        return Get(piece.key, asker.number, str(error), None)
    return Get(piece.key, asker.number, judge(piece, found), found.lookup)


def judge(piece: Piece, found: Found) -> str | None:
    """What is wrong with an answer, or None."""
    values = [value.data for value in found.values]
    if not values:
        return "not found"
    if values != [piece.value]:
        return "wrong value"
    stats = found.lookup
    if stats is None or stats.answered_by != "network" or not stats.datagrams_in:
        return "answered from the asker's own store"
    return None


def condemned(players: Sequence[Player], pieces: Sequence[Piece], count: int) -> list[int]:
    """Whom to kill: the first node, through whom all have joined, and those that hold the most records."""
    loads = Counter(holder for piece in pieces for holder in piece.holders)
    first, *others = [player.number for player in players]
    others.sort(key=lambda number: (-loads[number], number))
    return [first, *others][:count]


def copies_lost(pieces: Sequence[Piece], killed: Collection[int]) -> Counter[int]:
    """How many records lost how many of their copies."""
    return Counter(len(piece.holders & set(killed)) for piece in pieces)


def around(named: Iterable[N]) -> list[N]:
    """Nodes in the order of their places on the ring."""
    return sorted(named, key=lambda one: position(nodeid.decode(one.id)))
