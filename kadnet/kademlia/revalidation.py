"""When to ask the contacts of a table whether they still live: the policy of geth's `table_reval.go`, as pure state.

Entries stand in one of two lists: the new and the doubtful in the fast one, those that passed in the slow one. Each
list has its own next moment, uniform in [0, 3 s) and [0, 9 s); then one contact of it, drawn by chance, is asked. So
upkeep costs the same for any size of table, and nobody can tell when a contact is asked next. Passing moves an entry to
the slow list and adds to its credit; failing divides the credit by three and moves it to the fast list; without credit
it goes.

Ours differs in two things. A contact that answered anything at all within `fresh` seconds passes without a ping. And
strangers who asked us something queue here for one check, under three bounds: the queue (with those in flight), one
check per (ID, endpoint) per `check_memory` seconds, and how many of those are remembered.

A machine: `advance(now)` gives the pings to send and when to come back. What became of a ping arrives as a `Change`.
The table owns the entries, the Revalidator their lists and their credit. Left out: who enters and leaves (`table`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kadnet.kademlia.buckets import NOWHERE, Change, ChangeKind, Entry
from kadnet.kademlia.contact import Contact

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class RevalidationSettings:
    """Paces in seconds, and bounds."""

    fast_interval: float = 3.0  # geth's PingInterval: the fast list is asked every 1.5 s on average
    slow_factor: float = 3.0  # the slow list three times slower; with 100 contacts each is asked every 7.5 minutes
    fresh: float = 10.0  # an answer this recent is as good as a pong; short, so the dead are not believed for long
    patience: float = 10.0  # a ping whose fate nobody told us after this is forgotten; far above any timeout
    check_queue: int = 64  # strangers to be checked, waiting and in flight: a burst of joining nodes, not of a flood
    check_memory: float = 30.0  # one check per (ID, endpoint) in this time (docs/wire.md, Requests)
    max_checked: int = 1024  # how many (ID, endpoint) are remembered for that; 34 checks a second fill it


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask `contact`, at exactly this endpoint, whether it lives; tell the table `answered` or `failed`."""

    contact: Contact


class _Pace:
    """One list of entries and its next moment. Removal swaps with the last, so an entry knows its slot."""

    __slots__ = ("_rng", "entries", "interval", "next_at")

    def __init__(self, interval: float, rng: Random) -> None:
        self.entries: list[Entry] = []
        self.interval = interval
        self.next_at = 0.0  # counts only while there are entries
        self._rng = rng

    def schedule(self, now: float) -> None:
        self.next_at = now + self._rng.random() * self.interval

    def add(self, entry: Entry, now: float) -> None:
        if not self.entries:
            self.schedule(now)
        entry.slot = len(self.entries)
        self.entries.append(entry)

    def remove(self, entry: Entry) -> None:
        last = self.entries.pop()
        if last is not entry:
            self.entries[entry.slot] = last
            last.slot = entry.slot
        entry.slot = NOWHERE

    def draw(self, busy: Mapping[bytes, float]) -> Entry | None:
        """An entry by chance, the next one that is not busy from there on; None when all are."""
        count = len(self.entries)
        start = int(self._rng.random() * count)
        for step in range(count):
            entry = self.entries[(start + step) % count]
            if entry.contact.id not in busy:
                return entry
        return None


class Revalidator:
    """Two lists of entries, a queue of checks, and the pings in flight."""

    __slots__ = ("_checked", "_checks", "_entries", "_fast", "_flying", "_settings", "_slow", "_urgent")

    def __init__(self, settings: RevalidationSettings, rng: Random, entries: Mapping[bytes, Entry]) -> None:
        """`entries` is the table's own map of ID to live entry, only read here."""
        self._settings = settings
        self._entries = entries
        self._fast = _Pace(settings.fast_interval, rng)
        self._slow = _Pace(settings.fast_interval * settings.slow_factor, rng)
        self._urgent: dict[bytes, Contact] = {}  # old endpoints in question: at most one for each entry
        self._checks: dict[bytes, Contact] = {}  # strangers by their packed form, in the order they came
        self._checked: OrderedDict[bytes, float] = OrderedDict()  # when each check was asked for, oldest first
        self._flying: dict[bytes, float] = {}  # ID to the time it is forgotten at, which is also their order

    def in_flight(self, peer_id: bytes) -> bool:
        """Whether a ping of ours to that ID is unanswered."""
        return peer_id in self._flying

    def check(self, contact: Contact, now: float) -> bool:
        """Queues one check of a stranger. False when one was asked for lately, or there is no room."""
        settings = self._settings
        checked = self._checked
        key = contact.packed
        asked_at = checked.get(key)
        if asked_at is not None and now - asked_at < settings.check_memory:
            return False
        if contact.id in self._flying or len(self._checks) + len(self._flying) >= settings.check_queue:
            return False
        while checked and (
            len(checked) >= settings.max_checked or now - next(iter(checked.values())) >= settings.check_memory
        ):
            checked.popitem(last=False)
        checked[key] = now
        self._checks[key] = contact
        return True

    def on_change(self, change: Change, now: float) -> None:
        """Takes what became of a contact. While it runs both who left and who came are in `entries`."""
        contact = change.contact
        if contact is None:
            return
        kind = change.kind
        asked = self._flying.pop((change.evicted or contact).id, None) is not None
        if kind is ChangeKind.EVICTED or kind is ChangeKind.PROMOTED:
            self._leave((change.evicted or contact).id)
        if kind is ChangeKind.EVICTED:
            return
        self._flying.pop(contact.id, None)
        entry = self._entries.get(contact.id)
        if entry is None:
            return
        if kind is ChangeKind.INSERTED or kind is ChangeKind.PROMOTED:
            entry.fast = True
            self._fast.add(entry, now)
        elif kind is ChangeKind.UPDATED:
            if asked:
                self._pass(entry, now)
        elif kind is ChangeKind.MOVED or kind is ChangeKind.KEPT:
            self._relist(entry, True, now)
            if entry.candidate is not None:
                self._urgent[contact.id] = entry.contact

    def forget(self, peer_id: bytes) -> None:
        """A ping came to nothing and no entry is the worse for it."""
        self._flying.pop(peer_id, None)

    def advance(self, now: float) -> tuple[list[Ping], float | None]:
        """The pings that are due, and when the next one is: None when nothing is until something changes."""
        flying = self._flying
        while flying and next(iter(flying.values())) <= now:
            del flying[next(iter(flying))]
        pings: list[Ping] = []
        if self._urgent or self._checks:
            self._drain(pings, now)
        wake_at = math.inf
        for pace in (self._fast, self._slow):
            if pace.entries and pace.next_at <= now:
                self._tick(pace, pings, now)
        for pace in (self._fast, self._slow):  # again: whoever passed has changed lists
            if pace.entries and pace.next_at < wake_at:
                wake_at = pace.next_at
        return pings, None if wake_at == math.inf else wake_at

    def _drain(self, pings: list[Ping], now: float) -> None:
        for contact in self._urgent.values():
            entry = self._entries.get(contact.id)
            # Asked although a ping may be out: that one may have been sent to the other endpoint.
            if entry is not None and entry.candidate is not None and entry.contact == contact:
                self._send(contact, pings, now)
        self._urgent.clear()
        for contact in self._checks.values():
            entry = self._entries.get(contact.id)
            if contact.id not in self._flying and (entry is None or entry.contact != contact):
                self._send(contact, pings, now)
        self._checks.clear()

    def _tick(self, pace: _Pace, pings: list[Ping], now: float) -> None:
        entry = pace.draw(self._flying)
        pace.schedule(now)  # whether or not somebody was drawn: the moment has passed
        if entry is None:
            return
        if now - entry.last_answer_at < self._settings.fresh and entry.checks == entry.earned:
            self._pass(entry, now)
        else:
            self._send(entry.contact, pings, now)

    def _send(self, contact: Contact, pings: list[Ping], now: float) -> None:
        self._flying.pop(contact.id, None)  # to the end: the order of the map is the order of the times in it
        self._flying[contact.id] = now + self._settings.patience
        pings.append(Ping(contact))

    def _pass(self, entry: Entry, now: float) -> None:
        if entry.last_answer_at > entry.checked_at:  # one answer is worth one check, however often it is drawn
            entry.earned += 1
            entry.checks = entry.earned
            entry.checked_at = entry.last_answer_at
        self._relist(entry, False, now)

    def _relist(self, entry: Entry, fast: bool, now: float) -> None:
        if entry.fast is not fast:
            (self._fast if entry.fast else self._slow).remove(entry)
            entry.fast = fast
            (self._fast if fast else self._slow).add(entry, now)

    def _leave(self, peer_id: bytes) -> None:
        entry = self._entries[peer_id]
        (self._fast if entry.fast else self._slow).remove(entry)
