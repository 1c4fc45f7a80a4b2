"""A contact: a node ID and the endpoint where it is said to answer. A fact, not a promise: `table` knows who answered.

Everything that is derived (position, packed form, scope) is computed once, in the constructor: contacts are compared,
sorted and packed far more often than they are made. Interning equal contacts is the business of who decodes messages.
"""

from __future__ import annotations

from kadnet.identity import address
from kadnet.identity.address import Endpoint
from kadnet.kademlia.keyspace import position

ID_LENGTH = 32


class Contact:
    """A node ID (32 bytes) at an endpoint. Immutable by convention; equal when both are equal.

    `packed` is the form of the wire: ID ‖ address ‖ port, 38 bytes (v4) or 50 (v6). `scope` is the int of
    `address.Scope`, `family` 4 or 6. Frozen-ness is not enforced: it would double the cost of making one.
    """

    __slots__ = ("endpoint", "family", "id", "packed", "position", "scope")

    id: bytes
    endpoint: Endpoint
    position: int
    packed: bytes
    scope: int
    family: int

    def __init__(self, id: bytes, endpoint: Endpoint) -> None:
        self.id = id
        self.endpoint = endpoint
        self.position = position(id)
        self.packed = id + address.pack(endpoint)
        self.scope = address.scope(endpoint.host)
        self.family = 4 if len(self.packed) == ID_LENGTH + 6 else 6

    @classmethod
    def from_packed(cls, packed: bytes) -> Contact:
        """The contact of 38 or 50 packed bytes. Raises what `address.unpack` raises for a wrong length."""
        self = cls.__new__(cls)
        self.id = packed[:ID_LENGTH]
        self.endpoint = address.unpack(packed[ID_LENGTH:])
        self.position = position(self.id)
        # An IPv4-mapped IPv6 address unpacks to IPv4: equality must not depend on how it was written on the wire.
        self.family = address.family(self.endpoint)
        if len(packed) == ID_LENGTH + (6 if self.family == 4 else 18):
            self.packed = packed
        else:
            self.packed = self.id + address.pack(self.endpoint)
        self.scope = address.scope(self.endpoint.host)
        return self

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Contact):
            return NotImplemented
        return self.packed == other.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"<Contact {self.id.hex()[:8]} at {address.text(self.endpoint)}>"
