"""The rules of one key: may this record stand here, and what goes to make room. Pure.

A shelf is what a holder has under one key. For every kind but the shared entry that is one record; a shared key holds
up to 64 entries, one per publisher. The decision is a function of the shelf, the floor that an earlier entry of the
same publisher left behind, and the newcomer; the store carries it out inside the transaction in which it read them.

A floor remembers an entry that is gone. It refuses lower seqs, a value where the same seq was a tombstone, and the same
seq with an earlier `expires`; after a lapse (not after an eviction) with the same `expires` too. So neither an older
value nor a lapsed one comes back: without the last part a stranger kept a 30-second lease alive for an hour by storing
the same bytes again. For the same reason a record that stands here gets a longer life from its publisher alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kadnet.wire.messages import Status


class Rank(NamedTuple):
    """What orders two entries of one publisher (`Parsed.rank`): higher is newer."""

    seq: int
    tombstone: bool
    expires: int
    flipped_signature: bytes


class Standing(NamedTuple):
    """A record on the shelf. `prefix` is where it was first stored from, empty for our own and where quotas are waived.

    `arrived` grows with every first arrival: the newest has the highest.
    """

    publisher: bytes
    rank: Rank
    prefix: bytes
    cached: bool
    arrived: int


class Floor(NamedTuple):
    """The memory of an entry that lapsed, or that was evicted."""

    seq: int
    tombstone: bool
    expires: int
    lapsed: bool


class Newcomer(NamedTuple):
    """A record that asks for a place. `by_publisher`: the peer that stores it is the one who signed it."""

    publisher: bytes
    rank: Rank
    prefix: bytes
    cached: bool
    by_publisher: bool = False


@dataclass(frozen=True, slots=True)
class ShelfSettings:
    """`max_entries` of a shared key, and how many of them one storing prefix (/24, /48) may have brought.

    Eviction takes the newest entry of the most represented prefix, the newcomer included. (Tried: this keeps 20 of 20
    honest entries through churn against 64 hostile ones; two simpler rules lost all, or 13.)
    """

    max_entries: int = 64
    max_per_prefix: int = 8


class Act(Enum):
    REFUSE = "refuse"
    KEEP = "keep"  # the very same record stands here already
    EXTEND = "extend"  # the same, and it may live longer than what is left of it here
    UNCACHE = "uncache"  # it stands here as a cached copy and is now held in earnest
    REPLACE = "replace"  # a newer entry of the same publisher
    INSERT = "insert"


class Verdict(NamedTuple):
    """`status` for the answer, `seq` of what stands here when STALE, `evict` the publisher whose entry makes room."""

    act: Act
    status: Status
    seq: int = 0
    evict: bytes | None = None


def decide(
    shelf: Sequence[Standing], floor: Floor | None, new: Newcomer, many: bool, settings: ShelfSettings
) -> Verdict:
    """What becomes of `new`. `many`: several publishers share this key. `shelf` has live records only."""
    current = next((standing for standing in shelf if standing.publisher == new.publisher), None)
    if current is not None:
        return _against_current(current, new)
    if floor is not None and _below(floor, new.rank):
        return Verdict(Act.REFUSE, Status.STALE, floor.seq)
    if not many:
        return Verdict(Act.INSERT, Status.OK)
    if new.prefix and sum(1 for s in shelf if s.prefix == new.prefix) >= settings.max_per_prefix:
        return Verdict(Act.REFUSE, Status.FULL)
    if len(shelf) < settings.max_entries:
        return Verdict(Act.INSERT, Status.OK)
    return _make_room(shelf, new)


def _against_current(current: Standing, new: Newcomer) -> Verdict:
    if new.rank == current.rank:
        if current.cached and not new.cached:
            return Verdict(Act.UNCACHE, Status.OK)
        # Anybody may keep a blob alive, since anybody may store it.
        extend = not new.cached and (new.by_publisher or not new.publisher)
        return Verdict(Act.EXTEND if extend else Act.KEEP, Status.OK)
    if new.rank < current.rank:
        return Verdict(Act.REFUSE, Status.STALE, current.rank.seq)
    return Verdict(Act.REPLACE, Status.OK)


def _below(floor: Floor, rank: Rank) -> bool:
    if rank.seq != floor.seq:
        return rank.seq < floor.seq
    if floor.tombstone != rank.tombstone:
        return floor.tombstone
    return rank.expires < floor.expires or (floor.lapsed and rank.expires == floor.expires)


def _make_room(shelf: Sequence[Standing], new: Newcomer) -> Verdict:
    tally = Counter(standing.prefix for standing in shelf)
    tally[new.prefix] += 1
    most = max(tally.values())
    if tally[new.prefix] == most:  # the newcomer is the newest of a most represented prefix
        return Verdict(Act.REFUSE, Status.FULL)
    victim = max((s for s in shelf if tally[s.prefix] == most), key=lambda s: s.arrived)
    return Verdict(Act.INSERT, Status.OK, evict=victim.publisher)
