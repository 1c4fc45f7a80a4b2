"""Ratios are of the same repeat, and which way is better decides what they mean."""

from __future__ import annotations

import pytest

from benchmarks.scores import Score, Scoreboard
from tests.unit.benchmarks.lines import failed, overlay, ping


def the_score(lines: list[dict[str, object]], key: str, peer: str = "kademlia") -> Score:
    board = Scoreboard(lines)
    score = board.score(next(metric for metric in board.metrics if metric.key == key), peer)
    assert score is not None
    return score


def test_a_ratio_is_of_two_figures_of_the_same_repeat() -> None:
    lines = [ping("kademlia", 1, 50.0), ping("kadnet", 0, 30.0), ping("kadnet", 1, 100.0), ping("kademlia", 0, 10.0)]
    assert the_score(lines, "ping").ratios == [3.0, 2.0]
    assert the_score(lines, "ping").spread == (2.5, 2.0, 3.0)


def test_a_repeat_that_one_of_both_failed_counts_for_neither() -> None:
    lines = [ping("kadnet", 0, 30.0), ping("kadnet", 1, 100.0), ping("kademlia", 1, 50.0)]
    lines.append(failed("ping", "kademlia", 0, "had not ended after 9 s"))
    assert the_score(lines, "ping").ratios == [2.0]
    assert Scoreboard(lines).errors() == {("ping", "kademlia"): ["had not ended after 9 s"]}


@pytest.mark.parametrize(
    ("ours", "verdict"), [((2.0, 3.0), "behind"), ((0.2, 0.5), "ahead"), ((0.5, 2.0), "even"), ((1.0, 1.0), "even")]
)
def test_seconds_are_better_when_fewer(ours: tuple[float, float], verdict: str) -> None:
    lines = [overlay("kadnet", at, build=seconds) for at, seconds in enumerate(ours)]
    lines += [overlay("kademlia", at, build=1.0) for at in range(2)]
    assert the_score(lines, "overlay-32 build").verdict == verdict


@pytest.mark.parametrize(("ours", "verdict"), [((2.0, 3.0), "ahead"), ((0.2, 0.5), "behind"), ((0.5, 2.0), "even")])
def test_a_rate_is_better_when_higher(ours: tuple[float, float], verdict: str) -> None:
    lines = [ping("kadnet", at, rate) for at, rate in enumerate(ours)] + [ping("kademlia", at, 1.0) for at in range(2)]
    assert the_score(lines, "ping").verdict == verdict


def test_gains_turn_seconds_round_so_that_more_is_always_better() -> None:
    lines = [overlay("kadnet", 0, build=4.0), overlay("kadnet", 1, build=2.0)]
    lines += [overlay("kademlia", at, build=1.0) for at in range(2)]
    assert the_score(lines, "overlay-32 build").gains == (1 / 3, 1 / 4, 1 / 2)


def test_a_get_that_came_back_wrong_is_seen() -> None:
    lines = [overlay("kadnet", 0), overlay("kademlia", 0, right=450)]
    assert the_score(lines, "overlay-32 right").theirs == (75.0,)


def test_a_goal_that_is_missed_is_missed() -> None:
    missed = [ping("kadnet", 0, 14.0), ping("kademlia", 0, 10.0)]
    met = [ping("kadnet", 0, 15.0), ping("kademlia", 0, 10.0)]
    assert [outcome.met for lines in (missed, met) for outcome in Scoreboard(lines).goals()] == [False, True]
