"""The ports of a node: one number for datagrams and for streams, since an address names one.

Left out: what is said on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from kadnet.errors import InputError, PortInUse
from kadnet.identity.address import DEFAULT_PORT, Address, Endpoint, family, parse_listen
from kadnet.transport import Datagrams, Listener, Network

_TRIES = 16  # for a free number: one that is free for datagrams is mostly free for streams


@dataclass(frozen=True, slots=True)
class Ports:
    """What is bound, at most one of each kind and family; `notes` say what was odd about it."""

    datagrams: tuple[Datagrams, ...]
    listeners: tuple[Listener, ...]
    notes: tuple[str, ...] = ()

    async def aclose(self) -> None:
        """Close them all, also when cancelled."""
        with trio.CancelScope(shield=True):
            for listener in self.listeners:
                await listener.aclose()
            for datagrams in self.datagrams:
                await datagrams.aclose()


async def open_ports(network: Network, listen: str | None) -> Ports:
    """Exactly the port that `listen` (IP:port) asks for; without it 7420 on all addresses, or a free one when that is
    taken. Raises PortInUse or InputError."""
    if listen is not None:
        pair = await _bind(network, parse_listen(listen))
        return Ports((pair[0],), (pair[1],))
    notes: tuple[str, ...] = ()
    try:
        first = await _bind(network, Endpoint("0.0.0.0", DEFAULT_PORT))
    except PortInUse:
        first = await _bind(network, Endpoint("0.0.0.0", 0))
        notes = (f"port {DEFAULT_PORT} is taken; listening on port {first[0].local.port} instead",)
    try:
        second = await _bind(network, Endpoint("::", first[0].local.port))
    except (PortInUse, InputError):  # a machine without IPv6, or somebody else's port of that number
        return Ports((first[0],), (first[1],), notes)
    except BaseException:
        await Ports((first[0],), (first[1],)).aclose()
        raise
    return Ports((first[0], second[0]), (first[1], second[1]), notes)


async def _bind(network: Network, at: Endpoint) -> tuple[Datagrams, Listener]:
    """Both kinds at one number. With port 0 any that is free for both."""
    for left in range(_TRIES, 0, -1):
        datagrams = await network.datagrams(at)
        try:
            return datagrams, await network.listen(Endpoint(at.host, datagrams.local.port))
        except PortInUse:
            with trio.CancelScope(shield=True):
                await datagrams.aclose()
            if at.port or left == 1:
                raise
        except BaseException:
            with trio.CancelScope(shield=True):
                await datagrams.aclose()
            raise
    raise AssertionError("the last try returns or raises")


def dialable(id: bytes, bound: Sequence[Datagrams], network: Network) -> Address:
    """An address that others can dial: of a wildcard port, the one this machine calls the outside from."""
    local = bound[0].local
    host = local.host
    if host in ("0.0.0.0", "::"):
        number = family(local)
        host = network.local_address(number) or ("127.0.0.1" if number == 4 else "::1")
    return Address(id, host, local.port)
