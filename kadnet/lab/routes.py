"""Who is reached at which address: hosts, NAT boxes and the hosts behind them, and names.

Each box has a LAN of its own behind it, where private addresses mean something; the same ones may be in use behind
another. Everybody else is in the one place where every host reaches every address, here called outside.
"""

from __future__ import annotations

from kadnet.identity.address import Endpoint
from kadnet.lab.host import VirtualNetwork
from kadnet.lab.nat import NatBox
from kadnet.lab.station import Station

_LOOPBACK = ("127.0.0.1", "::1")


class Routes:
    """The living hosts and the boxes by address."""

    def __init__(self) -> None:
        self.outside: dict[str, VirtualNetwork] = {}
        self._boxes: dict[str, NatBox] = {}
        self._behind: dict[NatBox, dict[str, VirtualNetwork]] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def check_free(self, at: str, box: NatBox | None) -> None:
        """Raises ValueError when somebody has that address outside, or behind the box."""
        owner: VirtualNetwork | NatBox | None
        owner = self.outside.get(at) or self._boxes.get(at) if box is None else self._behind[box].get(at)
        if owner is not None:
            raise ValueError(f"{at} is the address of {owner.name}")

    def add(self, host: VirtualNetwork) -> None:
        self.realm(host).update(dict.fromkeys(host.addresses, host))

    def add_box(self, box: NatBox) -> None:
        self._boxes[box.public_address] = box
        self._behind[box] = {}

    def remove(self, host: VirtualNetwork) -> None:
        realm = self.realm(host)
        for each in host.addresses:
            if realm.get(each) is host:
                del realm[each]

    def set_name(self, name: str, addresses: tuple[str, ...]) -> None:
        self._names[name.lower()] = addresses

    def named(self, name: str) -> tuple[str, ...]:
        return self._names.get(name.lower(), ())

    def realm(self, host: Station) -> dict[str, VirtualNetwork]:
        """The hosts by address, outside or on the LAN that `host` is on."""
        return self.outside if host.box is None else self._behind[host.box]

    def find(self, caller: VirtualNetwork, at: str) -> VirtualNetwork | NatBox | None:
        """The living host, or the box, that `caller` reaches at an address."""
        if at in _LOOPBACK:
            return caller if caller.alive else None
        if caller.box is not None and at in self._behind[caller.box]:
            return self._behind[caller.box][at]
        return self.outside.get(at) or self._boxes.get(at)

    def inside(self, box: NatBox, at: str | None) -> VirtualNetwork | None:
        """The living host behind a box at a private address."""
        return None if at is None else self._behind[box].get(at)

    def heir(self, dead: Station) -> VirtualNetwork | None:
        """Who has a dead host's address now."""
        realm = self.realm(dead)
        return next((realm[each] for each in dead.addresses if each in realm), None)

    def box_between(self, sender: Station, target: Endpoint) -> NatBox | None:
        """The sender's box, when what it sends has to go through it."""
        if sender.box is None or target.host in _LOOPBACK or target.host in self._behind[sender.box]:
            return None
        return sender.box
