"""Exactly once, in order, whatever happens on the way; and chat's decoders take any bytes."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kadnet.apps.chat import ChatSettings, protocol
from kadnet.apps.chat.courier import Courier
from kadnet.apps.chat.protocol import Body, Proof
from kadnet.errors import InputError, KadnetError, LinkLost, Malformed, PeerUnreachable, StorageFailed
from kadnet.identity.address import Address
from kadnet.lab import run
from tests.properties.strategies import mutated
from tests.unit.apps.fakes import FakeHost, Person, Wire, open_chat

ids = st.binary(min_size=16, max_size=16)
times = st.integers(0, protocol.MAX_TIME)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
bodies = st.builds(Body, ids, times, texts)
T = TypeVar("T")
proofs = st.builds(Proof, times, st.binary(min_size=64, max_size=64))


def taken(decoder: Callable[[], T]) -> T | str:
    """What a decoder gives, or how it refused in the ways it may."""
    try:
        return decoder()
    except Malformed as error:
        return error.reason
    except InputError as error:
        return str(error)


# The bytes.


@given(bodies, proofs)
def test_messages_and_receipts_read_back_as_they_were(body: Body, proof: Proof) -> None:
    assert protocol.decode(protocol.encode(body), 200) == body
    assert protocol.decode_receipt(protocol.encode_receipt(proof)) == proof


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=70) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 3), inner, max_size=2),
    max_leaves=8,
)


@given(
    st.binary(max_size=100)
    | mutated(bodies.map(protocol.encode))
    | mutated(proofs.map(protocol.encode_receipt))
    | st.lists(anything, max_size=4).map(msgpack.packb)
    | st.tuples(ids, times | anything, texts | anything).map(msgpack.packb)
)
def test_any_bytes_are_a_message_or_a_receipt_or_malformed(data: bytes) -> None:
    body = taken(lambda: protocol.decode(data, 50))
    if isinstance(body, str):
        assert body in protocol.FAULTS
    else:
        assert protocol.decode(protocol.encode(body), 50) == body
        assert 1 <= len(body.text.encode()) <= 50
        assert len(body.id) == 16
        assert type(body.sent_at) is int
    proof = taken(lambda: protocol.decode_receipt(data))
    if isinstance(proof, str):
        assert proof.replace("-", "").isalpha()
    else:
        assert len(protocol.signed_data(bytes(32), bytes(32), bytes(16), proof.received_at, b"a")) == 120


@given(st.text(st.characters(exclude_categories=[])), st.integers(1, 40))
def test_any_text_can_be_sent_as_it_is_or_is_an_input_error(text: str, limit: int) -> None:
    data = taken(lambda: protocol.utf8(text, limit))
    if isinstance(data, str):
        assert len(data.splitlines()) == 1
    else:
        assert protocol.decode(protocol.encode(Body(bytes(16), 0, text)), limit).text.encode() == data


# The courier.

steps = st.lists(
    st.tuples(st.sampled_from(["queue", "hear", "unasked", "fail", "succeed", "wait"]), st.integers(0, 5)), max_size=60
)


@given(steps, st.integers(1, 3), st.integers(0, 2**32))
def test_nobody_is_tried_twice_at_once_or_forgotten(history: list[tuple[str, int]], at_once: int, seed: int) -> None:
    rng = random.Random(seed)
    chosen = ChatSettings(at_once=at_once)
    machine, now = Courier(chosen, rng), 0.0
    waiting: set[bytes] = set()
    under_way: list[bytes] = []
    began: dict[bytes, float] = {}

    def advance() -> float | None:
        actions, wake_at = machine.advance(now)
        for action in actions:
            assert action.recipient in waiting
            assert action.recipient not in under_way
            under_way.append(action.recipient)
            began[action.recipient] = now
        assert len(under_way) <= at_once
        assert wake_at is None or wake_at > now
        return wake_at

    for step, number in history:
        recipient = bytes([number])
        if step == "queue":
            machine.queued(recipient, now)
            waiting.add(recipient)
        elif step in ("hear", "unasked"):
            machine.heard(recipient, now, unasked=step == "unasked")
        elif step in ("fail", "succeed") and under_way:
            ended = under_way.pop(number % len(under_way))
            machine.ended(ended, step == "succeed", now)
            if step == "succeed":
                waiting.discard(ended)
            else:
                due = machine.next_try(ended)
                assert due is not None
                assert due <= now + chosen.longest_retry * (1 + chosen.jitter)
        else:
            now += number / 3
        advance()
        assert len(machine) == len(waiting)
    while waiting:  # from here on everything succeeds: it must come to everybody
        if under_way:
            recipient = under_way.pop()
            machine.ended(recipient, True, now)
            waiting.discard(recipient)
        wake_at = advance()
        if not under_way and waiting:
            assert wake_at is not None
            now = wake_at
            advance()
    assert machine.advance(now) == ([], None)


# Exactly once.

FATES = ("pass", "pass", "lost", "answer lost", "again", "again later", "hangs")


class Rough(Wire):
    """Each request meets the next fate: it is lost, its answer is, it hangs, or it comes again, soon or later."""

    def __init__(self, fates: Sequence[str], nursery: trio.Nursery) -> None:
        super().__init__(delay=0.05)
        self.fates = list(fates)
        self.nursery = nursery

    async def carry(self, sender: FakeHost, who: bytes | Address, protocol: str, body: bytes) -> bytes:
        fate = self.fates.pop(0) if self.fates else "pass"
        if fate == "lost":
            raise PeerUnreachable("lost")
        if fate == "hangs":
            await trio.sleep_forever()
        for pause in {"again": [0.0, 0.01], "again later": [7.0, 40.0]}.get(fate, []):
            self.nursery.start_soon(self.copy, sender, who, protocol, body, pause)
        answer = await super().carry(sender, who, protocol, body)
        if fate == "answer lost":
            raise LinkLost("lost")
        return answer

    async def copy(self, sender: FakeHost, who: bytes | Address, protocol: str, body: bytes, pause: float) -> None:
        await trio.sleep(pause)
        try:
            await super().carry(sender, who, protocol, body)
        except KadnetError:
            pass


class Play:
    """Two people who chat while things go wrong, each on files of their own."""

    def __init__(self, folder: Path, wire: Rough, nursery: trio.Nursery) -> None:
        self.folder = folder
        self.wire = wire
        self.nursery = nursery
        self.people: dict[str, Person] = {}
        self.sent: dict[str, list[str]] = {"alice": [], "bob": []}
        self.starts = 0
        self._ends: dict[str, tuple[trio.Event, trio.Event]] = {}  # asked for, and there

    async def live(self, who: str, *, task_status: trio.TaskStatus[None]) -> None:
        self.starts += 1
        asked, over = self._ends[who] = trio.Event(), trio.Event()
        async with open_chat(self.wire, who, folder=self.folder / who, restarts=self.starts) as person:
            self.people[who] = person
            task_status.started()
            await asked.wait()
        over.set()

    async def start(self, who: str) -> None:
        (self.folder / who).mkdir(exist_ok=True)
        await self.nursery.start(self.live, who)

    async def stop(self, who: str) -> None:
        asked, over = self._ends[who]
        asked.set()
        await over.wait()

    async def post(self, who: str, other: str) -> None:
        text = f"{who} {len(self.sent[who])}"
        try:
            await self.people[who].chat.post(self.people[other].id, text)
        except StorageFailed:
            return
        self.sent[who].append(text)

    async def step(self, step: tuple[str, str, float]) -> None:
        what, who, pause = step
        other = "bob" if who == "alice" else "alice"
        if what == "post":
            await self.post(who, other)
        elif what == "restart":
            await self.stop(who)
            await trio.sleep(pause)
            await self.start(who)
        elif what == "disk full":
            self.people[who].host.fail_writes()
        elif what == "disk free":
            self.people[who].host.fail_writes(failing=False)
        await trio.sleep(pause)

    async def end(self) -> None:
        """Nothing goes wrong any more: all is delivered, once, in the order in which it was sent."""
        self.wire.fates.clear()
        for person in self.people.values():
            person.host.fail_writes(failing=False)
        await trio.sleep(120)
        for who, other in (("alice", "bob"), ("bob", "alice")):
            assert self.people[other].texts() == self.sent[who]
            assert self.people[who].waiting() == []
            assert self.people[who].chat.counts() == (len(self.sent[other]), 0)
        for who in self.people:
            await self.stop(who)


stories = st.lists(
    st.tuples(
        st.sampled_from(["post", "post", "post", "restart", "disk full", "disk free", "wait"]),
        st.sampled_from(["alice", "bob"]),
        st.sampled_from([0.0, 0.06, 0.3, 2.0, 20.0]),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=60)
@given(stories, st.lists(st.sampled_from(FATES), max_size=30), st.integers(0, 2**16))
def test_every_message_is_shown_exactly_once_and_in_order(
    story: list[tuple[str, str, float]], fates: list[str], seed: int
) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with trio.open_nursery() as nursery:
                play = Play(Path(folder), Rough(fates, nursery), nursery)
                for who in ("alice", "bob"):
                    await play.start(who)
                for step in story:
                    await play.step(step)
                await play.end()
                nursery.cancel_scope.cancel()

    run(main, seed=seed)


def test_the_fates_and_stories_reach_what_they_are_for() -> None:
    """One of each by hand: that every fault happens, and is told from the others by what it costs."""

    async def main(fate: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with trio.open_nursery() as nursery:
                play = Play(Path(folder), Rough([fate], nursery), nursery)
                for who in ("alice", "bob"):
                    await play.start(who)
                await play.step(("post", "alice", 60.0))
                reasons = {**play.people["alice"].host.reasons, **play.people["bob"].host.reasons}
                await play.end()
                nursery.cancel_scope.cancel()
                return reasons

    clean = {"queued": 1, "received": 1, "delivered": 1}
    assert run(main, "pass") == clean
    assert run(main, "lost") == run(main, "hangs") == {**clean, "failed": 1}
    assert run(main, "answer lost") == {**clean, "failed": 1, "repeated": 1}
    assert run(main, "again") == run(main, "again later") == {**clean, "repeated": 2}
