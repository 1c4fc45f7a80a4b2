"""With whom a record is stored, who comes instead, and when it is enough."""

from __future__ import annotations

from kadnet.kademlia.spreading import Spread, SpreadSettings
from tests.unit.kademlia.tables import take

TARGET = 0
NEAREST_FIRST = sorted(take(24), key=lambda contact: contact.position)


def spread(wanted: int, settings: SpreadSettings | None = None, near: int = 0) -> Spread:
    """The `near` closest are known to be so."""
    reach = NEAREST_FIRST[near - 1].position if near else -1
    return Spread(TARGET, wanted, settings or SpreadSettings(), is_near=lambda distance, _k: distance <= reach)


def test_three_quarters_of_the_wanted_are_enough() -> None:
    of = spread(16)
    assert of.walked(NEAREST_FIRST[:16]) == NEAREST_FIRST[:16]
    for count in range(1, 17):
        of.took()
        assert of.is_enough == (count >= 12)
        assert of.is_over == (count == 16)


def test_where_fewer_are_there_all_of_them_are_waited_for() -> None:
    of = spread(16)
    of.walked(NEAREST_FIRST[:5])
    for _ in range(4):
        of.took()
        assert not of.is_enough
    of.refused(replace=True)
    assert of.is_enough


def test_who_has_answered_and_is_surely_near_gets_it_before_the_walk_has_ended_and_not_again_after() -> None:
    of = spread(4, near=2)
    assert [of.replied(contact) for contact in (NEAREST_FIRST[5], NEAREST_FIRST[1], NEAREST_FIRST[1])] == [
        False,
        True,
        False,
    ]
    assert of.walked(reversed(NEAREST_FIRST[:8])) == [NEAREST_FIRST[0], *NEAREST_FIRST[2:4]]
    assert not of.replied(NEAREST_FIRST[0])


def test_a_put_may_be_over_for_who_waits_before_its_walk_is() -> None:
    of = spread(4, near=8)
    assert [of.replied(contact) for contact in NEAREST_FIRST[:5]] == [True] * 4 + [False]
    for _ in range(3):
        of.took()
    assert of.is_enough
    assert not of.is_over


def test_nobody_gets_it_early_where_that_is_off() -> None:
    assert not spread(4, SpreadSettings(early=False), near=8).replied(NEAREST_FIRST[0])


def test_who_cannot_take_it_is_replaced_by_the_next_closest_and_who_will_not_is_not() -> None:
    of = spread(3)
    of.walked(NEAREST_FIRST[:5])
    assert of.refused(replace=False) is None
    assert [of.refused(replace=True) for _ in range(3)] == [NEAREST_FIRST[3], NEAREST_FIRST[4], None]
    assert of.open == 1
    of.took()
    assert of.is_over


def test_one_that_refuses_while_the_walk_goes_on_is_made_up_for_at_its_end() -> None:
    of = spread(3, near=2)
    assert of.replied(NEAREST_FIRST[0])
    assert of.refused(replace=True) is None
    assert of.walked(NEAREST_FIRST[:3], lambda: NEAREST_FIRST[:6]) == NEAREST_FIRST[1:4]


def test_when_all_who_answered_are_used_up_those_who_are_only_known_come_instead_and_nobody_twice() -> None:
    of = spread(3)
    of.walked(NEAREST_FIRST[:4], lambda: [*reversed(NEAREST_FIRST[2:7]), NEAREST_FIRST[5]])
    assert [of.refused(replace=True) for _ in range(4)] == NEAREST_FIRST[3:7]
    assert [of.refused(replace=True) for _ in range(3)] == [None] * 3
    assert of.is_over
