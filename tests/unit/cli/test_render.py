from __future__ import annotations

import pytest

from kadnet.cli import render
from kadnet.shapes import Bucket, Outgoing, Peer, Place, Walked


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0s"), (4.9, "4s"), (60, "1m00s"), (192, "3m12s"), (18_120, "5h02m"), (705_600, "8d4h")],
)
def test_an_age_has_two_units_at_most(seconds: float, said: str) -> None:
    assert render.age(seconds) == said


def test_columns_are_aligned_and_have_no_tail() -> None:
    assert render.columns([("a", "1"), ("bbb", "22")], "lr") == ["a     1", "bbb  22"]
    assert render.columns([("a", "x"), ("bbb", "")]) == ["a    x", "bbb"]
    assert render.columns([]) == []


def test_an_empty_table_is_said_in_words() -> None:
    assert render.table([], 0.0) == ["the routing table is empty"]
    assert render.peers([], 0.0, full=False) == ["no live peers"]


def test_a_bar_tells_new_nodes_from_settled_ones_and_a_bucket_of_ipv6() -> None:
    old = Peer("a" * 56, "kadnet://x@[::1]:1", None, 0.0, 90.0, 3, False)
    new = Peer("b" * 56, "kadnet://y@[::1]:2", 4.0, 40.0, 95.0, 1, True)
    bucket = Bucket(2, 6, (old, new), ())
    waiting = Bucket(9, 4, (), (Place("c", "kadnet://c@h:1"),))
    lines = render.table([bucket, waiting], 100.0)
    assert lines[1].split() == ["2", "IPv6", "|=+..............|", "2", "0", "4.0", "ms", "1m40s", "5s", "ago"]
    assert lines[2].split() == ["9", "|................|", "0", "1", "-", "-", "-"]
    assert lines[3] == "2 nodes in 2 buckets"


def test_a_walk_that_met_nobody_says_why() -> None:
    lines = render.walk(Walked("00" * 32, (), "nobody was left to ask", 0, 0, 0, 1.0, ()), trace=True)
    assert lines[-2].startswith("ended: nobody was left to ask; 0 queries, 0 hops")
    assert lines[-1] == "closest to 0000000000000000...: 0 nodes"


def test_a_message_under_way_is_tried_now_and_a_later_one_in_its_time() -> None:
    def waiting(attempts: int, problem: str | None, next_at: float | None) -> Outgoing:
        return Outgoing(1, "0" * 32, "a" * 56, "hi", 10, attempts, problem, next_at)

    lines = render.outbox([waiting(0, None, None), waiting(1, "x" * 999, 104.5)], 100.0)
    assert lines[1].split() == ["aaaaaaaa...", "1m30s", "0", "times", "now", "hi", "-"]
    assert lines[2].split() == ["aaaaaaaa...", "1m30s", "once", "in", "4s", "hi", "x" * 199 + "…"]
