"""Two nodes and their links: which answer belongs to what, what moves to another link, and which link stays."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import pytest
import trio

from kadnet.errors import LinkLost, PeerUnreachable
from kadnet.events import LinkDown, LinkUp
from kadnet.lab import Constant, NetworkOptions, run
from kadnet.wire.envelopes import IDLE, Close
from tests.unit.links.bench import LOUD, Bench, Room, identity, ids, on_bench, open_bench, soon
from tests.unit.links.strangers import Stranger

RTT = 0.1


def offer_slow(room: Room, seconds: float) -> None:
    async def slow(_peer: bytes, body: bytes) -> bytes:
        await trio.sleep(seconds)
        return body

    room.links.handle("slow", slow)


# --- whose answer it is


@on_bench
async def test_an_answer_that_outlives_its_request_is_not_taken_for_that_of_a_later_one(bench: Bench) -> None:
    """Alice gives up, lets go of the link and of all she knew of the pair, and asks something else."""
    alice, bob = await bench.two()
    offer_slow(bob, 10)
    with trio.move_on_after(1):
        await alice.links.request(bob.id, "slow", b"the first question")
    alice.links._pairs[bob.id].retire(IDLE)
    await soon(lambda: not alice.pairs)
    await trio.sleep(5)
    assert await alice.links.request(bob.id, "slow", b"the second question") == b"the second question"
    await trio.sleep(20)


@on_bench
async def test_an_answer_to_a_former_start_of_a_peer_does_not_reach_the_present_one(bench: Bench) -> None:
    """Bob's answer waits for a link while Alice's machine is restarted, and she asks Bob something else."""
    alice, bob = await bench.two()
    offer_slow(bob, 3)
    bob.echo()

    async def ask() -> None:
        with pytest.raises(PeerUnreachable):
            await alice.links.request(bob.id, "slow", b"of the first start")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(1)
        (link,) = bob.links._pairs[alice.id].links.values()
        await bench.kill(alice)
        link.end("broken")  # Bob's end learns of it before his answer is ready
        nursery.cancel_scope.cancel()
    await trio.sleep(2.5)
    assert bob.links._pairs[alice.id].machine.queued[0] == 1, "the answer waits"
    again = await bench.room("alice", "10.0.1.1")
    assert await again.links.request(bob.id, "slow", b"of the second start") == b"of the second start"
    assert again.links.counters.unclaimed == 0
    await trio.sleep(10)
    assert (bob.pairs, bob.links._pairs[again.id].reply_bytes) == (1, 0)


@on_bench
async def test_an_answer_comes_on_the_next_link_when_the_first_one_breaks(bench: Bench) -> None:
    alice, bob = await bench.two()
    offer_slow(bob, 2)
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await alice.links.request(bob.id, "slow", b"x"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(1)
        for room in (alice, bob):
            for link in next(iter(room.links._pairs.values())).links.values():
                link.end("broken")
    assert answers == [b"x"]


@on_bench
async def test_a_request_whose_answer_does_not_come_within_the_grace_is_lost(bench: Bench) -> None:
    alice, bob = await bench.two()
    offer_slow(bob, 60)
    start = trio.current_time()

    async def cut() -> None:
        await trio.sleep(1)
        for link in alice.links._pairs[bob.id].links.values():
            link.end("broken")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut)
        with pytest.raises(LinkLost, match="link was lost before"):
            await alice.links.request(bob.id, "slow", b"x")
    assert trio.current_time() - start == pytest.approx(1 + LOUD.states.grace, abs=0.5)
    await trio.sleep(70)
    assert alice.links.counters.unclaimed == 1


# --- one link of a pair


@pytest.mark.parametrize("seed", range(50))
def test_two_that_call_each_other_at_one_moment_end_with_one_link(seed: int) -> None:
    latency = (0.0005, 0.003, 0.02, 0.08, 0.15)[seed % 5] * (1 + seed / 50)

    async def main() -> None:
        async with open_bench(options=NetworkOptions(latency=Constant(latency)), seed=seed) as bench:
            alice, bob = await bench.two()
            rooms = (alice, bob)
            for room in rooms:
                room.echo()
            heard: dict[str, list[bytes]] = {room.name: room.collect() for room in rooms}

            async def talk(ours: Room, theirs: Room) -> None:
                for number in range(20):
                    await ours.links.notify(theirs.id, "note", bytes([number]))
                    assert await ours.links.request(theirs.id, "echo", bytes([number])) == bytes([number])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk, alice, bob)
                await trio.sleep(latency * (seed % 7) / 4)
                nursery.start_soon(talk, bob, alice)
            await trio.sleep(20 * latency + 1)
            for room, other in (rooms, rooms[::-1]):
                assert room.links.count() == 1
                assert room.standing(other) == 1
                assert heard[room.name] == [bytes([number]) for number in range(20)]
                assert len(room.events(LinkUp)) == 1, "to an app there was one link all along"
                assert not room.events(LinkDown)
            both = [next(iter(room.links._pairs.values())).usable()[0] for room in rooms]
            assert both[0].dialed != both[1].dialed, "and it is the same one"
            await trio.sleep(60)
            assert [room.links.count() for room in rooms] == [1, 1]

    run(main, seed=seed)


@on_bench
async def test_the_losing_link_of_two_brings_all_that_was_on_it(bench: Bench) -> None:
    """A flood in both directions while the two links are being sorted out."""
    alice, bob = await bench.two()
    heard = {room.name: room.collect(max_body=5000) for room in (alice, bob)}

    async def talk(ours: Room, theirs: Room) -> None:
        for number in range(500):
            await ours.links.notify(theirs.id, "note", number.to_bytes(2, "big") + bytes(2000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk, alice, bob)
        nursery.start_soon(talk, bob, alice)
    await soon(lambda: all(len(found) == 500 for found in heard.values()), 30)
    for found in heard.values():
        assert sorted(int.from_bytes(body[:2], "big") for body in found) == list(range(500))


@pytest.mark.parametrize("first", ids("alice", "bob"))
@on_bench
async def test_a_node_that_is_called_answers_on_that_link_and_calls_none(bench: Bench, first: str) -> None:
    rooms = dict(zip(("alice", "bob"), await bench.two(), strict=True))
    ours, theirs = rooms.pop(first), next(iter(rooms.values()))
    for room in (ours, theirs):
        room.echo()
    await ours.links.request(theirs.id, "echo", b"x")
    start = trio.current_time()
    await theirs.links.request(ours.id, "echo", b"x")
    assert trio.current_time() - start == pytest.approx(RTT)
    assert (ours.links.counters.dialed, theirs.links.counters.dialed) == (1, 0)


# --- bounds of one pair


@on_bench
async def test_what_waits_for_one_peer_is_bounded_and_its_senders_wait(bench: Bench) -> None:
    settings = replace(LOUD, queue_items=16)
    alice = await bench.room("alice", "10.0.1.1", settings=settings)
    bob = await bench.room("bob", "10.0.2.1")
    found = bob.collect()
    done = 0

    async def tell(number: int) -> None:
        nonlocal done
        await alice.links.notify(bob.id, "note", bytes([number]))
        done += 1

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(tell, number)
        await trio.sleep(RTT)
        assert alice.links._pairs[bob.id].machine.queued[0] == 16, "while it is still being called"
        assert done == 0
    await soon(lambda: len(found) == 100)
    assert sorted(found) == [bytes([number]) for number in range(100)]


@on_bench
async def test_requests_that_wait_for_answers_are_bounded(bench: Bench) -> None:
    alice = await bench.room("alice", "10.0.1.1", settings=replace(LOUD, max_open=4))
    bob = await bench.room("bob", "10.0.2.1")
    offer_slow(bob, 1)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            if bob.id in alice.links._pairs:
                most = max(most, len(alice.links._pairs[bob.id]._open))
            await trio.sleep(0.01)

    start = trio.current_time()
    async with trio.open_nursery() as watching:
        watching.start_soon(watch)
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(alice.links.request, bob.id, "slow", b"x")
        watching.cancel_scope.cancel()
    assert most == 4
    assert trio.current_time() - start == pytest.approx(3 * 1.1 + 0.2, abs=0.1)


@on_bench
async def test_one_who_waits_for_room_and_is_cancelled_leaves_no_pair_behind(bench: Bench) -> None:
    alice = await bench.room("alice", "10.0.1.1", settings=replace(LOUD, queue_items=2))
    bob = await bench.room("bob", "10.0.2.1")
    await bench.kill(bob)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(alice.links.notify, bob.id, "note", b"x")
        await trio.sleep(1)
        assert alice.pairs == 1
        nursery.cancel_scope.cancel()
    await trio.sleep(10)
    assert alice.pairs == 0


@on_bench
async def test_a_sender_that_never_pauses_lets_others_run(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.collect()
    await alice.links.notify(bob.id, "note", b"x")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(5000):
            await alice.links.notify(bob.id, "note", b"x" * 1000)
        nursery.cancel_scope.cancel()
    assert turns > 5


@on_bench
async def test_links_that_rest_are_kept_alive_by_the_heartbeat(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    await trio.sleep(3600)
    assert not alice.events(LinkDown)
    assert not bob.events(LinkDown)
    (linked,) = alice.links.linked()
    assert linked.rtt == pytest.approx(RTT)
    assert linked.endpoint == bob.at
    assert linked.id == bob.id


async def lose(room: Room) -> None:
    for pair in room.links._pairs.values():
        for link in pair.links.values():
            link.end("broken")
    await trio.sleep(RTT)


@on_bench
async def test_both_ends_of_a_broken_link_call_again_and_end_with_one(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    await trio.sleep(20)
    for _ in range(3):
        await lose(alice)
        await trio.sleep(30)
        assert (alice.links.count(), bob.links.count()) == (1, 1)


@on_bench
async def test_no_two_requests_to_a_peer_have_one_number_though_the_pair_was_let_go_of(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    stranger = Stranger(bench.machine("mallory", "66.6.6.6"), identity("mallory"))
    numbers: list[int] = []
    for _ in range(3):
        wire = await stranger.call(bob)
        await soon(lambda: bob.links.count() == 1)
        with trio.move_on_after(1):
            await bob.links.request(stranger.identity.public, "ask", b"?")
        numbers.append((await wire.hear()).id)
        await wire.control(Close())
        await wire.stream.send_eof()
        await soon(lambda: not bob.pairs)
    assert len(set(numbers)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_notices_come_at_most_once_however_often_links_break(seed: int) -> None:
    async def main() -> None:
        async with open_bench(seed=seed) as bench:
            alice, bob = await bench.two()
            found = bob.collect()
            sent = 0

            async def talk() -> None:
                nonlocal sent
                while sent < 1000:
                    try:
                        await alice.links.notify(bob.id, "note", sent.to_bytes(2, "big"))
                    except PeerUnreachable:
                        pass
                    sent += 1
                    await trio.sleep(0.02)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk)
                for number in range(8):
                    await trio.sleep(2.5 + seed / 10)
                    await lose((alice, bob)[number % 2])
            await trio.sleep(30)
            numbers = [int.from_bytes(body, "big") for body in found]
            assert len(set(numbers)) == len(numbers), "none twice"
            assert len(numbers) > 900, "a break costs what was on its way"
            assert (alice.links.count(), bob.links.count()) == (1, 1)

    run(main, seed=seed)
