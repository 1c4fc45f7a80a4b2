"""Puts on a disk that fails or is slow, and many puts at once: each has its turn, and the newest has the last word."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import trio
import trio.testing

from kadnet.errors import Conflict, StorageFailed
from kadnet.host import Host
from kadnet.kademlia.spreading import SpreadSettings
from kadnet.lab import run_until
from kadnet.overlay.published import Publication
from kadnet.wire.keys import Key
from kadnet.wire.messages import FindValue, Status
from tests.unit.overlay.builders import CALM, Lab, contact_of, entry, in_lab, values
from tests.unit.overlay.test_putting import LATE, X, holders, writer


def break_behind_the_next_commit(node: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a put of this node writes first is on the disk, and from then on nothing can be read."""
    published = node.overlay._published
    put_entry = published.put_entry

    async def put(*given: object) -> Publication:
        publication = await put_entry(*given)  # type: ignore[arg-type]  # as they came
        monkeypatch.setattr(published._database, "read", broken)
        return publication

    def broken(*_given: object) -> None:
        raise StorageFailed("records.db cannot be read: disk I/O error")

    monkeypatch.setattr(published, "put_entry", put)


@in_lab
async def test_a_disk_that_breaks_during_a_put_ends_the_put_and_not_the_node(lab: Lab) -> None:
    """The holders have a newer entry of this node, so whether the put is its latest is asked of the disk."""
    nodes = await lab.overlay(6, tuning=replace(CALM, spread=SpreadSettings(early=True)))
    node = nodes[5]
    stranger = await lab.raw("stranger", "10.1.0.1")
    for each in nodes[:4]:
        assert (await stranger.store(entry("n5", b"elsewhere", seq=7), contact_of(each))).status == Status.OK
    with pytest.MonkeyPatch.context() as monkeypatch:
        break_behind_the_next_commit(node, monkeypatch)
        with pytest.raises(StorageFailed, match="cannot be read"):
            await node.overlay.put(X, b"here")
        await trio.sleep(5)
        assert node.overlay._tails.running == 0
    assert (await node.overlay.put(X, b"mended")).seq == 8
    assert values(await nodes[2].overlay.get(X)) == {b"mended"}


class SlowDisk:
    """The commits of a node wait until they are let go."""

    def __init__(self, node: Host) -> None:
        self.database = node.overlay._published._database
        self.go = trio.Event()
        self.go.set()
        self._turn = self.database._turn
        self.database._turn = self._wait  # type: ignore[method-assign]  # the point of it

    async def _wait(self) -> None:
        await self.go.wait()
        await self._turn()


@in_lab
async def test_an_older_put_that_is_signed_anew_does_not_overtake_one_that_waits_for_the_disk(lab: Lab) -> None:
    some = await holders(lab, 4)
    some[3].status, some[3].seq, some[3].wait = Status.STALE, 7, trio.Event()
    node = await writer(lab, some)
    disk, seqs = SlowDisk(node), list[int]()
    assert (await node.overlay.put(X, b"old")).seq == 1

    async def put_newer() -> None:
        seqs.append((await node.overlay.put(X, b"new")).seq)

    disk.go = trio.Event()
    lab.nursery.start_soon(put_newer)
    await trio.testing.wait_all_tasks_blocked()
    some[3].wait.set()  # only now does the older one hear that it has to stand above seq 7
    await trio.sleep(1)
    disk.go.set()
    await run_until(lambda: bool(seqs) and node.overlay._tails.running == 0, 30)
    publication = node.overlay._published.get(X.hash)
    assert publication is not None
    assert publication.parsed.value == b"new"
    assert values(await node.overlay.get(X)) == {b"new"}


@in_lab
async def test_what_is_signed_anew_is_refused_when_another_has_been_put_since(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    published = node.overlay._published
    first = await published.put_entry(X, b"one", 1000, None, None)
    second = await published.put_entry(X, b"two", 1000, 5, None, first.parsed.seq)
    assert (first.parsed.seq, second.parsed.seq) == (1, 6)
    with pytest.raises(Conflict, match="has been put again since seq 1") as caught:
        await published.put_entry(X, b"one", 1000, 9, None, first.parsed.seq)
    assert caught.value.seq == 6
    kept = published.get(X.hash)
    assert kept is not None
    assert kept.parsed.value == b"two"


@in_lab
async def test_of_many_puts_only_so_many_walk_at_once_and_all_are_stored(lab: Lab) -> None:
    some = await holders(lab, 4)
    node = await writer(lab, some, tuning=replace(LATE, puts_at_once=2))
    keys = [Key.shared(f"many {number}") for number in range(6)]
    begun: list[set[bytes]] = [set()]

    def asked() -> set[bytes]:
        return {request.key for holder in some for request in holder.peer.messages(FindValue)}

    async with trio.open_nursery() as nursery:
        for key in keys:
            nursery.start_soon(node.overlay.put, key, b"v")
        while len(begun[-1]) < len(keys):
            await trio.sleep(0.01)  # far less than a walk takes
            begun.append(asked())
    assert max(len(now - before) for before, now in pairwise(begun)) == 2
    await run_until(lambda: node.overlay._tails.running == 0, 5)
    for key in keys:
        publication = node.overlay._published.get(key.hash)
        assert publication is not None
        assert publication.replicas == 4
    assert [len(holder.stored) for holder in some] == [6] * 4
