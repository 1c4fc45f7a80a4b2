"""The routing table: who we may ask and hand on, by distance (Kademlia section 2.4, with geth's liveness and quotas).

Rules, each with its reason:
- Only who answered us stands here. A request proves nothing but that its sender once made it, so it queues one check.
- Old contacts stay: a full bucket keeps its entries, newcomers wait as replacements. A node up for an hour is likelier
  to be up for another, and nobody can push others out by arriving.
- Subnet quotas, replacements counted: without them one machine with many IDs fills the table (Marcus et al. 2018).
- An entry whose endpoint still answers does not move. Who answers from elsewhere under its ID is noted as candidate and
  the old endpoint is asked; when that fails the entry moves.
- The last live contact is never evicted: with nobody left a node cannot find anybody again (go-ethereum issue 20630).

One table holds one address family; the caller keeps two. The table is a machine: `advance` gives the pings due (see
`revalidation`). After `heard` said True, and after any change but UPDATED, ask `advance` again: its time may be nearer.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import Bucket, BucketView, Change, ChangeKind, Entry, view
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import BITS, position
from kadnet.kademlia.quotas import SubnetQuotas
from kadnet.kademlia.revalidation import Ping, RevalidationSettings, Revalidator

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Bounds of one table. At most 256 * (k + replacements) contacts, some 200 in a network of thousands."""

    k: int = 16  # bucket size: also how many contacts an answer carries and how many copies a record has
    replacements: int = 10  # geth's maxReplacements
    replacement_age: float = 600.0  # a full list takes a newcomer for one that has not answered for so many seconds
    per_bucket: int = 2  # contacts of one /24 (IPv4) or /64 (IPv6) in a bucket
    per_table: int = 10  # contacts of one /24 or /48 in the table
    waive_scope: int = -1  # scopes up to this one have no quota: that of our own listen address when it is a local one
    revalidation: RevalidationSettings = field(default_factory=RevalidationSettings)


RTT_WEIGHT = 1 / 8
_UNKNOWN = Change(ChangeKind.UNKNOWN, None)


class RoutingTable:
    """The contacts of one node in one address family, in buckets by shared prefix length with its own position."""

    def __init__(self, own_id: bytes, settings: TableSettings, rng: Random) -> None:
        self.own_id = own_id
        self.position = position(own_id)
        self._settings = settings
        self._entries: dict[bytes, Entry] = {}
        self._contact_at: dict[int, Contact] = {}  # the live ones by position: see `closest`
        self._buckets: dict[int, Bucket] = {}
        self._indexes: list[int] = []  # of the buckets there are, ascending
        self._touched: dict[int, float] = {}  # when a bucket last saw an answer or a refresh
        self._quotas = SubnetQuotas(settings.per_bucket, settings.per_table, settings.waive_scope)
        self._revalidator = Revalidator(settings.revalidation, rng, self._entries)

    # Reading.

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, peer_id: object) -> bool:
        return peer_id in self._entries

    def get(self, peer_id: bytes) -> Contact | None:
        """The live contact with this ID."""
        entry = self._entries.get(peer_id)
        return entry.contact if entry is not None else None

    def contacts(self) -> list[Contact]:
        """All live contacts, in no order."""
        return list(self._contact_at.values())

    def snapshot(self) -> list[BucketView]:
        """A frozen picture of every bucket, by index."""
        return [view(self._buckets[index]) for index in self._indexes]

    def closest(self, target: int, count: int) -> list[Contact]:
        """The `count` live contacts nearest to `target`, nearest first; fewer when there are fewer.

        With i the length of the prefix we share with the target: bucket i is nearest, for its contacts share more than
        i bits with the target; those of all deeper buckets share exactly i, as we do, and come next together; then
        bucket i - 1, i - 2, ... each by itself. So only what is returned is sorted, give or take a bucket.
        """
        index = BITS - (self.position ^ target).bit_length()
        indexes = self._indexes
        buckets = self._buckets
        key = target.__xor__  # sorting by a C function of bare ints costs a third of a lambda over contacts
        at = bisect_left(indexes, index)
        deeper = at
        found: list[int] = []
        if at < len(indexes) and indexes[at] == index:
            found = sorted(buckets[index].positions, key=key)
            deeper = at + 1
        if len(found) < count and deeper < len(indexes):
            group: list[int] = []
            for deep in indexes[deeper:]:
                group += buckets[deep].positions
            group.sort(key=key)
            found += group
        while len(found) < count and at > 0:
            at -= 1
            found += sorted(buckets[indexes[at]].positions, key=key)
        contact_at = self._contact_at
        return [contact_at[place] for place in found[:count]]

    def radius(self, count: int) -> int:
        """How far (XOR) the `count`-th closest live contact is from us; 0 when there are fewer."""
        nearest = self.closest(self.position, count)
        return nearest[-1].position ^ self.position if len(nearest) == count else 0

    def is_far(self, key: int, count: int) -> bool:
        """Whether `count` live contacts are nearer to `key` than we are (so the key is not ours to hold).

        Whole buckets are: bucket j differs from us first at bit j, so it is nearer exactly if the key does too.
        """
        difference = self.position ^ key
        nearer = 0
        for index in self._indexes:
            if difference >> (BITS - 1 - index) & 1:
                nearer += len(self._buckets[index].positions)
                if nearer >= count:
                    return True
        return nearer >= count

    def stale_buckets(self, now: float, age: float) -> list[int]:
        """Indexes from 0 to the deepest bucket with a contact that saw no answer and no `touch` for `age` seconds."""
        if not self._indexes:
            return []
        touched = self._touched
        return [i for i in range(self._indexes[-1] + 1) if i not in touched or now - touched[i] >= age]

    def touch(self, index: int, now: float) -> None:
        """Notes that bucket `index` was refreshed, whether or not anybody was found for it."""
        self._touched[index] = now

    # Hearing of contacts.

    def heard(self, contact: Contact, now: float) -> bool:
        """A stranger asked us something. True when one check of it was queued (then ask `advance`).

        Not when it is known at that endpoint, was checked there lately, or no room would come of it.
        """
        entry = self._entries.get(contact.id)
        if entry is not None:
            if entry.contact.endpoint == contact.endpoint:
                return False
            if entry.candidate is not None and entry.candidate.endpoint == contact.endpoint:
                return False
        elif not self._has_room(contact, now):
            return False
        return self._revalidator.check(contact, now)

    def answered(self, contact: Contact, rtt: float | None, now: float) -> Change:
        """`contact` answered a request of ours from this endpoint, after `rtt` seconds where that was measured."""
        entry = self._entries.get(contact.id)
        if entry is None:
            return self._answered_stranger(contact, rtt, now)
        if entry.contact.endpoint != contact.endpoint:
            return self._answered_elsewhere(entry, contact, now)
        entry.last_answer_at = now
        self._touched[entry.index] = now
        if rtt is not None:
            entry.rtt = rtt if entry.rtt is None else entry.rtt + RTT_WEIGHT * (rtt - entry.rtt)
        entry.checks = entry.earned
        entry.candidate = None
        if self._revalidator.in_flight(contact.id):
            self._revalidator.on_change(entry.updated, now)
        return entry.updated

    def failed(self, peer_id: bytes, now: float, *, endpoint: Endpoint | None = None) -> Change:
        """A request of ours to this ID was not answered in time.

        Give the `endpoint` that was asked whenever it is known: silence at one where the entry does not stand (a
        replayed request names whatever source it likes) is then not held against the entry.
        """
        entry = self._entries.get(peer_id)
        if entry is None:
            return self._failed_stranger(peer_id, endpoint)
        if endpoint is not None and endpoint != entry.contact.endpoint:
            if entry.candidate is not None and entry.candidate.endpoint == endpoint:
                entry.candidate = None
            self._revalidator.forget(peer_id)
            return Change(ChangeKind.KEPT, entry.contact)
        old, candidate, entry.candidate = entry.contact, entry.candidate, None
        if candidate is not None and self._move(entry, candidate):
            change = Change(ChangeKind.MOVED, candidate, evicted=old)
        else:
            entry.checks //= 3
            if entry.checks == 0:
                return self._let_go(entry, now)
            change = Change(ChangeKind.KEPT, old)
        self._revalidator.on_change(change, now)
        return change

    def withdrew(self, peer_id: bytes, now: float) -> Change:
        """It answered that it does not serve: it leaves whatever credit it has, unless it is the last one."""
        entry = self._entries.get(peer_id)
        if entry is None:
            return self._failed_stranger(peer_id, None)
        entry.candidate = None
        return self._let_go(entry, now)

    def advance(self, now: float) -> tuple[list[Ping], float | None]:
        """The pings that are due, and when to ask again (None: only after a change)."""
        return self._revalidator.advance(now)

    # Coming, moving and going.

    def _answered_stranger(self, contact: Contact, rtt: float | None, now: float) -> Change:
        """An answer of who is no entry: it becomes one, or a replacement, or is refused."""
        self._revalidator.forget(contact.id)
        if contact.id == self.own_id:
            return Change(ChangeKind.REFUSED_SELF, contact)
        index = BITS - (self.position ^ contact.position).bit_length()
        self._touched[index] = now
        bucket = self._buckets.get(index)
        if bucket is not None and contact.id in bucket.replacements:
            return self._answered_replacement(bucket, contact, rtt, now)
        if not self._quotas.allow(bucket, contact):
            return Change(ChangeKind.REFUSED_SUBNET, contact)
        if bucket is None:
            bucket = self._buckets[index] = Bucket(index)
            insort(self._indexes, index)
        if len(bucket.entries) < self._settings.k:
            self._quotas.add(contact)
            entry = Entry(contact, index, rtt, now)
            return self._stand(bucket, entry, Change(ChangeKind.INSERTED, contact), now)
        pushed_out: Contact | None = None
        if len(bucket.replacements) >= self._settings.replacements:
            pushed_out = self._stale_replacement(bucket, now)
            if pushed_out is None:
                return Change(ChangeKind.REFUSED_FULL, contact)
            del bucket.replacements[pushed_out.id]
            self._quotas.remove(pushed_out)
        self._quotas.add(contact)
        bucket.replacements[contact.id] = Entry(contact, index, rtt, now)
        return Change(ChangeKind.REPLACEMENT, contact, evicted=pushed_out)

    def _answered_replacement(self, bucket: Bucket, contact: Contact, rtt: float | None, now: float) -> Change:
        """A replacement answered: it is the freshest now, at the endpoint it answered from when quotas let it."""
        entry = bucket.replacements[contact.id]
        if entry.contact.endpoint != contact.endpoint and not self._move(entry, contact):
            return Change(ChangeKind.REFUSED_SUBNET, contact)
        del bucket.replacements[contact.id]
        bucket.replacements[contact.id] = entry
        entry.last_answer_at = now
        entry.rtt = rtt if rtt is not None else entry.rtt
        return Change(ChangeKind.REPLACEMENT, entry.contact)

    def _answered_elsewhere(self, entry: Entry, contact: Contact, now: float) -> Change:
        """An entry's ID answered from another endpoint: noted, and the old endpoint is asked at once."""
        self._touched[entry.index] = now
        change = Change(ChangeKind.KEPT, entry.contact)
        asked = entry.candidate is not None and self._revalidator.in_flight(contact.id)
        entry.candidate = contact
        if not asked:
            self._revalidator.on_change(change, now)
        return change

    def _failed_stranger(self, peer_id: bytes, endpoint: Endpoint | None) -> Change:
        """Silence of who is no entry: a replacement leaves its list."""
        self._revalidator.forget(peer_id)
        bucket = self._buckets.get(BITS - (self.position ^ position(peer_id)).bit_length())
        if bucket is None or peer_id not in bucket.replacements:
            return _UNKNOWN
        contact = bucket.replacements[peer_id].contact
        if endpoint is not None and endpoint != contact.endpoint:
            return Change(ChangeKind.KEPT, contact)
        del bucket.replacements[peer_id]
        self._quotas.remove(contact)
        return Change(ChangeKind.DROPPED, contact, evicted=contact)

    def _stand(self, bucket: Bucket, entry: Entry, change: Change, now: float) -> Change:
        """Gives an entry its place among the live ones."""
        contact = entry.contact
        self._entries[contact.id] = entry
        self._contact_at[contact.position] = contact
        bucket.entries[contact.id] = entry
        bucket.positions.append(contact.position)
        entry.added_at = now
        self._revalidator.on_change(change, now)
        return change

    def _let_go(self, entry: Entry, now: float) -> Change:
        """Evicts an entry, unless nobody would be left."""
        bucket = self._buckets[entry.index]
        if len(self._entries) > 1 or bucket.replacements:
            return self._evict(bucket, entry, now)
        change = Change(ChangeKind.KEPT, entry.contact)
        self._revalidator.on_change(change, now)
        return change

    def _evict(self, bucket: Bucket, entry: Entry, now: float) -> Change:
        """Removes a live entry; the replacement that answered last takes its place."""
        gone = entry.contact
        del bucket.entries[gone.id]
        bucket.positions.remove(gone.position)
        del self._contact_at[gone.position]
        self._quotas.remove(gone)
        if bucket.replacements:
            _, promoted = bucket.replacements.popitem()
            change = self._stand(bucket, promoted, Change(ChangeKind.PROMOTED, promoted.contact, evicted=gone), now)
        else:
            change = Change(ChangeKind.EVICTED, gone, evicted=gone)
            self._revalidator.on_change(change, now)
            if not bucket.entries:
                del self._buckets[bucket.index]
                self._indexes.remove(bucket.index)
        del self._entries[gone.id]  # last: the Revalidator finds who leaves and who comes by it
        return change

    def _move(self, entry: Entry, contact: Contact) -> bool:
        """Takes an entry or replacement to another endpoint. False, and nothing changed, if quotas refuse it there."""
        old = entry.contact
        bucket = self._buckets[entry.index]
        self._quotas.remove(old)
        if not self._quotas.allow(bucket, contact, leaving=old):
            self._quotas.add(old)
            return False
        self._quotas.add(contact)
        entry.contact = contact
        entry.updated = Change(ChangeKind.UPDATED, contact)
        entry.rtt = None
        entry.earned = entry.checks = 1  # the rest was earned by another place
        if contact.id in self._entries:
            self._contact_at[contact.position] = contact
        return True

    def _stale_replacement(self, bucket: Bucket, now: float) -> Contact | None:
        """The replacement that answered longest ago, when that is too long ago to be sure of it."""
        stalest = next(iter(bucket.replacements.values()), None)
        if stalest is None or now - stalest.last_answer_at < self._settings.replacement_age:
            return None
        return stalest.contact

    def _has_room(self, contact: Contact, now: float) -> bool:
        """Whether an answer of this stranger would bring it into the table or its replacements."""
        if contact.id == self.own_id:
            return False
        bucket = self._buckets.get(BITS - (self.position ^ contact.position).bit_length())
        if bucket is not None and len(bucket.entries) >= self._settings.k:
            replacements = bucket.replacements
            known = replacements.get(contact.id)
            if known is not None:
                return known.contact.endpoint != contact.endpoint
            if len(replacements) >= self._settings.replacements and self._stale_replacement(bucket, now) is None:
                return False
        return self._quotas.allow(bucket, contact)
