"""How many contacts of one subnet: in a bucket by its narrow prefix (/24, /64), in a table by its wide one (/24, /48).

Without quotas one machine with many IDs fills a table (Marcus, Heilman and Goldberg 2018; geth has the same numbers).
Contacts of a waived scope are neither limited nor counted: a lab on one host must be able to fill a table.
"""

from __future__ import annotations

from kadnet.identity import address
from kadnet.kademlia.buckets import Bucket
from kadnet.kademlia.contact import Contact


class SubnetQuotas:
    """The counts of one table, replacements included. Buckets are counted when asked: they are small and it is rare."""

    __slots__ = ("_counts", "_per_bucket", "_per_table", "_waive_scope")

    def __init__(self, per_bucket: int, per_table: int, waive_scope: int) -> None:
        self._per_bucket = per_bucket
        self._per_table = per_table
        self._waive_scope = waive_scope
        self._counts: dict[bytes, int] = {}  # wide prefix to contacts; never a zero

    def waived(self, contact: Contact) -> bool:
        """Whether this contact has no quota. Scope -1 (no host's address) is never waived."""
        return 0 <= contact.scope <= self._waive_scope

    def allow(self, bucket: Bucket | None, contact: Contact, leaving: Contact | None = None) -> bool:
        """Whether one more of this contact's subnet may come in; `leaving` does not count in the bucket any more."""
        if self.waived(contact):
            return True
        host = contact.endpoint.host
        there = self._counts.get(address.prefix(host), 0)
        if there >= self._per_table:
            return False
        if bucket is None or not there:  # nobody of the wide prefix means nobody of the narrow one
            return self._per_bucket > 0
        subnet = address.narrow_prefix(host)
        near = 0
        for group in (bucket.entries, bucket.replacements):
            for entry in group.values():
                other = entry.contact
                if other is not leaving and not self.waived(other):
                    near += address.narrow_prefix(other.endpoint.host) == subnet
        return near < self._per_bucket

    def add(self, contact: Contact) -> None:
        """A contact came in, as entry or replacement."""
        if not self.waived(contact):
            subnet = address.prefix(contact.endpoint.host)
            self._counts[subnet] = self._counts.get(subnet, 0) + 1

    def remove(self, contact: Contact) -> None:
        """It left."""
        if not self.waived(contact):
            subnet = address.prefix(contact.endpoint.host)
            self._counts[subnet] -= 1
            if not self._counts[subnet]:
                del self._counts[subnet]
