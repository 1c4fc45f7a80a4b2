"""Datagrams and streams: the shape of a network, and the one this machine has.

`Network` is what every room is written against. Here it stands on sockets; in `kadnet.lab` it stands on a heap of
virtual deadlines; one contract test runs against both.

Datagrams are read in batches until the socket would block, because waking the loop once per datagram costs three
times what reading one does. Sending never waits: a datagram the system has no room for is lost, as the network would
have lost it a moment later, and everything above lives with loss already.

Left out: which address to listen on, retries, timeouts (cancel scopes do that), encryption.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import trio

from kadnet.errors import InputError, NameNotFound, PortInUse
from kadnet.identity import address
from kadnet.identity.address import Endpoint


class Datagrams(Protocol):
    """A port for datagrams."""

    local: Endpoint
    """Where it is bound; the port is the real one also when 0 was asked for."""

    async def receive(self) -> list[tuple[bytes, Endpoint]]:
        """Wait for what has arrived: 1 to 64 datagrams with their senders, in order of arrival.

        Always a checkpoint, so a flood starves nobody. A peer's ICMP error is never raised.
        Raises `trio.ClosedResourceError` when closed, also while waiting.
        """
        ...

    def send(self, data: bytes, to: Endpoint) -> bool:
        """Hand one datagram to the system, never waiting. False: it was dropped here (no room, no route, too large)."""
        ...

    async def aclose(self) -> None: ...


class Listener(Protocol):
    """A port for streams."""

    local: Endpoint

    async def accept(self) -> tuple[trio.abc.Stream, Endpoint]:
        """Wait for the next caller: a stream, and where it calls from.

        Raises `trio.ClosedResourceError` when closed, also while waiting.
        """
        ...

    async def aclose(self) -> None: ...


class Network(Protocol):
    """What a machine offers to reach others by.

    `datagrams` and `listen` raise `PortInUse`, or `InputError` for an address that is not this machine's or not
    permitted; port 0 means any free one. A wildcard host ("0.0.0.0", "::") is all addresses of that family.
    """

    async def datagrams(self, at: Endpoint, *, group: str | None = None) -> Datagrams:
        """A datagram port. With `group`, one that also hears that multicast group, sharing the port with others who do;
        `at.host` names the interface by its address (an IPv6 group names it by a suffix: "ff02::7420%eth0")."""
        ...

    async def listen(self, at: Endpoint) -> Listener: ...

    async def connect(self, to: Endpoint) -> trio.abc.Stream:
        """A stream to `to`. Raises OSError: refused, unreachable, or timed out by the system."""
        ...

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        """The addresses of a name or IP in the resolver's order, each once. Raises `NameNotFound`."""
        ...

    def local_address(self, family: int) -> str | None:
        """The address (family 4 or 6) this machine would call the outside from; None when it has no way there."""
        ...


@dataclass(frozen=True, slots=True)
class TransportSettings:
    receive_buffer: int = 1 << 20
    """Bytes the system may keep for us between two turns of the loop: 1 MiB is some 800 full datagrams, 20 ms of the
    most one node can open. (The system may allow less; it is asked, not forced.)"""

    batch: int = 64
    """Datagrams per wake-up: enough that waking costs little beside reading, few enough that the loop breathes."""

    largest: int = 2048
    """Bytes read of one datagram. Ours have 1,232 at most; what is longer is nobody's of ours and is dropped here."""

    backlog: int = 128
    """Callers the system keeps waiting for `accept`."""

    accept_pause: float = 0.1
    """Seconds to wait when the process is out of file descriptors or memory before accepting again."""


_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

# Documentation addresses (RFC 5737, RFC 3849): never anybody's, so a route to them is the default route.
_OUTSIDE = {4: ("192.0.2.1", 9), 6: ("2001:db8::1", 9)}


class RealNetwork:
    """The sockets of this machine."""

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self.settings = settings or TransportSettings()

    async def datagrams(self, at: Endpoint, *, group: str | None = None) -> UdpDatagrams:
        await trio.lowlevel.checkpoint()
        sock = _socket(at, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.settings.receive_buffer)
            if group is None:
                _bind(sock, at)
            else:
                _bind_to_group(sock, at, group)
            local = Endpoint(at.host, sock.getsockname()[1])
            return UdpDatagrams(sock, local, self.settings)
        except BaseException:
            sock.close()
            raise

    async def listen(self, at: Endpoint) -> TcpListener:
        await trio.lowlevel.checkpoint()
        sock = _socket(at, socket.SOCK_STREAM)
        try:
            # A restarted node takes its port again although old connections linger in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(sock, at)
            with _BindErrors(at):
                sock.listen(self.settings.backlog)
            local = Endpoint(at.host, sock.getsockname()[1])
            return TcpListener(trio.SocketListener(trio.socket.from_stdlib_socket(sock)), local, self.settings)
        except BaseException:
            sock.close()
            raise

    async def connect(self, to: Endpoint) -> trio.SocketStream:
        sock = trio.socket.socket(_family(to.host), socket.SOCK_STREAM)
        try:
            await sock.connect(tuple(to))
            return trio.SocketStream(sock)  # which sets TCP_NODELAY: a request goes out at once
        except BaseException:
            sock.close()
            raise

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: no valid international name
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid name"
            raise NameNotFound(f"{host}: {reason}") from error
        endpoints = [
            _endpoint_v6(sockaddr) if family == socket.AF_INET6 else Endpoint(str(sockaddr[0]), int(sockaddr[1]))
            for family, _, _, _, sockaddr in found
            if family in (socket.AF_INET, socket.AF_INET6)
        ]
        if not endpoints:
            raise NameNotFound(f"{host}: has no IP address")
        return list(dict.fromkeys(endpoints))

    def local_address(self, family: int) -> str | None:
        try:
            with socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(_OUTSIDE[family])  # of a datagram socket: only looks up the route, sends nothing
                host = str(sock.getsockname()[0]).partition("%")[0]
        except OSError:
            return None
        return None if ipaddress.ip_address(host).is_unspecified else host


class UdpDatagrams:
    """`Datagrams` on a UDP socket."""

    def __init__(self, sock: socket.socket, local: Endpoint, settings: TransportSettings) -> None:
        sock.setblocking(False)
        self.local = local
        self.icmp_errors = 0
        """Errors the system reported in place of a datagram: mostly a peer's port that has gone."""
        self.oversized = 0
        """Datagrams dropped for being longer than any of ours."""
        self._socket = sock
        self._settings = settings
        self._v6 = sock.family == socket.AF_INET6

    async def receive(self) -> list[tuple[bytes, Endpoint]]:
        while True:
            if self._socket.fileno() == -1:
                raise trio.ClosedResourceError("this datagram port is closed")
            await trio.lowlevel.wait_readable(self._socket)
            batch = self._drain()
            if batch:
                return batch

    def _drain(self) -> list[tuple[bytes, Endpoint]]:
        batch: list[tuple[bytes, Endpoint]] = []
        recvfrom = self._socket.recvfrom
        largest = self._settings.largest
        endpoint = _endpoint_v6 if self._v6 else _endpoint_v4
        for _ in range(self._settings.batch):
            try:
                data, sender = recvfrom(largest + 1)
            except BlockingIOError:
                break
            except OSError:
                self.icmp_errors += 1
                continue
            if len(data) > largest:
                self.oversized += 1
                continue
            batch.append((data, endpoint(sender)))
        return batch

    def send(self, data: bytes, to: Endpoint) -> bool:
        if (":" in to.host) != self._v6:
            return False
        try:
            self._socket.sendto(data, to)
        except OSError:  # also BlockingIOError: the buffer is full
            return False
        return True

    async def aclose(self) -> None:
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()


class TcpListener:
    """`Listener` on a TCP socket."""

    def __init__(self, listener: trio.SocketListener, local: Endpoint, settings: TransportSettings) -> None:
        self.local = local
        self._listener = listener
        self._settings = settings

    async def accept(self) -> tuple[trio.SocketStream, Endpoint]:
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                # Accepting again at once would fail at once: the callers wait in the backlog meanwhile.
                await trio.sleep(self._settings.accept_pause)
                continue
            try:
                return stream, _endpoint(stream.socket.getpeername())
            except OSError:  # the caller has gone again
                await trio.aclose_forcefully(stream)

    async def aclose(self) -> None:
        await self._listener.aclose()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _endpoint(sockaddr: tuple[object, ...]) -> Endpoint:
    return _endpoint_v6(sockaddr) if len(sockaddr) == 4 else Endpoint(str(sockaddr[0]), int(str(sockaddr[1])))


# The same few places send again and again. A flood of forged ones only makes the next look-up slower.
@lru_cache(maxsize=4096)
def _endpoint_v4(sockaddr: tuple[str, int]) -> Endpoint:
    return Endpoint(*sockaddr)


@lru_cache(maxsize=4096)
def _endpoint_v6(sockaddr: tuple[object, ...]) -> Endpoint:
    """The endpoint of an IPv6 socket address, without flow and scope."""
    host, port = str(sockaddr[0]), int(str(sockaddr[1]))
    if "%" in host or "." in host:  # the two spellings the system uses that are not our canonical one
        return address.endpoint(host.partition("%")[0], port)
    return Endpoint(host, port)


def _socket(at: Endpoint, kind: socket.SocketKind) -> socket.socket:
    family = _family(at.host)
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise InputError(f"cannot listen on {address.text(at)}: {error.strerror}") from error
    if family == socket.AF_INET6:
        # One family per socket: a node opens one of each, and IPv4 peers never show up as mapped addresses.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


class _BindErrors:
    """Turns what the system says about an address into what a person can act on."""

    def __init__(self, at: Endpoint) -> None:
        self._at = address.text(at)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"{self._at} is in use by another program") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(f"no permission to listen on {self._at}", hint="name a port above 1023") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"{self._at} is not an address of this machine", hint="0.0.0.0 stands for all that it has"
            ) from error
        raise InputError(f"cannot listen on {self._at}: {error.strerror or error}") from error


def _bind(sock: socket.socket, at: Endpoint) -> None:
    with _BindErrors(at):
        sock.bind(tuple(at))


def _bind_to_group(sock: socket.socket, at: Endpoint, group: str) -> None:
    """Share `at.port` with every other listener of the group, and join it on the interface of `at`.

    Bound to the wildcard: a socket bound to the interface's own address would not be given what is sent to the group.
    """
    host, _, interface = group.partition("%")
    if not ipaddress.ip_address(host).is_multicast or _family(host) != sock.family:
        raise InputError(f"{group} is not a multicast group of the family of {address.text(at)}")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "darwin":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with _BindErrors(at):
        if sock.family == socket.AF_INET6:
            index = socket.if_nametoindex(interface) if interface else 0
            sock.bind(("::", at.port))
            packed = socket.inet_pton(socket.AF_INET6, host) + struct.pack("@I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            card = socket.inet_aton(at.host)
            sock.bind(("0.0.0.0", at.port))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(host) + card)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, card)
