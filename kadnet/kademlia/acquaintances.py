"""Contacts beside the table: everybody who answered us lately, for walks to start from. Never handed on.

A table keeps sixteen contacts for the far half of the network and forgets everybody else it meets on the way there. A
node that walks has met many more, and starting from the one nearest to the target saves a hop. What keeps this honest
is age: no revalidation goes to these contacts, so one that has not answered for `max_age` seconds is not offered.

Kept sorted by position. The nearest by XOR stand together around the target in that order, but for those across the
border of a larger block: what is offered are good places to start, not exactly the k closest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from kadnet.kademlia.contact import Contact


@dataclass(frozen=True, slots=True)
class AcquaintanceSettings:
    """`max_contacts`: some 300 bytes each, shared with the decoded ones. `max_age`: seconds since the last answer; of
    nodes whose sessions have a median of an hour, nine of ten live on for so long."""

    max_contacts: int = 1024
    max_age: float = 600.0


class Acquaintances:
    """Who answered lately, by position."""

    __slots__ = ("_at", "_positions", "_settings")

    def __init__(self, settings: AcquaintanceSettings) -> None:
        self._settings = settings
        self._at: dict[int, tuple[Contact, float]] = {}  # in the order of their last answers
        self._positions: list[int] = []

    def __len__(self) -> int:
        return len(self._positions)

    def answered(self, contact: Contact, now: float) -> None:
        """`contact` answered us from this endpoint."""
        place = contact.position
        if self._at.pop(place, None) is None:
            if len(self._positions) >= self._settings.max_contacts:
                self._remove(next(iter(self._at)))
            insort(self._positions, place)
        self._at[place] = (contact, now)

    def failed(self, contact: Contact) -> None:
        """`contact` did not answer at this endpoint."""
        known = self._at.get(contact.position)
        if known is not None and known[0].endpoint == contact.endpoint:
            self._remove(contact.position)

    def closest(self, target: int, count: int, now: float) -> list[Contact]:
        """At most `count` contacts near `target`, nearest first, none that has been silent for too long."""
        middle = bisect_left(self._positions, target)
        window = self._positions[max(0, middle - count) : middle + count]
        window.sort(key=target.__xor__)
        oldest = now - self._settings.max_age
        met = [self._at[place] for place in window[:count]]
        return [contact for contact, answered_at in met if answered_at >= oldest]

    def _remove(self, place: int) -> None:
        del self._at[place]
        del self._positions[bisect_left(self._positions, place)]
