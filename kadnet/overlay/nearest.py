"""A blob from the nearest peer alone, before any walk: one question where a walk would ask three.

A walk asks several at once so that nobody waits for the dead, or for the far when somebody near has it too. Where the
peer closest to the key is known to answer within milliseconds there is nothing to win by that, and two of three
answers are thrown away. So it is asked alone, with a short head start. When it is late, or has not got the blob, the
walk begins as if nothing had been.

Left out: entries. A newer one may lie with any holder, so they are always walked for.
"""

from __future__ import annotations

import trio

from kadnet.errors import Malformed
from kadnet.kademlia.candidates import State
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.outcome import LookupOutcome, QueryTrace
from kadnet.overlay.walk import FOUND, Fetched, Means
from kadnet.wire.kinds import BLOB
from kadnet.wire.messages import FindValue, Values
from kadnet.wire.records import parse


class Nearest:
    """One question to the peer nearest to `key`: `await run()` once."""

    __slots__ = ("_contact", "_done", "_key", "_means", "_rtt", "_started", "fetched")

    def __init__(self, means: Means, key: bytes) -> None:
        self._means = means
        self._key = key
        self._contact: Contact | None = None
        self._started = 0.0
        self._rtt = 0.0
        self._done = trio.Event()
        self.fetched: Fetched | None = None

    async def run(self) -> LookupOutcome | None:
        """What a walk of this one step came to; `fetched` is the blob. None: nobody is that near, or it has it not."""
        means, target = self._means, int.from_bytes(self._key, "big")
        now = self._started = means.now()
        known = [contact for family in means.rpc.families for contact in means.starts(family, target, 1)]
        if not known:
            return None
        contact = self._contact = min(known, key=lambda each: each.position ^ target)
        if not means.rpc.is_near(contact, now):
            return None
        if means.rpc.ask(contact, FindValue, (self._key, -1, b""), self._answered, self._failed) is None:
            return None
        timer = means.pump.call_at(now + means.rpc.head_start(contact), self._done.set)
        try:
            await self._done.wait()
        finally:
            timer.cancel()
        if self.fetched is None:
            return None
        asked = QueryTrace(contact, 1, 1, 0.0, self._rtt, State.ANSWERED.value, 0, None)
        return LookupOutcome(target, (contact,), 1, 1, 1, FOUND, (asked,))

    def _answered(self, answer: Values, rtt: float, now: float) -> None:
        assert self._contact is not None
        for record in answer.records:
            if record.kind != BLOB:
                continue
            try:
                parsed = parse(record.record)
            except Malformed:
                continue
            if parsed.key == self._key:  # which is all the proof of a blob
                self.fetched = Fetched(parsed, record.remaining)
        self._rtt = rtt
        means = self._means
        means.heard_of(means.contacts.decode(answer.contacts4, answer.contacts6, self._contact.scope), now)
        self._done.set()

    def _failed(self, _reason: str) -> None:
        self._done.set()
