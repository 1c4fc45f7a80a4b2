"""One walk of ours in the model: the shipped lookup, its asks sent and its answers fed back, as `overlay.walk` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import Lookup
from kadnet.kademlia.outcome import NOBODY_LEFT
from kadnet.lab.model.request import Call
from kadnet.lab.model.world import Finding
from kadnet.wire.messages import MAX_CONTACTS

if TYPE_CHECKING:
    from kadnet.lab.model.node import Node


class Walk:
    """One walk: the shipped lookup, its asks sent and its answers fed back."""

    __slots__ = (
        "_armed", "_calls", "_ended", "_holder", "_key", "_lookup", "_node", "_started", "first", "hops", "messages",
        "whole",
    )  # fmt: skip

    def __init__(self, node: Node, key: int, ended: Callable[[Finding], object] | None) -> None:
        self._node = node
        self._key = key
        self._ended = ended
        self._calls: dict[bytes, Call] = {}
        self._armed: float | None = None
        self._holder: bytes | None = None
        now = self._started = node.world.engine.now
        self.first: float | None = None
        self.whole: float | None = None
        self.hops: int | None = None
        self.messages = 0
        settings = node.tuning.lookup
        starts = node.starts(key, settings.k + MAX_CONTACTS)
        self._lookup = Lookup(
            key,
            starts,
            settings,
            own_id=node.contact.id,
            timeout=node.timeout,
            second=node.second_timeout,
            now=now,
            silent=node.is_silent,
            near=node.near(),
        )

    def closest(self) -> list[Contact]:
        return self._lookup.closest(self._node.tuning.lookup.k)

    def advance(self) -> None:
        """Do what the machine says, and come back when it says."""
        lookup = self._lookup
        engine = self._node.world.engine
        asks, wake_at = lookup.advance(engine.now)
        for contact, attempt in asks:
            if attempt > 1:
                call = self._calls.get(contact.id)
                if call is not None and call.contact is contact and call.open:
                    call.transmit()
            else:
                self._calls[contact.id] = self._ask(contact)
        if lookup.done:
            self._end()
        elif wake_at is not None and wake_at != self._armed:
            self._armed = wake_at
            engine.at(wake_at, self._wake, wake_at)

    def _wake(self, armed: float) -> None:
        if armed == self._armed and self.whole is None and self._node.alive:
            self._armed = None
            self.advance()

    def _ask(self, contact: Contact) -> Call:
        lookup = self._lookup
        node = self._node

        def answered(contacts: list[Contact], holds: bool, now: float) -> None:
            if self.whole is not None:
                return
            if holds and self.first is None:
                self.first = now - self._started
                self._holder = contact.id
            node.cache.named(contacts, now)
            lookup.on_reply(contact.id, contacts, now, contact)
            self.advance()

        def failed() -> None:
            if self.whole is None:
                self._calls.pop(contact.id, None)
                lookup.on_failure(contact.id, node.world.engine.now, contact)
                self.advance()

        return node.ask(contact, self._key, answered, failed)

    def _end(self) -> None:
        self.whole = self._node.world.engine.now - self._started
        self.messages = self._lookup.queries
        if self._holder is not None:
            trace = self._lookup.outcome().trace
            self.hops = next(query.hop for query in trace if query.contact.id == self._holder)
        self._calls.clear()
        self._node.size.walked(self._key, self.closest(), everybody=self._lookup.reason == NOBODY_LEFT)
        if self._ended is not None:
            self._ended(self)
