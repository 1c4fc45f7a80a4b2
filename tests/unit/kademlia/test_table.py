import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import ChangeKind, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position, prefix_length, random_in_bucket
from kadnet.kademlia.revalidation import Ping
from kadnet.kademlia.table import RoutingTable, TableSettings

OWN = bytes(32)
SMALL = TableSettings(k=3, replacements=2)


def table(settings: TableSettings = SMALL) -> RoutingTable:
    return RoutingTable(OWN, settings, random.Random(1))


def ids(bucket: int | None = None) -> Iterator[bytes]:
    """Node IDs, all of one bucket of OWN where it matters."""
    number = 0
    while True:
        number += 1
        id = number.to_bytes(32, "big")
        if bucket is None or prefix_length(position(OWN), position(id)) == bucket:
            yield id


def strangers(bucket: int | None = None) -> Iterator[Contact]:
    """Contacts that share no subnet."""
    for number, id in enumerate(ids(bucket)):
        yield Contact(id, Endpoint(f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.1", 7420))


def take(count: int, bucket: int | None = None) -> list[Contact]:
    source = strangers(bucket)
    return [next(source) for _ in range(count)]


def pings(table: RoutingTable, now: float) -> list[Contact]:
    return [action.contact for action in table.advance(now)[0]]


def check_until_earned(table: RoutingTable, contact: Contact, earned: int, now: float) -> float:
    """Lets a contact pass revalidations until it has that much credit."""
    while view_of(table, contact.id).checks < earned:
        now += 20.0
        for ping in table.advance(now)[0]:
            table.answered(ping.contact, None, now)
    return now


def view_of(table: RoutingTable, id: bytes) -> EntryView:
    return next(entry for bucket in table.snapshot() for entry in bucket.entries if entry.contact.id == id)


# Who comes in.


def test_only_who_answered_stands_in_the_table() -> None:
    ours = table()
    contact = take(1)[0]
    assert ours.heard(contact, 0.0)
    assert len(ours) == 0
    assert contact.id not in ours
    assert ours.get(contact.id) is None
    assert ours.closest(0, 16) == []
    change = ours.answered(contact, 0.05, 1.0)
    assert (change.kind, change.contact) == (ChangeKind.INSERTED, contact)
    assert contact.id in ours
    assert ours.get(contact.id) == contact
    assert ours.contacts() == ours.closest(0, 16) == [contact]


def test_we_do_not_stand_in_our_own_table() -> None:
    ours = table()
    self = Contact(OWN, Endpoint("20.1.1.1", 7420))
    assert not ours.heard(self, 0.0)
    assert ours.answered(self, 0.05, 0.0).kind is ChangeKind.REFUSED_SELF
    assert len(ours) == 0


def test_a_full_bucket_keeps_its_old_contacts() -> None:
    ours = table()
    old, waiting, late = (contacts := take(6, bucket=0))[:3], contacts[3:5], contacts[5]
    assert [ours.answered(contact, None, 0.0).kind for contact in old] == [ChangeKind.INSERTED] * 3
    assert [ours.answered(contact, None, 1.0).kind for contact in waiting] == [ChangeKind.REPLACEMENT] * 2
    assert ours.answered(late, None, 2.0).kind is ChangeKind.REFUSED_FULL
    assert sorted(ours.contacts(), key=id) == sorted(old, key=id)
    assert ours.snapshot()[0].replacements == tuple(waiting)


def test_a_full_bucket_does_not_stand_in_the_way_of_another() -> None:
    ours = table()
    for contact in take(4, bucket=0):
        ours.answered(contact, None, 0.0)
    assert ours.answered(take(1, bucket=1)[0], None, 0.0).kind is ChangeKind.INSERTED
    assert [(bucket.index, len(bucket.entries)) for bucket in ours.snapshot()] == [(0, 3), (1, 1)]


def test_a_newcomer_pushes_out_a_replacement_that_has_been_silent_for_long() -> None:
    ours = table()
    contacts = take(6, bucket=0)
    for contact in contacts[:5]:
        ours.answered(contact, None, 0.0)
    assert not ours.heard(contacts[5], 599.0)
    assert ours.answered(contacts[5], None, 599.0).kind is ChangeKind.REFUSED_FULL
    ours.answered(contacts[3], None, 599.0)  # the other replacement is the stale one now
    assert ours.heard(contacts[5], 600.0)
    change = ours.answered(contacts[5], None, 600.0)
    assert (change.kind, change.evicted) == (ChangeKind.REPLACEMENT, contacts[4])
    assert ours.snapshot()[0].replacements == (contacts[3], contacts[5])


def test_an_answer_updates_what_is_known() -> None:
    ours = table()
    contact = take(1)[0]
    ours.answered(contact, 0.1, 1.0)
    change = ours.answered(Contact(contact.id, Endpoint(*contact.endpoint)), 0.2, 5.0)
    assert (change.kind, change.contact) == (ChangeKind.UPDATED, contact)
    entry = view_of(ours, contact.id)
    assert (entry.added_at, entry.last_answer_at) == (1.0, 5.0)
    assert entry.rtt == pytest.approx(0.1125)
    ours.answered(contact, None, 6.0)
    assert view_of(ours, contact.id).rtt == pytest.approx(0.1125), "an answer that was not timed changes no time"


# Who is checked.


def test_a_stranger_is_checked_once_in_thirty_seconds() -> None:
    ours = table()
    contact = take(1)[0]
    assert ours.heard(contact, 0.0)
    assert pings(ours, 0.0) == [contact]
    ours.failed(contact.id, 1.0, endpoint=contact.endpoint)
    assert not ours.heard(contact, 29.9)
    assert ours.heard(Contact(contact.id, Endpoint("20.9.9.9", 7420)), 29.9), "another endpoint is another check"
    assert ours.heard(contact, 30.0)


def test_who_is_known_at_that_endpoint_is_not_checked() -> None:
    ours = table()
    live, waiting = (contacts := take(4, bucket=0))[0], contacts[3]
    for contact in contacts:
        ours.answered(contact, None, 0.0)
    assert not ours.heard(live, 100.0)
    assert not ours.heard(waiting, 100.0)
    elsewhere = Contact(live.id, Endpoint("20.9.9.9", 7420))
    assert ours.heard(elsewhere, 100.0)
    ours.answered(elsewhere, None, 100.0)
    assert not ours.heard(elsewhere, 200.0), "it is the candidate already"


def test_nobody_is_checked_for_whom_there_is_no_room() -> None:
    ours = table()
    contacts = take(6, bucket=0)
    for contact in contacts[:4]:
        ours.answered(contact, None, 0.0)
    assert ours.heard(contacts[5], 0.0), "one place is left among the replacements"
    ours.answered(contacts[4], None, 0.0)
    assert not ours.heard(Contact(contacts[5].id, Endpoint("20.9.9.9", 7420)), 0.0)


def test_nobody_is_checked_whose_subnet_is_full() -> None:
    ours = table()
    source = ids(bucket=0)
    for port in (1, 2):
        ours.answered(Contact(next(source), Endpoint("20.1.1.1", port)), None, 0.0)
    assert not ours.heard(Contact(next(source), Endpoint("20.1.1.200", 3)), 0.0)
    assert ours.heard(Contact(next(source), Endpoint("20.1.2.1", 3)), 0.0)


# Subnets.


def test_a_bucket_takes_two_of_one_slash_24_replacements_counted() -> None:
    ours = table()
    source = ids(bucket=0)
    for contact in take(2, bucket=0):
        next(source)
        ours.answered(contact, None, 0.0)
    same = [Contact(next(source), Endpoint(f"30.1.1.{host}", 7420)) for host in range(3)]
    kinds = [ours.answered(contact, None, 0.0).kind for contact in same]
    assert kinds == [ChangeKind.INSERTED, ChangeKind.REPLACEMENT, ChangeKind.REFUSED_SUBNET]


def test_a_table_takes_ten_of_one_slash_24_replacements_counted() -> None:
    ours = table(TableSettings(k=1))
    kinds = []
    for bucket in range(6):
        source = ids(bucket)
        for _ in range(2):
            contact = Contact(next(source), Endpoint("30.1.1.1", 7420))
            kinds.append(ours.answered(contact, None, 0.0).kind)
    assert kinds == [ChangeKind.INSERTED, ChangeKind.REPLACEMENT] * 5 + [ChangeKind.REFUSED_SUBNET] * 2
    assert ours.answered(Contact(next(ids(7)), Endpoint("30.1.2.1", 1)), None, 0.0).kind is ChangeKind.INSERTED


def test_ipv6_is_limited_by_slash_64_in_a_bucket_and_slash_48_in_the_table() -> None:
    ours = table(TableSettings(per_bucket=1, per_table=2))
    source = ids(bucket=0)
    hosts = ["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2:1::1"]
    kinds = [ours.answered(Contact(next(source), Endpoint(host, 1)), None, 0.0).kind for host in hosts]
    refused, inserted = ChangeKind.REFUSED_SUBNET, ChangeKind.INSERTED
    assert kinds == [inserted, refused, inserted, refused, inserted]


@pytest.mark.parametrize(
    ("host", "waive_scope", "limited"),
    [("127.0.0.1", -1, True), ("127.0.0.1", 0, False), ("10.0.0.1", 0, True), ("10.0.0.1", 1, False)],
)
def test_quotas_are_waived_up_to_a_scope(host: str, waive_scope: int, limited: bool) -> None:
    ours = table(TableSettings(waive_scope=waive_scope))
    source = ids(bucket=0)
    kinds = {ours.answered(Contact(next(source), Endpoint(host, port)), None, 0.0).kind for port in range(1, 17)}
    assert kinds == ({ChangeKind.INSERTED, ChangeKind.REFUSED_SUBNET} if limited else {ChangeKind.INSERTED})


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, per_bucket=9, per_table=2)], ids=["bucket", "table"])
def test_what_leaves_gives_its_subnet_back(settings: TableSettings) -> None:
    ours = table(settings)
    source = ids(bucket=0)
    first, second, third = (Contact(next(source), Endpoint("30.1.1.1", port)) for port in (1, 2, 3))
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    assert ours.answered(third, None, 0.0).kind is ChangeKind.REFUSED_SUBNET
    assert ours.failed(first.id, 1.0).kind is ChangeKind.EVICTED
    assert ours.answered(third, None, 1.0).kind is ChangeKind.INSERTED


# Who goes.


def test_a_new_contact_goes_at_its_first_failure() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    change = ours.failed(first.id, 1.0)
    assert (change.kind, change.contact, change.evicted) == (ChangeKind.EVICTED, first, first)
    assert first.id not in ours
    assert ours.contacts() == [second]


def test_a_proven_contact_outlives_failures_in_a_row_by_what_it_earned() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    now = check_until_earned(ours, first, 9, 0.0)
    left = []
    while first.id in ours:
        left.append(view_of(ours, first.id).checks)
        change = ours.failed(first.id, now)
    assert left == [left[0], left[0] // 3, left[0] // 9]
    assert change.kind is ChangeKind.EVICTED


def test_an_answer_restores_the_credit_that_failures_took() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    now = check_until_earned(ours, first, 3, 0.0)
    for _ in range(20):
        assert ours.failed(first.id, now).kind is ChangeKind.KEPT
        assert ours.answered(first, None, now).kind is ChangeKind.UPDATED


def test_the_last_live_contact_is_never_evicted() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    assert ours.failed(first.id, 1.0).kind is ChangeKind.EVICTED
    for now in range(2, 20):
        assert ours.failed(second.id, float(now)).kind is ChangeKind.KEPT
    assert ours.closest(0, 16) == [second]
    ours.answered(first, None, 30.0)
    assert ours.failed(second.id, 31.0).kind is ChangeKind.EVICTED, "it is not the last one any more"


def test_the_replacement_that_answered_last_takes_the_place() -> None:
    ours = table()
    contacts = take(5, bucket=0)
    for contact in contacts:
        ours.answered(contact, None, 0.0)
    ours.answered(contacts[3], None, 5.0)
    change = ours.failed(contacts[0].id, 6.0)
    assert (change.kind, change.contact, change.evicted) == (ChangeKind.PROMOTED, contacts[3], contacts[0])
    assert contacts[3].id in ours
    assert contacts[0].id not in ours
    assert ours.snapshot()[0].replacements == (contacts[4],)
    assert view_of(ours, contacts[3].id).fast


def test_a_replacement_that_fails_leaves_its_list() -> None:
    ours = table()
    contacts = take(5, bucket=0)
    for contact in contacts:
        ours.answered(contact, None, 0.0)
    assert ours.failed(contacts[4].id, 1.0).kind is ChangeKind.DROPPED
    assert ours.snapshot()[0].replacements == (contacts[3],)
    assert ours.failed(contacts[4].id, 1.0).kind is ChangeKind.UNKNOWN


def test_silence_of_somebody_unknown_changes_nothing() -> None:
    ours = table()
    change = ours.failed(bytes([7]) * 32, 0.0)
    assert (change.kind, change.contact) == (ChangeKind.UNKNOWN, None)


def test_who_no_longer_serves_leaves_whatever_it_earned() -> None:
    ours = table()
    first, *others = take(5, bucket=0)
    for contact in (first, *others):
        ours.answered(contact, None, 0.0)
    now = check_until_earned(ours, first, 9, 0.0)
    assert ours.withdrew(others[3].id, now).kind is ChangeKind.DROPPED
    change = ours.withdrew(first.id, now)
    assert (change.kind, change.contact, change.evicted) == (ChangeKind.PROMOTED, others[2], first)
    assert ours.withdrew(first.id, now).kind is ChangeKind.UNKNOWN
    assert [ours.withdrew(contact.id, now).kind for contact in others[:3]] == [
        ChangeKind.EVICTED,
        ChangeKind.EVICTED,
        ChangeKind.KEPT,
    ]


# Moving.


def test_an_entry_whose_old_endpoint_still_answers_does_not_move() -> None:
    ours = table()
    contact = take(1)[0]
    ours.answered(contact, None, 0.0)
    elsewhere = Contact(contact.id, Endpoint("40.1.1.1", 7420))
    assert pings(ours, 0.0) == []
    assert ours.answered(elsewhere, None, 0.0).kind is ChangeKind.KEPT
    assert ours.get(contact.id) == contact
    assert pings(ours, 0.0) == [contact], "the old endpoint is asked at once"
    assert ours.answered(contact, None, 0.1).kind is ChangeKind.UPDATED
    ours.failed(contact.id, 1.0)
    assert ours.get(contact.id) == contact, "the candidate was dropped with the answer"


def test_an_entry_whose_old_endpoint_is_silent_moves() -> None:
    ours = table()
    contact = take(1)[0]
    ours.answered(contact, None, 0.0)
    elsewhere = Contact(contact.id, Endpoint("40.1.1.1", 7420))
    ours.answered(elsewhere, None, 20.0)
    change = ours.failed(contact.id, 21.0, endpoint=contact.endpoint)
    assert (change.kind, change.contact, change.evicted) == (ChangeKind.MOVED, elsewhere, contact)
    assert ours.get(contact.id) == elsewhere
    assert ours.closest(0, 16)[0].endpoint == elsewhere.endpoint
    assert ours.answered(elsewhere, None, 22.0).contact == elsewhere
    assert ours.answered(elsewhere, None, 22.0).kind is ChangeKind.UPDATED
    assert len(ours) == 1


def test_the_old_endpoint_is_asked_once_while_its_answer_is_open() -> None:
    ours = table()
    contact = take(1)[0]
    ours.answered(contact, None, 0.0)
    elsewhere = Contact(contact.id, Endpoint("40.1.1.1", 7420))
    for _ in range(3):
        ours.answered(elsewhere, None, 1.0)
    assert pings(ours, 1.0).count(contact) == 1
    ours.answered(elsewhere, None, 1.5)
    assert contact not in pings(ours, 1.5)


def test_silence_at_another_endpoint_is_not_held_against_an_entry() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    replayed = Contact(first.id, Endpoint("40.1.1.1", 7420))
    assert ours.heard(replayed, 1.0)
    assert replayed in pings(ours, 1.0)
    assert ours.failed(first.id, 2.0, endpoint=replayed.endpoint).kind is ChangeKind.KEPT
    assert first.id in ours
    assert view_of(ours, first.id).checks == 1


def test_a_candidate_that_falls_silent_is_dropped() -> None:
    ours = table()
    first, second = take(2)
    for contact in (first, second):
        ours.answered(contact, None, 0.0)
    elsewhere = Contact(first.id, Endpoint("40.1.1.1", 7420))
    ours.answered(elsewhere, None, 1.0)
    assert ours.failed(first.id, 2.0, endpoint=elsewhere.endpoint).kind is ChangeKind.KEPT
    assert ours.get(first.id) == first
    assert ours.failed(first.id, 3.0, endpoint=first.endpoint).kind is ChangeKind.EVICTED


def test_a_move_into_a_full_subnet_is_rolled_back() -> None:
    ours = table()
    source = ids(bucket=0)
    mover = Contact(next(source), Endpoint("40.1.1.1", 1))
    neighbours = [Contact(next(source), Endpoint("30.1.1.1", port)) for port in (1, 2)]
    for contact in (mover, *neighbours):
        ours.answered(contact, None, 0.0)
    ours.answered(Contact(mover.id, Endpoint("30.1.1.9", 1)), None, 1.0)
    change = ours.failed(mover.id, 2.0)
    assert (change.kind, change.contact) == (ChangeKind.EVICTED, mover), "the old endpoint failed, and that is all"
    back = Contact(mover.id, Endpoint("40.1.1.2", 1))
    assert ours.answered(back, None, 3.0).kind is ChangeKind.INSERTED
    assert ours.answered(Contact(next(source), Endpoint("40.1.1.3", 1)), None, 3.0).kind is ChangeKind.REPLACEMENT
    assert ours.answered(Contact(next(source), Endpoint("40.1.1.4", 1)), None, 3.0).kind is ChangeKind.REFUSED_SUBNET


def test_a_move_within_a_full_subnet_is_allowed() -> None:
    ours = table()
    source = ids(bucket=0)
    mover, other = (Contact(next(source), Endpoint("30.1.1.1", port)) for port in (1, 2))
    for contact in (mover, other):
        ours.answered(contact, None, 0.0)
    moved = Contact(mover.id, Endpoint("30.1.1.77", 1))
    ours.answered(moved, None, 1.0)
    assert ours.failed(mover.id, 2.0).kind is ChangeKind.MOVED
    assert ours.get(mover.id) == moved


def test_a_replacement_moves_with_its_answer_where_its_subnet_has_room() -> None:
    ours = table()
    contacts = take(4, bucket=0)
    for contact in contacts:
        ours.answered(contact, None, 0.0)
    moved = Contact(contacts[3].id, Endpoint("40.1.1.1", 1))
    assert ours.answered(moved, None, 1.0).kind is ChangeKind.REPLACEMENT
    assert ours.snapshot()[0].replacements == (moved,)


# Reading.


def test_closest_gives_the_nearest_first_and_no_more_than_asked() -> None:
    ours = table(TableSettings())
    rng = random.Random(2)
    for contact in take(400):
        ours.answered(contact, None, 0.0)
    live = ours.contacts()
    targets = [rng.getrandbits(256) for _ in range(50)]
    targets += [random_in_bucket(ours.position, index, rng) for index in range(256)]
    targets += [ours.position] + [contact.position for contact in live[:20]]
    for target in targets:
        for count in (0, 1, 5, 16, 1000):
            expected = sorted(live, key=lambda contact: contact.position ^ target)[:count]
            assert ours.closest(target, count) == expected


def test_is_far_counts_the_live_contacts_nearer_than_we_are() -> None:
    ours = table(TableSettings())
    rng = random.Random(3)
    for contact in take(400):
        ours.answered(contact, None, 0.0)
    keys = [rng.getrandbits(256) for _ in range(50)]
    keys += [random_in_bucket(ours.position, index, rng) for index in range(30)] + [ours.position]
    seen = set()
    for key in keys:
        nearer = sum(contact.position ^ key < ours.position ^ key for contact in ours.contacts())
        for count in (1, 16, 32):
            assert ours.is_far(key, count) == (nearer >= count)
            seen.add(nearer >= count)
    assert seen == {True, False}


def test_buckets_are_stale_that_saw_no_answer_and_no_refresh() -> None:
    ours = table()
    assert ours.stale_buckets(0.0, 60.0) == []
    deep, shallow = take(1, bucket=3)[0], take(1, bucket=1)[0]
    ours.answered(deep, None, 0.0)
    ours.answered(shallow, None, 0.0)
    assert ours.stale_buckets(1.0, 60.0) == [0, 2], "nothing was ever heard from these"
    ours.touch(0, 1.0)
    ours.answered(deep, None, 50.0)
    assert ours.stale_buckets(60.0, 60.0) == [1, 2]
    assert ours.stale_buckets(61.0, 60.0) == [0, 1, 2]


def test_an_emptied_bucket_is_gone() -> None:
    ours = table()
    far, near = take(1, bucket=0)[0], take(1, bucket=5)[0]
    ours.answered(far, None, 0.0)
    ours.answered(near, None, 0.0)
    ours.failed(near.id, 1.0)
    assert [bucket.index for bucket in ours.snapshot()] == [0]
    assert ours.stale_buckets(1.0, 60.0) == []


def test_a_snapshot_does_not_change_with_the_table() -> None:
    ours = table()
    contact, other = take(2, bucket=0)
    ours.answered(contact, 0.05, 1.0)
    before = ours.snapshot()
    ours.answered(other, 0.05, 2.0)
    assert [entry.contact for entry in before[0].entries] == [contact]
    entry = before[0].entries[0]
    assert (entry.added_at, entry.last_answer_at, entry.rtt, entry.checks, entry.fast) == (1.0, 1.0, 0.05, 1, True)


def test_a_bucket_of_one_promotes_rather_than_keeps_the_dead() -> None:
    ours = table(replace(SMALL, k=1))
    first, second = take(2, bucket=0)
    ours.answered(first, None, 0.0)
    ours.answered(second, None, 0.0)
    assert ours.failed(first.id, 1.0).kind is ChangeKind.PROMOTED
    assert ours.contacts() == [second]


def test_the_actions_of_a_table_are_pings() -> None:
    ours = table()
    contact = take(1)[0]
    ours.heard(contact, 0.0)
    assert ours.advance(0.0) == ([Ping(contact)], None)
