"""What goes with messages: send, inbox, outbox, and the contacts they are sent to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kadnet.shapes.codec import LEFT_OUT, named

# --------------------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    who: str


@dataclass(frozen=True, slots=True)
class SendRequest:
    """`wait`: seconds for the delivery; 0 answers as soon as the message is in the outbox."""

    who: str
    text: str
    wait: float = 10.0


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """Wait `wait` seconds for the delivery of a message that was sent before."""

    id: str
    wait: float = 10.0


@dataclass(frozen=True, slots=True)
class InboxRequest:
    """Messages with a higher number than `after`, at most `limit`. With none, wait `wait` seconds for the first."""

    after: int = 0
    limit: int = 1000
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class OutboxRequest:
    """What stands in the outbox behind number `after`."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class ContactRequest:
    name: str
    who: str


@dataclass(frozen=True, slots=True)
class NameRequest:
    name: str


# ---------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Who:
    """The node that a WHO means, and its contact's name."""

    id: str
    name: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message. `id`: 32 hexadecimal digits; `problem`: why it is not delivered yet."""

    id: str
    state: Literal["delivered", "mailed", "queued"]
    problem: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the inbox. `number` counts those that came here; `sender` (`from`): a node ID, `name` its
    contact's. `sent_at` is the sender's word, `received_at` our own clock."""

    number: int
    id: str
    sender: str = field(metadata=named("from"))
    text: str
    sent_at: int
    received_at: int
    name: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is not delivered yet. `next_at`: when it is tried again, null while it is being tried."""

    number: int
    id: str
    recipient: str = field(metadata=named("to"))
    text: str
    sent_at: int
    attempts: int
    problem: str | None
    next_at: float | None
    name: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A name for a node ID. `address`: where it was last known to answer."""

    name: str
    id: str
    address: str | None
    added_at: int
