"""The nouns of RPC: a request of ours under way, an asker who waits for our answer, and what is learned on the way.

Nothing here decides or sends; `rpc` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.metrics import Reasons
from kadnet.overlay.peers import Peer
from kadnet.pump import Timer
from kadnet.transport import Datagrams
from kadnet.wire.messages import Answer, Request, encode


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """`patience`: seconds a lone attempt stays open for a late answer, after its slot has long been given away.

    `max_pending`: requests open at once. `stranger_rate`, `stranger_burst`: datagrams of strangers per second that may
    cost a key agreement (80 µs), per /24 or /48; `node_rate`, `node_burst`: the same for all of them together, at most
    a sixth of a core. `max_prefixes`: prefixes remembered for that. Loopback and private addresses are exempt.
    `silence`: seconds for which a peer that left two transmissions unanswered is not asked again by walks.
    `near`: seconds; a peer that once answered so fast is asked alone by a get of a blob: asking others beside it gains
    no more than that, and costs all of them three times the work. `head_start`: seconds of slack it has at least beyond
    its usual round trip before others are asked too, and `longest_head_start` how long that may be in all: who was near
    once and is slow ever since must not hold up every get. `entropy_block`: random bytes drawn at once, since asking
    the system for 32 costs as much as for 4,096.
    """

    patience: float = 2.5
    max_pending: int = 8192
    stranger_rate: float = 20.0
    stranger_burst: float = 100.0
    node_rate: float = 2000.0
    node_burst: float = 2000.0
    max_prefixes: int = 4096
    silence: float = 30.0
    entropy_block: int = 4096
    near: float = 0.01
    head_start: float = 0.02
    longest_head_start: float = 0.1


@dataclass(slots=True)
class RpcCounters:
    """`dropped` by reason: what peers sent that deserved silence. sent = answered + timed_out + still open."""

    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    not_sent: int = 0
    requests_sent: int = 0
    retransmitted: int = 0
    answers_received: int = 0
    requests_served: int = 0
    timed_out: int = 0
    dropped: Reasons = field(default_factory=Reasons)


OnAnswer = Callable[[Any, float, float], object]  # (answer, round trip in seconds, now)
OnFailure = Callable[[str], object]  # (reason)


class Call:
    """One request under way; the same one when it is retransmitted under a new id."""

    __slots__ = ("again", "args", "attempts_left", "contact", "ids", "kind", "on_answer", "on_failure", "peer", "timer")

    def __init__(
        self,
        contact: Contact,
        peer: Peer,
        kind: type[Request],
        args: tuple[object, ...],
        on_answer: OnAnswer,
        on_failure: OnFailure,
        attempts: int,
    ) -> None:
        self.contact = contact
        self.peer = peer
        self.kind = kind
        self.args = args
        self.on_answer = on_answer
        self.on_failure = on_failure
        self.attempts_left = attempts
        self.ids: list[bytes] = []
        self.timer: Timer | None = None
        self.again = False


class Sender(Protocol):
    """What an asker needs of `Rpc`."""

    counters: RpcCounters

    def send(self, socket: Datagrams, peer: Peer, message: bytes, to: Endpoint) -> None: ...


class Asker:
    """Who sent a request that is being served, and how to answer: now, or later.

    `proven`: it showed a valid token, so the address is its own. `room`: bytes a message to it may have.
    """

    __slots__ = ("_rpc", "_socket", "id", "peer", "proven", "room", "source", "token")

    def __init__(
        self,
        rpc: Sender,
        socket: Datagrams,
        peer: Peer,
        source: Endpoint,
        id: bytes,
        token: bytes,
        proven: bool,
        room: int,
    ) -> None:
        self._rpc = rpc
        self._socket = socket
        self.peer = peer
        self.source = source
        self.id = id
        self.token = token
        self.proven = proven
        self.room = room

    def reply(self, answer: Answer) -> None:
        """Send the answer; one that is larger than its unproven request is not sent."""
        message = encode(answer)
        if len(message) > self.room:
            self._rpc.counters.dropped.add("answer-too-large")
            return
        self._rpc.send(self._socket, self.peer, message, self.source)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the overlay does when something is learned. All of them run at once, on the packet's path."""

    serve: Callable[[Request, Asker, float], object]
    answered: Callable[[Contact, float, bool, float], object]  # (contact, rtt, serves, now)
    failed: Callable[[Contact, float], object]
    requested: Callable[[Peer, Endpoint, float], object]  # by a peer that serves
    claimed: Callable[[bytes, bytes, Endpoint], object]  # a probe reply: (cookie, claimed ID, from)
