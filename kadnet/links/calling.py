"""When to call the peer: on demand once, after a loss at once or after growing pauses, never twice at a time.

Failures are calls that came to nothing, and links that did not last: a link that breaks whenever it is used would
otherwise be called again at once, for ever. Who is called, and how, is the driver's; whether anything waits to be sent
is told by `states`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Calling:
    """The calls to one peer, and the pauses between them."""

    __slots__ = ("_failures", "_jitter", "_redialing", "_redials", "_rng", "dialing", "due_at")

    def __init__(self, redials: Sequence[float], jitter: float, rng: Random) -> None:
        self.dialing = False
        """A call is under way."""
        self.due_at = math.inf
        """When the next one is to begin."""
        self._redials = redials
        self._jitter = jitter
        self._rng = rng
        self._redialing = False  # after a loss: there are several tries
        self._failures = 0

    @property
    def wake_at(self) -> float:
        return math.inf if self.dialing else self.due_at

    def up(self, dialed: bool) -> None:
        """There is a link, whoever called. A call of ours that is under way goes on."""
        if dialed:
            self.dialing = False
        self.due_at = math.inf
        self._redialing = False

    def lost(self, lasted: bool, demand: bool, now: float) -> bool:
        """The last link is lost. False: too many in a row did not last, so it is not called again.

        `lasted`: the link lived long enough to end a row of failures. `demand`: something waits, so the first call
        is made at once.
        """
        if lasted:
            self._failures = 0
        self._redialing = True
        if demand and not self._failures:
            self._failures = 1
            self.due_at = now
            return True
        return self._pause(now)

    def failed(self, now: float) -> bool:
        """The call came to nothing and there is no link. False: there is no further one."""
        self.dialing = False
        if self.due_at < math.inf:
            return True  # it was begun before the last loss, whose own first call is still to come
        return self._redialing and self._pause(now)

    def demanded(self, now: float) -> None:
        """Something is to be sent: the first call after a loss need not wait. Later ones were in vain, and do."""
        if self._failures == 1 and self.due_at < math.inf:
            self.due_at = now

    def met(self, now: float) -> None:
        """The peer was heard to live: a call that is to be made is made now."""
        if self.due_at < math.inf:
            self.due_at = now

    def begin(self, demand: bool, now: float) -> bool:
        """Whether to call now; there is no link. `demand`: something waits to be sent."""
        if self.dialing:
            return False
        if self.due_at > now:
            if not demand or self._redialing:
                return False
            self._failures = 0
        self.due_at = math.inf
        self.dialing = True
        return True

    def stop(self) -> None:
        """Begin none any more."""
        self.due_at = math.inf
        self._redialing = False

    def _pause(self, now: float) -> bool:
        if self._failures >= len(self._redials):
            self._redialing = False
            return False
        pause = self._redials[self._failures]
        self._failures += 1
        self.due_at = now + pause * (1 + self._jitter * (2 * self._rng.random() - 1))
        return True
