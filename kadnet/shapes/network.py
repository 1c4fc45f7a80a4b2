"""What a node says of itself and of the overlay: status, peers, table, ping, lookup, the ready line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PingRequest:
    who: str


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """`paths`: so many walks, 1 to 8, that share no node."""

    target: str
    paths: int = 1


@dataclass(frozen=True, slots=True)
class BootstrapState:
    """One bootstrap address: `problem` is what went wrong the last time it was tried."""

    address: str
    answered: bool
    problem: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a node fares. `uptime` seconds; `records` held for the overlay, `published` its own; `counters` by room.
    `messages` received and kept; `queued`: sent from here and not delivered yet. `network_size`: about how many nodes
    the overlay has, null until enough walks were made to tell."""

    id: str
    address: str
    version: str
    uptime: float
    peers: int
    links: int
    records: int
    published: int
    serves: bool
    joined: bool
    replicas: int
    network: str
    bootstrap: tuple[BootstrapState, ...]
    notes: tuple[str, ...]
    counters: dict[str, Any]
    messages: int = 0
    queued: int = 0
    network_size: int | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A live contact, or a node that is only linked to us. `rtt_ms` null: not measured. `checks`: passed in a row;
    `fast`: it is still checked often. `links` that are open to it.

    Who is only linked stands in no table (0 checks); if it called us, `address` is where its connection comes from.
    """

    id: str
    address: str
    rtt_ms: float | None
    added_at: float
    answered_at: float
    checks: int
    fast: bool
    links: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A node and where it answers."""

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Those who share `index` leading bits with us; `replacements` wait for a place, stalest first."""

    index: int
    family: int
    entries: tuple[Peer, ...]
    replacements: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Pong:
    """Who answered a ping, where, and how fast."""

    id: str
    address: str
    rtt_ms: float


@dataclass(frozen=True, slots=True)
class Query:
    """One peer of a walk. `hop` 1: the walk began with it; `brought`: contacts new to the walk that it named.

    `via`: the ID of the peer that named it first, null for whom the walk began with. `shared_bits`: leading bits
    that it shares with the target. `path`: on which of several paths it was asked, from 1; null where there is one.
    """

    hop: int
    id: str
    address: str
    attempts: int
    started_ms: float
    rtt_ms: float | None
    state: str
    brought: int
    via: str | None = None
    shared_bits: int = 0
    path: int | None = None


@dataclass(frozen=True, slots=True)
class Walked:
    """A walk towards `target` (64 hexadecimal digits): the live nodes closest to it, and what it took."""

    target: str
    closest: tuple[Place, ...]
    reason: str
    hops: int
    queries: int
    answers: int
    ms: float
    trace: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The first line of `kadnet run --json`."""

    event: str
    id: str
    address: str
    control: str
