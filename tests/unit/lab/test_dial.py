"""Opening connections: time, refusal, retries, and attempts that nobody waits for any more."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet import lab
from kadnet.identity.address import Endpoint
from kadnet.lab import NetworkOptions, VirtualInternet, VirtualListener
from kadnet.lab import VirtualNetwork as Host

AT_BOB = Endpoint("10.0.0.2", 2000)


class Two:
    """Two hosts; bob listens."""

    def __init__(self, internet: VirtualInternet, listener: VirtualListener, alice: Host, bob: Host) -> None:
        self.internet = internet
        self.listener = listener
        self.alice = alice
        self.bob = bob


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


def test_an_attempt_that_is_cancelled_while_its_host_is_paused_leaves_no_connection() -> None:
    async def body(two: Two) -> None:
        two.internet.after(0.05, lambda: two.internet.pause(two.alice))
        with trio.move_on_after(5):
            await two.alice.connect(AT_BOB)
        two.internet.resume(two.alice)
        accepted, _ = await two.listener.accept()
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await accepted.receive_some()

    play(body)


def test_a_host_that_restarts_during_the_handshake_gets_a_connection_of_its_own() -> None:
    async def body(two: Two) -> None:
        listeners: list[VirtualListener] = []

        async def restart() -> None:
            await trio.sleep(0.075)  # it has heard the first knock; its answer is on the way
            two.internet.kill(two.bob)
            await trio.sleep(0.5)
            two.bob = two.internet.host("bob", ["10.0.0.2"])
            listeners.append(await two.bob.listen(AT_BOB))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart)
            ours = await two.alice.connect(AT_BOB)
        accepted, _ = await listeners[0].accept()
        await ours.send_all(b"x")
        assert await accepted.receive_some() == b"x"

    play(body)
