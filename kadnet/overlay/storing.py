"""Storing one record with the nodes closest to its key, and what their answers are worth.

With whom, and when enough of them have it, says `kademlia.spreading`; here the STOREs are sent and the answers read.
They are entries of RPC's table: what is under way ends by itself, whether anybody still waits or not.

A holder that refuses a record as STALE says which seq stands there, or stood there before it lapsed. That is a claim.
One hostile holder could make us sign at the highest seq there is, or give up an entry of ours. So a claim is believed
when the holder shows the newer entry with our signature, or when more than a quarter of all holders, and at least two,
claim as much. A lone claim is good for one thing: to sign above it, when it is not far above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import trio

from kadnet.errors import Malformed
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.spreading import Spread, SpreadSettings
from kadnet.overlay.rpc import Rpc
from kadnet.wire.messages import Carried, FindValue, Ping, Pong, Status, Store, Stored, Values
from kadnet.wire.records import Parsed, is_authentic, parse

MAX_PROOFS = 4
"""Holders asked to show what they claim: the highest claims first."""

MAX_JUMP = 2**20
"""How far above ours a lone claim may be: so far a liar can drive our seq with each put, and there are 2^63 of them."""


NO_ANSWER: Final = "no answer"

_CANNOT: Final = frozenset({Status.FULL, Status.FAILED, Status.NOT_SERVING})
"""Who says so is replaced by the next closest. The other answers are about the record or its place, and stand."""


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

    def __init__(
        self, rpc: Rpc, network: bytes, settings: SpreadSettings, *, is_near: Callable[[int, int], bool]
    ) -> None:
        """`is_near(distance, k)`: whether a node so far from a key is surely one of the k closest to it."""
        self._rpc = rpc
        self._network = network
        self._settings = settings
        self._is_near = is_near

    async def store(self, closest: tuple[Contact, ...], parsed: Parsed, remaining: int) -> StoreOutcome:
        """Store with all of `closest` and wait for all their answers. `remaining` seconds of life go along."""
        storing = self.begin(parsed, remaining, len(closest))
        storing.walked(closest)
        return await storing.outcome()

    def begin(self, parsed: Parsed, remaining: int, wanted: int) -> Spreading:
        """Begin to store with `wanted` nodes, of whom the walk to the key tells."""
        spread = Spread(int.from_bytes(parsed.key, "big"), wanted, self._settings, is_near=self._is_near)
        return Spreading(self._rpc, self._network, parsed, remaining, spread)


class Spreading:
    """One record on its way to its holders."""

    def __init__(self, rpc: Rpc, network: bytes, parsed: Parsed, remaining: int, spread: Spread) -> None:
        self._rpc = rpc
        self._network = network
        self._parsed = parsed
        kind, payload, signature = parsed.record
        self._carried = Carried(kind, payload, signature, remaining, False)
        self._spread = spread
        self._claims: list[tuple[int, Contact]] = []
        self._is_stopped = False
        self.enough = trio.Event()
        """Set when whoever waits for the put may go. Where a holder claims to know a newer entry, that is for those to
        say who judge it."""
        self._over = trio.Event()

    @property
    def acknowledged(self) -> int:
        return self._spread.acknowledged

    def replied(self, contact: Contact) -> None:
        """`contact` has answered the walk: where it is surely one of the closest it gets the record at once."""
        if not self._is_stopped and self._spread.replied(contact):
            self._store(contact, again=True)

    def walked(self, answered: Iterable[Contact], others: Callable[[], Iterable[Contact]] | None = None) -> None:
        """The walk has ended and these have answered it: the closest get the record, the rest are held in reserve.

        `others()`: who else is known to be near.
        """
        for contact in self._spread.walked(answered, others):
            self._store(contact, again=True)
        self._look()

    def stop(self) -> None:
        """Send it to nobody else."""
        self._is_stopped = True

    async def outcome(self) -> StoreOutcome:
        """Wait for the last answer, and judge what the holders claim."""
        await self._over.wait()
        newer = await self._believed(self._parsed, self._claims, len(self._spread.placed))
        near = [seq for seq, _ in self._claims if seq <= self._parsed.seq + MAX_JUMP]
        claimed = max([*near, *([newer] if newer is not None else [])], default=None)
        return StoreOutcome(self.acknowledged, newer, claimed)

    def _store(self, contact: Contact, *, again: bool) -> None:
        def answered(answer: Stored, _rtt: float, _now: float) -> None:
            if answer.status == Status.BAD_TOKEN and again:
                self._rpc.ask(contact, Ping, (), fresh_token, failed, attempts=2)
                return
            if answer.status == Status.OK:
                self._spread.took()
                self._look()
                return
            if answer.status == Status.STALE and answer.seq > self._parsed.seq:
                self._claims.append((answer.seq, contact))
            self._refused(answer.status in _CANNOT)

        def failed(reason: str) -> None:
            self._refused(reason == NO_ANSWER)

        def fresh_token(_answer: Pong, _rtt: float, _now: float) -> None:
            self._store(contact, again=False)

        self._rpc.ask(contact, Store, (self._carried,), answered, failed, attempts=3)

    def _refused(self, cannot: bool) -> None:
        instead = self._spread.refused(replace=cannot and not self._is_stopped)
        if instead is not None:
            self._store(instead, again=True)
        self._look()

    def _look(self) -> None:
        if self._spread.is_over:
            self._over.set()
        if self._spread.is_enough and not self._claims:
            self.enough.set()

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
