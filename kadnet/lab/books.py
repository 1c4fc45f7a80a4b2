"""What is written down of the traffic: events for observers, the books of datagrams, and the trace."""

from __future__ import annotations

import enum
import hashlib
import struct
from collections import Counter
from dataclasses import dataclass, field

from kadnet.identity.address import Endpoint


class Fate(enum.Enum):
    SENT = "sent"
    DELIVERED = "delivered"
    LOST = "lost"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class PacketEvent:
    """One thing that happened to one packet, at a virtual time.

    A segment without data opens, ends or resets, or acknowledges, which filters alone are shown.

    `source` and `target` are what stands on the packet between the NAT boxes, where there are any.
    """

    time: float
    kind: str  # "datagram" or "segment"
    fate: Fate
    source: Endpoint
    target: Endpoint
    data: bytes


@dataclass(slots=True)
class Accounting:
    """The books of datagrams (of a group's datagram each copy counts) and of stream segments.

    They balance at any time: sent + duplicated = delivered + lost + nobody + in_flight.
    """

    sent: int = 0
    duplicated: int = 0
    delivered: int = 0
    lost: int = 0
    nobody: int = 0
    in_flight: int = 0
    segments: int = 0
    lost_by: Counter[str] = field(default_factory=Counter)
    """Why datagrams were lost: "chance", "cut", "filter", "full" (inbox), "line" (its queue), "nat" (not let in)."""

    @property
    def balanced(self) -> bool:
        ends = self.delivered + self.lost + self.nobody + self.in_flight
        return self.sent + self.duplicated == ends and self.lost == self.lost_by.total()


class Trace:
    """A hash over everything sent: (time, from, to, bytes), in order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def note(self, now: float, source: Endpoint, target: Endpoint, data: bytes) -> None:
        ends = f"{source.host} {source.port} {target.host} {target.port}".encode()
        self._hash.update(struct.pack(">dHI", now, len(ends), len(data)) + ends + data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
