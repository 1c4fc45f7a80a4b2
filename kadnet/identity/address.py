"""Endpoints (an IP address and a port), addresses (what a person types), and how local an endpoint is.

An `Endpoint` holds canonical text: ipaddress' shortest form, IPv4-mapped IPv6 reduced to IPv4, no zone. So two
endpoints are equal exactly when they are the same place, and one works as a key of a dict. Names are resolved
elsewhere (`transport`): nothing here asks the network.

`scope`, `prefix`, `narrow_prefix`, `family` and `pack` are asked for every datagram: what an IP text means is worked
out once and kept in a bounded cache.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple

from kadnet.errors import InputError, Malformed
from kadnet.identity import nodeid
from kadnet.identity.text import printable

DEFAULT_PORT = 7420
SCHEME = "kadnet://"
_FORM = "kadnet://<id>@host:port"
_BARE_FORM = "host:port"


class Scope(enum.IntEnum):
    """How far away an address means something. An address is handed on only to who is at least as near."""

    NEVER = -1  # no single host, or a tunnel to another family: not dialled, not handed on
    LOOPBACK = 0
    PRIVATE = 1
    PUBLIC = 2


class Endpoint(NamedTuple):
    """Where datagrams and connections go. `host` is canonical IP text: make one of doubtful text with `endpoint`."""

    host: str
    port: int


_NETWORKS: tuple[tuple[Scope, str], ...] = (
    (Scope.LOOPBACK, "127.0.0.0/8"),
    (Scope.LOOPBACK, "::1/128"),
    (Scope.PRIVATE, "10.0.0.0/8"),
    (Scope.PRIVATE, "172.16.0.0/12"),
    (Scope.PRIVATE, "192.168.0.0/16"),
    (Scope.PRIVATE, "169.254.0.0/16"),  # link-local
    (Scope.PRIVATE, "100.64.0.0/10"),  # carrier-grade NAT, RFC 6598
    (Scope.PRIVATE, "fc00::/7"),  # unique local, RFC 4193
    (Scope.PRIVATE, "fe80::/10"),  # link-local
    (Scope.PRIVATE, "fec0::/10"),  # site-local, deprecated
    (Scope.NEVER, "0.0.0.0/8"),  # "this network"; the unspecified address
    (Scope.NEVER, "224.0.0.0/4"),  # multicast
    (Scope.NEVER, "240.0.0.0/4"),  # reserved, and the broadcast address
    (Scope.NEVER, "::/96"),  # unspecified, IPv4-compatible (deprecated); ::1 is matched above
    (Scope.NEVER, "64:ff9b::/96"),  # NAT64, RFC 6052
    (Scope.NEVER, "64:ff9b:1::/48"),  # NAT64 for local use, RFC 8215
    (Scope.NEVER, "100::/64"),  # discard, RFC 6666
    (Scope.NEVER, "2001::/32"),  # Teredo
    (Scope.NEVER, "2002::/16"),  # 6to4
    (Scope.NEVER, "ff00::/8"),  # multicast
)
_SCOPES = tuple((scope, ipaddress.ip_network(network)) for scope, network in _NETWORKS)


class _Facts(NamedTuple):
    """What one IP text means; the value of the cache."""

    host: str
    family: int
    scope: Scope
    packed: bytes
    prefix: bytes
    narrow: bytes


def _facts_of(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> _Facts:
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    scope = next((scope for scope, network in _SCOPES if ip.version == network.version and ip in network), Scope.PUBLIC)
    packed = ip.packed
    if ip.version == 4:
        return _Facts(str(ip), 4, scope, packed, packed[:3], packed[:3])
    return _Facts(str(ip), 6, scope, packed, packed[:6], packed[:8])


# 16,384 hosts are some 8 MB at the very worst; a flood of forged sources only makes the next look-up slower.
@functools.lru_cache(maxsize=16_384)
def _facts(host: str) -> _Facts:
    if "%" in host:
        raise InputError(f"host '{printable(host)}' has a zone ('%...'), which means nothing to another machine")
    try:
        return _facts_of(ipaddress.ip_address(host))
    except ValueError:
        raise InputError(f"host '{printable(host)}' is not an IP address") from None


@functools.lru_cache(maxsize=16_384)
def _facts_of_packed(packed: bytes) -> _Facts:
    return _facts_of(ipaddress.ip_address(packed))


def endpoint(host: str, port: int) -> Endpoint:
    """An `Endpoint` with `host` made canonical. InputError when it is no IP address or the port is not 0..65535."""
    if not 0 <= port <= 0xFFFF:
        raise InputError(f"port {port} is not between 0 and 65535")
    return Endpoint(_facts(host).host, port)


def text(at: Endpoint) -> str:
    """ "192.0.2.1:7420" or "[2001:db8::1]:7420"."""
    return f"[{at.host}]:{at.port}" if ":" in at.host else f"{at.host}:{at.port}"


def pack(at: Endpoint) -> bytes:
    """6 bytes (IPv4) or 18 (IPv6): address, then port, big-endian."""
    return _facts(at.host).packed + at.port.to_bytes(2, "big")


def unpack(data: bytes) -> Endpoint:
    """The endpoint in 6 or 18 bytes, IPv4-mapped IPv6 reduced. Malformed("endpoint") for any other length."""
    if len(data) != 6 and len(data) != 18:
        raise Malformed("endpoint")
    return Endpoint(_facts_of_packed(data[:-2]).host, int.from_bytes(data[-2:], "big"))


def family(at: Endpoint) -> int:
    """4 or 6."""
    return 6 if ":" in at.host else 4


def scope(host: str) -> Scope:
    """How local an IP address is."""
    return _facts(host).scope


def prefix(host: str) -> bytes:
    """The /24 of an IPv4 address (3 bytes) or the /48 of an IPv6 address (6 bytes): what one party tends to hold."""
    return _facts(host).prefix


def narrow_prefix(host: str) -> bytes:
    """The /24 (3 bytes) or the /64 (8 bytes): what one machine or one LAN tends to hold."""
    return _facts(host).narrow


@dataclass(frozen=True, slots=True)
class Address:
    """Where a person says a node is: its ID when they know it, a name or IP address, and a port."""

    id: bytes | None
    host: str
    port: int

    def __str__(self) -> str:
        place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return place if self.id is None else f"{SCHEME}{nodeid.encode(self.id)}@{place}"

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint when `host` is an IP address, None when it is a name to resolve."""
        return Endpoint(self.host, self.port) if _looks_like_ip(self.host) else None


def parse_address(text: str, *, need_id: bool = False) -> Address:
    """`kadnet://<id>@host[:port]`, or bare `host[:port]` unless `need_id`; the port is 7420 when left out.

    An IPv6 host stands in brackets; a name may be international and becomes ASCII (IDNA); IP addresses become
    canonical. Raises InputError naming the part that is wrong (scheme, node ID, host, port) and the right form.
    """
    form = _FORM if need_id else f"{_FORM} or {_BARE_FORM}"
    try:
        return _parse_address(text, need_id)
    except InputError as error:
        raise InputError(f"address '{printable(text, 120)}': {error} (the form is {form})") from None


def _parse_address(text: str, need_id: bool) -> Address:
    if not text:
        raise InputError("it is empty")
    scheme, mark, rest = text.partition("://")
    if not mark:
        if "@" in text:
            raise InputError(f"the scheme is missing: an address with a node ID begins with {SCHEME}")
        if need_id:
            raise InputError("the node ID is missing")
        return Address(None, *_parse_place(text, lowest_port=1))
    if scheme.lower() + mark != SCHEME:
        raise InputError(f"the scheme is '{printable(scheme, 40)}://', not {SCHEME}")
    id_text, at, place = rest.rpartition("@")
    if not at or not id_text:
        raise InputError(f"the node ID is missing between {SCHEME} and the host")
    return Address(nodeid.decode(id_text), *_parse_place(place, lowest_port=1))


def parse_listen(text: str) -> Endpoint:
    """`IP[:port]` to listen on: never a name; port 0 asks for any free one, and it is 7420 when left out.

    Raises InputError naming the part that is wrong.
    """
    try:
        host, port = _parse_place(text, lowest_port=0, dialled=False)
        if not _looks_like_ip(host):
            raise InputError("the host is a name; to listen give an IP address of this machine, as in 0.0.0.0 or [::]")
        return Endpoint(host, port)
    except InputError as error:
        raise InputError(f"listen address '{printable(text, 120)}': {error} (the form is IP:port)") from None


def _parse_place(text: str, *, lowest_port: int, dialled: bool = True) -> tuple[str, int]:
    """Host and port of `host[:port]` or `[v6][:port]`."""
    if text.startswith("["):
        inner, bracket, after = text[1:].partition("]")
        if not bracket:
            raise InputError("the host opens a '[' that is never closed")
        if after and not after.startswith(":"):
            raise InputError(f"the port is wrong: '{printable(after, 40)}' follows the ']', where only ':port' may")
        host, port_text = _parse_v6(inner), after[1:] if after else None
    else:
        name, colon, tail = text.partition(":")
        if ":" in tail:
            raise InputError("the host has several colons: an IPv6 address stands in brackets, as in [::1]:7420")
        host, port_text = _parse_host(name), tail if colon else None
    if dialled and _looks_like_ip(host) and _facts(host).scope is Scope.NEVER:
        raise InputError(f"the host {host} is no address of one machine")
    return host, DEFAULT_PORT if port_text is None else _parse_port(port_text, lowest_port)


def _parse_port(text: str, lowest: int) -> int:
    if not text:
        raise InputError("the port is missing after ':'")
    # int() alone would take '+1', '1_0' and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 0xFFFF):
        raise InputError(f"the port '{printable(text, 40)}' is not a number from {lowest} to 65535")
    return int(text)


def _parse_v6(inner: str) -> str:
    if "%" in inner:
        raise InputError("the host has a zone ('%...'), which means nothing to another machine")
    try:
        return _facts_of(ipaddress.IPv6Address(inner)).host
    except ValueError:
        raise InputError(f"the host '[{printable(inner, 60)}]' is not an IPv6 address") from None


# Underscores occur in the names that container networks give out.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253  # RFC 1035, without the closing dot


def _looks_like_ip(host: str) -> bool:
    """For a host that was parsed: names end in a label that is no number, as browsers have it (WHATWG URL)."""
    return ":" in host or bool(_NUMBER.fullmatch(host.rpartition(".")[2]))


def _parse_host(name: str) -> str:
    if not name:
        raise InputError("the host is missing")
    if len(name) > _LONGEST_NAME + 1:  # before anything that costs more the longer it is
        raise InputError(f"the host has {len(name)} characters, and a name has at most {_LONGEST_NAME}")
    for place, char in enumerate(name, start=1):
        if char.isspace() or not char.isprintable():
            raise InputError(f"the host has '{printable(char)}' as character {place}, which no host name has")
    if not name.isascii():
        name = _to_ascii(name)
    name = name.lower()
    if len(name) > _LONGEST_NAME + name.endswith("."):
        raise InputError(f"the host has {len(name)} characters, and a name has at most {_LONGEST_NAME}")
    if _looks_like_ip(name.removesuffix(".")):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise InputError(f"the host '{printable(name, 60)}' is not an IPv4 address, and ends like one") from None
    labels = name.removesuffix(".").split(".")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise InputError(f"the host has '{printable(label, 70)}' between its dots, which no host name has")
    return name


def _to_ascii(name: str) -> str:
    """An international name as DNS knows it (IDNA 2003, what the standard library has)."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        raise InputError(f"the host '{printable(name, 60)}' cannot be written as an international name") from None
