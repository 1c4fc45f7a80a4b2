"""One contract, two networks: every test of `play` runs on this machine's sockets and on the virtual internet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from trio.testing import check_half_closeable_stream

from kadnet import lab
from kadnet.errors import InputError, NameNotFound, PortInUse
from kadnet.identity.address import Endpoint
from kadnet.lab import virtual_internet
from kadnet.transport import Datagrams, Listener, Network, RealNetwork


@dataclass(frozen=True)
class World:
    """Two machines that reach each other (of a real one there is only one), and where each listens."""

    alice: Network
    bob: Network
    at_alice: Endpoint
    at_bob: Endpoint
    group: str
    settle: Callable[[], Awaitable[object]]
    """Wait until what was sent has arrived, or has come to nothing."""


Play = Callable[[Callable[[World], Awaitable[None]]], None]


def _play_real(body: Callable[[World], Awaitable[None]]) -> None:
    network = RealNetwork()
    here = Endpoint("127.0.0.1", 0)

    async def main() -> None:
        with trio.fail_after(10):
            await body(World(network, network, here, here, "239.255.74.20", trio.testing.wait_all_tasks_blocked))

    trio.run(main)


def _play_virtual(body: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with virtual_internet() as internet:
            alice = internet.host("alice", ["10.0.0.1", "2001:db8::1"])
            bob = internet.host("bob", ["10.0.0.2", "2001:db8::2"])
            at_alice, at_bob = Endpoint("10.0.0.1", 0), Endpoint("10.0.0.2", 0)
            with trio.fail_after(3600):
                await body(World(alice, bob, at_alice, at_bob, "239.255.74.20", partial(trio.sleep, 1)))

    lab.run(main)


@pytest.fixture(params=[_play_real, _play_virtual], ids=["real", "virtual"])
def play(request: pytest.FixtureRequest) -> Play:
    chosen: Play = request.param
    return chosen


@asynccontextmanager
async def two_ports(world: World) -> AsyncIterator[tuple[Datagrams, Datagrams]]:
    a = await world.alice.datagrams(world.at_alice)
    b = await world.bob.datagrams(world.at_bob)
    try:
        yield a, b
    finally:
        await a.aclose()
        await b.aclose()


async def connected(world: World) -> tuple[trio.abc.Stream, trio.abc.Stream, Listener]:
    listener = await world.bob.listen(world.at_bob)
    ours = await world.alice.connect(listener.local)
    theirs, _ = await listener.accept()
    return ours, theirs, listener


def test_a_datagram_arrives_with_its_senders_endpoint_and_can_be_answered(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            assert a.local.port != 0
            assert a.send(b"question", b.local)
            assert await b.receive() == [(b"question", a.local)]
            assert b.send(b"answer", a.local)
            assert await a.receive() == [(b"answer", b.local)]

    play(body)


def test_a_port_on_the_wildcard_is_reached_and_answers_from_an_address(play: Play) -> None:
    async def body(world: World) -> None:
        a = await world.alice.datagrams(world.at_alice)
        b = await world.bob.datagrams(Endpoint("0.0.0.0", 0))
        assert b.local.host == "0.0.0.0"
        assert a.send(b"x", Endpoint(world.at_bob.host, b.local.port))
        [(_, source)] = await b.receive()
        assert b.send(b"y", source)
        assert await a.receive() == [(b"y", Endpoint(world.at_bob.host, b.local.port))]
        await a.aclose()
        await b.aclose()

    play(body)


def test_ipv6_endpoints_are_canonical_and_carry_no_scope(play: Play) -> None:
    async def body(world: World) -> None:
        a = await world.alice.datagrams(Endpoint("::1", 0))
        b = await world.alice.datagrams(Endpoint("::", 0))
        assert a.send(b"six", Endpoint("::1", b.local.port))
        assert await b.receive() == [(b"six", Endpoint("::1", a.local.port))]
        await a.aclose()
        await b.aclose()

    play(body)


def test_the_same_port_serves_both_families(play: Play) -> None:
    async def body(world: World) -> None:
        four = await world.alice.datagrams(Endpoint("0.0.0.0", 0))
        six = await world.alice.datagrams(Endpoint("::", four.local.port))
        streams = await world.alice.listen(Endpoint("0.0.0.0", four.local.port))
        assert six.local.port == streams.local.port == four.local.port
        ports: list[Datagrams | Listener] = [four, six, streams]
        for each in ports:
            await each.aclose()

    play(body)


def test_what_has_arrived_comes_in_one_batch_of_64_at_most_and_in_order(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            assert all(a.send(b"%d" % n, b.local) for n in range(100))
            await world.settle()
            first = await b.receive()
            second = await b.receive()
            assert (len(first), len(second)) == (64, 36)
            assert [data for data, _ in first + second] == [b"%d" % n for n in range(100)]

    play(body)


def test_receiving_is_a_checkpoint_however_much_has_arrived(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            a.send(b"x", b.local)
            await world.settle()
            with trio.testing.assert_checkpoints():
                await b.receive()

    play(body)


def test_a_datagram_to_nobody_hurts_neither_sending_nor_receiving(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            gone = await world.bob.datagrams(world.at_bob)
            await gone.aclose()
            for _ in range(5):
                assert a.send(b"anybody?", gone.local)
            await world.settle()  # until the ICMP error is back
            assert b.send(b"still here", a.local)
            assert await a.receive() == [(b"still here", b.local)]

    play(body)


def test_sending_says_what_the_system_does_not_take(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            assert not a.send(bytes(70_000), b.local)  # larger than any datagram
            assert not a.send(b"x", Endpoint("::1", b.local.port))  # the other family
            await a.aclose()
            assert not a.send(b"x", b.local)

    play(body)


def test_closing_wakes_the_receiver_and_refuses_the_next(play: Play) -> None:
    async def body(world: World) -> None:
        port = await world.alice.datagrams(world.at_alice)

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await port.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await port.aclose()
        await receive()
        await port.aclose()

    play(body)


def test_a_cancelled_receive_loses_no_datagram(play: Play) -> None:
    async def body(world: World) -> None:
        async with two_ports(world) as (a, b):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(b.receive)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            a.send(b"x", b.local)
            assert await b.receive() == [(b"x", a.local)]

    play(body)


def test_a_taken_port_is_refused_by_name(play: Play) -> None:
    async def body(world: World) -> None:
        port = await world.alice.datagrams(world.at_alice)
        with pytest.raises(PortInUse, match=rf"{port.local.host}:{port.local.port} is in use"):
            await world.alice.datagrams(port.local)
        everywhere = Endpoint("0.0.0.0", port.local.port)
        with pytest.raises(PortInUse):
            await world.alice.datagrams(everywhere)
        await port.aclose()
        port = await world.alice.datagrams(everywhere)
        with pytest.raises(PortInUse):
            await world.alice.datagrams(Endpoint(world.at_alice.host, port.local.port))
        await port.aclose()
        again = await world.alice.datagrams(port.local)
        await again.aclose()
        listener = await world.alice.listen(world.at_alice)
        with pytest.raises(PortInUse):
            await world.alice.listen(listener.local)
        await listener.aclose()

    play(body)


def test_an_address_of_another_machine_is_refused_by_name(play: Play) -> None:
    async def body(world: World) -> None:
        elsewhere = Endpoint("192.0.2.77", 7420)
        with pytest.raises(InputError, match=r"192\.0\.2\.77:7420 is not an address of this machine"):
            await world.alice.datagrams(elsewhere)
        with pytest.raises(InputError, match="not an address of this machine"):
            await world.alice.listen(elsewhere)

    play(body)


def test_every_member_of_a_group_hears_it(play: Play) -> None:
    async def body(world: World) -> None:
        one = await world.alice.datagrams(world.at_alice, group=world.group)
        two = await world.bob.datagrams(Endpoint(world.at_bob.host, one.local.port), group=world.group)
        stranger = await world.bob.datagrams(world.at_bob)
        assert one.local.port == two.local.port
        assert one.send(b"who is here?", Endpoint(world.group, one.local.port))
        [(data, source)] = await two.receive()
        assert (data, source) == (b"who is here?", one.local)
        assert [data for data, _ in await one.receive()] == [b"who is here?"]
        one.send(b"you", stranger.local)
        assert [data for data, _ in await stranger.receive()] == [b"you"]
        for each in (one, two, stranger):
            await each.aclose()

    play(body)


def test_a_group_of_the_wrong_kind_is_refused(play: Play) -> None:
    async def body(world: World) -> None:
        for wrong in ("10.1.2.3", "ff02::7420"):
            with pytest.raises(InputError, match="is not a multicast group"):
                await world.alice.datagrams(world.at_alice, group=wrong)

    play(body)


def test_bytes_and_their_end_go_both_ways_over_a_stream(play: Play) -> None:
    async def body(world: World) -> None:
        ours, theirs, listener = await connected(world)
        async with ours, theirs:
            await ours.send_all(b"hello")
            assert await theirs.receive_some(100) == b"hello"
            await theirs.send_all(b"and you")
            assert await ours.receive_some(3) == b"and"
            assert await ours.receive_some() == b" you"
            await ours.aclose()
            assert await theirs.receive_some() == b""
        await listener.aclose()

    play(body)


def test_a_sender_waits_for_a_receiver_that_does_not_read(play: Play) -> None:
    async def body(world: World) -> None:
        ours, theirs, listener = await connected(world)
        size = 32 << 20
        sent = trio.Event()
        got = 0

        async def send() -> None:
            await ours.send_all(bytes(size))
            sent.set()

        async with ours, theirs, trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await world.settle()
            assert not sent.is_set()
            while got < size:
                got += len(await theirs.receive_some(1 << 20))
        assert sent.is_set()
        await listener.aclose()

    play(body)


def test_closing_on_unread_bytes_breaks_the_other_end(play: Play) -> None:
    async def body(world: World) -> None:
        ours, theirs, listener = await connected(world)
        async with ours, theirs:
            await ours.send_all(b"unread")
            assert await theirs.receive_some(2) == b"un"
            await theirs.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await ours.receive_some()
        await listener.aclose()

    play(body)


def test_streams_pass_the_conformance_suite(play: Play) -> None:
    async def body(world: World) -> None:
        listeners: list[Listener] = []

        async def make() -> tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]:
            ours, theirs, listener = await connected(world)
            listeners.append(listener)
            assert isinstance(ours, trio.abc.HalfCloseableStream)
            assert isinstance(theirs, trio.abc.HalfCloseableStream)
            return ours, theirs

        async def make_clogged() -> tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]:
            pair = await make()
            for end in pair:
                with trio.move_on_after(0.2):
                    while True:
                        await end.send_all(bytes(65_536))
            return pair

        virtual = not isinstance(world.alice, RealNetwork)
        await check_half_closeable_stream(make, make_clogged if virtual else None)
        for listener in listeners:
            await listener.aclose()

    play(body)


def test_nobody_listening_is_a_refusal(play: Play) -> None:
    async def body(world: World) -> None:
        listener = await world.bob.listen(world.at_bob)
        await listener.aclose()
        with pytest.raises(ConnectionRefusedError):
            await world.alice.connect(listener.local)

    play(body)


def test_closing_a_listener_wakes_accept_and_refuses_the_next(play: Play) -> None:
    async def body(world: World) -> None:
        listener = await world.bob.listen(world.at_bob)

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            await trio.testing.wait_all_tasks_blocked()
            await listener.aclose()
        await accept()

    play(body)


def test_addresses_resolve_to_themselves_and_names_to_addresses(play: Play) -> None:
    async def body(world: World) -> None:
        assert await world.alice.resolve("192.0.2.1", 7) == [Endpoint("192.0.2.1", 7)]
        assert await world.alice.resolve("2001:DB8:0::1", 7) == [Endpoint("2001:db8::1", 7)]
        found = await world.alice.resolve("localhost", 7)
        assert Endpoint("127.0.0.1", 7) in found or Endpoint("::1", 7) in found
        assert len(found) == len(set(found))

    play(body)


def test_an_unknown_name_is_said(play: Play) -> None:
    async def body(world: World) -> None:
        with pytest.raises(NameNotFound, match=r"nowhere\.invalid"):
            await world.alice.resolve("nowhere.invalid", 7)

    play(body)
