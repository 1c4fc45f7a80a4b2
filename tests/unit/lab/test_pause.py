"""Hosts whose programs stand still while their system goes on."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet import lab
from kadnet.identity.address import Endpoint
from kadnet.lab import NetworkOptions, VirtualInternet, VirtualNetwork

AT_BOB = Endpoint("10.0.0.2", 2000)
Body = Callable[[VirtualInternet, VirtualNetwork, VirtualNetwork], Awaitable[None]]


def play(body: Body, options: NetworkOptions | None = None) -> None:
    async def main() -> None:
        async with lab.virtual_internet(options) as internet:
            await body(internet, internet.host("alice", ["10.0.0.1"]), internet.host("bob", ["10.0.0.2"]))
            assert internet.accounting.balanced

    lab.run(main)


async def nothing(wait: Callable[[], Awaitable[object]]) -> bool:
    """Whether nothing comes for ten seconds."""
    with trio.move_on_after(10) as scope:
        await wait()
    return scope.cancelled_caught


def test_datagrams_for_a_paused_host_wait_in_its_inbox_and_it_sends_none() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        a, b = await alice.datagrams(Endpoint("10.0.0.1", 1)), await bob.datagrams(AT_BOB)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nothing, b.receive)  # it was waiting already
            await trio.sleep(1)
            internet.pause(bob)
            assert bob.paused
            for n in range(5):
                a.send(bytes([n]), AT_BOB)
        assert await nothing(b.receive)
        assert not b.send(b"x", a.local)
        start = trio.current_time()
        internet.after(5, lambda: internet.resume(bob))
        assert [data for data, _ in await b.receive()] == [b"\0", b"\1", b"\2"]
        assert trio.current_time() - start == pytest.approx(5)
        assert internet.accounting.lost_by == {"full": 2}
        assert internet.accounting.sent == 5
        assert b.send(b"x", a.local)
        assert await a.receive() == [(b"x", AT_BOB)]

    play(body, NetworkOptions(inbox=3))


def test_what_a_paused_host_writes_leaves_at_its_resume_in_order() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        listener = await bob.listen(AT_BOB)
        ours = await alice.connect(AT_BOB)
        theirs, _ = await listener.accept()
        await theirs.send_all(b"before ")
        internet.pause(bob)
        segments = internet.accounting.segments
        await theirs.send_all(b"during ")
        await theirs.send_all(b"the pause")
        await theirs.aclose()
        assert await ours.receive_some() == b"before "
        assert await nothing(ours.receive_some)
        assert internet.accounting.segments == segments
        internet.resume(bob)
        assert b"".join([part async for part in ours]) == b"during the pause"

    play(body)


def test_a_paused_host_reads_nothing_and_its_window_fills() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        listener = await bob.listen(AT_BOB)
        ours = await alice.connect(AT_BOB)
        theirs, _ = await listener.accept()
        internet.pause(bob)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, bytes(1500))
            assert await nothing(theirs.receive_some)
            assert len(theirs._received) == 1000
            internet.resume(bob)
            assert len(await theirs.receive_some()) == 1000
            assert len(await theirs.receive_some()) == 500

    play(body, NetworkOptions(window=1000))


def test_callers_of_a_paused_host_are_connected_until_its_backlog_is_full() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        listener = await bob.listen(AT_BOB)
        internet.pause(bob)
        start = trio.current_time()
        ours = [await alice.connect(AT_BOB) for _ in range(2)]
        assert trio.current_time() - start == pytest.approx(0.2)
        assert await nothing(listener.accept)
        assert await nothing(lambda: alice.connect(AT_BOB))
        internet.resume(bob)
        accepted = [await listener.accept() for _ in range(2)]
        assert [source for _, source in accepted] == [each.local for each in ours]

    play(body, NetworkOptions(backlog=2))


def test_a_paused_host_calls_nobody_and_resets_nobody() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        listener = await bob.listen(AT_BOB)
        ours = await alice.connect(AT_BOB)
        theirs, _ = await listener.accept()
        internet.pause(alice)
        ours.abort()
        segments = internet.accounting.segments
        assert await nothing(lambda: alice.connect(AT_BOB))
        assert await nothing(theirs.receive_some)
        assert internet.accounting.segments == segments
        internet.resume(alice)
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()
        await alice.connect(AT_BOB)

    play(body)


def test_the_outcome_of_a_call_waits_for_the_resume() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        await bob.listen(AT_BOB)
        start = trio.current_time()
        internet.after(0.01, lambda: internet.pause(alice))
        internet.after(4, lambda: internet.resume(alice))
        await alice.connect(AT_BOB)
        assert trio.current_time() - start == pytest.approx(4)

    play(body)


def test_the_dead_are_not_paused_and_their_restart_runs() -> None:
    async def body(internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        internet.pause(bob)
        internet.kill(bob)
        internet.pause(bob)
        assert not bob.paused
        again = await internet.host("bob", ["10.0.0.2"]).datagrams(AT_BOB)
        (await alice.datagrams(Endpoint("10.0.0.1", 1))).send(b"x", AT_BOB)
        assert len(await again.receive()) == 1

    play(body)
