"""Virtual connections: time, back-pressure, cuts, dead hosts. (tests/unit/test_transport.py holds the contract.)"""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from kadnet import lab
from kadnet.identity.address import Endpoint
from kadnet.lab import Fate, NetworkOptions, PacketEvent, VirtualInternet, VirtualListener, VirtualStream
from kadnet.lab import VirtualNetwork as Host

AT_BOB = Endpoint("10.0.0.2", 2000)


class Two:
    """Two hosts; bob listens."""

    def __init__(self, internet: VirtualInternet, listener: VirtualListener, alice: Host, bob: Host) -> None:
        self.internet = internet
        self.listener = listener
        self.alice = alice
        self.bob = bob

    async def connected(self) -> tuple[VirtualStream, VirtualStream]:
        """Alice's end and bob's."""
        ours = await self.alice.connect(AT_BOB)
        theirs, _ = await self.listener.accept()
        return ours, theirs


def play(body: Callable[[Two], Awaitable[None]], options: NetworkOptions | None = None) -> None:
    async def main() -> None:
        async with lab.virtual_internet(options) as internet:
            alice, bob = internet.host("alice", ["10.0.0.1"]), internet.host("bob", ["10.0.0.2"])
            await body(Two(internet, await bob.listen(AT_BOB), alice, bob))

    lab.run(main)


def test_the_sender_waits_for_a_window_of_unread_bytes() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        with trio.move_on_after(10) as scope:
            await ours.send_all(bytes(1001))
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert len(theirs._received) == 1000
        with trio.fail_after(0.001):
            await theirs.receive_some(1)
            await ours.wait_send_all_might_not_block()

    play(body, NetworkOptions(window=1000, segment=300))


def test_bytes_wait_through_a_cut_and_arrive_in_order_after_it() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        await ours.send_all(b"before ")
        await trio.sleep(1)
        two.internet.cut(two.alice, two.bob)
        await ours.send_all(b"during ")
        await trio.sleep(10.03)  # every second the segment is tried again, the next time in 0.02 s
        two.internet.heal(two.alice, two.bob)
        await ours.send_all(b"after")
        start = trio.current_time()
        await trio.sleep(0.01)
        assert bytes(theirs._received) == b"before "
        await trio.sleep(0.02)
        assert bytes(theirs._received) == b"before during "  # what was just sent is still on its way
        await ours.send_eof()
        got = b""
        while part := await theirs.receive_some():
            got += part
        assert got == b"before during after"
        assert trio.current_time() - start <= 1.1

    play(body)


def test_however_much_waits_for_a_cut_to_heal_one_attempt_a_second_is_made() -> None:
    async def body(two: Two) -> None:
        ours, _ = await two.connected()
        await trio.sleep(5)
        assert len(two.internet.pump) == 0
        two.internet.cut(two.alice, two.bob)
        for _ in range(50):
            await ours.send_all(b"x")
        await trio.sleep(0.5)
        assert len(two.internet.pump) == 1

    play(body)


def test_a_filtered_segment_is_sent_again() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        drops = [False, False]
        two.internet.filters.append(lambda packet: drops.pop() if drops and packet.data == b"x" else True)
        start = trio.current_time()
        await ours.send_all(b"x")
        assert await theirs.receive_some() == b"x"
        assert trio.current_time() - start == pytest.approx(2.05)

    play(body)


def lose_answers(two: Two) -> None:
    two.internet.filters.append(lambda packet: packet.target.host != "10.0.0.1")


@pytest.mark.parametrize("fault", [lambda two: two.internet.cut(two.bob, two.alice, one_way=True), lose_answers])
def test_without_acknowledgements_a_window_gets_through_and_the_sender_breaks(fault: Callable[[Two], object]) -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        got = bytearray()

        async def read() -> None:
            async for part in theirs:
                got.extend(part)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(1)
            fault(two)
            start = trio.current_time()
            with pytest.raises(trio.BrokenResourceError, match="stopped answering"):
                await ours.send_all(bytes(5000))
            assert trio.current_time() - start == pytest.approx(60, abs=1.1)
            assert len(got) == 1000
            nursery.cancel_scope.cancel()

    play(body, NetworkOptions(window=1000, segment=300, stream_timeout=60))


@pytest.mark.parametrize("heal", [True, False])
def test_who_sent_a_little_is_broken_too_unless_an_acknowledgement_comes_in_time(heal: bool) -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        two.internet.cut(two.bob, two.alice, one_way=True)
        await ours.send_all(b"x")
        await trio.sleep(0.06)
        await ours.send_all(b"y")
        await trio.sleep(0.06)
        assert bytes(theirs._received) == b"xy"
        await trio.sleep(50)
        if heal:
            two.internet.heal_all()
        await trio.sleep(5000)
        if heal:
            await ours.send_all(b"z")
        else:
            with pytest.raises(trio.BrokenResourceError, match="stopped answering"):
                await ours.send_all(b"z")

    play(body, NetworkOptions(stream_timeout=60))


def test_what_is_read_behind_a_cut_makes_room_after_it_and_breaks_nobody_who_has_nothing_to_say() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        await ours.send_all(bytes(1000))
        await trio.sleep(1)
        two.internet.cut(two.alice, two.bob)
        assert len(await theirs.receive_some()) == 1000
        await trio.sleep(5000)
        assert len(two.internet.pump) == 0
        with trio.move_on_after(10) as scope:
            await ours.send_all(b"x")
        assert scope.cancelled_caught
        two.internet.heal_all()
        await ours.send_all(b"x")
        assert await theirs.receive_some() == b"x"

    play(body, NetworkOptions(window=1000, stream_timeout=60))


@pytest.mark.parametrize(("healed_after", "took"), [(20.5, 20), (100, 60)])
def test_who_waits_for_room_behind_a_cut_goes_on_when_it_is_healed_or_breaks(healed_after: float, took: float) -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        await ours.send_all(bytes(1000))
        await trio.sleep(1)

        async def read_behind_the_cut() -> None:
            await trio.sleep(1)
            two.internet.cut(two.alice, two.bob)
            await theirs.receive_some()
            await trio.sleep(healed_after)
            two.internet.heal_all()

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_behind_the_cut)
            if healed_after < 60:
                await ours.send_all(b"x")
            else:
                with pytest.raises(trio.BrokenResourceError, match="stopped answering"):
                    await ours.send_all(b"x")
            assert trio.current_time() - start == pytest.approx(1 + took, abs=1.1)

    play(body, NetworkOptions(window=1000, stream_timeout=60))


def test_only_who_sends_to_a_dead_host_learns_of_it() -> None:
    async def body(two: Two) -> None:
        sender, _ = await two.connected()
        listener, _ = await two.connected()
        two.internet.kill(two.bob)
        with trio.move_on_after(5000) as scope:
            await listener.receive_some()
        assert scope.cancelled_caught
        await sender.send_all(b"anybody?")
        start = trio.current_time()
        with pytest.raises(trio.BrokenResourceError, match="stopped answering"):
            await sender.receive_some()
        assert trio.current_time() - start == pytest.approx(60.05, abs=1)

    play(body, NetworkOptions(stream_timeout=60))


def test_a_dead_host_sends_nothing_not_even_a_farewell() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        two.internet.kill(two.bob)
        before = two.internet.trace.hexdigest()
        await theirs.send_all(b"last words")
        await theirs.aclose()
        with trio.move_on_after(5000) as scope:
            await ours.receive_some()
        assert scope.cancelled_caught
        assert two.internet.trace.hexdigest() == before

    play(body)


def test_a_restarted_host_knows_no_old_connection() -> None:
    async def body(two: Two) -> None:
        ours, _ = await two.connected()
        two.internet.kill(two.bob)
        two.internet.host("bob", ["10.0.0.2"])
        await ours.send_all(b"are you the same?")
        start = trio.current_time()
        with pytest.raises(trio.BrokenResourceError, match="restarted"):
            await ours.receive_some()
        assert trio.current_time() - start == pytest.approx(0.1)

    play(body)


def test_bytes_that_arrived_before_a_reset_are_still_read() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        await ours.send_all(b"read me")
        ours.abort()
        await trio.sleep(1)
        assert await theirs.receive_some() == b"read me"
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()

    play(body)


def test_a_stream_slows_down_to_the_slower_of_the_two_lines() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, bytes(100_000))
            got = 0
            while got < 100_000:
                got += len(await theirs.receive_some())
        assert 10 < trio.current_time() - start < 10.6

    for bandwidth in ((10_000.0, None), (None, 10_000.0), (10_000.0, 20_000.0)):
        play(body, NetworkOptions(bandwidth=bandwidth, segment=1000))


def test_a_stream_that_fills_a_line_leaves_room_for_datagrams() -> None:
    async def body(two: Two) -> None:
        ours, theirs = await two.connected()
        a = await two.alice.datagrams(Endpoint("10.0.0.1", 1))
        b = await two.bob.datagrams(Endpoint("10.0.0.2", 1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, bytes(100_000))
            await trio.sleep(1)
            start = trio.current_time()
            a.send(b"x", b.local)
            await b.receive()
            assert trio.current_time() - start < 0.4  # behind one segment on each line
            nursery.cancel_scope.cancel()
        assert len(theirs._received) > 5000

    play(body, NetworkOptions(bandwidth=(10_000.0, 10_000.0), segment=1000))


def test_streams_of_a_slow_line_share_it() -> None:
    async def body(two: Two) -> None:
        pairs = [await two.connected() for _ in range(2)]
        async with trio.open_nursery() as nursery:
            for ours, _ in pairs:
                nursery.start_soon(ours.send_all, bytes(100_000))
            await trio.sleep(5)
            arrived = [len(theirs._received) for _, theirs in pairs]
            nursery.cancel_scope.cancel()
        assert sum(arrived) == pytest.approx(50_000, rel=0.1)
        assert abs(arrived[0] - arrived[1]) <= 1000

    play(body, NetworkOptions(bandwidth=(10_000.0, None), segment=1000))


def test_segments_are_in_the_trace_and_seen_by_observers() -> None:
    async def body(two: Two) -> None:
        seen: list[PacketEvent] = []
        two.internet.observers.append(seen.append)
        ours, theirs = await two.connected()
        handshake = len(seen)
        before = two.internet.trace.hexdigest()
        await ours.send_all(b"x")
        await theirs.receive_some()
        assert [(event.kind, event.fate, event.data) for event in seen[handshake:]] == [
            ("segment", Fate.SENT, b"x"),
            ("segment", Fate.DELIVERED, b"x"),
        ]
        assert handshake >= 2
        assert two.internet.trace.hexdigest() != before

    play(body, replace(NetworkOptions(), loss=1.0))  # streams repair loss
