"""What stands in a routing table, and what a table says about it: entries, buckets, changes and views.

An `Entry` is one contact that answered us; a `Bucket` holds those that share one prefix length with us, and beside them
the replacements that wait for a place. Both are plain state: `table` decides who enters and leaves, `revalidation` who
is asked whether they still live.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kadnet.kademlia.contact import Contact

NOWHERE = -1


class ChangeKind(enum.Enum):
    """What an answer or a failure did to the table."""

    INSERTED = "inserted"
    UPDATED = "updated"  # known at that endpoint; its time of last answer is now
    MOVED = "moved"  # the old endpoint stopped answering, and the new one had answered: contact new, evicted old
    REPLACEMENT = "replacement"  # waits in the bucket's list; evicted: the stale one it pushed out, if any
    REFUSED_SUBNET = "refused-subnet"
    REFUSED_FULL = "refused-full"
    REFUSED_SELF = "refused-self"
    KEPT = "kept"  # failed with credit left, or is the last one; or answers elsewhere, and the old place is asked first
    EVICTED = "evicted"  # contact and evicted are the one that left
    PROMOTED = "promoted"  # evicted left, and contact, a replacement until now, took the place
    DROPPED = "dropped"  # a replacement failed and left its list
    UNKNOWN = "unknown"  # nobody by that ID is here


UNSCHEDULED = (
    ChangeKind.UPDATED,
    ChangeKind.REFUSED_FULL,
    ChangeKind.REPLACEMENT,
    ChangeKind.UNKNOWN,
    ChangeKind.DROPPED,
    ChangeKind.REFUSED_SUBNET,
    ChangeKind.REFUSED_SELF,
)
"""What leaves the pings of a table as they were planned: nobody has to call `advance` for it. Most frequent first."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to `contact`, and who left for it."""

    kind: ChangeKind
    contact: Contact | None  # None only for UNKNOWN
    evicted: Contact | None = None


class Entry:
    """A contact that answered us. In a bucket or among its replacements, never both, never twice.

    `earned` counts the revalidations it has passed (and the answer that brought it here), `checks` what is left of
    them: a failure divides it by three, at zero the entry goes, any answer restores it. So what ends an entry is
    failures in a row, about log3(earned) + 1 of them, and lost packets between answers never add up.
    """

    __slots__ = (
        "added_at",
        "candidate",
        "checked_at",
        "checks",
        "contact",
        "earned",
        "fast",
        "index",
        "last_answer_at",
        "rtt",
        "slot",
        "updated",
    )

    def __init__(self, contact: Contact, index: int, rtt: float | None, now: float) -> None:
        self.contact = contact
        self.index = index  # of the bucket
        self.rtt = rtt  # smoothed seconds, for people and for preferring near replacements; timeouts live in `rtt.py`
        self.added_at = now  # since when it stands where it stands
        self.last_answer_at = now
        self.checked_at = now  # when a revalidation was last passed
        self.earned = 1
        self.checks = 1
        self.candidate: Contact | None = None  # answered from here, while `contact` has not failed yet
        self.fast = True  # which list of the Revalidator it is in,
        self.slot = NOWHERE  # and where; NOWHERE while it is a replacement
        self.updated = Change(ChangeKind.UPDATED, contact)  # made once: it is the result of nearly every answer


class Bucket:
    """Entries that share exactly `index` leading bits with us, and the replacements behind them, last answer last."""

    __slots__ = ("entries", "index", "positions", "replacements")

    def __init__(self, index: int) -> None:
        self.index = index
        self.entries: dict[bytes, Entry] = {}
        self.positions: list[int] = []  # of the entries: what `closest` sorts
        self.replacements: dict[bytes, Entry] = {}  # a dict keeps its order of insertion: the first is the stalest


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry for people and tests. Times are those of the `now` handed in; rtt in seconds."""

    contact: Contact
    added_at: float
    last_answer_at: float
    rtt: float | None
    checks: int
    fast: bool


@dataclass(frozen=True, slots=True)
class BucketView:
    """One bucket as it stands; replacements from stalest to freshest."""

    index: int
    entries: tuple[EntryView, ...]
    replacements: tuple[Contact, ...]


def view(bucket: Bucket) -> BucketView:
    """A frozen picture of a bucket."""
    return BucketView(
        bucket.index,
        tuple(
            EntryView(entry.contact, entry.added_at, entry.last_answer_at, entry.rtt, entry.checks, entry.fast)
            for entry in bucket.entries.values()
        ),
        tuple(entry.contact for entry in bucket.replacements.values()),
    )
