import math

from kadnet.links.arbitration import Round

TIE = 0.002


def test_the_first_pong_wins_after_the_tie() -> None:
    one = Round(7, {1: False, 2: False}, TIE)
    assert one.settle_at == math.inf
    one.pong(2, 7, 1.0)
    assert one.settle_at == 1.0 + TIE
    assert one.decide(6.0) == one.winner == 2
    assert one.settle_at == math.inf
    assert one.again_at == 6.0


def test_nothing_is_waited_for_once_all_have_answered() -> None:
    one = Round(7, {1: False, 2: False}, TIE)
    one.pong(2, 7, 1.0)
    one.pong(1, 7, 1.001)
    assert one.settle_at == 1.001
    assert one.decide(6.0) == 2


def test_within_the_tie_a_link_of_our_own_call_goes_before_an_earlier_one() -> None:
    one = Round(7, {1: False, 2: True, 3: False}, TIE)
    one.pong(1, 7, 1.0)
    one.pong(2, 7, 1.001)
    assert one.settle_at == 1.0 + TIE, "the tie counts from the first"
    assert one.decide(6.0) == 2


def test_other_numbers_other_links_and_second_pongs_change_nothing() -> None:
    one = Round(7, {1: False, 2: False}, TIE)
    one.pong(1, 6, 1.0)
    one.pong(9, 7, 1.0)
    assert one.settle_at == math.inf
    one.pong(1, 7, 1.0)
    one.pong(1, 7, 1.0)
    assert one.settle_at == 1.0 + TIE


def test_a_link_that_goes_is_forgotten() -> None:
    one = Round(7, {1: False, 2: False, 3: False}, TIE)
    one.pong(1, 7, 1.0)
    one.left(1, 1.0)
    assert one.settle_at == math.inf
    one.pong(2, 7, 2.0)
    one.left(3, 2.0)
    assert one.settle_at == 2.0
    assert one.decide(7.0) == 2
    one.left(3, 2.0)
    assert one.settle_at == math.inf
