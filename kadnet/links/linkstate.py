"""One link as the machine of its pair (`states`) sees it: how far it has come, when it was heard, what is due on it."""

from __future__ import annotations

import math
from enum import Enum

from kadnet.links.facts import Action, StateSettings, Tell
from kadnet.wire.envelopes import Close, Control, Ping


class State(Enum):
    OPEN = "usable"
    CLOSING = "we have said close"
    FINISHING = "both have said close"


class LinkState:
    """What is told on it goes into `actions`, the list of the machine."""

    __slots__ = (
        "_actions", "_finish_by", "_ping", "_pinged_at", "_settings", "busy", "dialed", "heard_at", "heard_no",
        "number", "spoke_at", "state",
    )  # fmt: skip

    def __init__(self, number: int, dialed: bool, settings: StateSettings, actions: list[Action], now: float) -> None:
        self.number = number
        self.dialed = dialed
        self.state = State.OPEN
        self.busy = False
        """A batch is not yet written."""
        self.heard_at = now
        self.heard_no = 0
        """Orders what was heard on all links of the pair, where the clock is coarse."""
        self.spoke_at = now
        self._settings = settings
        self._actions = actions
        self._finish_by = math.inf
        self._ping = 0
        self._pinged_at = now

    @property
    def given_up_at(self) -> float:
        """When there is no hope for it any more."""
        if self.state is State.OPEN:
            return self.heard_at + self._settings.dead_after
        if self.state is State.CLOSING:
            return max(self.heard_at, self.spoke_at) + self._settings.drain
        return self._finish_by

    @property
    def ping_at(self) -> float:
        """When it has been quiet on our side for too long."""
        return self.spoke_at + self._settings.heartbeat if self.state is State.OPEN else math.inf

    def tell(self, control: Control, now: float) -> None:
        self.spoke_at = now
        self._actions.append(Tell(self.number, control))

    def ping(self, n: int, now: float) -> None:
        self._ping = n
        self._pinged_at = now
        self.tell(Ping(n), now)

    def answered(self, n: int, now: float) -> float | None:
        """Seconds since our last ping, if this pong is the answer to it and the first one."""
        if n != self._ping:
            return None
        self._ping = 0
        return now - self._pinged_at

    def close(self, reason: str, now: float) -> None:
        """Say our last word on it. What is under way may still come."""
        self.tell(Close(reason), now)
        self.state = State.CLOSING

    def finish(self, now: float) -> None:
        """The peer has said its last word, and so have we."""
        self.state = State.FINISHING
        self._finish_by = now + self._settings.dead_after
