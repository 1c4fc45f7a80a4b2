"""What is kept of each peer between packets: the keys of the pair, its token, its round-trip time. All of it bounded.

Two shelves. Peers that we chose to ask (contacts of the table among them) are on one; strangers who asked us are on
the other, which is small, so that no flood of strangers pushes out a key of the table. A stranger comes in only after
its box has opened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from kadnet.bounded import Bounded
from kadnet.identity.address import Endpoint, Scope, pack
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.rtt import RttEstimate
from kadnet.kademlia.silence import Silence
from kadnet.overlay.tokens import Issued
from kadnet.wire.packets import Channel

MAX_CONTACTS = 16_384
"""Decoded contacts kept, so that an address handed on sixteen times is hashed once: some 6 MB at the very most. All
nodes of a process share them, since they are facts."""


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """`max_asked`: twice the fullest routing table. `max_strangers`: who may have asked us in the last moments.
    `per_host`: contacts at one public address that are taken from one answer, as many as a bucket takes.
    `max_awaited`: peers whose next answer somebody waits for; past that the one waited for longest is not."""

    max_asked: int = 8192
    max_strangers: int = 1024
    per_host: int = 2
    max_awaited: int = 1024


class Peer:
    """One peer. `token` is the one it gave us, at `token_at`; `issued` those that we gave it.

    `silence`: what it left unanswered.
    """

    __slots__ = (
        "channel",
        "contact",
        "fastest",
        "id",
        "issued",
        "rtt",
        "silence",
        "token",
        "token_at",
    )

    def __init__(self, id: bytes, channel: Channel) -> None:
        self.id = id
        self.channel = channel
        self.fastest = math.inf
        self.rtt = RttEstimate()
        self.token = b""
        self.token_at = 0.0
        self.issued: Issued | None = None
        self.contact: Contact | None = None
        self.silence = Silence()

    def at(self, endpoint: Endpoint) -> Contact:
        """The peer as a contact at `endpoint`; the last one is remembered."""
        contact = self.contact
        if contact is None or contact.endpoint != endpoint:
            packed = self.id + pack(endpoint)
            contact = self.contact = _usable(packed) or Contact(self.id, endpoint)
        return contact


class PeerBook:
    """All peers of which something is kept."""

    __slots__ = ("_asked", "_network", "_own", "_strangers")

    def __init__(self, own: Identity, network: bytes, settings: PeerSettings) -> None:
        self._own = own
        self._network = network
        self._asked: Bounded[bytes, Peer] = Bounded(settings.max_asked)
        self._strangers: Bounded[bytes, Peer] = Bounded(settings.max_strangers)

    def get(self, id: bytes) -> Peer | None:
        """The peer, when its keys are known."""
        return self._asked.get(id) or self._strangers.get(id)

    def to_ask(self, id: bytes) -> Peer:
        """The peer we are about to ask; its keys are computed at first contact. ProtocolError for an unusable ID."""
        peer = self._asked.pop(id, None)  # put back at the end: the least recently asked goes first
        if peer is None:
            peer = self._strangers.pop(id, None) or Peer(id, Channel(self._own, id, self._network))
        self._asked[id] = peer
        return peer

    def admit(self, id: bytes, channel: Channel) -> Peer:
        """A stranger whose first box has opened."""
        peer = self._strangers[id] = Peer(id, channel)
        return peer

    def __len__(self) -> int:
        return len(self._asked) + len(self._strangers)


class ContactBook:
    """Decodes the contacts of an answer, each distinct one once."""

    __slots__ = ("_own_id", "_per_host")

    def __init__(self, own_id: bytes, per_host: int) -> None:
        self._own_id = own_id
        self._per_host = per_host

    def decode(self, contacts4: bytes, contacts6: bytes, giver_scope: int) -> list[Contact]:
        """The usable contacts, in the order given.

        Left out: ourselves, addresses that nobody can have (port 0, multicast, …), and any more local than the one who
        hands it on: a loopback address only from loopback, a private one from the same or a narrower scope. And of one
        public host all but the first few: sixteen ports of a victim would be asked, each of them twice.
        """
        found = []
        hosts: dict[str, int] = {}
        own_id = self._own_id
        for packed, size in ((contacts4, 38), (contacts6, 50)):
            for start in range(0, len(packed), size):
                contact = _usable(packed[start : start + size])
                if contact is None or contact.scope < giver_scope or contact.id == own_id:
                    continue
                if contact.scope == Scope.PUBLIC:
                    host = contact.endpoint.host
                    hosts[host] = there = hosts.get(host, 0) + 1
                    if there > self._per_host:
                        continue
                found.append(contact)
        return found


@lru_cache(maxsize=MAX_CONTACTS)
def _usable(packed: bytes) -> Contact | None:
    """The contact of 38 or 50 packed bytes; None for an address that nobody can have."""
    contact = Contact.from_packed(packed)
    return contact if contact.endpoint.port and contact.scope >= 0 else None
