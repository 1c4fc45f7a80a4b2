"""The routing table of the control: buckets in the order in which their contacts were last seen, and replacements.

Maymounkov and Mazières 2002, sections 2.2 and 4.1. Generous to the control: no request is spent on asking whether the
oldest contact of a full bucket still lives.
"""

from __future__ import annotations

from dataclasses import dataclass

from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import BITS


@dataclass(frozen=True, slots=True)
class TextbookSettings:
    """`k`: of buckets, answers and copies. `parallelism`: α. `timeout`, `refresh_every`: seconds.

    `replacements`: behind each bucket.
    """

    k: int
    parallelism: int
    timeout: float
    refresh_every: float = 3600.0
    replacements: int = 20


class TextbookBucket:
    """Contacts by ID, last seen last; replacements likewise."""

    __slots__ = ("contacts", "looked_up_at", "replacements")

    def __init__(self) -> None:
        self.contacts: dict[bytes, Contact] = {}
        self.replacements: dict[bytes, Contact] = {}
        self.looked_up_at = 0.0


class TextbookTable:
    """Buckets by the length of the prefix shared with `own`."""

    __slots__ = ("_buckets", "_own", "_settings")

    def __init__(self, own: Contact, settings: TextbookSettings) -> None:
        self._own = own
        self._settings = settings
        self._buckets: dict[int, TextbookBucket] = {}

    def index(self, position: int) -> int:
        return BITS - (self._own.position ^ position).bit_length()

    def seen(self, contact: Contact) -> None:
        """It sent us something."""
        if contact.id == self._own.id:
            return
        bucket = self._bucket(self.index(contact.position))
        shelf = bucket.contacts
        if shelf.pop(contact.id, None) is not None or len(shelf) < self._settings.k:
            shelf[contact.id] = contact
            return
        bucket.replacements.pop(contact.id, None)
        bucket.replacements[contact.id] = contact
        if len(bucket.replacements) > self._settings.replacements:
            del bucket.replacements[next(iter(bucket.replacements))]

    def failed(self, contact: Contact) -> None:
        """It did not answer: the replacement seen last takes its place."""
        bucket = self._bucket(self.index(contact.position))
        bucket.replacements.pop(contact.id, None)
        if bucket.contacts.pop(contact.id, None) is not None and bucket.replacements:
            id, newest = bucket.replacements.popitem()
            bucket.contacts[id] = newest

    def closest(self, target: int, count: int) -> list[Contact]:
        """The `count` contacts nearest to `target`, nearest first."""
        # Whole buckets come in the order of the bits in which they differ, see `RoutingTable.closest`.
        index = self.index(target)
        deeper = [contact for at, one in self._buckets.items() if at > index for contact in one.contacts.values()]
        groups = [self._contacts_at(index), deeper]
        found: list[Contact] = []
        for group in groups:
            found += sorted(group, key=lambda contact: contact.position ^ target)
        at = index - 1
        while len(found) < count and at >= 0:
            found += sorted(self._contacts_at(at), key=lambda contact: contact.position ^ target)
            at -= 1
        return found[:count]

    def looked_up(self, index: int, now: float) -> None:
        """A walk went to a place in this bucket."""
        self._bucket(index).looked_up_at = now

    def quiet(self, now: float, age: float) -> list[int]:
        """The buckets with contacts, and those before them, in which nothing was looked up for `age` seconds."""
        deepest = max((index for index, bucket in self._buckets.items() if bucket.contacts), default=-1)
        return [index for index in range(deepest + 1) if now - self._bucket(index).looked_up_at >= age]

    def _contacts_at(self, index: int) -> list[Contact]:
        bucket = self._buckets.get(index)
        return list(bucket.contacts.values()) if bucket is not None else []

    def _bucket(self, index: int) -> TextbookBucket:
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = TextbookBucket()
        return bucket
