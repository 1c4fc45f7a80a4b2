"""What happens in a node, as facts: one bounded stream of frozen events.

The trace of a lookup, the web page and the lab all read this stream and nothing else. Publishing costs one truth test
while nobody listens. A slow reader loses the oldest events and is told how many; it never holds the node up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `at` is the node's monotonic time in seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """The first attempt to join has met live peers."""

    contacts: int


@dataclass(frozen=True, slots=True)
class ContactAdded(Event):
    """A contact answered and stands in the routing table."""

    peer: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class ContactLost(Event):
    """A contact stopped answering and left the routing table."""

    peer: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class PeerBack(Event):
    """A peer that was waited for (`Host.watch_for`) has answered."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class RecordStored(Event):
    """We hold a record for the overlay."""

    key: bytes


@dataclass(frozen=True, slots=True)
class LookupEnded(Event):
    """A walk is over. `reason` says why; `queries` counts requests sent, retransmissions among them."""

    target: bytes
    reason: str
    queries: int
    hops: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BootstrapFailed(Event):
    """A bootstrap address did not help; it is tried again."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class LinkUp(Event):
    """A peer is linked to us; `dialed`: we called it."""

    peer: bytes
    dialed: bool


@dataclass(frozen=True, slots=True)
class LinkDown(Event):
    """The last link to a peer is gone."""

    peer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class LinkRefused(Event):
    """Somebody called us, and the handshake came to nothing."""

    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class HandlerFailed(Event):
    """An app's handler raised what it should not have: a fault of this program. `trace` is Python's."""

    protocol: str
    error: str
    trace: str


class Subscription:
    """A bounded window on the stream. `wake`, when set, is called after an event has been added."""

    __slots__ = ("_events", "kinds", "missed", "wake")

    def __init__(self, size: int, kinds: tuple[type[Event], ...]) -> None:
        self.kinds = kinds
        self._events: deque[Event] = deque(maxlen=size)
        self.missed = 0
        self.wake: Callable[[], object] | None = None

    def add(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            self.missed += 1
        self._events.append(event)
        if self.wake is not None:
            self.wake()

    def take(self) -> Event | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None


class Events:
    """Where rooms publish and readers subscribe. At most `max_subscriptions` readers at once."""

    __slots__ = ("_max", "_subscriptions")

    def __init__(self, max_subscriptions: int = 64) -> None:
        self._subscriptions: list[Subscription] = []
        self._max = max_subscriptions

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to events of this kind: ask before building one that is frequent."""
        return any(issubclass(kind, subscription.kinds) for subscription in self._subscriptions)

    def publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            if isinstance(event, subscription.kinds):
                subscription.add(event)

    def subscribe(self, *kinds: type[Event], size: int = 256) -> Subscription:
        """A new window of `size` events of these kinds, or of all. Raises RuntimeError past the bound on readers."""
        if len(self._subscriptions) >= self._max:
            raise RuntimeError(f"more than {self._max} readers of events")
        subscription = Subscription(size, kinds or (Event,))
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
