"""Puts that return before the last holder has answered: what they say, what goes on, and what is left behind."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kadnet.errors import Conflict, StorageFailed
from kadnet.host import Host
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.spreading import SpreadSettings
from kadnet.lab import run_until
from kadnet.overlay import OverlaySettings
from kadnet.overlay.putting import Tails
from kadnet.wire.keys import Key
from kadnet.wire.messages import SERVES, FindNode, FindValue, Nodes, Ping, Pong, Request, Status, Store, Stored, Values
from tests.unit.overlay.builders import CALM, Lab, RawPeer, contact_of, entry, fill, in_lab, values

X = Key.shared("x")
TOKEN = bytes(8)
FOUR = OverlaySettings(replicas=4)
LATE = replace(CALM, spread=SpreadSettings(early=False))


class Holder:
    """A peer that answers walks, and a STORE as it is told to: with a status, or after `wait`."""

    def __init__(self, peer: RawPeer, nursery: trio.Nursery) -> None:
        self.peer = peer
        self.status: Status | None = Status.OK
        self.seq = 0
        self.wait = trio.Event()
        self.wait.set()
        self.stored: list[int] = []
        self._nursery = nursery
        peer.behave = self.behave

    @property
    def contact(self) -> Contact:
        return self.peer.contact

    def behave(self, request: Request, sender: Contact) -> None:
        if isinstance(request, Ping):
            self.peer.send(Pong(request.id, SERVES, TOKEN, bytes(6), b"\1", 0), sender)
        elif isinstance(request, FindNode):
            self.peer.send(Nodes(request.id, SERVES, TOKEN, b"", b""), sender)
        elif isinstance(request, FindValue):
            self.peer.send(Values(request.id, SERVES, TOKEN, 0, b"", (), b"", b""), sender)
        else:
            self._nursery.start_soon(self._answer, request, sender)

    async def _answer(self, request: Store, sender: Contact) -> None:
        await self.wait.wait()
        if self.status is not None:
            self.stored.append(len(self.stored))
            self.peer.send(Stored(request.id, SERVES, self.status, self.seq), sender)


async def holders(lab: Lab, count: int) -> list[Holder]:
    """So many of them, the nearest to X first."""
    some = [Holder(await lab.raw(f"holder{number}", f"10.1.{number}.1"), lab.nursery) for number in range(count)]
    target = int.from_bytes(X.hash, "big")
    return sorted(some, key=lambda holder: holder.contact.position ^ target)


async def writer(lab: Lab, some: list[Holder], **options: object) -> Host:
    options.setdefault("settings", FOUR)
    options.setdefault("tuning", LATE)
    node = await lab.node("node", "10.0.0.1", **options)  # type: ignore[arg-type]  # as Lab.node takes them
    fill(node, [holder.contact for holder in some])
    with trio.fail_after(20):
        await node.overlay.joined()
    return node


def noted(node: Host) -> int:
    publication = node.overlay._published.get(X.hash)
    return -1 if publication is None else publication.replicas


def is_noted(node: Host, replicas: int) -> Callable[[], bool]:
    return lambda: noted(node) == replicas


@in_lab
async def test_a_put_returns_when_three_quarters_have_it_and_the_last_follows(lab: Lab) -> None:
    some = await holders(lab, 4)
    some[1].wait = trio.Event()
    node = await writer(lab, some)
    start = trio.current_time()
    outcome = await node.overlay.put(X, b"v")
    assert (outcome.replicas, outcome.wanted) == (3, 4)
    assert trio.current_time() - start < 0.5
    assert noted(node) == 3
    some[1].wait.set()
    await run_until(is_noted(node, 4), 5)
    assert node.overlay._tails.running == 0


@in_lab
async def test_a_put_blob_returns_when_three_quarters_have_it_and_the_silent_one_is_given_up_later(lab: Lab) -> None:
    some = await holders(lab, 4)
    some[0].status = None
    node = await writer(lab, some)
    start = trio.current_time()
    assert (await node.overlay.put_blob(b"v")).replicas == 3
    assert trio.current_time() - start < 0.5
    assert node.overlay._tails.running == 1
    await run_until(lambda: node.overlay._tails.running == 0, 30)
    assert node.overlay.rpc.open_calls == 0


@in_lab
async def test_where_fewer_are_there_than_copies_wanted_all_are_waited_for(lab: Lab) -> None:
    some = await holders(lab, 3)
    some[1].wait = trio.Event()
    node = await writer(lab, some)
    with trio.move_on_after(0.5) as patience:
        await node.overlay.put(X, b"v")
    assert patience.cancelled_caught


@in_lab
async def test_a_put_on_a_condition_waits_for_everybody(lab: Lab) -> None:
    some = await holders(lab, 4)
    node = await writer(lab, some)
    some[3].status, some[3].seq, some[3].wait = Status.STALE, 7, trio.Event()

    async def let_go() -> None:
        await trio.sleep(0.5)
        some[3].wait.set()

    lab.nursery.start_soon(let_go)
    with pytest.raises(Conflict):
        await node.overlay.put(X, b"v", if_seq=0)


@in_lab
async def test_what_a_late_holder_claims_has_the_value_signed_above_it(lab: Lab) -> None:
    some = await holders(lab, 4)
    some[3].status, some[3].seq, some[3].wait = Status.STALE, 7, trio.Event()
    node = await writer(lab, some)
    assert (await node.overlay.put(X, b"v")).seq == 1
    some[3].wait.set()
    await run_until(lambda: node.overlay._tails.running == 0, 5)
    publication = node.overlay._published.get(X.hash)
    assert publication is not None
    assert publication.parsed.seq == 8
    assert [len(holder.stored) for holder in some] == [2, 2, 2, 2]
    assert values(await node.overlay.get(X)) == {b"v"}


@in_lab
async def test_a_later_put_of_ours_is_not_overtaken_by_what_is_left_of_an_earlier_one(lab: Lab) -> None:
    some = await holders(lab, 4)
    some[3].wait = trio.Event()
    node = await writer(lab, some)
    assert (await node.overlay.put(X, b"one")).seq == 1
    assert (await node.overlay.put(X, b"two")).seq == 2
    some[3].status, some[3].seq = Status.STALE, 2  # it got the second first
    some[3].wait.set()
    await run_until(lambda: node.overlay._tails.running == 0, 30)
    publication = node.overlay._published.get(X.hash)
    assert publication is not None
    assert (publication.parsed.seq, publication.parsed.value) == (2, b"two")


@in_lab
async def test_a_full_holder_is_replaced_by_the_next_closest(lab: Lab) -> None:
    some = await holders(lab, 6)
    some[1].status, some[2].status = Status.FULL, Status.FAILED
    node = await writer(lab, some)
    await node.overlay.put(X, b"v")
    await run_until(is_noted(node, 4), 5)
    assert [len(holder.stored) for holder in some] == [1] * 6


@in_lab
async def test_a_cancelled_put_sends_it_to_nobody_else_and_is_kept(lab: Lab) -> None:
    some = await holders(lab, 6)
    for holder in some[:4]:
        holder.wait = trio.Event()
    node = await writer(lab, some)
    with trio.move_on_after(0.3):
        await node.overlay.put(X, b"v")
    await trio.testing.wait_all_tasks_blocked()
    assert node.overlay._tails.running == 0
    for holder in some[:4]:
        holder.status = Status.FULL
        holder.wait.set()
    await run_until(lambda: node.overlay.rpc.open_calls == 0, 30)
    assert not some[4].stored
    assert noted(node) == 0  # it is due, and stored again by upkeep


@in_lab
async def test_what_was_acknowledged_is_known_after_the_node_has_ended_in_the_middle(lab: Lab, tmp_path: Path) -> None:
    some = await holders(lab, 4)
    some[1].wait = trio.Event()
    node = await writer(lab, some, data_dir=tmp_path / "d")
    assert (await node.overlay.put(X, b"v")).replicas == 3
    await lab.stop("node")
    again = await lab.node("node", "10.0.0.1", data_dir=tmp_path / "d", tuning=LATE)
    assert noted(again) == 3


@in_lab
async def test_a_put_that_the_end_of_its_node_meets_ends_too(lab: Lab) -> None:
    some = await holders(lab, 4)
    for holder in some:
        holder.wait = trio.Event()
    node = await writer(lab, some)
    ended = trio.Event()

    async def put() -> None:
        try:
            assert (await node.overlay.put(X, b"v")).replicas == 0
        except StorageFailed:
            pass  # its disk was closed first
        ended.set()

    lab.nursery.start_soon(put)
    await trio.sleep(0.3)
    await lab.stop("node")
    with trio.fail_after(1):
        await ended.wait()


@in_lab
async def test_whoever_answers_and_is_near_has_it_before_the_walk_ends(lab: Lab) -> None:
    """In a network of twelve that this node has walked before, one of whom has died since."""
    nodes = await lab.overlay(12, settings=OverlaySettings(replicas=4), tuning=CALM)
    for number in range(8):
        await nodes[5].overlay.lookup(Key.shared(f"place {number}").hash)
    assert nodes[5].overlay.network_size() in range(9, 17)
    target = int.from_bytes(X.hash, "big")
    by_distance = sorted(
        (node for node in nodes[1:] if node is not nodes[5]), key=lambda node: contact_of(node).position ^ target
    )
    await lab.stop(f"n{nodes.index(by_distance[1])}", crash=True)
    start = trio.current_time()
    await nodes[5].overlay.put(X, b"v")
    early = trio.current_time() - start
    held = sum(bool(node.overlay._store.get(X.hash)) for node in by_distance if node is not by_distance[1])
    assert held >= 3
    assert early < 0.5


@in_lab
async def test_an_entry_of_ours_that_the_walk_meets_is_stood_above(lab: Lab) -> None:
    nodes = await lab.overlay(6, tuning=CALM)
    stranger = await lab.raw("stranger", "10.1.0.1")
    for node in nodes[:4]:
        assert (await stranger.store(entry("n5", b"elsewhere", seq=7), contact_of(node))).status == Status.OK
    outcome = await nodes[5].overlay.put(X, b"here")
    assert outcome.seq == 8
    assert values(await nodes[2].overlay.get(X)) == {b"here"}


async def test_too_many_puts_at_once_finish_in_the_foreground() -> None:
    tails, gate = Tails(1, 1), trio.Event()
    assert not tails.spawn(gate.wait)
    async with trio.open_nursery() as nursery:
        tails.begin(nursery)
        assert tails.spawn(gate.wait)
        assert not tails.spawn(gate.wait)
        gate.set()
    assert tails.running == 0
    tails.end()
    assert not tails.spawn(gate.wait)
