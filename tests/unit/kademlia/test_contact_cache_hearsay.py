"""Whom others named: kept beside those who answered, and below them."""

from __future__ import annotations

import random

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache, ContactCacheSettings
from tests.unit.kademlia.tables import take


def cache(bound: int = 100) -> ContactCache:
    return ContactCache(ContactCacheSettings(max_contacts=bound, max_age=600.0, renew=60.0))


def offered(known: ContactCache, now: float) -> set[Contact]:
    return set(known.closest(0, 100, now))


def test_who_was_named_is_offered_like_one_who_answered() -> None:
    first, second = take(2)
    known = cache()
    known.answered(first, 0.0)
    known.named([second, first], 0.0)
    assert offered(known, 0.0) == {first, second}
    assert len(known) == 2


def test_in_a_full_cache_a_name_pushes_out_the_oldest_name_and_no_proof() -> None:
    contacts = take(7)
    known = cache(4)
    for contact in contacts[:2]:
        known.answered(contact, 0.0)
    known.named(contacts[2:4], 1.0)
    known.named([contacts[4]], 2.0)
    assert offered(known, 2.0) == {*contacts[:2], contacts[3], contacts[4]}
    for contact in contacts[5:]:
        known.answered(contact, 3.0)  # proof pushes out names first
    assert offered(known, 3.0) == {*contacts[:2], *contacts[5:]}
    known.named([contacts[2]], 4.0)
    assert offered(known, 4.0) == {*contacts[:2], *contacts[5:]}
    assert len(known) == 4


def test_a_name_grows_old_unless_it_is_named_again() -> None:
    first, second = take(2)
    known = cache()
    known.named([first, second], 0.0)
    known.named([second], 59.0)  # younger than `renew`: not worth the work
    known.named([first], 60.0)
    assert offered(known, 600.0) == {first, second}
    assert offered(known, 601.0) == {first}
    assert offered(known, 660.5) == set()


def test_another_address_for_somebody_known_changes_nothing_until_the_first_one_fails() -> None:
    (contact,) = take(1)
    lie = Contact(contact.id, Endpoint("40.1.1.1", 7420))
    for prove in (True, False):
        known = cache()
        if prove:
            known.answered(contact, 0.0)
        known.named([contact], 0.0)
        known.named([lie], 100.0)
        assert offered(known, 100.0) == {contact}
        known.failed(lie)
        assert offered(known, 100.0) == {contact}
        known.failed(contact)
        assert len(known) == 0
        known.named([lie], 101.0)
        assert offered(known, 101.0) == {lie}


def test_the_books_stay_in_order_whoever_comes_and_goes() -> None:
    rng = random.Random(7)
    contacts = take(40)
    known = cache(12)
    now = 0.0
    for _ in range(3000):
        now += 1.0 if rng.random() < 0.98 else rng.uniform(560.0, 660.0)  # a pause, after which most are too old
        some = rng.sample(contacts, 3)
        choice = rng.random()
        if choice < 0.3:
            known.answered(some[0], now)
        elif choice < 0.7:
            known.named(some, now)
        else:
            known.failed(some[0])
        everybody = known.closest(rng.getrandbits(256), 100, now)
        assert len(known) <= 12
        assert len(set(everybody)) == len(everybody) == len(known)
        assert known._positions == sorted({*known._proven, *known._named})


def test_contacts_are_asked_for_others_only_for_a_while_after_use() -> None:
    known, rng = cache(), random.Random(1)
    assert [known.question(0.0, rng) for _ in range(50)] == [None] * 50
    known.used(0.0)
    asked = [known.question(600.0, rng) for _ in range(400)]
    assert 60 < asked.count(None) < 140  # a quarter stay pings
    assert [known.question(600.5, rng) for _ in range(50)] == [None] * 50


def test_what_is_asked_about_is_where_least_is_known() -> None:
    """Everybody known lies in one half of the space: nearly all questions are about the other one."""
    half = [contact for contact in take(300) if contact.position >> 255]
    known, rng = cache(300), random.Random(2)
    known.named(half, 0.0)
    known.used(0.0)
    asked = [place for _ in range(400) if (place := known.question(0.0, rng)) is not None]
    assert sum(place >> 255 for place in asked) < len(asked) // 4


def test_exploring_stops_nearly_where_answers_bring_nothing_new() -> None:
    contacts = take(60)
    known, rng = cache(), random.Random(3)
    known.named(contacts[:20], 0.0)
    assert [known.explore(0.0, rng) for _ in range(50)] == [None] * 50, "it is not in use"
    known.used(0.0)
    asked = [found for _ in range(50) if (found := known.explore(1.0, rng)) is not None]
    assert len(asked) == 50
    assert all(contact == min(contacts[:20], key=lambda each: each.position ^ place) for contact, place in asked[:1])
    for _ in range(60):
        known.explored(contacts[:20], 1.0)
    rarely = sum(known.explore(1.0, rng) is not None for _ in range(1000))
    assert 20 < rarely < 90
    known.explored(contacts[20:], 1.0)  # news again
    assert sum(known.explore(1.0, rng) is not None for _ in range(1000)) > 3 * rarely
    assert known.explore(700.0, rng) is None


def test_who_was_forgotten_is_news_again_so_exploring_goes_on_for_as_long_as_the_node_is_used() -> None:
    """In each stretch of `max_age` the same sixty are named: the first time they are news, then not, then again."""
    contacts = take(60)
    known, rng = cache(), random.Random(4)
    for start in (0.0, 700.0, 1400.0):
        known.used(start)
        for first in range(0, 60, 10):
            known.explored(contacts[first : first + 10], start)
        eager = sum(known.explore(start, rng) is not None for _ in range(500))
        for _ in range(60):
            known.explored(contacts[:10], start)
        assert eager > 250 > 5 * sum(known.explore(start, rng) is not None for _ in range(500))


def test_who_grew_too_old_takes_nobodys_place() -> None:
    """They lie nearer to the target than whoever was named later."""
    contacts = sorted(take(40), key=lambda contact: contact.position)
    known = cache(40)
    known.named(contacts[:30], 0.0)
    known.named(contacts[30:], 500.0)
    assert offered(known, 601.0) == set(contacts[30:])
    assert set(known.closest(0, 5, 601.0)) == set(contacts[30:35])
    known.named(contacts[:30], 700.0)
    assert len(known) == 40
