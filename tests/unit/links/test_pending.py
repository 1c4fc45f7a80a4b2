"""Who may hold a connection open before it has proved who it is."""

from __future__ import annotations

import random

import pytest

from kadnet.links.pending import Pending, PendingSettings

A, B, C = b"aaa", b"bbb", b"ccc"


def admit(pending: Pending, *prefixes: bytes, start: int = 0) -> list[int | None]:
    return [pending.admit(start + number, prefix) for number, prefix in enumerate(prefixes)]


def test_up_to_its_bounds_everybody_may_stay() -> None:
    pending = Pending(PendingSettings(places=4, per_prefix=2))
    assert admit(pending, A, A, B, B) == [None] * 4
    assert len(pending) == 4


def test_a_prefix_over_its_bound_loses_its_own_oldest() -> None:
    pending = Pending(PendingSettings(places=10, per_prefix=2))
    assert admit(pending, B, A, A, A, A, B) == [None, None, None, 1, 2, None]
    assert len(pending) == 4


def test_when_all_places_are_taken_the_largest_crowd_loses_its_oldest() -> None:
    pending = Pending(PendingSettings(places=4, per_prefix=3))
    assert admit(pending, B, A, A, C) == [None] * 4
    assert pending.admit(4, C) == 1
    # now each of A and B holds one, C two
    assert pending.admit(5, B) == 3


def test_among_crowds_of_one_size_the_one_that_came_first_goes() -> None:
    pending = Pending(PendingSettings(places=3, per_prefix=3))
    assert admit(pending, B, A, C) == [None] * 3
    assert pending.admit(3, b"ddd") == 0


def test_who_has_proved_itself_makes_room() -> None:
    pending = Pending(PendingSettings(places=2, per_prefix=1))
    admit(pending, A, B)
    pending.leave(0)
    assert pending.admit(2, A) is None
    pending.leave(0)  # it may be said twice, and of one who had to go
    assert len(pending) == 2


def test_the_exempt_are_bound_by_the_places_alone() -> None:
    pending = Pending(PendingSettings(places=4, per_prefix=1))
    assert [pending.admit(number, A, exempt=True) for number in range(5)] == [None, None, None, None, 0]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_both_bounds_hold_and_a_lone_caller_outlasts_a_crowd(seed: int) -> None:
    rng = random.Random(seed)
    settings = PendingSettings(places=8, per_prefix=3)
    pending = Pending(settings)
    pending.admit(0, b"lone")
    alive = {0: b"lone"}
    for number in range(1, 500):
        prefix = bytes([rng.randrange(2)])
        evicted = pending.admit(number, prefix)
        alive[number] = prefix
        if evicted is not None:
            del alive[evicted]
        if rng.random() < 0.1:
            gone = rng.choice([each for each in alive if each])
            pending.leave(gone)
            del alive[gone]
        assert len(pending) == len(alive) <= settings.places
        assert max(list(alive.values()).count(each) for each in set(alive.values())) <= settings.per_prefix
    assert 0 in alive
