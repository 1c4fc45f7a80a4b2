"""Who comes into the table, who goes, and what can be read from it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import ChangeKind
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import random_in_bucket
from kadnet.kademlia.revalidation import Ping
from kadnet.kademlia.table import TableSettings
from tests.unit.kademlia.tables import OWN, SMALL, check_until_earned, table, take, view_of

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
