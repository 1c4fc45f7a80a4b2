"""Groups behind cuts, and observers and filters that raise."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet import lab
from kadnet.identity.address import Endpoint
from kadnet.lab import Coordinates, NetworkOptions, PacketEvent, VirtualInternet, virtual_internet

GROUP = Endpoint("239.1.1.1", 7420)


def play(body: Callable[[VirtualInternet], Awaitable[None]], options: NetworkOptions | None = None) -> None:
    async def main() -> None:
        async with virtual_internet(options) as internet:
            await body(internet)
            assert internet.accounting.balanced

    lab.run(main, virtual_limit=100)


@pytest.mark.parametrize("one_way", [True, False])
def test_a_cut_keeps_a_groups_datagrams_from_who_is_behind_it_and_from_nobody_else(one_way: bool) -> None:
    async def body(internet: VirtualInternet) -> None:
        alice, bob, carol = (internet.host(f"h{n}", [f"10.0.0.{n}"]) for n in (1, 2, 3))
        ports = [await host.datagrams(Endpoint(host.addresses[0], 7420), group=GROUP.host) for host in (bob, carol)]
        sender = await alice.datagrams(Endpoint("10.0.0.1", 1))
        internet.partition([alice], [bob], one_way)
        sender.send(b"x", GROUP)
        assert await ports[1].receive() == [(b"x", sender.local)]
        assert not ports[0]._inbox
        assert internet.accounting.lost_by == {"cut": 1}
        internet.heal_all()
        sender.send(b"y", GROUP)
        assert await ports[0].receive() == [(b"y", sender.local)]

    play(body)


def test_a_groups_datagram_takes_as_long_as_any_other_between_the_same_hosts() -> None:
    async def body(internet: VirtualInternet) -> None:
        box = internet.nat("box", "80.0.0.1")
        for behind, first in ((None, 0), (box, 10)):
            a, b = (internet.host(f"h{first + n}", [f"10.0.0.{first + n}"], behind=behind) for n in (1, 2))
            sender = await a.datagrams(Endpoint(a.addresses[0], 1))
            port = await b.datagrams(Endpoint(b.addresses[0], 7420), group=GROUP.host)
            start = trio.current_time()
            sender.send(b"x", GROUP)
            await port.receive()
            assert trio.current_time() - start == pytest.approx(internet.latency(a, b))

    play(body, NetworkOptions(latency=Coordinates(3)))


def broken(_event: PacketEvent) -> bool:
    raise OSError("the disk of the test is full")


async def call(internet: VirtualInternet) -> None:
    """A program that takes an OSError for a fault of the network, as nodes do."""
    alice, bob = internet.host("alice", ["10.0.0.1"]), internet.host("bob", ["10.0.0.2"])
    port = await alice.datagrams(Endpoint("10.0.0.1", 1))
    await bob.listen(Endpoint("10.0.0.2", 2))
    while True:
        try:
            port.send(b"x", Endpoint("10.0.0.2", 1))
            await alice.connect(Endpoint("10.0.0.2", 2))
        except OSError:
            await trio.sleep(1)


@pytest.mark.parametrize("role", ["observers", "filters"])
def test_what_an_observer_or_filter_raises_ends_the_run_and_is_no_fault_of_the_network(role: str) -> None:
    async def body(internet: VirtualInternet) -> None:
        getattr(internet, role).append(broken)
        await call(internet)

    with pytest.raises(OSError, match="the disk of the test") as caught:
        play(body)
    assert "raised by an observer or filter of the virtual internet: <function broken" in caught.value.__notes__[0]


def test_what_an_observer_raises_at_the_very_end_is_raised_too() -> None:
    async def body(internet: VirtualInternet) -> None:
        alice = internet.host("alice", ["10.0.0.1"])
        port = await alice.datagrams(Endpoint("10.0.0.1", 1))
        internet.observers.append(broken)
        port.send(b"x", Endpoint("10.0.0.2", 1))

    with pytest.raises(OSError, match="the disk of the test"):
        play(body)
