from __future__ import annotations

import io
import os

import pytest

from kadnet.cli.demo_screen import Screen, ring, talk_table
from kadnet.cli.demo_talk import AT_ONCE, BOTH_DIED, CAME_BACK, Letter, Talk


def test_the_ring_shows_every_node_once_and_who_holds_and_who_is_dead() -> None:
    for count in range(10, 41):
        order = list(range(count))
        drawn = "\n".join(ring(order, holders={1, 2}, killed={2, 3}, inside=["who holds", "color"]))
        cells = drawn.replace("x", " ").replace("[", " ").replace("]", " ").split()
        assert sorted(int(cell) for cell in cells if cell.isdigit()) == order
        assert "[01]" in drawn
        assert "x02x" in drawn
        assert "x03x" in drawn
        assert "who holds" in drawn
        assert max(map(len, drawn.splitlines())) <= 77, "three more are the margin"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on(stream: io.StringIO) -> str:
    screen = Screen(stream)
    screen.phase("Find", "Each is asked for.")
    screen.progress(1, 2, "records looked up")
    screen.result("all found")
    screen.lines(ring(range(10), {1}, {2}, ["color"]))
    return stream.getvalue()


def test_colours_and_the_live_line_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = shown_on(io.StringIO())
    assert "\x1b" not in plain
    assert "\r" not in plain
    assert "1 of 2" not in plain
    live = shown_on(Terminal())
    assert "1 of 2 records looked up\x1b[K" in live
    assert "\x1b[31mx02x\x1b[0m" in live
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown_on(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert shown_on(Terminal()) == plain


def test_text_of_others_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    Screen(stream).result("miss: \x1b[2J")
    assert "\x1b" not in stream.getvalue()


def test_what_is_waited_for_and_a_begun_line_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    screen = Screen(stream)
    screen.waiting("05 is starting")
    assert stream.getvalue().endswith("05 is starting ...\x1b[K")
    screen.phase("Find", "Each is asked for.")
    assert "starting ...\x1b[K\r\x1b[K\n" in stream.getvalue(), "the next phase takes its place"
    screen.begin("05 to 14")
    screen.leave()
    assert "   05 to 14\n" in stream.getvalue()

    plain = io.StringIO()
    screen = Screen(plain)
    screen.waiting("05 is starting")
    screen.begin("05 to 14")
    assert plain.getvalue() == "   05 to 14"
    screen.end(", delivered")
    screen.leave()
    assert plain.getvalue() == "   05 to 14, delivered\n"


def test_on_a_narrow_terminal_no_line_is_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((60, 24)))
    monkeypatch.setattr(Terminal, "fileno", lambda _self: 1)

    def told(stream: io.StringIO) -> list[str]:
        screen = Screen(stream)
        screen.phase("Kill", "SIGKILL, without a goodbye. " * 9)
        screen.result("killed, and so many records lost so many copies. " * 4)
        return stream.getvalue().replace("\r\x1b[K", "").splitlines()

    assert max(map(len, told(Terminal()))) <= 60
    assert len(told(io.StringIO())[-1]) > 150, "in a file a result is one line"


def test_an_arrow_is_drawn_with_what_the_stream_can_write() -> None:
    for encoding, drawn in (("utf-8", "→"), ("ascii", "->"), ("latin-1", "->")):
        raw = io.BytesIO()
        screen = Screen(io.TextIOWrapper(raw, encoding, write_through=True))
        screen.tell("05 → 14")
        assert raw.getvalue().decode(encoding) == f"   05 {drawn} 14\n"


def test_the_table_counts_what_was_delivered_and_how() -> None:
    talk = Talk()
    talk.letters = [
        Letter(5, 14, "a", AT_ONCE, arrived=0.001, receipt=0.002),
        Letter(14, 5, "b", AT_ONCE, arrived=0.001, receipt=0.004),
        Letter(5, 14, "c", AT_ONCE, arrived=0.001),
        Letter(5, 14, "d", CAME_BACK, arrived=1.5, receipt=1.6),
        Letter(5, 14, "e", BOTH_DIED),
    ]
    talk.twice = 7
    rows = [line.rsplit("  ", 1) for line in talk_table(talk)]
    assert [(label.strip(), value) for label, value in rows] == [
        ("messages sent", "5"),
        ("delivered at once", "2 of 3"),
        ("delivered after the receiver came back", "1 of 1"),
        ("delivered after the sender's own death", "0 of 1"),
        ("seen twice", "7"),
        ("milliseconds to the receipt, at once: median (most)", "3.0 (4.0)"),
        ("seconds from a return to an arrival: median (most)", "1.5 (1.5)"),
    ]
