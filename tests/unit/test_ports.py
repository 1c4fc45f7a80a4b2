"""One number for datagrams and streams; all or nothing is bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from kadnet.errors import InputError, PortInUse
from kadnet.identity.address import Address, Endpoint
from kadnet.identity.keys import Identity
from kadnet.lab import VirtualNetwork, run, virtual_internet
from kadnet.ports import Ports, dialable, open_ports
from kadnet.transport import Network, RealNetwork, TcpListener, UdpDatagrams

BOB = Identity.from_seed(b"b" * 32).public


class Odd(RealNetwork):
    """A machine whose network does something else at some call of it."""

    def __init__(self, fails: Callable[[str, Endpoint], BaseException | None]) -> None:
        super().__init__()
        self._fails = fails
        self.bound: list[str] = []
        self.opened: list[UdpDatagrams | TcpListener] = []

    async def datagrams(self, at: Endpoint, *, group: str | None = None) -> UdpDatagrams:
        self._check("datagrams", at)
        opened = await super().datagrams(at, group=group)
        self.opened.append(opened)
        return opened

    async def listen(self, at: Endpoint) -> TcpListener:
        self._check("listen", at)
        opened = await super().listen(at)
        self.opened.append(opened)
        return opened

    def _check(self, verb: str, at: Endpoint) -> None:
        self.bound.append(f"{verb} {at.host}")
        error = self._fails(verb, at)
        if error is not None:
            raise error


def is_closed(port: UdpDatagrams | TcpListener) -> bool:
    if isinstance(port, UdpDatagrams):
        return port._socket.fileno() == -1
    return port._listener.socket.fileno() == -1


def places(ports: Ports) -> list[Endpoint]:
    return [each.local for each in ports.datagrams] + [each.local for each in ports.listeners]


def numbers(ports: Ports) -> set[int]:
    return {place.port for place in places(ports)}


async def test_a_port_that_was_asked_for_is_bound_for_both_or_not_at_all() -> None:
    network = RealNetwork()
    ports = await open_ports(network, "127.0.0.1:0")
    (number,) = numbers(ports)
    assert (len(ports.datagrams), len(ports.listeners), ports.notes) == (1, 1, ())
    with pytest.raises(PortInUse):
        await open_ports(network, f"127.0.0.1:{number}")
    await ports.aclose()
    await (await open_ports(network, f"127.0.0.1:{number}")).aclose()


@pytest.mark.parametrize("kind", ["datagrams", "listen"])
async def test_a_port_of_which_one_kind_is_taken_is_refused_and_the_other_is_let_go(kind: str) -> None:
    network = RealNetwork()
    at = Endpoint("127.0.0.1", 0)
    taken: UdpDatagrams | TcpListener = await (network.datagrams(at) if kind == "datagrams" else network.listen(at))
    with pytest.raises(PortInUse):
        await open_ports(network, f"127.0.0.1:{taken.local.port}")
    # the other kind is free again
    free = Endpoint("127.0.0.1", taken.local.port)
    other: UdpDatagrams | TcpListener = await (network.listen(free) if kind == "datagrams" else network.datagrams(free))
    await other.aclose()
    await taken.aclose()


async def test_with_port_zero_a_number_that_is_taken_for_streams_is_passed_over() -> None:
    left = 3

    def fails(verb: str, at: Endpoint) -> BaseException | None:
        nonlocal left
        if verb == "listen" and left:
            left -= 1
            return PortInUse(f"{at} is in use")
        return None

    network = Odd(fails)
    ports = await open_ports(network, "127.0.0.1:0")
    assert len(numbers(ports)) == 1
    assert network.bound.count("datagrams 127.0.0.1") == 4
    await ports.aclose()


async def test_it_does_not_look_for_a_free_number_for_ever() -> None:
    network = Odd(lambda verb, at: PortInUse("in use") if verb == "listen" else None)
    with pytest.raises(PortInUse):
        await open_ports(network, "127.0.0.1:0")
    assert len(network.bound) == 32


def on_virtual(body: Callable[[VirtualNetwork], object], addresses: tuple[str, ...] = ("10.0.0.1",)) -> None:
    async def main() -> None:
        async with virtual_internet() as internet:
            await body(internet.host("bob", addresses))  # type: ignore[misc]  # it is a coroutine function

    run(main)


def test_by_default_it_is_7420_on_all_addresses_of_both_families() -> None:
    async def body(network: VirtualNetwork) -> None:
        ports = await open_ports(network, None)
        assert places(ports) == [Endpoint("0.0.0.0", 7420), Endpoint("::", 7420)] * 2
        assert ports.notes == ()

    on_virtual(body, ("10.0.0.1", "2001:db8::1"))


@pytest.mark.parametrize("kind", ["datagrams", "listen"])
def test_where_7420_is_taken_another_number_is_found_and_noted(kind: str) -> None:
    async def body(network: VirtualNetwork) -> None:
        at = Endpoint("0.0.0.0", 7420)
        await (network.datagrams(at) if kind == "datagrams" else network.listen(at))
        ports = await open_ports(network, None)
        (number,) = numbers(ports)
        assert number != 7420
        assert ports.notes == (f"port 7420 is taken; listening on port {number} instead",)

    on_virtual(body)


@pytest.mark.parametrize("verb", ["datagrams", "listen"])
async def test_a_machine_without_ipv6_is_no_hindrance(verb: str) -> None:
    network = Odd(lambda what, at: InputError("no IPv6") if at.host == "::" and what == verb else None)
    ports = await open_ports(network, None)
    assert [place.host for place in places(ports)] == ["0.0.0.0", "0.0.0.0"]
    await ports.aclose()


@pytest.mark.parametrize("call", range(4))
@pytest.mark.parametrize("error", [OSError("out of descriptors"), KeyboardInterrupt()])
async def test_whatever_goes_wrong_on_the_way_nothing_stays_open(call: int, error: BaseException) -> None:
    calls = 0

    def fails(_verb: str, _at: Endpoint) -> BaseException | None:
        nonlocal calls
        calls += 1
        return error if calls == call + 1 else None

    network = Odd(fails)
    with pytest.raises(type(error)):
        await open_ports(network, None)
    assert len(network.opened) == call
    assert all(is_closed(each) for each in network.opened)


async def test_ports_are_closed_also_by_one_who_is_cancelled() -> None:
    ports = await open_ports(RealNetwork(), "127.0.0.1:0")
    with trio.CancelScope() as scope:
        scope.cancel()
        await ports.aclose()
    (number,) = numbers(ports)
    await (await open_ports(RealNetwork(), f"127.0.0.1:{number}")).aclose()


class Fixed(RealNetwork):
    def local_address(self, family: int) -> str | None:
        return {4: "192.0.2.7", 6: None}[family]


async def test_the_address_to_tell_others_is_never_a_wildcard() -> None:
    network: Network = Fixed()
    ports = await open_ports(network, "0.0.0.0:0")
    assert dialable(BOB, ports.datagrams, network) == Address(BOB, "192.0.2.7", ports.datagrams[0].local.port)
    await ports.aclose()
    ports = await open_ports(network, "127.0.0.1:0")
    assert dialable(BOB, ports.datagrams, network) == Address(BOB, "127.0.0.1", ports.datagrams[0].local.port)
    await ports.aclose()
