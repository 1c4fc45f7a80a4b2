# ruff: noqa: TID251 - what is ended from another thread is tested from another thread

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from kadnet.cli.lines import PlainLines, PromptedLines, typed_lines
from kadnet.errors import InputError


def read(*parts: bytes, longest: int = 100) -> list[str]:
    """What lines come of these bytes; an error by its text."""
    source, end = os.pipe()
    with os.fdopen(source, "rb"), os.fdopen(end, "wb") as pipe:
        for part in parts:
            pipe.write(part)
        pipe.close()
        with PlainLines(source, longest) as lines:
            return [str(line) for line in lines]


def test_lines_come_one_by_one_without_their_ends() -> None:
    assert read(b"one\ntwo\r\n\nthree") == ["one", "two", "", "three"]
    assert read(b"") == []
    assert read(b"gr\xc3\xbc\xc3\x9fe\n") == ["grüße"]


def test_a_line_that_is_no_utf8_is_an_error_and_the_next_one_is_read() -> None:
    assert read(b"gr\xfcn\nblue\n") == ["a line is not UTF-8 text", "blue"]


@pytest.mark.parametrize("length", [101, 5000, 200_000])
def test_a_line_too_long_to_keep_is_one_error_and_the_next_one_is_read(length: int) -> None:
    source, end = os.pipe()
    found: list[str] = []
    with os.fdopen(source, "rb"), PlainLines(source, 100) as lines:

        def take() -> None:
            found.extend(str(line) for line in lines)

        reader = threading.Thread(target=take)
        reader.start()
        with os.fdopen(end, "wb") as pipe:
            pipe.write(b"x" * length)
            pipe.flush()
            while not found:  # the beginning of the line has been read by itself
                reader.join(0.001)
            pipe.write(b"x\nblue\n" + b"y" * 50)
        reader.join()
    assert found == ["a line has more than 100 bytes", "blue", "y" * 50]


def test_lines_end_when_another_thread_says_so() -> None:
    source, end = os.pipe()
    with os.fdopen(source, "rb"), os.fdopen(end, "wb") as pipe, PlainLines(source, 100) as lines:
        pipe.write(b"one\n")
        pipe.flush()
        each = iter(lines)
        assert next(each) == "one"
        threading.Timer(0.01, lines.end).start()
        assert list(each) == []
    lines.end()  # which is too late, and harms nobody


def test_an_input_that_is_closed_has_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with typed_lines(100, plain=False) as lines:
        assert list(lines) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("plain", "installed", "term", "kind"),
    [
        (False, True, "xterm", PromptedLines),
        (True, True, "xterm", PlainLines),
        (False, False, "xterm", PlainLines),
        (False, True, "dumb", PlainLines),
    ],
)
def test_a_terminal_is_prompted_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, plain: bool, installed: bool, term: str, kind: type[object]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", term)
    if not installed:
        monkeypatch.setitem(sys.modules, "prompt_toolkit.utils", None)
    lines = typed_lines(100, plain=plain)
    assert type(lines) is kind
    if isinstance(lines, PlainLines):
        with lines:
            """Which closes what it opened."""


def test_a_pipe_is_never_prompted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    with typed_lines(100, plain=False) as lines:
        assert type(lines) is PlainLines, "stdout is no terminal"


@contextmanager
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def test_a_prompted_line_is_edited_and_several_pasted_ones_are_several() -> None:
    with keyboard() as keys, PromptedLines() as lines:
        each = iter(lines)
        keys.send_text("helo\x1b[Dl\r")
        assert next(each) == "hello"
        keys.send_text("\x1b[200~one\ntwo\x1b[201~\r")
        assert [next(each), next(each)] == ["one", "two"]
        keys.send_text("\x04")
        assert list(each) == []


def test_ctrl_c_at_the_prompt_is_an_interruption() -> None:
    with keyboard() as keys, PromptedLines() as lines:
        keys.send_text("\x03")
        with pytest.raises(KeyboardInterrupt):
            next(iter(lines))


def when(seen: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        while not seen():
            """It comes in a moment."""
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_prompt_ends_when_another_thread_says_so() -> None:
    with keyboard(), PromptedLines() as lines:
        session = lines._session
        assert session is not None
        thread = when(lambda: session.app.is_running, lines.end)
        assert list(lines) == []
        thread.join()
        assert list(lines) == []


def test_a_prompt_that_begins_while_another_thread_ends_it_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with keyboard(), PromptedLines() as lines:
        session = lines._session
        assert session is not None
        prompt = session.prompt

        def late(**options: Callable[[], None]) -> str:
            lines.end()  # behind the loop's look, before the prompt runs
            return prompt(pre_run=options["pre_run"])

        monkeypatch.setattr(session, "prompt", late)
        assert list(lines) == []


def test_what_is_printed_while_prompting_is_handed_to_the_prompt_and_stderr_elsewhere_is_left_alone() -> None:
    before = sys.stdout, sys.stderr
    with keyboard(), PromptedLines():
        assert sys.stdout is not before[0]
        assert sys.stderr is before[1], "no terminal: somebody keeps it"
    assert (sys.stdout, sys.stderr) == before


def test_an_error_of_a_line_is_one_of_input() -> None:
    source, end = os.pipe()
    with os.fdopen(source, "rb"), os.fdopen(end, "wb") as pipe, PlainLines(source, 100) as lines:
        pipe.write(b"\xff\n")
        pipe.flush()
        assert isinstance(next(iter(lines)), InputError)
