"""The parts of `pairworld`: two nodes with their machines, links with two ends, calls under way, messages."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from kadnet.links.states import Peering
from kadnet.wire.envelopes import Control

EOF, BROKEN, READY, FIN = "eof", "broken", "ready", "fin"


@dataclass(frozen=True, slots=True)
class Item:
    """A message: of which side, the how manieth. `asks`: its receiver answers; `answers`: it is one."""

    side: int
    number: int
    size: int
    asks: bool = False
    answers: int | None = None

    def __str__(self) -> str:
        what = "a request" if self.asks else "a message" if self.answers is None else f"the answer to {self.answers}"
        return f"{what} ({self.number})"

    __repr__ = __str__


Thing = Item | Control | str


class End:
    """One end of a link: a socket of `node`. `known`: the machine has been told that it is up."""

    def __init__(self, link: Link, node: Node, dialed: bool) -> None:
        self.link = link
        self.node = node
        self.dialed = dialed
        self.peer_instance = b""
        self.open = True
        self.known = False
        self.busy = False
        self.said_close = False
        self.heard_close = False
        self.finishing = False
        self.to_write: deque[tuple[float, Thing]] = deque()
        self.coming: deque[tuple[float, Thing]] = deque()

    @property
    def other(self) -> End:
        return self.link.ends[1 - self.node.side]


class Link:
    def __init__(self, number: int) -> None:
        self.number = number
        self.hurt = False
        self.cut = False
        self.ends: list[End] = []


@dataclass
class Call:
    """A handshake under way; `link` once it has reached the other side."""

    node: Node
    machine: Peering
    due: float
    link: Link | None = None


@dataclass
class Node:
    side: int
    id: bytes
    machine: Peering = field(init=False)
    starts: int = 0
    dialing: bool = False
    stopping: bool = False
    is_up: bool = False
    open: dict[int, float] = field(default_factory=dict)  # requests by number, and when they were handed over
    lost_at: float = -math.inf  # when it last saw a link end otherwise than as a spare one
    wake_at: float | None = None
    ends: dict[int, End] = field(default_factory=dict)

    @property
    def instance(self) -> bytes:
        return b"%d.%d" % (self.side, self.starts)
