"""One direction of a line."""

from __future__ import annotations

from kadnet.lab import NetworkOptions
from kadnet.lab.pipes import Line, Pipe


def test_packets_are_through_one_after_the_other() -> None:
    pipe = Pipe(1000, 10_000)
    assert [pipe.offer(500, 7.0), pipe.offer(500, 7.0), pipe.offer(100, 7.2)] == [7.5, 8.0, 8.1]
    assert pipe.offer(500, 20.0) == 20.5


def test_the_queue_empties_as_time_passes() -> None:
    pipe = Pipe(1000, 1000)
    assert pipe.offer(1000, 0.0) == 1.0
    assert pipe.offer(1, 0.0) is None
    assert pipe.offer(501, 0.5) is None
    assert pipe.offer(500, 0.5) == 1.5


def test_streams_are_never_refused_and_take_the_room_of_packets() -> None:
    pipe = Pipe(1000, 1000)
    assert pipe.push(3000, 0.0) == 3.0
    assert pipe.push(3000, 0.0) == 6.0
    assert pipe.offer(100, 5.0) is None
    assert pipe.offer(100, 5.5) == 6.1


def test_a_line_is_unlimited_where_nothing_else_is_said() -> None:
    assert (Line(NetworkOptions()).up, Line(NetworkOptions()).down) == (None, None)
    line = Line(NetworkOptions(bandwidth=(None, 5000.0)))
    assert line.up is None
    assert line.down is not None
    assert line.down.rate == 5000
