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


def test_a_connection_stands_after_one_round_trip_and_bytes_take_half_of_one() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        ours = await two.alice.connect(AT_BOB)
        assert trio.current_time() - start == pytest.approx(0.1)
        await ours.send_all(b"x")
        theirs, _ = await two.listener.accept()
        assert await theirs.receive_some() == b"x"
        assert trio.current_time() - start == pytest.approx(0.15)
        assert (theirs.remote, ours.remote) == (ours.local, AT_BOB)

    play(body)


def test_a_refusal_takes_one_round_trip_and_a_dead_host_two_minutes() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        with pytest.raises(ConnectionRefusedError):
            await two.alice.connect(Endpoint("10.0.0.2", 9))
        assert trio.current_time() - start == pytest.approx(0.1)
        two.internet.kill(two.bob)
        start = trio.current_time()
        with pytest.raises(TimeoutError):
            await two.alice.connect(AT_BOB)
        assert trio.current_time() - start == pytest.approx(127)

    play(body)


def test_a_knock_lost_in_a_cut_is_repeated() -> None:
    async def body(two: Two) -> None:
        two.internet.cut(two.alice, two.bob)
        two.internet.after(2, lambda: two.internet.heal(two.alice, two.bob))
        start = trio.current_time()
        await two.alice.connect(AT_BOB)
        assert trio.current_time() - start == pytest.approx(3.1)  # knocks after 0, 1 and 3 seconds

    play(body)


def test_an_attempt_that_was_cancelled_leaves_no_connection() -> None:
    async def body(two: Two) -> None:
        with trio.move_on_after(0.07):
            await two.alice.connect(AT_BOB)
        with trio.move_on_after(100) as scope:
            await two.listener.accept()
        assert scope.cancelled_caught

    play(body)


def test_a_full_backlog_hears_no_knock_until_somebody_is_accepted() -> None:
    async def body(two: Two) -> None:
        await two.alice.connect(AT_BOB)
        await trio.sleep(1)
        two.internet.after(2, lambda: two.listener._callers.clear())
        start = trio.current_time()
        await two.alice.connect(AT_BOB)
        assert trio.current_time() - start == pytest.approx(3.1)

    play(body, NetworkOptions(backlog=1))


def test_a_closed_listener_breaks_the_connections_it_never_accepted() -> None:
    async def body(two: Two) -> None:
        ours = await two.alice.connect(AT_BOB)
        await trio.sleep(1)
        await two.listener.aclose()
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await ours.receive_some()

    play(body)


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
