"""What a lookup found, what it took, and why it ended: for whoever asked, and for people.

The machines that make these facts are `lookup.py` (one path) and `disjoint.py` (several).
"""

from __future__ import annotations

from dataclasses import dataclass

from kadnet.kademlia.contact import Contact

ARRIVED = "the closest have all answered"
ENOUGH = "enough of the closest have answered"
AGREED = "the very closest agree"
NOBODY_LEFT = "nobody was left to ask"
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class QueryTrace:
    """One peer of a finished walk, for people: with `hop` 1 the walk began, `rtt` seconds or None.

    `via`: the ID of the peer that named it first, None for whom the walk began with. `path`: on which of several
    disjoint paths it was asked, from 1; None where there is one path.
    """

    contact: Contact
    hop: int
    attempts: int
    started: float
    rtt: float | None
    state: str
    brought: int
    via: bytes | None
    path: int | None = None


@dataclass(frozen=True, slots=True)
class LookupOutcome:
    """What a walk found: the live contacts closest to the target, nearest first, and what it took.

    `queries` counts requests sent, `hops` the depth of the deepest answer that was needed, `reason` why it ended.
    """

    target: int
    closest: tuple[Contact, ...]
    queries: int
    answers: int
    hops: int
    reason: str
    trace: tuple[QueryTrace, ...]
