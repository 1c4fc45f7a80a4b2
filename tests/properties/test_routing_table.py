"""The routing table against a naive model that counts and sorts everything by brute force."""

import math
import random
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kadnet.identity import address
from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import Change, ChangeKind
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position, prefix_length
from kadnet.kademlia.revalidation import RevalidationSettings
from kadnet.kademlia.table import RoutingTable, TableSettings

OWN = bytes(32)
# Small bounds, so that a short run meets all of them.
SMALL = TableSettings(
    k=3,
    replacements=2,
    replacement_age=100.0,
    per_bucket=2,
    per_table=3,
    waive_scope=0,
    revalidation=RevalidationSettings(check_queue=4, max_checked=8, fresh=5.0),
)
IDS = [number.to_bytes(32, "big") for number in range(1, 41)] + [OWN]
HOSTS = ["20.0.0.1", "20.0.0.2", "20.0.1.1", "20.0.2.1", "20.0.3.1", "20.0.4.1", "127.0.0.1"]
HOSTS += [f"30.{number}.0.1" for number in range(12)]

peer_ids = st.sampled_from(IDS)
contacts = st.builds(Contact, peer_ids, st.builds(Endpoint, st.sampled_from(HOSTS), st.integers(1, 2)))


def nearest_first(contacts: list[Contact], target: int) -> list[Contact]:
    return sorted(contacts, key=lambda contact: contact.position ^ target)


@dataclass
class Known:
    """What the model remembers of one contact that answered."""

    contact: Contact
    last_answer_at: float
    checks: int = 1
    earned: int = 1
    candidate: Contact | None = None


class RoutingTableModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.table = RoutingTable(OWN, SMALL, random.Random(5))
        self.live: dict[bytes, Known] = {}
        self.waiting: dict[bytes, Known] = {}
        self.had_one = False

    # The model.

    @staticmethod
    def bucket(peer_id: bytes) -> int:
        return prefix_length(position(OWN), position(peer_id))

    def within(self, known: dict[bytes, Known], index: int) -> list[Known]:
        return [one for peer_id, one in known.items() if self.bucket(peer_id) == index]

    def quota_allows(self, contact: Contact) -> bool:
        """As if nobody with this ID were in the table."""
        if contact.scope == 0:
            return True
        others = [
            one.contact
            for one in (*self.live.values(), *self.waiting.values())
            if one.contact.id != contact.id and one.contact.scope != 0
        ]
        host = contact.endpoint.host
        wide = sum(address.prefix(other.endpoint.host) == address.prefix(host) for other in others)
        narrow = sum(
            address.narrow_prefix(other.endpoint.host) == address.narrow_prefix(host)
            and self.bucket(other.id) == self.bucket(contact.id)
            for other in others
        )
        return wide < SMALL.per_table and narrow < SMALL.per_bucket

    def expect_answer(self, contact: Contact) -> ChangeKind:
        index = self.bucket(contact.id)
        if contact.id == OWN:
            return ChangeKind.REFUSED_SELF
        if (known := self.live.get(contact.id)) is not None:
            if known.contact != contact:
                known.candidate = contact
                return ChangeKind.KEPT
            known.last_answer_at, known.checks, known.candidate = self.now, known.earned, None
            return ChangeKind.UPDATED
        if not self.quota_allows(contact):
            return ChangeKind.REFUSED_SUBNET if self.waiting.get(contact.id) is None else self.same_place(contact)
        if contact.id in self.waiting:
            del self.waiting[contact.id]
        elif len(self.within(self.live, index)) < SMALL.k:
            self.live[contact.id] = Known(contact, self.now)
            return ChangeKind.INSERTED
        elif len(waiting := self.within(self.waiting, index)) == SMALL.replacements:
            stalest = min(
                waiting, key=lambda known: known.last_answer_at
            )  # of equals the first, as they stand in order
            if self.now - stalest.last_answer_at < SMALL.replacement_age:
                return ChangeKind.REFUSED_FULL
            del self.waiting[stalest.contact.id]
        self.waiting[contact.id] = Known(contact, self.now)
        return ChangeKind.REPLACEMENT

    def same_place(self, contact: Contact) -> ChangeKind:
        """An answer of a replacement that quotas would not let in anew: fine where it stands, refused elsewhere."""
        known = self.waiting[contact.id]
        if known.contact != contact:
            return ChangeKind.REFUSED_SUBNET
        del self.waiting[contact.id]
        self.waiting[contact.id] = Known(contact, self.now)
        return ChangeKind.REPLACEMENT

    def expect_failure(self, peer_id: bytes) -> ChangeKind:
        known = self.live.get(peer_id)
        if known is None:
            return ChangeKind.DROPPED if self.waiting.pop(peer_id, None) is not None else ChangeKind.UNKNOWN
        candidate, known.candidate = known.candidate, None
        if candidate is not None and self.quota_allows(candidate):
            self.live[peer_id] = Known(candidate, known.last_answer_at)
            return ChangeKind.MOVED
        known.checks //= 3
        waiting = self.within(self.waiting, self.bucket(peer_id))
        if known.checks > 0 or (len(self.live) == 1 and not waiting):
            return ChangeKind.KEPT
        del self.live[peer_id]
        if not waiting:
            return ChangeKind.EVICTED
        freshest = waiting[-1].contact  # the model keeps them in the order of their answers
        self.live[freshest.id] = Known(freshest, self.waiting.pop(freshest.id).last_answer_at)
        return ChangeKind.PROMOTED

    def settle(self, change: Change) -> None:
        """Credit is earned by chance of the draw: the model takes it over, and checks what may not happen."""
        for bucket in self.table.snapshot():
            for entry in bucket.entries:
                known = self.live[entry.contact.id]
                assert entry.checks >= known.checks, change
                if entry.checks > known.checks:
                    assert entry.checks == known.earned + 1, "a check is worth one"
                    known.checks = known.earned = entry.checks

    # What happens.

    @rule(contact=contacts, rtt=st.none() | st.floats(0.001, 2.0))
    def answered(self, contact: Contact, rtt: float | None) -> None:
        expected = self.expect_answer(contact)
        change = self.table.answered(contact, rtt, self.now)
        assert change.kind is expected
        self.settle(change)

    @rule(peer_id=peer_ids)
    def failed(self, peer_id: bytes) -> None:
        before = self.table.get(peer_id)
        expected = self.expect_failure(peer_id)
        change = self.table.failed(peer_id, self.now)
        assert change.kind is expected
        if change.kind in (ChangeKind.EVICTED, ChangeKind.PROMOTED, ChangeKind.MOVED):
            assert change.evicted == before
        self.settle(change)

    # Rules that aim at whom the table knows, because chance seldom does.

    @rule(crowd=st.lists(contacts, min_size=5, max_size=25))
    def many_answer(self, crowd: list[Contact]) -> None:
        for contact in crowd:
            self.answered(contact, None)

    @rule(number=st.integers(0, 100), times=st.integers(1, 3))
    def somebody_known_fails(self, number: int, times: int) -> None:
        known = [*self.live, *self.waiting]
        for _ in range(times if known else 0):
            self.failed(known[number % len(known)])

    @rule(number=st.integers(0, 100), host=st.sampled_from(HOSTS), fails=st.booleans())
    def somebody_known_moves(self, number: int, host: str, fails: bool) -> None:
        known = [*self.live, *self.waiting]
        if known:
            peer_id = known[number % len(known)]
            self.answered(Contact(peer_id, Endpoint(host, 3)), 0.1)
            if fails:
                self.failed(peer_id)

    @rule(contact=contacts)
    def failed_elsewhere(self, contact: Contact) -> None:
        known = self.live.get(contact.id) or self.waiting.get(contact.id)
        if known is None or known.contact.endpoint == contact.endpoint:
            return
        if known.candidate == contact:
            known.candidate = None
        assert self.table.failed(contact.id, self.now, endpoint=contact.endpoint).kind is ChangeKind.KEPT

    @rule(contact=contacts)
    def heard(self, contact: Contact) -> None:
        queued = self.table.heard(contact, self.now)
        known = self.live.get(contact.id) or self.waiting.get(contact.id)
        if contact.id == OWN or (known is not None and known.contact == contact):
            assert not queued
        if queued and known is None:
            assert self.quota_allows(contact)

    @rule(passed=st.floats(0.0, 200.0), alive=st.booleans())
    def advance(self, passed: float, alive: bool) -> None:
        self.now += passed
        pings, wake_at = self.table.advance(self.now)
        assert (wake_at is None) == (not self.live), "it comes back exactly while somebody stands in the table"
        if wake_at is not None:
            assert self.now <= wake_at < self.now + 9.0
        assert len({ping.contact.id for ping in pings}) == len(pings), "one ping for each ID"
        # Passing without a ping happens in here: credit grows by one at most.
        self.settle(Change(ChangeKind.UNKNOWN, None))
        for ping in pings:
            if alive:
                self.answered(ping.contact, 0.05)
            elif ping.contact.id in self.live and self.live[ping.contact.id].contact == ping.contact:
                self.failed(ping.contact.id)

    # What always holds.

    @invariant()
    def the_same_contacts_stand_in_both(self) -> None:
        assert {c.packed for c in self.table.contacts()} == {known.contact.packed for known in self.live.values()}
        waiting = [contact for bucket in self.table.snapshot() for contact in bucket.replacements]
        assert {c.packed for c in waiting} == {known.contact.packed for known in self.waiting.values()}
        assert len(self.table) == len(self.live)
        for peer_id in IDS:
            known = self.live.get(peer_id)
            assert (peer_id in self.table) == (known is not None)
            assert self.table.get(peer_id) == (known.contact if known is not None else None)

    @invariant()
    def buckets_keep_their_bounds_and_their_places(self) -> None:
        places = []
        for bucket in self.table.snapshot():
            assert 1 <= len(bucket.entries) <= SMALL.k
            assert len(bucket.replacements) <= SMALL.replacements
            if bucket.replacements:
                assert len(bucket.entries) == SMALL.k, "nobody waits while there is a place"
            inside = [entry.contact for entry in bucket.entries] + list(bucket.replacements)
            assert all(self.bucket(contact.id) == bucket.index for contact in inside)
            places += [contact.id for contact in inside]
        assert len(set(places)) == len(places), "never in two places"
        assert OWN not in places

    @invariant()
    def quotas_hold_with_replacements_counted(self) -> None:
        wide: dict[bytes, int] = {}
        for bucket in self.table.snapshot():
            narrow: dict[bytes, int] = {}
            for contact in [entry.contact for entry in bucket.entries] + list(bucket.replacements):
                if contact.scope == 0:
                    continue
                host = contact.endpoint.host
                wide[address.prefix(host)] = wide.get(address.prefix(host), 0) + 1
                narrow[address.narrow_prefix(host)] = narrow.get(address.narrow_prefix(host), 0) + 1
            assert max(narrow.values(), default=0) <= SMALL.per_bucket
        assert max(wide.values(), default=0) <= SMALL.per_table

    @invariant()
    def a_table_that_had_a_contact_keeps_one(self) -> None:
        self.had_one = self.had_one or len(self.table) > 0
        assert not self.had_one or len(self.table) > 0

    @invariant()
    def closest_and_is_far_equal_brute_force(self) -> None:
        rng = random.Random(len(self.live))
        live = [known.contact for known in self.live.values()]
        own = self.table.position
        for target in (own, rng.getrandbits(256), own ^ rng.getrandbits(rng.randrange(1, 256)), position(IDS[0])):
            count = rng.randrange(1, 12)
            expected = nearest_first(live, target)
            assert self.table.closest(target, count) == expected[:count]
            nearer = sum(contact.position ^ target < own ^ target for contact in live)
            assert self.table.is_far(target, count) == (nearer >= count)

    @invariant()
    def stale_buckets_reach_to_the_deepest_contact(self) -> None:
        deepest = max((self.bucket(peer_id) for peer_id in self.live), default=-1)
        assert self.table.stale_buckets(math.inf, 1.0) == list(range(deepest + 1))


RoutingTableModel.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestRoutingTable = RoutingTableModel.TestCase
