"""How links of a node end: for want of room, with the node, with its peer, by a cut; and what follows."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from contextlib import suppress
from dataclasses import replace

import pytest
import trio

from kadnet.errors import LinkLost, PeerUnreachable
from kadnet.events import LinkDown
from kadnet.links import LinkSettings
from kadnet.links.dial import Proven
from kadnet.wire.envelopes import NOTICE
from tests.unit.links.bench import Bench, on_bench, soon
from tests.unit.links.strangers import Wire, another

QUIET = LinkSettings()
"""A handler's fault does not end the test."""
RTT = 0.1


@on_bench
async def test_when_the_node_is_full_the_pair_that_rested_longest_makes_room(bench: Bench) -> None:
    alice = await bench.room("alice", "10.0.1.1", settings=replace(QUIET, max_links=4))
    alice.echo()
    others = [await bench.room(f"other {number}", f"10.1.{number}.1") for number in range(6)]
    for other in others:
        assert await other.links.request(alice.id, "echo", b"x") == b"x"
        await trio.sleep(1)
        assert alice.links.count() <= 4
    assert [bool(alice.standing(other)) for other in others] == [False, False, True, True, True, True]
    assert [event.reason for event in others[0].events(LinkDown)] == ["idle"]
    await trio.sleep(60)
    assert others[0].links.counters.dialed == 1, "who was sent away does not come back unasked"
    assert await others[0].links.request(alice.id, "echo", b"x") == b"x"


@on_bench
async def test_a_pair_that_is_at_work_makes_no_room_while_another_rests(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1", settings=replace(QUIET, max_links=2))
    alice, carol, dave = [await bench.room(name, f"10.1.{at}.1") for at, name in enumerate(("alice", "carol", "dave"))]
    bob.echo()

    async def slow(_peer: bytes, body: bytes) -> bytes:
        await trio.sleep(20)
        return body

    bob.links.handle("slow", slow)

    async def others() -> None:
        for other in (carol, dave):
            await trio.sleep(3)
            await other.links.request(bob.id, "echo", b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        assert await alice.links.request(bob.id, "slow", b"x") == b"x"
    assert (bob.standing(alice), bob.standing(carol), bob.standing(dave)) == (1, 0, 1)


@on_bench
async def test_who_was_told_to_close_and_goes_on_talking_keeps_nobody_out(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1", settings=replace(QUIET, max_links=2, closing=2))
    bob.echo()
    deaf = [await another(bench, bob, number) for number in range(4)]

    async def talk(wire: Wire) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for _ in range(60):
                await wire.say("link", NOTICE, 0, b"\x92\x01\x05")  # a ping, whatever it is told
                await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for wire in deaf:
            nursery.start_soon(talk, wire)
        for number in range(5):
            await trio.sleep(1)
            honest = await bench.room(f"honest {number}", f"10.1.{number}.1")
            assert await honest.links.request(bob.id, "echo", b"x") == b"x"
            assert bob.links.count() <= 5
        nursery.cancel_scope.cancel()


@on_bench
async def test_with_every_place_in_use_a_newcomer_is_turned_away(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1", settings=replace(QUIET, max_links=1))
    alice, carol = await bench.room("alice", "10.0.1.1"), await bench.room("carol", "10.0.3.1")

    async def hang(_peer: bytes, _body: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    alice.links.handle("hang", hang)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.links.request, alice.id, "hang", b"x")
        await trio.sleep(1)
        with pytest.raises(PeerUnreachable):
            await carol.links.request(bob.id, "echo", b"x")
        assert bob.refused["full"] >= 1
        with pytest.raises(PeerUnreachable, match="as many links as it may have"):
            await bob.links.request(carol.id, "echo", b"x")
        assert bob.standing(alice) == 1
        nursery.cancel_scope.cancel()


@on_bench
async def test_a_node_that_stops_says_goodbye_and_is_not_called_again(bench: Bench) -> None:
    alice, bob = await bench.two()
    found = bob.collect()
    for number in range(100):
        await alice.links.notify(bob.id, "note", bytes([number]))
    start = trio.current_time()
    await alice.stop()
    assert trio.current_time() - start <= 0.5
    await soon(lambda: len(found) == 100)
    await soon(lambda: bob.events(LinkDown))
    assert [event.reason for event in bob.events(LinkDown)] == ["bye"]
    await trio.sleep(60)
    assert bob.links.counters.dialed == 0
    assert bob.pairs == 0


@on_bench
async def test_a_goodbye_to_a_peer_that_is_gone_takes_no_longer_than_its_bound(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    assert bob.machine is not None
    bench.internet.kill(bob.machine)
    start = trio.current_time()
    await alice.stop()
    assert trio.current_time() - start == pytest.approx(0.5)


@on_bench
async def test_a_killed_peer_is_called_after_one_two_and_four_seconds_and_then_when_asked(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    await bench.kill(bob)
    await soon(lambda: alice.events(LinkDown), 40)
    assert [event.reason for event in alice.events(LinkDown)] == ["silent"]
    attempts: list[float] = []
    dial = alice.links._dialer.dial

    async def counted(peer: bytes) -> Proven:
        attempts.append(trio.current_time())
        return await dial(peer)

    alice.links._dialer.dial = counted  # type: ignore[method-assign]  # to see when it calls
    lost_at = trio.current_time()
    await trio.sleep(200)
    assert len(attempts) == 3
    # A call to a dead machine takes the five seconds of an attempt; the pauses are up to a half longer or shorter.
    pauses = [attempts[0] - lost_at, attempts[1] - attempts[0] - 5, attempts[2] - attempts[1] - 5]
    assert all(pause / 2 - 0.02 <= found <= pause * 1.5 + 0.02 for pause, found in zip((1, 2, 4), pauses, strict=True))
    assert alice.pairs == 0
    with pytest.raises(PeerUnreachable):
        await alice.links.request(bob.id, "echo", b"x")
    assert len(attempts) == 4


@on_bench
async def test_a_restarted_peer_fails_the_requests_of_before_and_answers_new_ones(bench: Bench) -> None:
    alice, bob = await bench.two()

    async def hang(_peer: bytes, _body: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    bob.links.handle("hang", hang)
    lost: list[float] = []

    async def ask() -> None:
        with pytest.raises(LinkLost, match="the peer was restarted before"):
            await alice.links.request(bob.id, "hang", b"x")
        lost.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(1)
        await bench.kill(bob)
        again = await bench.room("bob", "10.0.2.1")
        again.echo()
        await trio.sleep(1)
        with trio.fail_after(20):
            await again.links.notify(alice.id, "none", b"here I am")  # it calls: a link of a new instance
            await trio.sleep(RTT)
            assert await alice.links.request(bob.id, "echo", b"x") == b"x"
    assert lost[0] <= 3, "it is known at once"
    assert alice.standing(again) == 1
    await soon(lambda: alice.links.count() == 1, 60)


@on_bench
async def test_a_link_cut_by_a_partition_is_back_when_it_heals(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    assert alice.machine is not None
    assert bob.machine is not None
    bench.internet.cut(alice.machine, bob.machine)
    with pytest.raises(PeerUnreachable):
        await alice.links.request(bob.id, "echo", b"lost on the way")
    await trio.sleep(60)
    bench.internet.heal(alice.machine, bob.machine)
    await trio.sleep(5)
    start = trio.current_time()
    assert await alice.links.request(bob.id, "echo", b"x") == b"x"
    assert trio.current_time() - start <= 4 * RTT
    await trio.sleep(60)
    assert (alice.standing(bob), bob.standing(alice), alice.links.count(), bob.links.count()) == (1, 1, 1, 1)


def test_before_they_run_links_can_be_asked_for_nothing() -> None:
    @on_bench
    async def body(bench: Bench) -> None:
        alice, bob = await bench.two()
        await alice.stop()
        alice.links._means = None
        await alice.links.request(bob.id, "echo", b"x")

    with pytest.raises(RuntimeError, match="not running yet"):
        body()
