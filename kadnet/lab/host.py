"""One virtual machine with its ports, and how it chooses where a packet comes from. It is a `Network`.

Left out: what becomes of a packet once it has left (`kadnet.lab.network`).
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import trio

from kadnet.errors import InputError, NameNotFound, PortInUse
from kadnet.identity import address
from kadnet.identity.address import Endpoint
from kadnet.lab.dial import Dial, Exchange
from kadnet.lab.latency import Place
from kadnet.lab.nat import NatBox
from kadnet.lab.pipes import Line
from kadnet.lab.sockets import VirtualDatagrams, VirtualListener
from kadnet.lab.station import Station
from kadnet.lab.stream import VirtualStream

_FIRST_FREE_PORT = 49_152  # RFC 6335's dynamic ports
_LOOPBACK = ("127.0.0.1", "::1")


def _wildcard(host: str) -> str:
    return "::" if ":" in host else "0.0.0.0"


@lru_cache(maxsize=16_384)
def is_group(host: str) -> bool:
    return ipaddress.ip_address(host).is_multicast


class Internet(Exchange, Protocol):
    """What a host asks of the network."""

    def lookup_name(self, name: str) -> tuple[str, ...]: ...

    def carry(self, sender: VirtualNetwork, source: Endpoint, target: Endpoint, data: bytes) -> bool: ...


class VirtualNetwork(Station):
    """`Network` of one virtual host. Made by `VirtualInternet.host`."""

    def __init__(
        self,
        internet: Internet,
        name: str,
        addresses: tuple[str, ...],
        *,
        place: Place,
        line: Line,
        box: NatBox | None = None,
    ) -> None:
        super().__init__(name, addresses, place, line, box)
        self.internet = internet
        self._ports: dict[Endpoint, VirtualDatagrams] = {}
        self._listeners: dict[Endpoint, VirtualListener] = {}
        self._groups: list[VirtualDatagrams] = []
        self._next_port = _FIRST_FREE_PORT

    async def datagrams(self, at: Endpoint, *, group: str | None = None) -> VirtualDatagrams:
        await trio.lowlevel.checkpoint()
        if group is None:
            local = self._claim(at, self._ports)
            self._ports[local] = self._datagrams(local, None)
            return self._ports[local]
        host = group.partition("%")[0]
        if not is_group(host) or (":" in host) != (":" in at.host):
            raise InputError(f"{group} is not a multicast group of the family of {address.text(at)}")
        port = self._datagrams(self._claim(at, {}), host)
        self._groups.append(port)
        return port

    async def listen(self, at: Endpoint) -> VirtualListener:
        await trio.lowlevel.checkpoint()
        local = self._claim(at, self._listeners)
        self._listeners[local] = VirtualListener(self, local, self.internet.options.backlog, self._forget)
        return self._listeners[local]

    async def connect(self, to: Endpoint) -> VirtualStream:
        await trio.lowlevel.checkpoint()
        host = self.source_for(Endpoint(_wildcard(to.host), 0), to)
        if host is None or is_group(to.host) or to.host == _wildcard(to.host):
            raise OSError(errno.ENETUNREACH, f"{to.host} cannot be reached from {self.name}")
        return await Dial(self.internet, self, Endpoint(host, self._free_port()), to).connect()

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        await trio.lowlevel.checkpoint()
        try:
            return [address.endpoint(host.partition("%")[0], port)]
        except InputError:
            pass  # a name
        found = ("127.0.0.1",) if host == "localhost" else self.internet.lookup_name(host)
        if not found:
            raise NameNotFound(f"{host}: no such name on the virtual internet")
        return [Endpoint(each, port) for each in found]

    def local_address(self, family: int) -> str | None:
        return next((each for each in self.addresses if (":" in each) == (family == 6)), None)

    # What its ports and the internet ask of it.

    def source_for(self, local: Endpoint, to: Endpoint) -> str | None:
        """The address a packet from a port bound to `local` carries; None when it cannot go to `to`."""
        if (":" in local.host) != (":" in to.host):
            return None
        if local.host == _wildcard(local.host):
            return to.host if to.host in _LOOPBACK else self.local_address(address.family(to))
        return local.host if (local.host in _LOOPBACK) == (to.host in _LOOPBACK) else None

    def port_at(self, at: Endpoint) -> VirtualDatagrams | None:
        return self._ports.get(at) or self._ports.get(Endpoint(_wildcard(at.host), at.port))

    def listener_at(self, at: Endpoint) -> VirtualListener | None:
        return self._listeners.get(at) or self._listeners.get(Endpoint(_wildcard(at.host), at.port))

    def members(self, group: Endpoint) -> list[VirtualDatagrams]:
        return [port for port in self._groups if port.group == group.host and port.local.port == group.port]

    def shares_lan(self, host: str) -> bool:
        """Whether one of its addresses lies in the same /24 (IPv6: /64): how far a group's datagrams go."""
        return any(address.narrow_prefix(each) == address.narrow_prefix(host) for each in self.addresses)

    def die(self) -> None:
        super().die()
        self._ports.clear()
        self._listeners.clear()
        self._groups.clear()

    def _datagrams(self, local: Endpoint, group: str | None) -> VirtualDatagrams:
        return VirtualDatagrams(self, local, group, self.internet.options, self._carry, self._forget)

    def _carry(self, local: Endpoint, to: Endpoint, data: bytes) -> bool:
        host = self.source_for(local, to)
        return host is not None and self.internet.carry(self, Endpoint(host, local.port), to, data)

    def _forget(self, port: VirtualDatagrams | VirtualListener) -> None:
        if isinstance(port, VirtualListener):
            self._listeners.pop(port.local, None)
        elif port.group is not None and port in self._groups:
            self._groups.remove(port)
        elif port.group is None:
            self._ports.pop(port.local, None)

    def _claim(self, at: Endpoint, taken: Mapping[Endpoint, object]) -> Endpoint:
        """The endpoint to bind for `at`; raises as `Network` says."""
        wildcard = _wildcard(at.host)
        if not (at.host in _LOOPBACK or at.host == wildcard or at.host in self.addresses):
            raise InputError(f"{address.text(at)} is not an address of this machine")
        local = Endpoint(at.host, at.port or self._free_port())
        for other in taken:
            if other.port == local.port and _wildcard(other.host) == wildcard:
                if at.host in (other.host, wildcard) or other.host == wildcard:
                    raise PortInUse(f"{address.text(at)} is in use by another program")
        return local

    def _free_port(self) -> int:
        used = {each.port for table in (self._ports, self._listeners) for each in table}
        while True:
            port = self._next_port
            self._next_port = port + 1 if port < 65_535 else _FIRST_FREE_PORT
            if port not in used:
                return port
