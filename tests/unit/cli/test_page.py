from __future__ import annotations

import fcntl
import io
import pty
import struct
import termios
from contextlib import closing

import pytest

from kadnet.cli.page import Page, columns, fitted, page_of, wrapped

ROWS = [["id", "address", "rtt"], ["abcdefgh", "203.0.113.255:54321", "9.9 ms"], ["x", "[2001:db8::1]:7420", "-"]]


def test_columns_are_aligned_and_have_no_tail() -> None:
    assert columns([("a", "1"), ("bbb", "22")], "lr") == ["a     1", "bbb  22"]
    assert columns([("a", "x"), ("bbb", "")]) == ["a    x", "bbb"]
    assert columns([]) == []


def test_prose_is_wrapped_where_the_page_has_an_end() -> None:
    assert wrapped("a k20-a3-5s b", 9) == ["a", "k20-a3-5s", "b"]
    assert wrapped("a b " * 90, None) == ["a b " * 90]


def test_what_fits_is_left_alone() -> None:
    assert fitted(ROWS, "llr", Page(37), 1) == columns(ROWS, "llr")
    assert fitted(ROWS, "llr", Page(None), 1) == columns(ROWS, "llr")


def test_an_address_gives_way_in_the_middle_and_keeps_its_port() -> None:
    assert fitted(ROWS, "llr", Page(33), 1) == [
        "id        address             rtt",
        "abcdefgh  203.0.11…:54321  9.9 ms",
        "x         [2001:db8…:7420       -",
    ]
    assert fitted(ROWS, "llr", Page(33, plain=True), 1)[1] == "abcdefgh  203.0.11~:54321  9.9 ms"


def test_where_too_little_is_left_of_them_addresses_are_left_out() -> None:
    assert fitted(ROWS, "llr", Page(24), 1) == ["id           rtt", "abcdefgh  9.9 ms", "x              -"]


@pytest.mark.parametrize("plain", [False, True])
def test_no_line_is_wider_than_the_page(plain: bool) -> None:
    for width in range(1, 60):
        lines = fitted(ROWS, "llr", Page(width, plain), 1)
        assert max(map(len, lines)) <= width
        assert len(lines) == len(ROWS)
        assert not plain or all(line.isascii() for line in lines)


def test_a_terminal_has_a_width_and_a_file_has_none() -> None:
    assert page_of(io.StringIO()).width is None
    ours, theirs = pty.openpty()
    with open(ours, "wb"), open(theirs, "w", encoding="utf-8") as terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 97, 0, 0))
        assert page_of(terminal) == Page(97, plain=False)


@pytest.mark.parametrize(("encoding", "plain"), [("utf-8", False), ("ascii", True), ("latin-1", True)])
def test_what_an_encoding_cannot_write_is_not_drawn(encoding: str, plain: bool) -> None:
    with closing(io.TextIOWrapper(io.BytesIO(), encoding)) as stream:
        assert page_of(stream).plain is plain
