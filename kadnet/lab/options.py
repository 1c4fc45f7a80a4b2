"""What the virtual internet is like: one struct, checked where it is made.

A fault that is off (0, or None) costs no draw of chance, so switching one on changes nothing else of a run's chance.

Left out: what differs from host to host. NAT boxes (`kadnet.lab.nat`), cuts and pauses are set on the internet itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kadnet.errors import InputError
from kadnet.lab.latency import Constant, Latency

_PARTS = ("loss", "duplication", "reordering")
_SECONDS = ("local_latency", "lan_latency", "jitter", "reorder_by", "resend", "stream_timeout")
_COUNTS = ("line_queue", "mtu", "inbox", "batch", "segment", "window", "backlog")
_SMALLEST_MTU = 68  # RFC 791: what every link must carry


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Raises InputError for what cannot be."""

    latency: Latency = Constant(0.05)  # noqa: RUF009  # it is frozen, so one for all is no trap
    """How far hosts are from each other: `Constant`, `Coordinates` or `Matrix` of `kadnet.lab.latency`."""
    local_latency: float = 0.00005
    """Seconds from a host to itself."""
    lan_latency: float = 0.0005
    """Seconds between two hosts behind one NAT box."""
    jitter: float = 0.0
    """Datagrams take up to this many seconds longer, by chance; streams keep their order and do not."""
    loss: float = 0.0
    """The part of datagrams lost by chance. Streams repair loss and do not see it."""
    duplication: float = 0.0
    """The part of datagrams that come twice, of those not lost. Streams do not see it."""
    reordering: float = 0.0
    """The part of datagrams held back on the way, so that later ones overtake them. Streams do not see it."""
    reorder_by: float = 0.1
    """Seconds one is held back at most: twice the usual way of a packet."""
    bandwidth: tuple[float | None, float | None] | None = None
    """(up, down): bytes per second of each host's line; None is unlimited. Nothing inside a LAN uses the line."""
    line_queue: int = 65_536
    """Bytes of packets that wait for a line, each way; a datagram beyond is lost as "line". Half a second of a line of
    1 Mbit/s, as home routers keep. Streams are never refused, they slow down."""
    mtu: int = 1500
    """Bytes of a packet with its headers; a datagram that does not fit one is refused by its own host."""
    inbox: int = 1024
    """Datagrams a port keeps for a program that does not read: about what 1 MiB holds on a real host."""
    batch: int = 64
    """Datagrams handed over at once."""
    segment: int = 16_384
    """Bytes of one stream segment: larger than a real one, which costs a test less and shows the program no more."""
    window: int = 262_144
    """Bytes of one connection and direction that may be on the way or unread before the sender has to wait."""
    resend: float = 1.0
    """Seconds between attempts to get a segment through a cut."""
    stream_timeout: float = 924.0
    """Seconds without an answer after which a sender's connection is broken: Linux's tcp_retries2."""
    connect_retries: int = 6
    """Knocks after the first, each after twice the wait; the last is given up after 127 s: Linux's tcp_syn_retries."""
    backlog: int = 128
    """Callers that wait for `accept`; a knock beyond is not heard."""

    def __post_init__(self) -> None:
        if not all(callable(getattr(self.latency, name, None)) for name in ("place", "between")):
            raise InputError(f"latency is {self.latency!r:.60}: give a model, such as Constant(0.05) for 50 ms one way")
        for name in (*_PARTS, *_SECONDS):
            if not isinstance(getattr(self, name), int | float):
                raise InputError(f"{name} is {getattr(self, name)!r:.60}: give a number")
        for name in (*_COUNTS, "connect_retries"):
            if not isinstance(getattr(self, name), int):
                raise InputError(f"{name} is {getattr(self, name)!r:.60}: give a whole number")
        for name in _PARTS:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}: give a part of all datagrams, from 0 to 1")
        for name in _SECONDS:
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}: give seconds, 0 or more")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give 1 or more")
        if self.mtu < _SMALLEST_MTU:
            raise InputError(f"mtu is {self.mtu}: no link carries less than {_SMALLEST_MTU} bytes")
        if self.connect_retries < 0 or self.resend == 0:
            raise InputError("connect_retries is 0 or more, and resend above 0 seconds")
        if self.reordering and not self.reorder_by:
            raise InputError("reordering by 0 seconds puts nothing out of order: give reorder_by as well")
        if self.bandwidth is not None:
            self._check_bandwidth(self.bandwidth)

    def _check_bandwidth(self, bandwidth: tuple[float | None, float | None]) -> None:
        if not isinstance(bandwidth, tuple) or len(bandwidth) != 2:
            raise InputError(f"bandwidth is {bandwidth!r}: give (up, down) in bytes per second, None for unlimited")
        if not all(each is None or (isinstance(each, int | float) and 0 < each < math.inf) for each in bandwidth):
            raise InputError(f"bandwidth is {bandwidth!r}: a line carries more than 0 bytes per second")
        if self.line_queue < self.mtu:
            raise InputError(f"line_queue is {self.line_queue}: a line that cannot hold one packet carries none")
