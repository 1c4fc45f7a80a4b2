"""One request of ours in the model: sent, repeated by a timer or by its walk, answered late or in time, or given up.

The rules are those of `overlay.rpc`. Since the model knows at once what becomes of a message, a timer is set only where
the answer will not be there before it: half of the heap is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.rtt import RttEstimate
from kadnet.kademlia.silence import Silence

if TYPE_CHECKING:
    from kadnet.lab.model.node import Node


class Known:
    """What a node keeps of each peer it asked; `way`: seconds from one to the other."""

    __slots__ = ("peer", "rtt", "silence", "way")

    def __init__(self, peer: Node, way: float) -> None:
        self.peer = peer
        self.way = way
        self.rtt = RttEstimate()
        self.silence = Silence()


class Call:
    """One request under way. `key` None: a PING. Exactly one of `answered` and `failed` is called, once."""

    __slots__ = (
        "answered", "attempts_left", "contact", "expires", "failed", "key", "known", "node", "open", "sent", "store",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        contact: Contact,
        known: Known,
        key: int | None,
        answered: Callable[[list[Contact], bool, float], object] | None,
        failed: Callable[[], object] | None,
        attempts: int,
        store: bool,
    ) -> None:
        self.node = node
        self.contact = contact
        self.known = known
        self.key = key
        self.answered = answered
        self.failed = failed
        self.attempts_left = attempts
        self.store = store
        self.sent = 0
        self.open = True
        self.expires = 0.0

    def transmit(self) -> None:
        """Send it (once more), and see to it that something ends it."""
        node = self.node
        world = node.world
        now = world.engine.now
        world.messages += 1
        self.known.silence.asked(self.contact.endpoint, now)
        sent = self.sent = self.sent + 1
        left = self.attempts_left = self.attempts_left - 1
        if sent == 1 or left >= 0:  # repeated by the caller: what is left of its patience goes on
            if left > 0 or sent > 1:
                wait = node.rtt.timeout(self.known.rtt) * 2 ** (sent - 1)
            else:
                wait = node.tuning.rpc.patience
            self.expires = now + wait
        peer = self.known.peer
        way = self.known.way
        is_gone = world.is_lost() or not peer.alive
        if is_gone or now + 2 * way > self.expires:
            world.engine.at(self.expires, self.expire, self.expires)
        if not is_gone:
            world.engine.at(now + way, peer.serve, self, now, way)

    def lose(self, sent_at: float, way: float) -> None:
        """The peer has died on the way, or its answer is lost."""
        if sent_at + 2 * way <= self.expires:
            self.node.world.engine.at(self.expires, self.expire, self.expires)

    def expire(self, expected: float) -> None:
        """No answer in time: repeat it or give up. A repetition has set another time meanwhile."""
        if not self.open or expected != self.expires or not self.node.alive:
            return
        if self.attempts_left > 0:
            self.transmit()
            return
        self.open = False
        self.node.missed(self.contact)
        if self.failed is not None:
            self.failed()

    def arrive(self, contacts: list[Contact], holds: bool, sent_at: float) -> None:
        """The answer is here."""
        node = self.node
        if not self.open or not node.alive:
            return
        self.open = False
        now = node.world.engine.now
        rtt = now - sent_at
        self.known.silence.answered()
        node.heard_at = now
        node.rtt.observe(self.known.rtt, rtt)
        node.met(self.contact, rtt, now)
        if self.answered is not None:
            self.answered(contacts, holds, now)
