"""A peer that has proved who it is and then does its worst on the link."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import struct
from collections.abc import Awaitable, Callable
from itertools import count

import pytest
import trio

from kadnet.errors import PeerUnreachable
from kadnet.wire import envelopes
from kadnet.wire.envelopes import ERROR, NOTICE, REQUEST, RESPONSE, Close, Ping, Pong
from kadnet.wire.frames import HANDSHAKE, MAGIC, SEALED, encode_frame
from tests.unit.links.bench import LOUD, Bench, on_bench, soon
from tests.unit.links.strangers import MALLORY, Wire, bob_and, drip

RTT = 0.1
PART = bytes(60_000)


# --- what ends the link


async def claims_4_gib(wire: Wire) -> None:
    await wire.stream.send_all(struct.pack(">4sBBII", MAGIC, SEALED, 0, (1 << 32) - 1, 0))


async def shakes_hands_again(wire: Wire) -> None:
    await wire.stream.send_all(encode_frame(HANDSHAKE, 0, bytes(200)))


async def sends_what_does_not_open(wire: Wire) -> None:
    await wire.stream.send_all(encode_frame(SEALED, 0, bytes(200)))


async def sends_what_is_no_envelope(wire: Wire) -> None:
    await wire.raw(b"\x93\x01\x02\x03")


async def names_a_kind_there_is_not(wire: Wire) -> None:
    await wire.say("echo", 4, 1, b"")


async def names_a_protocol_that_cannot_be(wire: Wire) -> None:
    await wire.say("Echo!", REQUEST, 1, b"")


async def sends_a_control_there_is_not(wire: Wire) -> None:
    await wire.say("link", NOTICE, 0, b"\x91\x00")


async def sends_a_message_that_never_ends(wire: Wire) -> None:
    await wire.raw(envelopes.encode_envelope("echo", REQUEST, 1, bytes(1 << 20))[:60_000], more=True)
    for _ in range(20):
        await wire.raw(PART, more=True)


async def sends_empty_parts(wire: Wire) -> None:
    await wire.raw(b"\x94", more=True)
    await wire.raw(b"", more=True)


async def says_goodbye_and_hangs_up(wire: Wire) -> None:
    await wire.control(Close())
    await wire.stream.send_eof()


async def hangs_up(wire: Wire) -> None:
    await wire.stream.send_eof()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (claims_4_gib, "frame-length"),
        (shakes_hands_again, "frame-command"),
        (sends_what_does_not_open, "noise-box"),
        (sends_what_is_no_envelope, "envelope-shape"),
        (names_a_kind_there_is_not, "envelope-kind"),
        (names_a_protocol_that_cannot_be, "envelope-protocol"),
        (sends_a_control_there_is_not, "control"),
        (sends_a_message_that_never_ends, "message-length"),
        (sends_empty_parts, "message-part"),
        (says_goodbye_and_hangs_up, "closed"),
        (hangs_up, "eof"),
    ],
)
@on_bench
async def test_what_ends_a_link_is_counted(bench: Bench, does: Callable[[Wire], Awaitable[None]], reason: str) -> None:
    bob, wire = await bob_and(bench)
    bob.echo(max_body=1 << 20)
    with trio.move_on_after(5):  # it may find the door shut while it still speaks
        try:
            await does(wire)
        except trio.BrokenResourceError:
            pass
        assert await wire.closed()
    await soon(lambda: bob.links.counters.ended == {reason: 1})
    assert bob.links._budget._left == LOUD.assembling
    assert bob.links.count() == 0


# --- what does not


@on_bench
async def test_answers_to_nobody_are_counted_and_passed_over(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    bob.echo()
    for size in (10, 100_000):
        await wire.say("echo", RESPONSE, 77, bytes(size))
    await wire.say("echo", ERROR, 78, envelopes.encode_error("busy"))
    await wire.say("link", REQUEST, 1, b"")
    await wire.say("echo", REQUEST, 5, b"still there")
    assert (await wire.hear()).body == b"still there"
    assert bob.links.counters.unclaimed == 3


@on_bench
async def test_a_flood_of_pings_is_answered_and_holds_nobody_up(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    pongs: list[int] = []

    async def listen() -> None:
        while True:
            control = await wire.told()
            if isinstance(control, Pong):
                pongs.append(control.n)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for n in range(20_000):
            await wire.control(Ping(n))
        bob.echo()
        alice = await bench.room("alice", "10.0.1.1")
        assert await alice.links.request(bob.id, "echo", b"x") == b"x"
        await soon(lambda: pongs == list(range(20_000)))
        nursery.cancel_scope.cancel()


@on_bench
async def test_who_floods_with_pings_and_takes_no_pongs_is_dropped(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    (link,) = next(iter(bob.links._pairs.values())).links.values()
    longest = 0

    async def watch() -> None:
        nonlocal longest
        while True:
            longest = max(longest, len(link._queue))
            await trio.sleep(0.01)

    async def flood() -> None:
        for n in count():
            await wire.control(Ping(n & 0xFFFF))
            if n % 1000 == 0:
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(40):
            await flood()
        nursery.cancel_scope.cancel()
    assert bob.links.counters.ended == {"stalled": 1}
    assert 1000 < longest < 8192


@on_bench
async def test_one_byte_a_second_is_silence(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    start = trio.current_time()
    frame = wire.channel.seal(envelopes.encode_envelope("echo", REQUEST, 1, bytes(200)))
    with pytest.raises(trio.BrokenResourceError):
        await drip(wire.stream, frame)
    assert 30 <= trio.current_time() - start <= 33
    assert bob.links.counters.ended == {"silent": 1}


@on_bench
async def test_who_stops_reading_is_dropped_and_what_waits_for_it_is_bounded(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    pair = bob.links._pairs[MALLORY]
    sent = failed = most = 0

    async def tell() -> None:
        nonlocal sent, failed
        while not failed:
            try:
                await bob.links.notify(MALLORY, "note", bytes(10_000))
                sent += 1
            except PeerUnreachable:
                failed += 1

    async def keep_alive() -> None:
        nonlocal most
        for n in count():
            await trio.sleep(0.5)
            await wire.control(Ping(n))
            most = max(most, pair.machine.queued[1])

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(tell)
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(100):
            await keep_alive()
        assert bob.links.counters.ended == {"stalled": 1}
        assert LOUD.queue_bytes / 2 < most <= LOUD.queue_bytes + 10_100
        nursery.cancel_scope.cancel()
    assert sent < 300, "the rest of them waits"


@on_bench
async def test_who_asks_and_does_not_take_the_answers_is_bounded_and_dropped(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    served = 0

    async def much(_peer: bytes, _body: bytes) -> bytes:
        nonlocal served
        served += 1
        return bytes(50_000)

    bob.links.handle("much", much)
    pair = bob.links._pairs[MALLORY]
    most = 0

    async def flood() -> None:
        nonlocal most
        for n in count():
            await wire.say("much", REQUEST, n, b"")
            if n % 16 == 0:
                await trio.sleep(0.001)
                most = max(most, pair.reply_bytes)

    with pytest.raises(trio.BrokenResourceError), trio.fail_after(60):
        await flood()
    assert served * 50_000 < 10 * LOUD.queue_bytes
    assert most <= 3 * LOUD.queue_bytes
    assert bob.links.counters.ended == {"stalled": 1}
    await trio.sleep(15)  # in which it is called in vain
    assert pair.reply_bytes == 0
    assert bob.pairs == 0


@on_bench
async def test_a_flood_of_requests_is_answered_or_refused_each_once(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    bob.echo(concurrent=2)
    answers: dict[int, int] = {}

    async def listen() -> None:
        while True:
            envelope = await wire.hear()
            answers[envelope.id] = answers.get(envelope.id, 0) + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for n in range(5000):
            await wire.say("echo", REQUEST, n, bytes(20))
        await soon(lambda: len(answers) == 5000, 60)
        nursery.cancel_scope.cancel()
    assert set(answers.values()) == {1}
