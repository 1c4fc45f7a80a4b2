"""Strangers at the gate: what they send and do not send before they have proved who they are."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kadnet.errors import PeerRefused
from kadnet.events import Event, LinkRefused, LinkUp
from kadnet.identity import nodeid
from kadnet.kademlia.contact import Contact
from kadnet.lab import run_until
from kadnet.transport import RealNetwork
from kadnet.wire.frames import HANDSHAKE, MAGIC, SEALED, encode_frame
from kadnet.wire.handshake import ERRAND
from tests.unit.links.bench import LOUD, Bench, Room, identity, on_bench, on_sockets, soon
from tests.unit.links.strangers import Stranger, drip, is_closed

RTT = 0.1


def head(command: int, flags: int, length: int) -> bytes:
    return struct.pack(">4sBBII", MAGIC, command, flags, length, 0)


def mallory(bench: Bench, ip: str = "66.6.6.6", who: str = "mallory") -> Stranger:
    network = RealNetwork() if bench.real else bench.machine(f"{who} at {ip}", ip)
    return Stranger(network, identity(who))


def nothing_came_of_it(room: Room) -> bool:
    """No link, no pair, nobody pending, no handler asked."""
    counters = room.links.services.counters
    up: list[Event] = [*room.events(LinkUp)]
    return not up and not room.pairs and not room.pending and not counters.requests and not counters.notices


async def honest(bench: Bench, room: Room) -> None:
    """Somebody else gets through."""
    other = await bench.room("honest", "10.9.9.9")
    if "echo" not in room.links.services._services:
        room.echo()
    assert await other.links.request(room.id, "echo", b"x") == b"x"


def noises() -> list[bytes]:
    rng = random.Random(5)
    return [rng.randbytes(rng.randrange(1, 3000)) for _ in range(40)]


@on_sockets
async def test_random_bytes_are_closed_and_counted(bench: Bench) -> None:
    bob = await bench.room("bob")
    for noise in noises():
        stream = await mallory(bench).connect(bob)
        await stream.send_all(noise)
        assert await is_closed(stream)
        await stream.aclose()
    await soon(lambda: bob.refused == {"frame-magic": 40})
    assert nothing_came_of_it(bob)
    assert [event.reason for event in bob.events(LinkRefused)] == ["frame-magic"] * 40
    await honest(bench, bob)


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        (head(HANDSHAKE, 0, (1 << 32) - 1), "frame-length"),
        (head(HANDSHAKE, 0, 1025), "frame-length"),
        (head(SEALED, 1, (1 << 32) - 1), "frame-length"),
        (head(3, 0, 10), "frame-command"),
        (head(HANDSHAKE, 1, 10), "frame-flags"),
        (encode_frame(SEALED, 0, bytes(100)), "frame-command"),
        (encode_frame(HANDSHAKE, 0, bytes(10)), "noise-length"),
        (encode_frame(HANDSHAKE, 0, bytes(300)), "noise-key"),
        (encode_frame(HANDSHAKE, 0, b"\x07" * 300), "noise-box"),
        (encode_frame(HANDSHAKE, 0, b"\x07" * 300)[:-1] + b"\x08", "frame-crc"),
    ],
)
@on_bench
async def test_a_beginning_that_is_none_is_closed_at_once(bench: Bench, beginning: bytes, reason: str) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    stream = await mallory(bench).connect(bob)
    start = trio.current_time()
    await stream.send_all(beginning)
    assert await is_closed(stream)
    assert trio.current_time() - start <= RTT + 0.01
    assert bob.refused == {reason: 1}
    assert nothing_came_of_it(bob)
    await honest(bench, bob)


@on_bench
async def test_half_a_handshake_has_five_seconds(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    stranger = mallory(bench)
    hello = encode_frame(HANDSHAKE, 0, stranger.caller(bob).hello())
    for part in (b"", hello[:1], hello[: len(hello) // 2], hello[:-1]):
        stream = await stranger.connect(bob)
        start = trio.current_time()
        if part:
            await stream.send_all(part)
        assert await is_closed(stream)
        assert trio.current_time() - start == pytest.approx(5 + RTT, abs=0.06)
    stream = await stranger.connect(bob)
    await stream.send_all(hello[:50])
    await stream.send_eof()
    assert await is_closed(stream)
    assert bob.refused == {"unproven-in-time": 4, "gone": 1}
    assert nothing_came_of_it(bob)


@on_bench
async def test_one_byte_a_second_does_not_stretch_the_five_seconds(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    stranger = mallory(bench)
    hello = encode_frame(HANDSHAKE, 0, stranger.caller(bob).hello())
    stream = await stranger.connect(bob)
    start = trio.current_time()
    with pytest.raises(trio.BrokenResourceError):
        await drip(stream, hello)
    assert trio.current_time() - start < 8
    assert bob.refused == {"unproven-in-time": 1}
    assert nothing_came_of_it(bob)


@on_bench
async def test_a_handshake_without_a_sealed_frame_behind_it_is_no_link(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    wire = await mallory(bench).call(bob, first=None)
    start = trio.current_time()
    assert nothing_came_of_it(bob) is False, "it is pending"
    assert bob.pending == 1
    assert await wire.closed()
    assert trio.current_time() - start == pytest.approx(5, abs=0.2)
    assert nothing_came_of_it(bob)
    assert bob.refused == {"unproven-in-time": 1}


@on_bench
async def test_a_recorded_first_message_gains_nothing(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    found = bob.collect()
    segments: list[bytes] = []
    bench.internet.observers.append(lambda event: segments.append(event.data) if event.data else None)
    alice = await bench.room("alice", "10.0.1.1")
    await alice.links.notify(bob.id, "note", b"once")
    await soon(lambda: found)
    bench.internet.observers.clear()
    recorded = list(dict.fromkeys(segments))  # each was seen as it left and as it came
    hello, rest = recorded[0], [each for each in recorded[1:] if each[4] == SEALED]
    await alice.stop()
    await soon(lambda: not bob.pairs)
    ups = len(bob.events(LinkUp))
    stranger = mallory(bench)
    for replayed in ([hello], [hello, *rest], [hello, hello]):
        stream = await stranger.connect(bob)
        for each in replayed:
            await stream.send_all(each)
            await trio.sleep(RTT)
        assert await is_closed(stream)
    assert len(bob.events(LinkUp)) == ups
    assert found == [b"once"]
    assert bob.pairs == 0
    assert bob.refused == {"unproven-in-time": 1, "noise-box": 1, "frame-command": 1}


@on_bench
async def test_who_calls_another_node_here_is_told_who_is_here(bench: Bench) -> None:
    alice, bob = await bench.two()
    carol = identity("carol").public
    bench.directory.known[carol] = [Contact(carol, bob.at)]
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(carol, "echo", b"x")
    assert caught.value.reason == "another-node"
    assert "is another node: " in str(caught.value)
    assert nodeid.encode(bob.id) in str(caught.value)
    assert bob.refused == {"noise-box": 1}
    assert nothing_came_of_it(bob)
    assert [event.reason for event in bob.events(LinkRefused)] == ["noise-box"]


@on_bench
async def test_a_caller_of_another_network_hears_nothing(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1", network=b"\x01" * 32)
    sent: list[bytes] = []
    bench.internet.observers.append(
        lambda event: sent.append(event.data) if event.kind == "segment" and event.source == bob.at else None
    )
    stranger = mallory(bench)
    stream = await stranger.connect(bob)
    await stream.send_all(encode_frame(HANDSHAKE, 0, stranger.caller(bob).hello()))
    assert await is_closed(stream)
    assert b"".join(sent) == b""
    assert bob.refused == {"noise-box": 1}


@on_bench
async def test_calls_from_oneself_and_for_other_purposes_are_refused(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    double, errand = mallory(bench, "66.6.6.6", "bob"), mallory(bench, "66.6.6.7")
    for stranger, purpose in ((double, "peer"), (errand, ERRAND)):
        stream = await stranger.connect(bob)
        await stream.send_all(encode_frame(HANDSHAKE, 0, stranger.caller(bob, purpose=purpose).hello()))
        assert await is_closed(stream)
    assert bob.refused == {"ourselves": 1, "purpose": 1}
    assert nothing_came_of_it(bob)


@on_bench
async def test_the_first_sealed_frame_is_a_small_one(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    wire = await mallory(bench).call(bob, first=None)
    await wire.raw(bytes(2000))
    assert await wire.closed()
    assert bob.refused == {"frame-length": 1}


@on_bench
async def test_a_first_frame_that_is_no_message_ends_the_link_and_leaves_no_pair(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    wire = await mallory(bench).call(bob, first=None)
    await wire.raw(b"\xc1")
    assert await wire.closed()
    await trio.sleep(10)
    assert bob.links.counters.ended == {"envelope-encoding": 1}
    assert bob.links.count() == 0


# --- crowds


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@on_sockets
async def test_a_thousand_connections_that_say_nothing_hold_64_places(bench: Bench) -> None:
    bob = await bench.room("bob")
    before = descriptors()
    silent: list[trio.SocketStream] = []
    most = 0
    stranger = mallory(bench)
    for number in range(1000):
        silent.append(await stranger.connect(bob))
        if number % 50 == 49:
            await soon(lambda: bob.links.counters.accepted == len(silent))
            most = max(most, bob.pending)
    assert most == 64
    assert bob.links.counters.displaced == 1000 - 64
    await soon(lambda: descriptors() - before <= 1000 + 64 + 8)
    await honest(bench, bob)
    for stream in silent:
        await stream.aclose()
    await soon(lambda: bob.pending == 0)
    await soon(lambda: bob.links.counters.refused.total == 1000)
    await soon(lambda: descriptors() <= before + 16)


async def all_at_once(crowd: list[Stranger], room: Room) -> None:
    """They connect, and a moment later the node has looked at them all."""
    async with trio.open_nursery() as nursery:
        for each in crowd:
            nursery.start_soon(each.connect, room)
    await trio.sleep(RTT)


@on_bench
async def test_a_crowd_from_one_subnet_pushes_out_itself(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    elsewhere = await mallory(bench, "77.7.7.7", "elsewhere").connect(bob)
    crowd = mallory(bench, "66.6.6.6")
    await all_at_once([crowd] * 100, bob)
    assert bob.pending == 9, "eight of the crowd, and the one from elsewhere"
    assert bob.links.counters.displaced == 92
    await honest(bench, bob)
    with trio.move_on_after(1) as scope:
        await is_closed(elsewhere)
    assert scope.cancelled_caught, "who came first, from another place, is still there"


@on_bench
async def test_crowds_from_everywhere_hold_their_places_and_an_honest_peer_gets_through(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    crowd = [mallory(bench, f"66.{number // 250}.{number % 250}.6", f"m{number}") for number in range(1000)]
    for first in range(0, 1000, 100):
        await all_at_once(crowd[first : first + 100], bob)
        assert bob.pending == 64
        assert len(bob.links._gate._scopes) == 64
    assert not bob.pairs
    await honest(bench, bob)
    await trio.sleep(6)
    assert bob.pending == 0
    assert bob.refused["displaced"] + bob.refused["unproven-in-time"] == 1000
    assert bob.refused["displaced"] == bob.links.counters.displaced >= 1000 - 64


@on_bench
async def test_connections_end_with_the_node(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1")
    streams = [await mallory(bench, f"66.6.{number}.6", f"m{number}").connect(bob) for number in range(10)]
    await run_until(lambda: bob.pending == 10, 1)
    await bob.stop()
    for stream in streams:
        assert await is_closed(stream)


@on_bench
async def test_the_only_place_goes_to_the_newcomer(bench: Bench) -> None:
    settings = replace(LOUD, pending=replace(LOUD.pending, places=1))
    bob = await bench.room("bob", "10.0.2.1", settings=settings)
    first = await mallory(bench, "66.6.6.6", "m1").connect(bob)
    await mallory(bench, "66.7.6.6", "m2").connect(bob)
    assert await is_closed(first)
    await honest(bench, bob)
