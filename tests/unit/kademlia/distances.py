"""What the tests of lookups share: peers at chosen distances from target 0, and somebody far away who asks."""

from __future__ import annotations

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact

OWN = bytes([255]) * 32
RTO = 1.0


def peer(distance: int, host: str = "192.0.2.1") -> Contact:
    """A contact at a chosen distance from target 0."""
    contact = Contact(distance.to_bytes(32, "big"), Endpoint(host, 7420))
    contact.position = distance
    return contact


def peers(*wanted: int | Contact) -> list[Contact]:
    """Contacts as they are, and one at each distance."""
    return [peer(one) if isinstance(one, int) else one for one in wanted]
