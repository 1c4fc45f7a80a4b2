"""What the tests of messages share: the inbox as a program reads it, and commands that go on while the test does.

Everything goes through the command line. A command that goes on is read by a thread of its own, so a test waits for its
next line and never for a time.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.system.processes import Done, Running, command, environment

_LINE = 60.0  # seconds for the next line; it takes a fraction of one


def received(node: Running, *words: str) -> list[Any]:
    """The inbox, as `inbox --json` has it."""
    done = node("inbox", "--json", *words)
    assert (done.code, done.err) == (0, ""), done
    return [json.loads(line) for line in done.out.splitlines()]


def texts(node: Running) -> list[str]:
    return [message["text"] for message in received(node)]


def outbox(node: Running) -> list[Any]:
    found: list[Any] = node.json("outbox")
    return found


def links_of(node: Running) -> dict[str, int]:
    """The number of links to each peer, by `peers --json`."""
    return {peer["id"]: peer["links"] for peer in node.json("peers")}


class Going:
    """A command that goes on: its input is ours to type, and its lines come one by one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._err: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def type(self, *lines: str) -> None:
        """Write lines to its input. It may have ended: then they are lost."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def line(self) -> str:
        """Its next line. AssertionError when it ends instead."""
        line = self._lines.get(timeout=_LINE)
        assert line is not None, f"it ended with {self.process.wait()} and said {''.join(self._err)!r}"
        return line

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[Done, list[str]]:
        """No more input: wait until it ends. How it did, and the lines that nobody has taken yet."""
        self._end_input()
        code = self.process.wait(_LINE)
        for reader in self._readers:
            reader.join()
        left = []
        while (line := self._lines.get()) is not None:
            left.append(line)
        err = "".join(self._err)
        assert "Traceback" not in err, err
        return Done(code, "".join(f"{line}\n" for line in left).encode(), err), left

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._end_input()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _end_input(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # it ended before it read everything
            pass

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.decode().rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._err.extend(line.decode(errors="replace") for line in self.process.stderr)


@contextmanager
def going(node: Running | Path, *words: str) -> Iterator[Going]:
    """Start a command on a node and let it go on for the length of the block."""
    folder = node if isinstance(node, Path) else node.data_dir
    made = Going(
        subprocess.Popen(
            command(folder, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(PYTHONUNBUFFERED="1"),
        )
    )
    try:
        yield made
    finally:
        made.close()


def at_once(*all_words: tuple[Running, Sequence[str]]) -> list[Done]:
    """Commands that are all started before any is waited for."""
    started = [
        subprocess.Popen(
            command(node.data_dir, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        for node, words in all_words
    ]
    ended = []
    for process in started:
        out, err = process.communicate(timeout=_LINE)
        assert b"Traceback" not in err, err
        ended.append(Done(process.returncode, out, err.decode()))
    return ended
