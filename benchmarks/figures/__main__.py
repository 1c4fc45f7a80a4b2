"""`make figures`: every figure promised of the overlay's lookups, beside its control and its goal.

A whole run writes its lines to docs/performance.jsonl, and from them the tables of docs/performance.md and the picture
docs/performance.svg. A run of parts, and a quick one, only print. A goal that is missed is printed as missed; nothing
fails on time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import loopback
from benchmarks.command import exit_code, is_finished, page_text, show, write
from benchmarks.document import placed
from benchmarks.environments import ROOT, Driver, NotInstalled, driver
from benchmarks.figures import chart, console, document, reading
from benchmarks.figures.crew import Crew
from benchmarks.figures.plan import REPEATS, jobs, peers_of
from benchmarks.figures.progress import Progress
from benchmarks.figures.results import Results
from benchmarks.figures.sheet import GROUPS
from benchmarks.metrics import Line
from benchmarks.plan import Impossible
from benchmarks.runner import Recorder
from benchmarks.terminal import Parser, machine, say
from kadnet.cli.page import page_of
from kadnet.cli.sim.memory import available
from kadnet.cli.sim.workers import processors

LATEST = ROOT / "benchmarks" / "results" / "figures.jsonl"
_SPARE = 0.9  # of the memory that is free


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.figures", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    names = ", ".join(GROUPS)
    add("--only", action="append", choices=tuple(GROUPS), metavar="NAME", help=f"only this; again for more: {names}")
    add("--quick", action="store_true", help="small worlds, once each: shows that all of it runs, and no figure")
    add("--json", action="store_true", help="the figures as JSON lines on standard output")
    add("--from", dest="source", type=Path, metavar="FILE", help="measure nothing: write the page from these lines")
    add("--docs", type=Path, default=ROOT / "docs", help="where the page is (default docs)")
    return parser.parse_args(arguments)


def _gather(groups: Sequence[str], recorder: Recorder) -> dict[str, Driver]:
    """The drivers that the groups need; a control that cannot be had is recorded with the reason."""
    found = {}
    for peer in peers_of(groups):
        try:
            found[peer] = driver(peer, say)
        except NotInstalled as reason:
            say(f"{peer}: {reason}")
            recorder.note({"row": "environment", "side": peer, "error": str(reason)})
    return found


def _measure(groups: Sequence[str], recorder: Recorder, *, quick: bool) -> None:
    prefix = loopback.prefix()
    recorder.note({**machine(REPEATS, loopback_only=prefix is not None), "quick": quick})
    todo = jobs(groups, _gather(groups, recorder), quick=quick)
    slots, free = processors(), available()
    progress = Progress(sys.stderr, todo, slots)
    try:
        with Crew(recorder.note, progress, prefix or ()) as crew:
            crew.work_off(todo, slots, None if free is None else int(_SPARE * free))
    finally:
        progress.leave()


def _write(lines: Sequence[Line], source: Path, docs: Path) -> None:
    """The page, its picture and its lines, all or nothing of the tables. Raises Impossible."""
    page = docs / "performance.md"
    results = Results(lines)
    if not results.outcomes():
        raise Impossible(f"{source} holds no figure of kadnet: nothing to write a page from")
    if results.machine.get("quick"):
        raise Impossible(f"{source} is of a quick run: its worlds are small, and no page is made of them")
    text = page_text(page)
    drawn = chart.draw(lines, docs / "performance.svg")
    write(page, placed(text, document.figures(results, "performance.svg" if drawn else None)), source)
    say(f"written: {page}, {'performance.svg and ' if drawn else ''}performance.jsonl beside it")
    for outcome in results.outcomes():
        if not outcome.met and outcome.reason is None:
            say(f"missed without a reason in benchmarks/figures/reasons.py: {outcome.figure.key}")


def _main(given: argparse.Namespace) -> int:
    whole = not given.only and not given.quick
    lines = None if given.source is None else reading.read(given.source)
    if (lines is not None or whole) and find_spec("matplotlib") is None:
        raise Impossible("the picture needs matplotlib: pip install '.[plot]'")
    if lines is not None:
        _write(lines, given.source, given.docs)
        return 0
    recorder = Recorder(LATEST)
    groups = [group for group in GROUPS if not given.only or group in given.only]
    finished = is_finished(lambda: _measure(groups, recorder, quick=given.quick))
    results = Results(recorder.lines)
    show(results.rows(), console.table(results, page_of(sys.stdout).width), as_json=given.json)
    if whole and finished:
        _write(recorder.lines, LATEST, given.docs)
    else:
        where = LATEST.relative_to(ROOT)
        small = "quick: the worlds are small, and these are no figures"
        say(small if given.quick else f"the page is not touched; the lines are in {where} (--from writes it from them)")
    return 0 if finished else 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print it; the exit code."""
    return exit_code(lambda: _main(_arguments(arguments)))


if __name__ == "__main__":
    sys.exit(main())
