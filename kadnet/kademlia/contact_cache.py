"""Contacts beside the table: whoever answered or was named lately, for walks to start from. Never handed on.

A table keeps sixteen contacts for the far half of the network and forgets everybody else it meets on the way there. A
node that walks meets and is told of many more, and a walk that starts from the one nearest to the target saves a hop;
who remembers enough of the network starts at the holders themselves.

Two kinds. *Proven* is who answered us; *hearsay* is who was only named, by a peer that did answer. Room is proof's
first: a new contact pushes out the oldest hearsay, and hearsay never pushes out proof. What keeps both honest is age:
nobody is asked only to learn whether it still lives, so one that has not answered, or was not named, for `max_age`
seconds is forgotten. Whoever does not answer leaves at once, and comes back when it answers or is named again.

While its node is in use the cache also says what to ask about (`question`, `explore`): places where it knows least.

Kept sorted by position. The nearest by XOR stand together around the target in that order, but for those across the
border of a larger block: what is offered are good places to start, not exactly the k closest.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import BITS

if TYPE_CHECKING:
    from random import Random

    from kadnet.kademlia.table import RoutingTable


_STRETCH = 8  # contacts to each side of a place that say how much is known around it


@dataclass(frozen=True, slots=True)
class ContactCacheSettings:
    """`max_contacts`: proven and hearsay together, some 600 bytes each, the decoded contact included.

    `max_age`: seconds since the last answer, and since it was named; of nodes whose sessions have a median of an hour,
    nine of ten live on for so long. `renew`: hearsay younger than this is not made younger by being named again: that
    would cost every answer of a walk sixteen entries to move. `curious`: seconds after the node was used (`used`) in
    which contacts that are due for a ping are asked for others instead. The answer proves as much, and brings sixteen
    names for 600 bytes; who walks nowhere does without. `plain`: the part of those pings that stay pings, for what only
    a PONG says. `places`: of so many places of chance the emptiest is asked about; one would do nearly as well (0021).
    `proved`: contacts of the table that a walk has beside those of the cache, at least, and a quarter of all: what was
    named near a target may all be invented, and then nobody else would be asked. `rich`: new names in an answer with
    which a node explores beside every ping that is due; with fewer it does so less often in proportion, and never less
    than in the part `watchful` of the times. `learn`: the weight of the last answer in that.
    """

    max_contacts: int = 8192
    max_age: float = 600.0
    renew: float = 60.0
    curious: float = 600.0
    plain: float = 0.25
    places: int = 4
    proved: int = 3
    rich: float = 8.0
    learn: float = 0.1
    watchful: float = 0.05


class ContactCache:
    """Who answered or was named lately, by position."""

    __slots__ = ("_named", "_news", "_next", "_positions", "_proven", "_settings", "_used_at")

    def __init__(self, settings: ContactCacheSettings) -> None:
        self._settings = settings
        self._proven: dict[int, tuple[Contact, float]] = {}  # in the order of their last answers
        self._named: dict[int, tuple[Contact, float]] = {}  # in the order in which they were named
        self._positions: list[int] = []  # of both, ascending
        self._next = -math.inf  # nobody is too old before
        self._used_at = -math.inf
        self._news = self._settings.rich  # names that an answer to `explore` brought of late, on average

    def __len__(self) -> int:
        return len(self._positions)

    def answered(self, contact: Contact, now: float) -> None:
        """`contact` answered us from this endpoint."""
        self._forget(now)
        place = contact.position
        if self._proven.pop(place, None) is None and self._named.pop(place, None) is None:
            if len(self._positions) >= self._settings.max_contacts:
                self._remove(next(iter(self._named or self._proven)))
            insort(self._positions, place)
        self._proven[place] = (contact, now)

    def named(self, contacts: Iterable[Contact], now: float) -> int:
        """A peer that answered us named these. Who is known at another endpoint stays there until it fails.

        Returns how many of them are new.
        """
        self._forget(now)
        proven, named = self._proven, self._named
        news = 0
        for contact in contacts:
            place = contact.position
            if place in proven:
                continue
            known = named.get(place)
            if known is None:
                if len(self._positions) >= self._settings.max_contacts:
                    if not named:
                        return news
                    self._remove(next(iter(named)))
                insort(self._positions, place)
                news += 1
            elif now - known[1] < self._settings.renew:
                continue
            else:
                contact = known[0]
                del named[place]  # to the end
            named[place] = (contact, now)
        return news

    def explored(self, contacts: Iterable[Contact], now: float) -> None:
        """The answer to what `explore` asked has come."""
        self._news += self._settings.learn * (self.named(contacts, now) - self._news)

    def failed(self, contact: Contact) -> None:
        """`contact` did not answer at this endpoint."""
        known = self._proven.get(contact.position) or self._named.get(contact.position)
        if known is not None and known[0].endpoint == contact.endpoint:
            self._remove(contact.position)

    def closest(self, target: int, count: int, now: float) -> list[Contact]:
        """At most `count` contacts near `target`, nearest first, none that has been silent for too long."""
        self._forget(now)
        middle = bisect_left(self._positions, target)
        window = self._positions[max(0, middle - count) : middle + count]
        window.sort(key=target.__xor__)
        proven, named = self._proven, self._named
        return [(proven.get(place) or named[place])[0] for place in window[:count]]

    def used(self, now: float) -> None:
        """The node was asked for something: it will walk again, and explores from now on for a while."""
        self._used_at = now

    def starts(self, table: RoutingTable, target: int, count: int, now: float) -> list[Contact]:
        """Where a walk begins: with who is known here, and with some of the table, or all while these are few."""
        known = self.closest(target, count, now)
        proved = count if len(known) < count else max(self._settings.proved, count // 4)
        return known + table.closest(target, proved)

    def question(self, now: float, rng: Random) -> int | None:
        """What to ask a contact that is due for a ping: a position whose neighbours it should name, or None for a ping.

        Of a few places of chance the one around which we know least: so what is asked for is spread over the network as
        its nodes are, whoever is asked. (Places near the one who is asked bring its surroundings, and most contacts of
        a table are our own neighbours, whom we know.)
        """
        if now - self._used_at > self._settings.curious or rng.random() < self._settings.plain:
            return None
        return self._emptiest(rng)

    def explore(self, now: float, rng: Random) -> tuple[Contact, int] | None:
        """Whom to ask beside a contact that is due for a ping, and about which place: who stands nearest to an empty
        one knows who else does. Mostly None where such questions bring nothing new, always in a node out of use."""
        settings = self._settings
        if now - self._used_at > settings.curious:
            return None
        if rng.random() > max(settings.watchful, self._news / settings.rich):
            return None
        place = self._emptiest(rng)
        found = self.closest(place, 1, now)
        return (found[0], place) if found else None

    def _emptiest(self, rng: Random) -> int:
        return max((rng.getrandbits(BITS) for _ in range(self._settings.places)), key=self._emptiness)

    def _emptiness(self, place: int) -> int:
        """How wide the stretch around a place is in which the next few contacts lie."""
        positions = self._positions
        middle = bisect_left(positions, place)
        low, high = middle - _STRETCH, middle + _STRETCH
        return (positions[high] if high < len(positions) else 1 << BITS) - (positions[low] if low >= 0 else 0)

    def _forget(self, now: float) -> None:
        """Whoever has been silent for too long leaves: it would take the places of others, and seem no news when it is
        named again. Both books are in the order of time, so nobody is looked at twice."""
        if now <= self._next:
            return
        self._next = now + self._settings.max_age
        for book in (self._proven, self._named):
            while book:
                place, (_, since) = next(iter(book.items()))
                if now <= since + self._settings.max_age:
                    self._next = min(self._next, since + self._settings.max_age)
                    break
                self._remove(place)

    def _remove(self, place: int) -> None:
        if self._proven.pop(place, None) is None:
            del self._named[place]
        del self._positions[bisect_left(self._positions, place)]
