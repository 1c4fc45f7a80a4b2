"""Lines as they are typed or piped, one after the other, until there are no more or another thread ends them.

On a terminal prompt-toolkit (extra `cli`) edits the line, and keeps whole what is printed meanwhile and what is being
typed. Without it, and for pipes, lines are read as they are.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from kadnet.errors import InputError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

_READ = 65_536  # bytes for one read


class Lines(Protocol):
    """A source of lines, open for the length of a `with` block. What cannot be a line comes as the error it is."""

    def __enter__(self) -> Lines: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __iter__(self) -> Iterator[str | InputError]: ...
    def end(self) -> None:
        """No more lines, from any thread; whoever waits for one goes on."""


def typed_lines(longest: int, *, plain: bool) -> Lines:
    """The lines of standard input. `longest`: bytes of one that are kept; `plain`: also a terminal's as they are."""
    terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if terminal and not plain:
        try:
            from prompt_toolkit.utils import is_dumb_terminal
        except ImportError:  # it is an extra
            pass
        else:
            if not is_dumb_terminal():
                return PromptedLines()
    return PlainLines(None if sys.stdin is None else sys.stdin.fileno(), longest)


class PlainLines:
    """Lines read from a descriptor; None has none. Not through `sys.stdin`, whose reads nothing can end."""

    def __init__(self, source: int | None, longest: int) -> None:
        self._source = source
        self._longest = longest
        self._ended, self._end = os.pipe()

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._ended)
        os.close(self._end)

    def end(self) -> None:
        with suppress(OSError):  # the block has ended already
            os.write(self._end, b"\n")

    def __iter__(self) -> Iterator[str | InputError]:
        begun = bytearray()
        too_long = False
        while part := self._read():
            begun += part
            *whole, rest = begun.split(b"\n")
            for line in whole:
                if not too_long:
                    yield _text(line)
                too_long = False
            begun = rest
            if len(begun) > self._longest:
                if not too_long:
                    yield InputError(f"a line has more than {self._longest} bytes", hint="send it in parts")
                too_long = True
            if too_long:
                begun.clear()
        if begun and not too_long:
            yield _text(begun)

    def _read(self) -> bytes:
        if self._source is None:
            return b""
        ready, _, _ = select.select([self._source, self._ended], [], [])
        if self._ended in ready:
            self._source = None
            return b""
        try:
            return os.read(self._source, _READ)
        except OSError:  # the terminal is gone
            return b""


class PromptedLines:
    """Lines edited on a terminal. What is printed during the block appears above the line that is being typed."""

    def __init__(self) -> None:
        self._ended = False
        self._patched: AbstractContextManager[None] | None = None
        self._session: PromptSession[str] | None = None

    def __enter__(self) -> PromptedLines:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        errors = sys.stderr
        self._session = PromptSession("> ")
        self._patched = patch_stdout()
        self._patched.__enter__()
        if not errors.isatty():
            sys.stderr = errors
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._patched is not None
        self._patched.__exit__(kind, error, trace)

    def end(self) -> None:
        self._ended = True
        # Either the prompt sees this when it begins, or it runs already and has a loop to be told in.
        loop = None if self._session is None else self._session.app.loop
        if loop is not None:
            with suppress(RuntimeError):  # closed meanwhile: the next prompt sees it
                loop.call_soon_threadsafe(self._leave)

    def __iter__(self) -> Iterator[str | InputError]:
        assert self._session is not None
        while not self._ended:
            try:
                typed = self._session.prompt(pre_run=self._begin)
            except EOFError:
                return
            for line in typed.split("\n"):  # several were pasted
                yield _text(line.encode("utf-8", "surrogateescape"))

    def _begin(self) -> None:
        if self._ended:
            self._leave()

    def _leave(self) -> None:
        assert self._session is not None
        app: Any = self._session.app
        if app.future is not None and not app.future.done():
            app.exit(exception=EOFError)


def _text(line: bytes | bytearray) -> str | InputError:
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return InputError("a line is not UTF-8 text", hint="check the encoding of the terminal")
