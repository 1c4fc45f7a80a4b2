"""A NAT box: hosts with private addresses behind one public address, in the terms of RFC 4787.

    kind                     mapping                        filtering
    "endpoint-independent"   endpoint-independent           endpoint-independent           (a "full cone")
    "address-dependent"      endpoint-independent           address-dependent              (a "restricted cone")
    "symmetric"              address and port-dependent     address and port-dependent

The second maps endpoint-independently because REQ-1 asks it of every box; what it restricts is who is let in. A
mapping, and the leave of a remote to answer, last `mapping_lifetime` seconds after the last *outgoing* packet (REQ-6;
what comes in refreshes nothing). One that has run out is never taken up again: the next packet gets a new port.
Outside ports are given in order and not preserved, so a node behind a box has to learn its own. A host behind the box
that calls the box's public address is let in as from outside, with its outside address (hairpinning, REQ-9), unless
that is switched off.

TCP: connections made from inside get an outside port of their own for as long as they last, and none comes in except
through a port forwarding; who knocks elsewhere hears nothing.

Left out: boxes behind boxes, IPv6, ICMP, simultaneous opening of TCP, and the end of idle connections.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from kadnet.errors import InputError
from kadnet.identity.address import Endpoint
from kadnet.lab.latency import Place

_FIRST_PORT = 20_000  # above the ports at which services wait


class Dependence(enum.Enum):
    """On what of the remote a mapping, or leave to come in, depends (RFC 4787 sections 4.1 and 5)."""

    NOTHING = "endpoint-independent"
    ADDRESS = "address-dependent"
    ENDPOINT = "address and port-dependent"

    def of(self, remote: Endpoint) -> _Remote:
        """The part of a remote endpoint that counts."""
        return {Dependence.NOTHING: None, Dependence.ADDRESS: remote.host, Dependence.ENDPOINT: remote}[self]


_Remote: TypeAlias = Endpoint | str | None

KINDS = {
    "endpoint-independent": (Dependence.NOTHING, Dependence.NOTHING),
    "address-dependent": (Dependence.NOTHING, Dependence.ADDRESS),
    "symmetric": (Dependence.ENDPOINT, Dependence.ENDPOINT),
}
"""Mapping and filtering of each kind."""


@dataclass(frozen=True, slots=True)
class NatOptions:
    """Raises InputError for what cannot be."""

    kind: str = "endpoint-independent"
    mapping_lifetime: float = 120.0
    """Seconds after the last outgoing packet: the least that RFC 4787 (REQ-5) allows, and many boxes keep to."""
    hairpin: bool = True
    max_mappings: int = 4096
    """Of datagrams, at a time. While all are in use a packet that needs another is lost: home routers keep so many."""
    max_remotes: int = 4096
    """Remotes that one mapping lets in; the one unheard by us for longest gives way."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"there is no NAT of kind '{self.kind}': give one of {', '.join(KINDS)}")
        if not 0 < self.mapping_lifetime < math.inf:
            raise InputError(f"mapping_lifetime is {self.mapping_lifetime}: give seconds above 0")
        if not 1 <= self.max_mappings <= 40_000 or self.max_remotes < 1:
            raise InputError("a NAT box has 1 to 40,000 mappings with at least 1 remote each")


class _Inside(Protocol):
    """A host, as far as a box knows it."""

    @property
    def addresses(self) -> tuple[str, ...]: ...


class _Mapping:
    __slots__ = ("inside", "key", "port", "remotes", "sent_at")

    def __init__(self, key: tuple[Endpoint, _Remote], port: int) -> None:
        self.key = key
        self.inside = key[0]
        self.port = port
        self.sent_at = 0.0
        self.remotes: dict[_Remote, float] = {}  # when they were last sent to, the longest ago first


class NatBox:
    """One box. Made by `VirtualInternet.nat`; `VirtualInternet.host(..., behind=box)` puts a host behind it."""

    def __init__(self, name: str, public_address: str, place: Place, options: NatOptions) -> None:
        self.name = name
        self.addresses = (public_address,)
        self.place = place
        self.options = options
        self._mapping, self._filtering = KINDS[options.kind]
        self._mappings: dict[tuple[Endpoint, _Remote], _Mapping] = {}  # in the order of their last outgoing packet
        self._by_port: dict[int, _Mapping] = {}
        self._forwards: dict[int, Endpoint] = {}
        self._forwarded: dict[Endpoint, int] = {}
        self._next_port = _FIRST_PORT

    @property
    def public_address(self) -> str:
        return self.addresses[0]

    def __repr__(self) -> str:
        return f"<NatBox {self.name} {self.public_address} {self.options.kind}>"

    def forward(self, port: int, host: _Inside) -> Endpoint:
        """Let everybody in to this port of a host behind the box, datagrams and connections; returns where they call.

        By the host's first address, so it outlasts a restart. Raises InputError when the port goes elsewhere already.
        """
        inside = Endpoint(host.addresses[0], port)
        if not 0 < port < 65_536:
            raise InputError(f"port {port} is not between 1 and 65535")
        if self._forwards.get(port, inside) != inside:
            raise InputError(f"port {port} of {self.name} is forwarded to {self._forwards[port].host} already")
        if port in self._by_port:
            self._drop(self._by_port[port])
        self._forwards[port] = inside
        self._forwarded[inside] = port
        return Endpoint(self.public_address, port)

    def restart(self) -> None:
        """Forget all mappings, as a box does that was off for a moment; forwardings stay."""
        self._mappings.clear()
        self._by_port.clear()

    # What the internet asks of it.

    def outgoing(self, source: Endpoint, target: Endpoint, now: float) -> Endpoint | None:
        """A datagram leaves: the source it carries outside. None when all mappings are in use."""
        if source in self._forwarded:
            return Endpoint(self.public_address, self._forwarded[source])
        key = (source, self._mapping.of(target))
        mapping = self._mappings.pop(key, None)
        if mapping is None or self._is_over(mapping, now):
            if mapping is not None:
                del self._by_port[mapping.port]
            mapping = self._new(key, now)
            if mapping is None:
                return None
        self._mappings[key] = mapping
        mapping.sent_at = now
        remote = self._filtering.of(target)
        mapping.remotes.pop(remote, None)
        mapping.remotes[remote] = now
        if len(mapping.remotes) > self.options.max_remotes:
            del mapping.remotes[next(iter(mapping.remotes))]
        return Endpoint(self.public_address, mapping.port)

    def incoming(self, port: int, source: Endpoint, now: float) -> Endpoint | None:
        """A datagram has come to `port` of the box: where it goes inside; None when it is not let in."""
        if port in self._forwards:
            return self._forwards[port]
        mapping = self._by_port.get(port)
        if mapping is None:
            return None
        sent_at = mapping.remotes.get(self._filtering.of(source), -math.inf)
        return mapping.inside if now - sent_at < self.options.mapping_lifetime else None

    def behind(self, port: int) -> str | None:
        """The inside address that `port` belongs to, whoever may come in."""
        if port in self._forwards:
            return self._forwards[port].host
        return self._by_port[port].inside.host if port in self._by_port else None

    def forwarded_to(self, port: int) -> Endpoint | None:
        """Where a connection to `port` of the box goes inside."""
        return self._forwards.get(port)

    def connection(self) -> Endpoint:
        """Where a new connection from inside seems to come from."""
        return Endpoint(self.public_address, self._free_port())

    def _new(self, key: tuple[Endpoint, _Remote], now: float) -> _Mapping | None:
        while self._mappings and self._is_over(oldest := next(iter(self._mappings.values())), now):
            self._drop(oldest)
        if len(self._mappings) >= self.options.max_mappings:
            return None
        mapping = _Mapping(key, self._free_port())
        self._by_port[mapping.port] = mapping
        return mapping

    def _is_over(self, mapping: _Mapping, now: float) -> bool:
        return now - mapping.sent_at >= self.options.mapping_lifetime

    def _drop(self, mapping: _Mapping) -> None:
        del self._mappings[mapping.key]
        del self._by_port[mapping.port]

    def _free_port(self) -> int:
        while True:
            port = self._next_port
            self._next_port = port + 1 if port < 65_535 else _FIRST_PORT
            if port not in self._by_port and port not in self._forwards:
                return port
