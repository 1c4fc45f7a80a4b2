from __future__ import annotations

import pytest

from kadnet.cli import render
from kadnet.cli.page import Page
from kadnet.shapes import Outgoing, Peer, Walked


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0s"), (4.9, "4s"), (60, "1m00s"), (192, "3m12s"), (18_120, "5h02m"), (705_600, "8d4h")],
)
def test_an_age_has_two_units_at_most(seconds: float, said: str) -> None:
    assert render.age(seconds) == said


def test_nobody_there_is_said_in_words() -> None:
    assert render.peers([], 0.0, Page(), full=False) == ["no live peers"]


def test_ids_of_peers_are_whole_where_they_fit_and_where_it_is_asked_for() -> None:
    id, address = "7loqfhhl" * 7, f"kadnet://{'7loqfhhl' * 7}@192.0.2.70:7420"
    found = [Peer(id, address, 12.3, 10.0, 95.0, 3, True, 0)]
    whole = render.peers(found, 100.0, Page(), full=False)
    assert whole[1].split() == [id, "192.0.2.70:7420", "1m30s", "5s", "ago", "12.3", "ms", "-"]
    needed = max(map(len, whole))
    assert render.peers(found, 100.0, Page(needed), full=False) == whole
    for width in (needed - 1, 80, 50):
        lines = render.peers(found, 100.0, Page(width), full=False)
        assert lines[1].split()[0] == id[:8]
        assert max(map(len, lines)) <= width
    assert address in render.peers(found, 100.0, Page(40), full=True)[1]


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
