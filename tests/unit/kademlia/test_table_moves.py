"""A peer that answers from another endpoint than the one it stands under."""

from __future__ import annotations

from kadnet.identity.address import Endpoint
from kadnet.kademlia.buckets import ChangeKind
from kadnet.kademlia.contact import Contact
from tests.unit.kademlia.tables import ids, pings, table, take, view_of


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
