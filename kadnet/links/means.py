"""What a pair of nodes works with, and the messages on their way: to a link, and to an answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from kadnet.errors import KadnetError
from kadnet.events import Events
from kadnet.links.dial import Proven
from kadnet.links.link import Budget
from kadnet.links.services import Services
from kadnet.links.settings import LinkSettings
from kadnet.metrics import Reasons
from kadnet.pump import Pump
from kadnet.runtime import Runtime


@dataclass(slots=True)
class LinkCounters:
    """Of all links of a node.

    `refused`: connections that came to nothing, by reason; `ended`: links by how they ended; `unclaimed`: answers that
    nobody waits for; `unknown`: notices of protocols that nobody handles, and controls of a later version; `too_large`:
    messages passed over for their size; `displaced`: pending connections that made room for others.
    """

    accepted: int = 0
    dialed: int = 0
    dials_failed: int = 0
    proven: int = 0
    displaced: int = 0
    unclaimed: int = 0
    unknown: int = 0
    too_large: int = 0
    refused: Reasons = field(default_factory=Reasons)
    ended: Reasons = field(default_factory=Reasons)


@dataclass(frozen=True, slots=True)
class Means:
    """What a pair works with; the same for every pair of a node."""

    own_id: bytes
    runtime: Runtime
    pump: Pump
    events: Events
    services: Services
    settings: LinkSettings
    counters: LinkCounters
    budget: Budget
    dial: Callable[[bytes], Awaitable[Proven]]
    nursery: trio.Nursery
    next_number: Callable[[], int]


class Outgoing:
    """A message on its way to a link. `error`: why it never got there."""

    __slots__ = ("error", "message", "settled")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.error: KadnetError | None = None
        self.settled: trio.Event | None = None
        """Set, where somebody waits, when it is on a link or will never be."""

    def given(self, now: float) -> None:
        """A link has taken it."""
        if self.settled is not None:
            self.settled.set()

    def fail(self, error: KadnetError) -> None:
        self.error = error
        if self.settled is not None:
            self.settled.set()


class Asked(Outgoing):
    """A request and its answer."""

    __slots__ = ("answer", "answered", "given_at")

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.given_at = math.inf
        """When a link took it."""
        self.answer: bytes | None = None
        self.answered = trio.Event()

    def given(self, now: float) -> None:
        self.given_at = now

    def resolve(self, answer: bytes) -> None:
        self.answer = answer
        self.answered.set()

    def fail(self, error: KadnetError) -> None:
        if not self.answered.is_set():
            super().fail(error)
            self.answered.set()
