"""The bounds and paces of the room, each with its reason. The lab varies them with `dataclasses.replace`."""

from __future__ import annotations

from dataclasses import dataclass, field

from kadnet.links.pending import PendingSettings
from kadnet.links.services import ServiceSettings
from kadnet.links.states import StateSettings


@dataclass(frozen=True, slots=True)
class DialSettings:
    """How a peer is called.

    `head_start`: seconds that one way in has before the next is tried beside it (RFC 8305 section 5 says 250 ms).
    `attempt`: seconds for one connection and its handshake; as long as an answerer waits. `ways`: addresses tried in
    all, but for where the peer has answered the search. `hints`: addresses remembered that somebody typed. `at_once`:
    calls under way in the whole node, so that a burst of messages to the dead cannot use up the descriptors.
    """

    head_start: float = 0.25
    attempt: float = 5.0
    ways: int = 8
    hints: int = 1024
    at_once: int = 64


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """All bounds of the room.

    max_links      links to all peers; each holds a socket, two tasks and up to 64 KiB. When full the one that has
                   rested longest makes room, and when none rests the newcomer is turned away
    closing        links over that which may stand while others are closed for them
    max_message    bytes of one message, as the wire has it
    assembling     bytes of messages under way in parts, over all links: 32 of the largest
    queue_items, queue_bytes  what may wait for one peer before its senders wait
    reply_overhead  bytes that an answer of ours counts beside its own while it waits: what holds it in memory
    breathe        frames after which the reader of a link lets everybody else have a turn: 128 take three milliseconds
    max_open       requests to one peer that wait for their answers
    read_size      bytes asked of a socket at once
    link_queue     messages handed to one link and not sent: the machine gives by the batch, so these are answers to a
                   flood of pings
    stalled        seconds in which a peer that reads must have taken what was sent, and in which a message in parts
                   must be whole: that of silence
    last_words     seconds for the peer to take our last frame before the socket goes
    goodbye        seconds at the end of the node for what is queued and for closing in good order
    raise_errors   whether a handler's unexpected error ends the node: the lab and tests set it
    """

    max_links: int = 256
    closing: int = 16
    max_message: int = 1 << 20
    assembling: int = 32 << 20
    queue_items: int = 1024
    queue_bytes: int = 1 << 20
    reply_overhead: int = 512
    breathe: int = 128
    max_open: int = 1024
    read_size: int = 65_536
    link_queue: int = 4096
    stalled: float = 30.0
    last_words: float = 1.0
    goodbye: float = 0.5
    raise_errors: bool = False
    states: StateSettings = field(default_factory=StateSettings)
    pending: PendingSettings = field(default_factory=PendingSettings)
    services: ServiceSettings = field(default_factory=ServiceSettings)
    dial: DialSettings = field(default_factory=DialSettings)
