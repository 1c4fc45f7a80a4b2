"""A walk over several paths that share no peer (S/Kademlia, Baumgart and Mies 2007, section 4.4).

A liar among the first who are asked can keep a walk among his own. So the contacts it begins with are dealt out to d
paths, nearest first, round and round, each path is a `Lookup` of its own, and no two of them ask the same contact. One
path without a liar on it is enough to find what is there. The result is the k closest that answered on any path.

Whoever asks first, owns: a path that comes to a contact which another has asked goes on to the next one. The paper lets
a path own what it has merely heard of. Then a liar could name the honest peers around a target at wrong addresses, and
no other path would ask them where they are. For the same reason ownership is of a contact, which is a peer at one
endpoint; but a peer that has answered on one path is asked on no other, wherever it is said to be.

The price is d walks, less what they would have asked twice. For a single path take `Lookup`: this is the same then,
only slower. Left out: contacts of finished paths for those that have nobody left (they would no longer be disjoint).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import Ask, Lookup, LookupSettings
from kadnet.kademlia.outcome import ARRIVED, ENOUGH, NOBODY_LEFT, STOPPED, LookupOutcome, QueryTrace

MAX_PATHS = 8
"""S/Kademlia's largest; each path costs a whole walk, and is only as good as its share of the contacts known."""


class DisjointLookup:
    """`paths` walks towards `target` as one machine, with the face of `Lookup`.

    `queries` counts the requests of all paths, `answers` their answers.
    """

    __slots__ = ("_answered", "_k", "_owner", "_paths", "_target", "queries", "reason")

    def __init__(
        self,
        target: int,
        seeds: Iterable[Contact],
        settings: LookupSettings,
        *,
        own_id: bytes,
        timeout: Callable[[Contact], float],
        now: float,
        silent: Callable[[Contact, float], bool] | None = None,
        near: int = 0,
        second: Callable[[Contact], float] | None = None,
        paths: int = 4,
    ) -> None:
        """As `Lookup`, whose `settings` hold for each path. `paths`: 1 or more."""
        self._target = target
        self._k = settings.k
        self._owner: dict[Contact, int] = {}  # who was asked, and by which path
        self._answered: dict[bytes, tuple[int, Contact]] = {}
        self.queries = 0
        self.reason: str | None = None
        self._paths = tuple(
            Lookup(
                target,
                dealt,
                settings,
                own_id=own_id,
                timeout=timeout,
                now=now,
                silent=partial(self._barred, number, silent),
                near=near,
                second=second,
            )
            for number, dealt in enumerate(_deal(seeds, target, paths))
        )

    @property
    def done(self) -> bool:
        return self.reason is not None

    @property
    def answers(self) -> int:
        return len(self._answered)

    def on_reply(self, peer: bytes, contacts: Iterable[Contact], now: float, at: Contact | None = None) -> None:
        """`peer` answered, perhaps late, and named `contacts`, which are told to the path that asked it."""
        contact = self._asked(peer, at)
        if contact is None or self.done:
            return
        number = self._owner[contact]
        self._answered.setdefault(peer, (number, contact))  # also when that path has ended and the others go on
        self._paths[number].on_reply(peer, contacts, now, at)

    def on_failure(self, peer: bytes, now: float, at: Contact | None = None) -> None:
        """No answer of `peer` will come any more, or it cannot be asked."""
        contact = self._asked(peer, at)
        if contact is not None:
            self._paths[self._owner[contact]].on_failure(peer, now, at)

    def stop(self, reason: str = STOPPED) -> None:
        """End all paths here."""
        if self.reason is None:
            self.reason = reason
            for path in self._paths:
                path.stop(reason)

    def advance(self, now: float) -> tuple[list[Ask], float | None]:
        """What to send now on all paths, and when to come back if nothing happens before. None when it is done."""
        if self.done:
            return [], None
        asks: list[Ask] = []
        wakes: list[float] = []
        for number, path in enumerate(self._paths):
            wake_at = self._advance_path(number, path, now, asks)
            if wake_at is not None:
                wakes.append(wake_at)
        self.queries += len(asks)
        if all(path.done for path in self._paths):
            self.reason = self._why()
            return [], None
        return asks, min(wakes, default=None)

    def closest(self, count: int) -> list[Contact]:
        """The contacts that answered on any path, nearest to the target first, each peer once."""
        found = sorted((contact for _, contact in self._answered.values()), key=self._distance)
        return found[:count]

    def outcome(self) -> LookupOutcome:
        """The result over all paths as it stands; final when `done`. The trace is in the order of asking."""
        traces: list[QueryTrace] = []
        hops = 0
        several = len(self._paths) > 1
        for number, path in enumerate(self._paths):
            told = path.outcome()
            asked = {contact.id for contact, owner in self._owner.items() if owner == number}
            place = number + 1 if several else None
            traces += (replace(query, path=place) for query in told.trace if query.contact.id in asked)
            hops = max(hops, told.hops)
        traces.sort(key=lambda query: (query.started != query.started, query.started))  # those without a start: last
        closest = tuple(self.closest(self._k))
        return LookupOutcome(self._target, closest, self.queries, self.answers, hops, self.reason or "", tuple(traces))

    def _advance_path(self, number: int, path: Lookup, now: float, asks: list[Ask]) -> float | None:
        """One path's turn. Whom another has asked it gives up at once, until it asks nobody like that."""
        while True:
            wanted, wake_at = path.advance(now)
            refused = False
            for ask in wanted:
                if ask.attempt == 1 and self._is_taken(number, ask.contact):
                    path.on_failure(ask.contact.id, now, ask.contact)
                    refused = True
                    continue
                self._owner[ask.contact] = number
                asks.append(ask)
            if not refused:
                return wake_at

    def _is_taken(self, number: int, contact: Contact) -> bool:
        answered = self._answered.get(contact.id)
        return self._owner.get(contact, number) != number or (answered is not None and answered[0] != number)

    def _barred(
        self, number: int, silent: Callable[[Contact, float], bool] | None, contact: Contact, now: float
    ) -> bool:
        """Whether a path does not take up a contact: it is no use to ask it, or another path has."""
        return self._is_taken(number, contact) or (silent is not None and silent(contact, now))

    def _asked(self, peer: bytes, at: Contact | None) -> Contact | None:
        """The contact that was asked: `at`, if it was, or where the peer was asked last."""
        if at is not None:
            return at if at in self._owner else None
        return next((contact for contact in reversed(self._owner) if contact.id == peer), None)

    def _why(self) -> str:
        reasons = {path.reason for path in self._paths}
        if len(reasons) == 1:
            return next(iter(reasons)) or STOPPED
        if ENOUGH in reasons:
            return ENOUGH
        return ARRIVED if len(self.closest(self._k)) >= self._k else NOBODY_LEFT

    def _distance(self, contact: Contact) -> tuple[int, bytes]:
        return contact.position ^ self._target, contact.id


def _deal(seeds: Iterable[Contact], target: int, paths: int) -> Sequence[Sequence[Contact]]:
    """The contacts a walk begins with, for each path its own. All endpoints of a peer go to one path."""
    if paths == 1:
        return [list(seeds)]
    by_id: dict[bytes, list[Contact]] = {}
    for contact in seeds:
        by_id.setdefault(contact.id, []).append(contact)
    nearest_first = sorted(by_id.values(), key=lambda places: (places[0].position ^ target, places[0].id))
    return [[contact for places in nearest_first[n::paths] for contact in places] for n in range(paths)]
