"""Runs scenarios with seeds that chance picks, many of them: what three seeds do not show, one of two thousand may.

Every test of tests/scenarios/ that takes `seed`, and does not choose its seeds itself, is one of the swarm's scenarios.
Its function is called as it stands, without pytest, in a worker process that imports everything once and then does one
run after the other. A warning is an error there, as under pytest. A run that takes too long is stopped, and its stack
is in the log.

    python tests/swarm.py --runs 2000 [--seed S] [--jobs 2] [--only TEXT] [--guard SECONDS] [--log FILE]

The seed that it prints first gives the same runs again. Each run is a line of JSON in the log; each failure is printed
with the command that shows it again. Exit 0: all passed; 1: some failed; 2: usage; 130: interrupted, after a summary of
what was finished.
"""
# ruff: noqa: T201, TID251  # a program for a person's terminal, with threads that wait for its workers

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import importlib
import inspect
import itertools
import json
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "tests/scenarios"
_HIGHEST = 10**6  # seeds are smaller than this: short enough to type
_SPEAK = 20.0  # seconds between progress lines where one cannot be written over the other
_TAIL = 10_000  # characters kept of what a worker said before it died


@dataclass(frozen=True, slots=True)
class Scenario:
    """A test function, and what it is given beside its seed when it is parametrized further."""

    node: str
    function: Callable[..., object]
    given: dict[str, Any] = field(default_factory=dict)

    def id(self, seed: int) -> str:
        """pytest's name of this test with this seed."""
        return f"{self.node}[{'-'.join(str(each) for each in (seed, *self.given.values()))}]"


@dataclass(frozen=True, slots=True)
class Done:
    """A run and what came of it: "passed", "failed", or "died" (its process; also when it took too long)."""

    test: str
    seed: int
    outcome: str
    seconds: float
    why: str = ""
    detail: str = ""

    @property
    def replay(self) -> str:
        return f"python -m pytest '{self.test}' --lab-seeds={self.seed}"


def scenarios() -> list[Scenario]:
    """All there are, in the order of their names."""
    found = []
    for file in sorted((ROOT / FOLDER).glob("test_*.py")):
        module = importlib.import_module(".".join((*Path(FOLDER).parts, file.stem)))
        for name, function in vars(module).items():
            if name.startswith("test_") and "seed" in inspect.signature(function).parameters:
                marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
                found += [Scenario(f"{FOLDER}/{file.name}::{name}", function, each) for each in cases(marks)]
    return found


def cases(marks: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """What parametrize marks of one name each give a function; nothing when `seed` is among the names."""
    if not any(mark.args[0] == "seed" for mark in marks):
        for values in itertools.product(*(mark.args[1] for mark in marks)):
            yield dict(zip((mark.args[0] for mark in marks), values, strict=True))


def draw(count: int, seed: int) -> Iterator[tuple[int, int]]:
    """For ever (number of a scenario, seed): each of `count` scenarios once, in an order of chance, and so on."""
    rng = random.Random(f"kadnet swarm {seed}")
    while True:
        for number in rng.sample(range(count), count):
            yield number, rng.randrange(_HIGHEST)


# ------------------------------------------------------------------------------------------------------------- a worker


def work(guard: float) -> None:
    """Do the runs that come on stdin, "number seed" a line; stdout is for the results alone. Ends with its stdin."""
    answers, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("error")
    unheard: list[str] = []
    sys.unraisablehook = lambda broken: unheard.append(f"{broken.exc_type.__name__}: {broken.exc_value} (unraisable)")
    there_are = scenarios()
    for line in sys.stdin:
        number, seed = map(int, line.split())
        # It writes every stack to stderr and ends the process, whatever that is busy with.
        faulthandler.dump_traceback_later(guard, exit=True)
        done = attempt(there_are[number], seed, unheard)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(asdict(done)), file=answers, flush=True)


def attempt(scenario: Scenario, seed: int, unheard: list[str]) -> Done:
    """One run. `unheard` fills with errors that nobody could raise, such as a socket that was left open."""
    unheard.clear()
    started = time.perf_counter()
    why = detail = ""
    try:
        call(scenario, seed)
        gc.collect()
    except BaseException as error:  # whatever a scenario raises is its failure, and the swarm goes on
        if isinstance(error, KeyboardInterrupt):
            raise
        why = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        detail = "".join(traceback.format_exception(error))
    if unheard and not why:
        why, detail = unheard[0], "\n".join(unheard)
    seconds = round(time.perf_counter() - started, 3)
    return Done(scenario.id(seed), seed, "failed" if why else "passed", seconds, why, detail)


def call(scenario: Scenario, seed: int) -> None:
    """Call a scenario with what it asks for: its seed, its parameters, `tmp_path`, `monkeypatch`."""
    import pytest  # here, so that bad usage is told at once

    wanted = inspect.signature(scenario.function).parameters
    with tempfile.TemporaryDirectory(prefix="kadnet-swarm-") as folder, pytest.MonkeyPatch.context() as monkeypatch:
        fixtures = {"tmp_path": Path(folder), "monkeypatch": monkeypatch}
        chosen = {name: fixture for name, fixture in fixtures.items() if name in wanted}
        scenario.function(seed=seed, **scenario.given, **chosen)


# -------------------------------------------------------------------------------------------------------- the overseer


class Worker:
    """One worker process; `do` starts it, and starts it again when it has died."""

    def __init__(self, guard: float, said: IO[str]) -> None:
        """`said`: an open file for what it writes to stderr."""
        self._guard = guard
        self._said = said
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def do(self, number: int, scenario: Scenario, seed: int) -> Done | None:
        """Have one run done. None when the swarm was stopped meanwhile."""
        started = time.monotonic()
        line = self._answer(f"{number} {seed}\n")
        if self._stopped:
            return None
        if line.endswith("\n"):
            return Done(**json.loads(line))
        code = self.end()
        self._said.seek(0)
        last_words = self._said.read()[-_TAIL:]
        self._said.seek(0)
        self._said.truncate()
        late = "Timeout (" in last_words  # faulthandler's words
        why = f"not done after {self._guard:g} s" if late else f"its process ended with {code}"
        return Done(scenario.id(seed), seed, "died", round(time.monotonic() - started, 3), why, last_words)

    def _answer(self, order: str) -> str:
        """The line that answers an order; "" or a part of a line when the process has died of it."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--worker", "--guard", str(self._guard)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                start_new_session=True,  # Ctrl-C is for the overseer, who stops it
            )
        process = self._process
        if self._stopped:  # perhaps when there was no process yet to kill
            process.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(order)
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        return process.stdout.readline()

    def stop(self) -> None:
        """Make `do` return, from another thread."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> int | None:
        """Wait for the end of the process, which comes when its stdin is closed. Its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            process.communicate()
        except BrokenPipeError:
            pass  # the order that it died of is still in the buffer
        return process.wait()


class Swarm:
    """The runs of one `main`, by `jobs` threads with a worker each."""

    def __init__(self, there_are: Sequence[Scenario], only: str, seed: int, runs: int) -> None:
        self.chosen = [number for number, each in enumerate(there_are) if only in each.node]
        self.runs = runs
        self.done = 0
        self.failed: list[Done] = []
        self._there_are = there_are
        self._todo: Iterator[tuple[int, int]] = itertools.islice(draw(len(self.chosen), seed), runs)
        self._lock = threading.Lock()
        self._results: queue.SimpleQueue[Done | None] = queue.SimpleQueue()  # None: a thread has ended

    def run(self, jobs: int, guard: float, each: Callable[[Done], object]) -> None:
        """Do the runs and call `each` with every result. When it raises, workers are stopped and it leaves."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile("w+", errors="replace")) for _ in range(jobs)]
            workers = [Worker(guard, file) for file in files]
            threads = [threading.Thread(target=self._drive, args=(worker,)) for worker in workers]
            for thread in threads:
                thread.start()
            try:
                self._collect(jobs, each)
            finally:
                with self._lock:
                    self._todo = iter(())
                for worker in workers:
                    worker.stop()
                for thread in threads:
                    thread.join()

    def _collect(self, running: int, each: Callable[[Done], object]) -> None:
        while running:
            result = self._results.get()
            if result is None:
                running -= 1
                continue
            self.done += 1
            self.failed += [result] if result.outcome != "passed" else []
            each(result)

    def _drive(self, worker: Worker) -> None:
        try:
            while True:
                with self._lock:
                    number, seed = next(self._todo, (-1, 0))
                if number < 0:
                    break
                number = self.chosen[number]
                done = worker.do(number, self._there_are[number], seed)
                if done is None:
                    break
                self._results.put(done)
        finally:
            worker.end()
            self._results.put(None)

    def summary(self, seconds: float) -> list[str]:
        """The last lines: each scenario that failed with its seeds, then the count."""
        seeds: dict[str, list[str]] = {}
        for each in self.failed:
            seeds.setdefault(each.test.partition("[")[0], []).append(str(each.seed))
        passed = self.done - len(self.failed)
        took = f"{self.done} of {self.runs} runs in {seconds / 60:.1f} min"
        lines = [f"{test}: seeds {', '.join(each)}" for test, each in sorted(seeds.items())]
        return [*lines, f"{took}: {passed} passed, {len(self.failed)} failed"]


class Screen:
    """Failures, and a line of progress: written over itself on a terminal, elsewhere a new one now and then."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._started = self._spoke = time.monotonic()
        self._over, self._end = ("\r\x1b[K", "") if sys.stdout.isatty() else ("", "\n")

    def show(self, result: Done) -> None:
        swarm, now = self._swarm, time.monotonic()
        if result.outcome != "passed":
            print(f"{self._over}{result.outcome}: {result.why}\n    {result.replay}", flush=True)
        if self._over or now - self._spoke >= _SPEAK:
            self._spoke = now
            seconds = (now - self._started) / swarm.done * (swarm.runs - swarm.done)
            left = f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
            line = f"{swarm.done} of {swarm.runs} runs, {len(swarm.failed)} failed, {left}"
            print(f"{self._over}{line}", end=self._end, flush=True)

    def close(self) -> None:
        print(self._over, end="", flush=True)


def main(arguments: Sequence[str]) -> int:
    """The exit code of `make swarm`."""
    wanted = options(arguments)
    if wanted.worker:
        work(wanted.guard)
        return 0
    seed = random.SystemRandom().randrange(_HIGHEST) if wanted.seed is None else wanted.seed
    swarm = Swarm(scenarios(), wanted.only, seed, wanted.runs)
    if not swarm.chosen:
        print(f"no scenario has {wanted.only!r} in its name; they are the tests of {FOLDER}/ that take a seed")
        return 2
    path = wanted.log or ROOT / "build" / "swarm" / f"{seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    only = f" --only {wanted.only}" if wanted.only else ""
    print(f"swarm seed {seed}   (again: python tests/swarm.py --runs {wanted.runs} --seed {seed}{only})")
    print(f"{wanted.runs} runs over {len(swarm.chosen)} scenarios, {wanted.jobs} at a time; log: {path}", flush=True)
    started, screen, code = time.monotonic(), Screen(swarm), 0
    with path.open("w", encoding="utf-8") as log:

        def each(result: Done) -> None:
            print(json.dumps({**asdict(result), "replay": result.replay}), file=log, flush=True)
            screen.show(result)

        try:
            swarm.run(min(wanted.jobs, wanted.runs), wanted.guard, each)
        except KeyboardInterrupt:
            code = 130
    screen.close()
    print("\n".join(["interrupted"] * bool(code) + swarm.summary(time.monotonic() - started)))
    return code or int(bool(swarm.failed))


def options(arguments: Sequence[str]) -> argparse.Namespace:
    def positive(text: str) -> int:
        if not text.isdecimal() or not 0 < int(text) < 10**9:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up")
        return int(text)

    parser = argparse.ArgumentParser("swarm", description="scenarios with seeds of chance", allow_abbrev=False)
    parser.add_argument("--runs", type=positive, default=2000, help="how many (default 2000, most of an hour)")
    parser.add_argument("--seed", type=int, help="of the swarm itself; the same one gives the same runs")
    parser.add_argument("--jobs", type=positive, default=2, help="workers (default 2)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios with this text in their name")
    parser.add_argument("--guard", type=positive, default=180, metavar="SECONDS", help="for one run (default 180)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="a JSON line for each run (default in build/swarm/)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
