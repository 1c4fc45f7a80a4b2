"""Which of several links of a pair stays: one round of the larger ID, from its pings to the link it says keep on.

All links are pinged with one number. The first pong decides, after a moment in which others may come: then a link that
we dialed ourselves goes before the others. Who asks, what a round is waited for and who closes is said in `states`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping


class Round:
    """One round among the links of `dialed`, which says of each whether we called."""

    __slots__ = ("_dialed", "_pongs", "_tie", "again_at", "n", "settle_at", "winner")

    def __init__(self, n: int, dialed: Mapping[int, bool], tie: float) -> None:
        """`n`: the number of the pings. `tie`: seconds in which further pongs count as the first."""
        self.n = n
        self.settle_at = math.inf
        """When the winner is known."""
        self.again_at = math.inf
        """When another round is needed, as the winner has not said `kept`."""
        self.winner: int | None = None
        """The link that has been told to stay."""
        self._dialed = dict(dialed)
        self._pongs: list[int] = []
        self._tie = tie

    def pong(self, link: int, n: int, now: float) -> None:
        """A pong has come on `link`; one of an earlier round changes nothing."""
        if n != self.n or self.winner is not None or link not in self._dialed or link in self._pongs:
            return
        self._pongs.append(link)
        self._look(now)

    def left(self, link: int, now: float) -> None:
        """`link`, which is not the winner, is not usable any more."""
        self._dialed.pop(link, None)
        if link in self._pongs:
            self._pongs.remove(link)
        if self.winner is None:
            self._look(now)

    def decide(self, again_at: float) -> int:
        """The winner, once `settle_at` has come. It has until `again_at` to say `kept`."""
        self.settle_at = math.inf
        self.again_at = again_at
        self.winner = next((link for link in self._pongs if self._dialed[link]), self._pongs[0])
        return self.winner

    def _look(self, now: float) -> None:
        if not self._pongs:
            self.settle_at = math.inf
        elif len(self._pongs) == len(self._dialed):
            self.settle_at = now
        else:
            self.settle_at = min(self.settle_at, now + self._tie)
