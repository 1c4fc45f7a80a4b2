"""Who may hold a connection open before it has proved who it is.

A connection costs a stranger nothing, and an unproven one costs us a descriptor. So there are few places for them, and
when all are taken the oldest of the subnet that holds the most goes: a crowd from one place pushes out itself. Pure:
it decides who goes, the caller closes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingSettings:
    """`places` in all, `per_prefix` of one /24 or /48 (loopback exempt: there everybody has one prefix). `within`:
    seconds for the handshake and the first sealed frame, a few round trips across the world and one retry. `send_away`:
    seconds for the last word to one for whom there is no room.

    Handshakes that are looked at, since one costs 0.3 ms: `rate` a second and `burst` at once from one prefix (loopback
    and private ones exempt), `node_rate` and `node_burst` in all, a third of a core. `prefixes`: remembered.
    """

    places: int = 64
    per_prefix: int = 8
    within: float = 5.0
    send_away: float = 1.0
    rate: float = 20.0
    burst: float = 100.0
    node_rate: float = 1000.0
    node_burst: float = 2000.0
    prefixes: int = 4096


class Pending:
    """The unproven connections by number, oldest first."""

    __slots__ = ("_prefixes", "_settings")

    def __init__(self, settings: PendingSettings) -> None:
        self._settings = settings
        self._prefixes: dict[int, bytes] = {}  # in the order of arrival

    def __len__(self) -> int:
        return len(self._prefixes)

    def admit(self, number: int, prefix: bytes, *, exempt: bool = False) -> int | None:
        """Take in a connection; returns the number of the one that must go for it, or None.

        `exempt`: from the bound of its prefix, not from the one over all.
        """
        evicted = None
        if not exempt and sum(each == prefix for each in self._prefixes.values()) >= self._settings.per_prefix:
            evicted = self._oldest_of(prefix)
        elif len(self._prefixes) >= self._settings.places:
            # Of several that hold the most, the one whose oldest has waited longest: Counter keeps the first seen.
            evicted = self._oldest_of(Counter(self._prefixes.values()).most_common(1)[0][0])
        if evicted is not None:
            del self._prefixes[evicted]
        self._prefixes[number] = prefix
        return evicted

    def leave(self, number: int) -> None:
        """It has proved itself, or is gone."""
        self._prefixes.pop(number, None)

    def _oldest_of(self, prefix: bytes) -> int:
        return next(number for number, each in self._prefixes.items() if each == prefix)
