"""What only real sockets have: the system's errors, its buffers, its resolver, its interfaces."""

from __future__ import annotations

# ruff: noqa: TID251 -- these tests look at the sockets under the seam
import errno
import socket
import struct
from dataclasses import replace
from typing import Any

import pytest
import trio

from kadnet.errors import InputError, NameNotFound
from kadnet.identity.address import Endpoint
from kadnet.transport import RealNetwork, TransportSettings, UdpDatagrams


async def test_a_name_that_cannot_be_one_is_not_found() -> None:
    with pytest.raises(NameNotFound, match="not a valid name"):
        await RealNetwork().resolve("a" * 64 + "ä.example", 7)


async def test_the_resolvers_order_is_kept_and_each_address_comes_once() -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *args: object, **kwargs: object) -> list[tuple[object, ...]]:  # type: ignore[override]  # only what resolve reads
            six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::9", 7, 0, 0))
            linked = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::9%lo", 7, 0, 1))
            four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 7))
            return [six, four, six, linked]

        async def getnameinfo(self, *args: object) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    found = await RealNetwork().resolve("seed.example", 7)
    assert found == [Endpoint("2001:db8::9", 7), Endpoint("192.0.2.9", 7), Endpoint("fe80::9", 7)]


async def test_a_datagram_larger_than_any_of_ours_is_dropped_and_counted() -> None:
    network = RealNetwork(TransportSettings(largest=100))
    a, b = [await network.datagrams(Endpoint("127.0.0.1", 0)) for _ in range(2)]
    a.send(bytes(101), b.local)
    a.send(bytes(100), b.local)
    assert [len(data) for data, _ in await b.receive()] == [100]
    assert b.oversized == 1
    await a.aclose()
    await b.aclose()


class FaultySocket(socket.socket):
    """A socket on which the system reports a peer's errors, as it does on some systems and in some states."""

    faults = 0

    def recvfrom(self, *args: object) -> tuple[bytes, object]:
        if self.faults:
            self.faults -= 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return super().recvfrom(2048)


async def test_errors_the_system_reports_while_receiving_are_counted_and_never_raised() -> None:
    sock = FaultySocket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.faults = 3
    local = Endpoint(*sock.getsockname())
    port = UdpDatagrams(sock, local, TransportSettings())
    port.send(b"to myself", local)
    assert await port.receive() == [(b"to myself", local)]
    assert port.icmp_errors == 3
    await port.aclose()


async def test_the_systems_buffer_is_raised() -> None:
    async def size(wanted: int) -> int:
        port = await RealNetwork(replace(TransportSettings(), receive_buffer=wanted)).datagrams(
            Endpoint("127.0.0.1", 0)
        )
        try:
            return port._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        finally:
            await port.aclose()

    assert await size(100_000) > await size(10_000)


async def test_ipv6_ports_take_no_ipv4() -> None:
    network = RealNetwork()
    six = await network.datagrams(Endpoint("::", 0))
    four = await network.datagrams(Endpoint("0.0.0.0", six.local.port))  # would be taken otherwise
    await six.aclose()
    await four.aclose()


async def test_a_port_without_permission_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidding)
    with pytest.raises(InputError, match=r"no permission to listen on 0\.0\.0\.0:80"):
        await RealNetwork().datagrams(Endpoint("0.0.0.0", 80))


async def test_a_listener_out_of_descriptors_waits_and_accepts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = RealNetwork(TransportSettings(accept_pause=0.01))
    listener = await network.listen(Endpoint("127.0.0.1", 0))
    accept = listener._listener.accept
    faults = [errno.EMFILE, errno.ENFILE]

    async def starved() -> trio.SocketStream:
        if faults:
            raise OSError(faults.pop(), "Too many open files")
        return await accept()

    monkeypatch.setattr(listener._listener, "accept", starved)
    with trio.fail_after(10):
        ours = await network.connect(listener.local)
        theirs, _ = await listener.accept()
    assert not faults
    for each in (ours, theirs, listener):
        await each.aclose()


async def test_a_restarted_listener_takes_its_port_again_although_old_connections_linger() -> None:
    network = RealNetwork()
    listener = await network.listen(Endpoint("127.0.0.1", 0))
    ours = await network.connect(listener.local)
    theirs, _ = await listener.accept()
    for each in (theirs, ours, listener):  # who closes first keeps the port in TIME_WAIT
        await each.aclose()
    again = await network.listen(listener.local)
    await again.aclose()


async def test_streams_send_small_requests_at_once() -> None:
    network = RealNetwork()
    listener = await network.listen(Endpoint("127.0.0.1", 0))
    ours = await network.connect(listener.local)
    theirs, _ = await listener.accept()
    for end in (ours, theirs):
        assert end.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    for each in (ours, theirs, listener):
        await each.aclose()


async def test_an_ipv6_group_names_its_interface_by_a_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    index, loopback = next(each for each in socket.if_nameindex() if each[1].startswith("lo"))
    asked: dict[int, object] = {}

    class Watched(socket.socket):  # few machines route IPv6 multicast to themselves: look at what is asked and taken
        def setsockopt(self, level: int, option: int, value: Any, *rest: object) -> None:
            super().setsockopt(level, option, value)
            if level == socket.IPPROTO_IPV6:
                asked[option] = value

    monkeypatch.setattr(socket, "socket", Watched)
    network = RealNetwork()
    port = await network.datagrams(Endpoint("::", 0), group=f"ff11::7420%{loopback}")
    second = await network.datagrams(Endpoint("::", port.local.port), group=f"ff11::7420%{loopback}")
    await port.aclose()
    await second.aclose()
    assert asked[socket.IPV6_JOIN_GROUP] == socket.inet_pton(socket.AF_INET6, "ff11::7420") + struct.pack("@I", index)
    assert asked[socket.IPV6_MULTICAST_IF] == index


async def test_an_interface_that_does_not_exist_is_an_error_of_input() -> None:
    with pytest.raises(InputError, match="cannot listen on"):
        await RealNetwork().datagrams(Endpoint("::", 0), group="ff02::7420%nosuch0")


def test_the_address_towards_the_outside_can_be_bound_or_is_none() -> None:
    for family, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        host = RealNetwork().local_address(family)
        if host is not None:
            with socket.socket(kind, socket.SOCK_DGRAM) as sock:
                sock.bind((host, 0))


def test_without_a_route_there_is_no_address_towards_the_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stranded(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Stranded)
    assert RealNetwork().local_address(4) is None
    assert RealNetwork().local_address(6) is None
