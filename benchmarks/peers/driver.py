"""What the drivers of other people's libraries share: the clock, the figures, the rows, the way a process ends.

A driver is run by the interpreter of its peer's own environment, so this imports the standard library and nothing
else. It knows no peer. The verbs and the rows they print are those of every driver, ours included.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Verb = Callable[..., object]

HOST = "127.0.0.1"
IN_FLIGHT = 32
ROUNDS = 3
PUTTERS = 8
"""Values are put through this many nodes in turn, none of which asks for them later."""
VALUE = 100
GETS = 600
"""Gets in a round at least, where a get takes about a millisecond. Slow peers ask for each value once."""
_PARENT_LOOK = 0.5


def say(row: Mapping[str, Any]) -> None:
    """One JSON line on standard output."""
    print(json.dumps(row), flush=True)


def cpu() -> float:
    """CPU seconds of this process, all its threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> float:
    """KiB of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def quantiles(seconds: list[float]) -> list[float] | None:
    """[p50, p95] in milliseconds, or None of nothing."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return [round(1000 * ranked[min(len(ranked) - 1, int(len(ranked) * part))], 3) for part in (0.50, 0.95)]


def one_of_many(number: int) -> bytes:
    """A value of `VALUE` bytes that no other number has."""
    return number.to_bytes(8, "big") + os.urandom(VALUE - 8)


@dataclass
class Build:
    """The cost of building an overlay: read from its making to `done`."""

    nodes: int
    began: float = field(default_factory=time.perf_counter)
    before: float = field(default_factory=resident)
    seconds: float = 0.0
    kib: float = 0.0

    def done(self) -> None:
        """Everybody has joined."""
        self.seconds = time.perf_counter() - self.began
        self.kib = (resident() - self.before) / self.nodes

    def row(self) -> Row:
        """Its part of the row of an overlay."""
        return {"nodes": self.nodes, "build_s": round(self.seconds, 3), "kib_per_node": round(self.kib, 1)}


class Keys:
    """Which keys a round asks for: every key in turn, and none while it is in flight already.

    Two gets of one key at a time would share their work in some libraries and not in others.
    """

    def __init__(self, wanted: list[str], total: int) -> None:
        self._free = deque(wanted)
        self._left = total

    def take(self) -> str | None:
        """The next key, or None while there is none to ask for."""
        if not self._left or not self._free:
            return None
        self._left -= 1
        return self._free.popleft()

    def back(self, key: str) -> None:
        """The get of `key` has ended."""
        self._free.append(key)

    @property
    def ended(self) -> bool:
        return not self._left


class Round:
    """One round of gets in flight: its clocks run from its making to `row`.

    What building and putting left to Python's collector is collected before, for every peer written in Python alike:
    one look through the objects of 128 nodes takes as long as hundreds of gets. What gets leave is theirs to bear.
    """

    def __init__(self) -> None:
        gc.collect()
        self._seconds: list[float] = []
        self._right = 0
        self._cpu, self._began = cpu(), time.perf_counter()

    def note(self, seconds: float, *, right: bool) -> None:
        """One get has ended. `right`: it brought the very bytes that were put."""
        self._seconds.append(seconds)
        self._right += right

    def row(self) -> Row:
        """An entry of "flight"."""
        spent, took = cpu() - self._cpu, time.perf_counter() - self._began
        asked = len(self._seconds)
        return {
            "gets_per_s": round(asked / took, 1),
            "cpu_ms_per_get": round(1000 * spent / max(1, asked), 4),
            "slowest_ms": round(1000 * max(self._seconds, default=0.0), 1),
            "asked": asked,
            "right": self._right,
        }


class Largest:
    """Finds the largest value that goes: doubles until one is refused, then halves the gap down to 1/`grain`."""

    def __init__(self, first: int = 256, ceiling: int = 8 << 20, grain: int = 1000) -> None:
        self._first, self._ceiling, self._grain = first, ceiling, grain
        self._fits = 0
        self._refused: int | None = None
        self._how = f"nothing up to {ceiling} bytes was refused"

    def sizes(self) -> Iterator[int]:
        """Sizes in bytes to try; each is followed by one `note`."""
        while True:
            if self._refused is None:
                size = max(self._first, 2 * self._fits)
                if size > self._ceiling:
                    return
            else:
                if self._refused - self._fits <= max(1, self._fits // self._grain):
                    return
                size = (self._fits + self._refused) // 2
            yield size

    def note(self, size: int, trouble: str | None) -> None:
        """What came of a value of `size` bytes: `trouble` says how it failed, None that it came back whole."""
        if trouble is None:
            self._fits = size
        else:
            self._refused, self._how = size, trouble

    def row(self) -> Row:
        return {"row": "largest", "bytes": self._fits, "refused": self._refused, "how": self._how}


class Second:
    """A second process of the same driver. It prints one JSON line when it stands, and ends with this block."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, sys.argv[0], *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.told: Row = json.loads(self._process.stdout.readline())

    def __enter__(self) -> Row:
        return self.told

    def __exit__(self, *_exc: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def leave(code: int = 0) -> None:
    """End this process at once: the destructors of some libraries wait for seconds, and nothing is to be saved."""
    sys.stdout.flush()
    os._exit(code)


def end_with_stdin() -> None:
    """End this process when its standard input closes, as it does when the process that started it dies."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        leave()

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent(parent: int) -> None:
    """End this process soon after `parent`, the process that started it, has ended, even by a SIGKILL."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_LOOK)
        os._exit(1)  # unlike `leave`: whoever read what is still in the buffer is gone

    threading.Thread(target=watch, daemon=True).start()


def answer(value: bytes | None, seconds: float, held: bool) -> Row:
    """The answer to {"get": …}. `held`: this node held the value before it asked."""
    return {"value": None if value is None else value.hex(), "ms": round(1000 * seconds, 3), "held": held}


def main(verbs: Mapping[str, Verb]) -> None:
    """Run the verb that the command line names, with the rest of it as strings."""
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        raise SystemExit(f"usage: {Path(sys.argv[0]).name} {' | '.join(verbs)} …")
    end_with_parent(os.getppid())
    verbs[sys.argv[1]](*sys.argv[2:])
    leave()
