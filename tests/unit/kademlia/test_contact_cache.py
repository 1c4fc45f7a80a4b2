"""Whom we met lately, kept by position, for walks to start from."""

from __future__ import annotations

import random

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache, ContactCacheSettings
from tests.unit.kademlia.tables import take


def met(contacts: list[Contact], settings: ContactCacheSettings | None = None) -> ContactCache:
    """Everybody answered at second 0, one after the other."""
    known = ContactCache(settings or ContactCacheSettings())
    for contact in contacts:
        known.answered(contact, 0.0)
    return known


def test_they_are_offered_nearest_first_and_no_more_than_asked() -> None:
    contacts = take(300)
    known, rng = met(contacts), random.Random(1)
    for target in [rng.getrandbits(256) for _ in range(50)] + [contact.position for contact in contacts[:20]]:
        nearest = sorted(contacts, key=lambda contact: contact.position ^ target)
        offered = known.closest(target, 16, 0.0)
        assert len(offered) == 16
        assert offered == sorted(offered, key=lambda contact: contact.position ^ target)
        assert set(offered) <= set(nearest[:100])  # good places to start, if not exactly the closest
        assert len(known.closest(target, 1, 0.0)) == 1
        assert known.closest(target, 0, 0.0) == []


def test_whoever_lies_at_the_target_comes_first() -> None:
    contacts = take(300)
    known = met(contacts)
    assert [known.closest(contact.position, 16, 0.0)[0] for contact in contacts] == contacts


def test_at_either_end_of_the_space_the_few_there_are_come_from_one_side() -> None:
    contacts = take(40)
    known = met(contacts)
    by_position = sorted(contacts, key=lambda contact: contact.position)
    assert set(known.closest(0, 8, 0.0)) == set(by_position[:8])
    assert set(known.closest(2**256 - 1, 8, 0.0)) == set(by_position[-8:])
    assert set(met(contacts[:3]).closest(0, 8, 0.0)) == set(contacts[:3])
    assert met([]).closest(0, 8, 0.0) == []


def test_who_has_been_silent_for_too_long_is_not_offered() -> None:
    first, second = take(2)
    known = met([first, second], ContactCacheSettings(max_age=600.0))
    known.answered(second, 1.0)
    assert set(known.closest(0, 8, 600.0)) == {first, second}
    assert known.closest(0, 8, 601.0) == [second]
    assert known.closest(0, 8, 601.5) == []
    known.answered(first, 700.0)
    assert known.closest(0, 8, 1300.0) == [first]


def test_past_the_bound_whoever_answered_longest_ago_is_forgotten() -> None:
    contacts = take(6)
    known = met(contacts[:4], ContactCacheSettings(max_contacts=4))
    known.answered(contacts[0], 1.0)  # so the second is the oldest now
    known.answered(contacts[4], 2.0)
    assert len(known) == 4
    assert set(known.closest(0, 8, 2.0)) == {contacts[0], *contacts[2:5]}
    known.answered(contacts[5], 3.0)
    assert set(known.closest(0, 8, 3.0)) == {contacts[0], *contacts[3:]}


def test_who_failed_is_forgotten_unless_it_answers_elsewhere_by_now() -> None:
    first, second = take(2)
    known = met([first, second])
    moved = Contact(first.id, Endpoint("40.1.1.1", 7420))
    known.answered(moved, 1.0)
    assert len(known) == 2
    known.failed(first)
    assert set(known.closest(0, 8, 1.0)) == {moved, second}
    known.failed(moved)
    assert known.closest(0, 8, 1.0) == [second]
    known.failed(moved)  # once more, and one never met: nothing
    known.failed(take(3)[2])
    assert len(known) == 1


def test_the_books_stay_in_order_whoever_comes_and_goes() -> None:
    """Against a list that is searched from end to end."""
    contacts, rng = take(30), random.Random(2)
    known, answered = ContactCache(ContactCacheSettings(max_contacts=12)), dict[Contact, float]()
    now = 0.0
    for _ in range(3000):
        now += 1.0 if rng.random() < 0.98 else rng.uniform(560.0, 600.0)  # a pause, after which most are too old
        contact = rng.choice(contacts)
        answered = {contact: at for contact, at in answered.items() if now - at <= 600.0}
        if rng.random() < 0.6:
            known.answered(contact, now)
            answered.pop(contact, None)
            answered[contact] = now
            if len(answered) > 12:
                del answered[next(iter(answered))]
        else:
            known.failed(contact)
            answered.pop(contact, None)
        assert set(known.closest(rng.getrandbits(256), 30, now)) == set(answered)
        assert len(known) == len(answered)
