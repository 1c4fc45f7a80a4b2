"""Storing one record with the nodes closest to its key, and what their answers are worth.

A holder that refuses a record as STALE says which seq stands there, or stood there before it lapsed. That is a claim.
One hostile holder could make us sign at the highest seq there is, or give up an entry of ours. So a claim is believed
when the holder shows the newer entry with our signature, or when more than a quarter of all holders, and at least two,
claim as much. A lone claim is good for one thing: to sign above it, when it is not far above.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from kadnet.errors import Malformed
from kadnet.kademlia.contact import Contact
from kadnet.overlay.rpc import Rpc
from kadnet.wire.messages import Carried, FindValue, Ping, Pong, Status, Store, Stored, Values
from kadnet.wire.records import Parsed, is_authentic, parse

MAX_PROOFS = 4
"""Holders asked to show what they claim: the highest claims first."""

MAX_JUMP = 2**20
"""How far above ours a lone claim may be: so far a liar can drive our seq with each put, and there are 2^63 of them."""


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """`acknowledged` holders have it. `newer`: the seq of a newer entry of the same publisher, None for none.

    `claimed`: the highest seq to sign above, which is `newer` or a claim that may be a lie; None for none.
    """

    acknowledged: int
    newer: int | None = None
    claimed: int | None = None


class Storing:
    """STORE to many at once."""

    def __init__(self, rpc: Rpc, network: bytes) -> None:
        self._rpc = rpc
        self._network = network

    async def store(self, closest: tuple[Contact, ...], parsed: Parsed, remaining: int) -> StoreOutcome:
        """Store with all of `closest` and wait for all their answers. `remaining` seconds of life go along."""
        if not closest:
            return StoreOutcome(0)
        tally = _Tally(len(closest))
        for contact in closest:
            self._store_one(contact, parsed, remaining, tally, again=True)
        await tally.finished.wait()
        newer = await self._believed(parsed, tally.claims, len(closest))
        near = [seq for seq, _ in tally.claims if seq <= parsed.seq + MAX_JUMP]
        claimed = max([*near, *([newer] if newer is not None else [])], default=None)
        return StoreOutcome(tally.acknowledged, newer, claimed)

    def _store_one(self, contact: Contact, parsed: Parsed, remaining: int, tally: _Tally, again: bool) -> None:
        kind, payload, signature = parsed.record
        carried = Carried(kind, payload, signature, remaining, False)

        def answered(answer: Stored, _rtt: float, _now: float) -> None:
            if answer.status == Status.BAD_TOKEN and again:
                self._rpc.ask(contact, Ping, (), fresh_token, tally.failed, attempts=2)
                return
            if answer.status == Status.STALE and answer.seq > parsed.seq:
                tally.claims.append((answer.seq, contact))
            tally.settle(answer.status == Status.OK)

        def fresh_token(_answer: Pong, _rtt: float, _now: float) -> None:
            self._store_one(contact, parsed, remaining, tally, again=False)

        self._rpc.ask(contact, Store, (carried,), answered, tally.failed, attempts=3)

    async def _believed(self, parsed: Parsed, claims: list[tuple[int, Contact]], asked: int) -> int | None:
        """The highest seq that is proved, or claimed by enough holders. None when there is none."""
        claims.sort(key=lambda claim: -claim[0])
        enough = max(2, asked // 4 + 1)
        believed = claims[enough - 1][0] if len(claims) >= enough else None
        for seq, contact in claims[:MAX_PROOFS]:
            if believed is not None and seq <= believed:
                break
            proved = await self._shown(contact, parsed)
            if proved is not None and proved > (believed or parsed.seq):
                believed = proved
        return believed

    async def _shown(self, contact: Contact, parsed: Parsed) -> int | None:
        """The seq of the newer entry that a holder can show with our signature."""
        done = trio.Event()
        answers: list[Values] = []

        def answered(answer: Values, _rtt: float, _now: float) -> None:
            answers.append(answer)
            done.set()

        self._rpc.ask(
            contact, FindValue, (parsed.key, parsed.seq, b""), answered, lambda _reason: done.set(), attempts=2
        )
        await done.wait()
        for carried in answers[0].records if answers else ():
            try:
                shown = parse(carried.record)
            except Malformed:
                continue
            if shown.key == parsed.key and shown.publisher == parsed.publisher and is_authentic(shown, self._network):
                return shown.seq
        return None


class _Tally:
    """Answers still to come, and what they said."""

    __slots__ = ("acknowledged", "claims", "finished", "outstanding")

    def __init__(self, outstanding: int) -> None:
        self.outstanding = outstanding
        self.acknowledged = 0
        self.claims: list[tuple[int, Contact]] = []
        self.finished = trio.Event()

    def failed(self, _reason: str) -> None:
        self.settle(False)

    def settle(self, acknowledged: bool) -> None:
        self.acknowledged += acknowledged
        self.outstanding -= 1
        if not self.outstanding:
            self.finished.set()
