from __future__ import annotations

import pytest

from kadnet.cli import render
from kadnet.shapes import Outgoing, Walked


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0s"), (4.9, "4s"), (60, "1m00s"), (192, "3m12s"), (18_120, "5h02m"), (705_600, "8d4h")],
)
def test_an_age_has_two_units_at_most(seconds: float, said: str) -> None:
    assert render.age(seconds) == said


def test_nobody_there_is_said_in_words() -> None:
    assert render.peers([], 0.0, full=False) == ["no live peers"]


def test_a_walk_that_met_nobody_says_why() -> None:
    lines = render.walk(Walked("00" * 32, (), "nobody was left to ask", 0, 0, 0, 1.0, ()))
    assert lines == [
        "ended: nobody was left to ask; 0 hops, 0 messages, 1.0 ms",
        "closest to 0000000000000000...: 0 nodes",
    ]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (None, "not known yet"),
        (1, "about 1 node"),
        (87, "about 87 nodes"),
        (994, "about 990 nodes"),
        (1_234, "about 1,200 nodes"),
        (9_961, "about 10,000 nodes"),
        (2_481_000, "about 2,500,000 nodes"),
    ],
)
def test_the_size_of_the_network_has_the_two_figures_that_an_estimate_is_good_for(nodes: int | None, said: str) -> None:
    assert render.network_size(nodes) == said


def test_a_message_under_way_is_tried_now_and_a_later_one_in_its_time() -> None:
    def waiting(attempts: int, problem: str | None, next_at: float | None) -> Outgoing:
        return Outgoing(1, "0" * 32, "a" * 56, "hi", 10, attempts, problem, next_at)

    lines = render.outbox([waiting(0, None, None), waiting(1, "x" * 999, 104.5)], 100.0)
    assert lines[1].split() == ["aaaaaaaa...", "1m30s", "0", "times", "now", "hi", "-"]
    assert lines[2].split() == ["aaaaaaaa...", "1m30s", "once", "in", "4s", "hi", "x" * 199 + "…"]
