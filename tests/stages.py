"""Runs the test stages one after another and says what each cost against its budget.

Every stage runs, whatever the ones before it did; a failing one makes the exit code 1. Going over a budget is a
warning, not a failure: the budget is for the people who add tests. A stage that hangs is stopped at five times its
budget. The last line is `N passed, N failed`. With `--cover` the lines that ran are counted over the stages that run
in this process tree without real nodes (system tests start processes of their own); that doubles what they take, so a
plain run does not.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_INTERRUPTED, _NO_TESTS = 2, 5  # pytest's exit codes
_HUNG = 5  # times the budget


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the suite. `budget` is in seconds; `workers` is pytest-xdist's, 0 for one test at a time."""

    name: str
    folders: tuple[str, ...]
    budget: int
    workers: int
    covered: bool


STAGES = (
    Stage("unit", ("tests/unit", "tests/vectors"), 60, 2, covered=True),
    Stage("properties", ("tests/properties",), 60, 2, covered=True),
    Stage("scenarios", ("tests/scenarios",), 240, 2, covered=True),
    # Real processes; nothing in them fails on time, so two at once only save waiting.
    Stage("system", ("tests/system",), 150, 2, covered=False),
    Stage("browser", ("tests/browser",), 90, 0, covered=False),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a stage. `trouble` is a failure that is no test's, in words."""

    stage: Stage
    passed: int
    failed: int
    seconds: float
    trouble: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the stage did what it should (having no tests yet is no fault)."""
        return self.failed == 0 and self.trouble is None

    @property
    def empty(self) -> bool:
        """Whether there was nothing to run."""
        return self.passed == 0 and self.ok


def count(report: Path) -> tuple[int, int]:
    """(passed, failed) of a JUnit report; a test that errors in its set-up or tear-down has failed."""
    passed = failed = 0
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed


def verdict(code: int, passed: int, failed: int) -> str | None:
    """What pytest's exit code says beyond the tests it counted."""
    if code in (0, _NO_TESTS) or (code == 1 and failed):
        return None
    if code == _INTERRUPTED:
        return "stopped early; see above"
    return f"pytest ended with {code}"


def run(stage: Stage, seed: int, scratch: Path, *, cover: bool) -> Result:
    """Run one stage, its output going straight to the terminal."""
    folders = [folder for folder in stage.folders if any((ROOT / folder).rglob("test_*.py"))]
    if not folders:
        return Result(stage, 0, 0, 0.0)
    report = scratch / f"{stage.name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", *folders, f"--junitxml={report}", f"--hypothesis-seed={seed}"]
    command += ["-n", str(stage.workers)] if stage.workers else []
    command += ["--cov", "--cov-append", "--cov-report="] if cover and stage.covered else []
    print(f"\n--- {stage.name}", flush=True)
    started = time.monotonic()
    # A group of its own, so that a hung stage is stopped with every process it started.
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, env=environment()) as process:
        try:
            code = process.wait(stage.budget * _HUNG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Result(stage, 0, 0, time.monotonic() - started, f"hung: stopped after {stage.budget * _HUNG} s")
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise
    seconds = time.monotonic() - started
    passed, failed = count(report) if report.exists() else (0, 0)
    return Result(stage, passed, failed, seconds, verdict(code, passed, failed))


def environment() -> dict[str, str]:
    """Ours, with the cheap way to count lines where Python has it (3.12, sys.monitoring)."""
    core = {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}
    return {**core, **os.environ}


def table(results: Sequence[Result]) -> list[str]:
    """One line a stage: what it did, how long it took, what it may take."""
    lines = [f"{'stage':<12}{'passed':>8}{'failed':>8}{'seconds':>10}{'budget':>8}"]
    for result in results:
        if result.empty:
            lines.append(f"{result.stage.name:<12}{'no tests yet':>16}{'':>10}{result.stage.budget:>8}")
            continue
        line = f"{result.stage.name:<12}{result.passed:>8}{result.failed:>8}{result.seconds:>10.1f}"
        line += f"{result.stage.budget:>8}"
        if result.trouble:
            line += f"   {result.trouble}"
        elif result.seconds > result.stage.budget:
            line += "   warning: over budget"
        lines.append(line)
    return lines


def main(wanted: Sequence[str]) -> int:
    """Run the stages named (all when none is) and print the tables. The exit code of `make test`."""
    cover = "--cover" in wanted
    wanted = [name for name in wanted if name != "--cover"]
    unknown = set(wanted) - {stage.name for stage in STAGES}
    if unknown:
        print(f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in STAGES)}")
        return 2
    stages = [stage for stage in STAGES if not wanted or stage.name in wanted]
    seed = random.randrange(2**32)
    print(f"hypothesis seed {seed}   (replay: python -m pytest --hypothesis-seed={seed} <test>)")
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    with tempfile.TemporaryDirectory(prefix="kadnet-test-") as scratch:
        results = [run(stage, seed, Path(scratch), cover=cover) for stage in stages]
    if cover and (ROOT / ".coverage").exists():
        print("\n--- coverage of unit, properties and scenarios; files covered whole are left out", flush=True)
        subprocess.run([sys.executable, "-m", "coverage", "report"], cwd=ROOT, check=False)
    print("\n" + "\n".join(table(results)) + "\n")
    # A stage that broke down as a whole counts as one failure, or the last line would call it a success.
    failed = sum(result.failed + (result.trouble is not None and not result.failed) for result in results)
    print(f"{sum(result.passed for result in results)} passed, {failed} failed")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
