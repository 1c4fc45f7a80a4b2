from __future__ import annotations

import pytest

from kadnet.cli.buckets import table
from kadnet.cli.page import Page
from kadnet.shapes import Bucket, Peer, Place


def peer(name: str, address: str = "192.0.2.7:7420", *, rtt: float | None = 4.0, fast: bool = False) -> Peer:
    return Peer(name * 56, f"kadnet://{name * 56}@{address}", rtt, 800.0, 995.0, 3, fast)


WAITING = (Place("w" * 56, f"kadnet://{'w' * 56}@192.0.2.9:1"),)
WIDE = Page(None)


def test_an_empty_table_is_said_in_words() -> None:
    assert table([], 0.0, WIDE) == ["the routing table is empty"]


def test_each_bucket_shows_how_full_it_is_and_each_node_how_it_fares() -> None:
    bucket = Bucket(0, 4, (peer("a"), peer("b", rtt=None, fast=True)), WAITING)
    assert table([bucket], 1000.0, WIDE) == [
        "IPv4",
        "        id        address         known  answered     rtt  credit",
        "   0  |=+..............|  2 nodes, 1 waiting",
        "      = aaaaaaaa  192.0.2.7:7420  3m20s    5s ago  4.0 ms       3",
        "      + bbbbbbbb  192.0.2.7:7420  3m20s    5s ago       -       3",
        "   1 to 255  empty",
        "2 nodes in 1 bucket, 1 waiting; median rtt 4.0 ms",
    ]


def test_buckets_without_nodes_are_one_range() -> None:
    found = [Bucket(2, 4, (peer("a"),), ()), Bucket(4, 4, (peer("b"),), ()), Bucket(9, 4, (peer("c"),), ())]
    empty = [line for line in table(found, 1000.0, WIDE) if "empty" in line]
    assert empty == ["   0 to 1  empty", "   3  empty", "   5 to 8  empty", "  10 to 255  empty"]
    last = table([Bucket(255, 4, (peer("a"),), ())], 1000.0, WIDE)
    assert [line for line in last if "empty" in line] == ["   0 to 254  empty"]


def test_a_bucket_in_which_some_only_wait_is_not_empty() -> None:
    lines = table([Bucket(0, 4, (), WAITING)], 1000.0, WIDE)
    assert lines[2] == "   0  |................|  0 nodes, 1 waiting"
    assert lines[-1] == "0 nodes in 1 bucket, 1 waiting; median rtt -"


def test_families_stand_apart_and_every_node_stands_in_its_own_bucket() -> None:
    found = [
        Bucket(0, 4, (peer("a"), peer("b")), ()),
        Bucket(1, 4, (peer("c"),), ()),
        Bucket(0, 6, (peer("d", "[::1]:1"),), ()),
        Bucket(1, 6, (peer("e", "[::1]:2"),), ()),
    ]
    for mixed in (found, [found[2], found[0], found[3], found[1]]):
        lines = table(mixed, 1000.0, WIDE)
        cells = [line.replace("=", "").split() for line in lines if "address" not in line]
        told = [row[0][0] if len(row[0]) == 8 else row[0] for row in cells[:-1]]
        assert told == ["IPv4", "0", "a", "b", "1", "c", "2", "IPv6", "0", "d", "1", "e", "2"]


def test_a_bar_grows_with_a_bucket_that_is_wider() -> None:
    found = [Bucket(0, 4, tuple(peer(name) for name in "abcdefghijklmnopqrst"), ())]
    assert f"|{'=' * 20}|  20 nodes" in table(found, 1000.0, WIDE)[2]


@pytest.mark.parametrize("width", [10, 30, 60, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = "[2001:0db8:1111:2222:3333:4444:5555:6666]:54321"
    lines = table([Bucket(0, 6, (peer("a", long),), WAITING)], 1000.0, Page(width))
    assert max(map(len, lines)) <= width
    if width == 80:
        assert lines[3] == "      = aaaaaaaa  [2001:0db8:1111:2222:3…:54321  3m20s    5s ago  4.0 ms       3"
