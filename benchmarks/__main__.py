"""`make bench`: kadnet beside its peers, in one run, on one machine, on loopback.

A whole run writes its lines to docs/benchmarks.jsonl, and from them the tables of docs/benchmarks.md and the picture
docs/benchmarks.svg. A run of parts only prints. A goal that is missed is printed as missed; nothing fails on time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import chart, console, document, loopback, reading
from benchmarks.command import exit_code, is_finished, page_text, show, write
from benchmarks.environments import LABELS, ROOT, Driver, NotInstalled, driver
from benchmarks.plan import FEWEST_NODES, FEWEST_VALUES, ROWS, SHORTEST, Impossible, Options, check, jobs
from benchmarks.runner import Failed, Line, Recorder, run, work_off
from benchmarks.scores import OURS, Scoreboard
from benchmarks.terminal import Parser, machine, say

LATEST = ROOT / "benchmarks" / "results" / "latest.jsonl"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    usual = Options()
    parser = Parser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--only", action="append", choices=ROWS, metavar="ROW", help=f"only this; again for more: {', '.join(ROWS)}")
    add("--peer", action="append", choices=tuple(LABELS), help="only this peer beside kadnet; again for more")
    add("--repeats", type=int, default=usual.repeats, help=f"repeats of each, 1 or more (default {usual.repeats})")
    nodes = f"size of an overlay in one process, {FEWEST_NODES} or more; again for another (default 32 and 128)"
    add("--nodes", type=int, action="append", help=nodes)
    values = f"values in it, {FEWEST_VALUES} or more (default {usual.values}; slow peers fewer)"
    add("--values", type=int, default=usual.values, help=values)
    processes = f"nodes of the kill row, {FEWEST_NODES} or more (default {usual.processes})"
    add("--processes", type=int, default=usual.processes, help=processes)
    killed = f"how many of them are killed, 1 or more and not all (default {usual.killed})"
    add("--killed", type=int, default=usual.killed, help=killed)
    seconds = f"length of a window, {SHORTEST:g} or more (default {usual.seconds:g})"
    add("--seconds", type=float, default=usual.seconds, help=seconds)
    add("--json", action="store_true", help="the rows as JSON lines on standard output")
    add("--from", dest="source", type=Path, metavar="FILE", help="measure nothing: write the document from these lines")
    add("--docs", type=Path, default=ROOT / "docs", help="where the document is (default docs)")
    return parser.parse_args(arguments)


def _options(given: argparse.Namespace) -> Options:
    rows, peers = given.only or ROWS, given.peer or tuple(LABELS)
    return Options(
        rows=tuple(row for row in ROWS if row in rows),
        peers=tuple(peer for peer in LABELS if peer in (OURS, *peers)),
        repeats=given.repeats,
        nodes=tuple(dict.fromkeys(given.nodes)) if given.nodes else Options().nodes,
        values=given.values,
        processes=given.processes,
        killed=given.killed,
        seconds=given.seconds,
    )


def _gather(options: Options, prefix: Sequence[str], recorder: Recorder) -> list[Driver]:
    """Install every peer and ask it what it is; those that cannot be had are recorded with the reason."""
    found: list[tuple[str, Driver]] = []
    for peer in options.peers:
        try:
            found.append((peer, driver(peer, say)))
        except NotInstalled as reason:
            say(f"{LABELS[peer]}: {reason}")
            recorder.note({"row": "environment", "peer": peer, "error": str(reason)})
    able = []
    for peer, each in found:
        try:
            about = run([*prefix, *each.command, "about"], each.env, 60)[0]
        except Failed as failure:
            say(f"{LABELS[peer]}: its driver {failure}")
            recorder.note({"row": "environment", "peer": peer, "error": f"its driver {failure}"})
            continue
        recorder.note({**about, "row": "about", "peer": peer})
        able.append(each)
    return able


def _measure(options: Options, recorder: Recorder) -> None:
    prefix = loopback.prefix()
    if prefix is None:
        say("this machine allows no network namespace: only their own settings keep the peers on 127.0.0.1")
    recorder.note(machine(options.repeats, loopback_only=prefix is not None))
    drivers = _gather(options, prefix or (), recorder)
    abouts = {line["peer"]: line["cannot"] for line in recorder.lines if line["row"] == "about"}
    work_off(jobs(options, drivers, abouts), options.repeats, prefix or (), recorder)


def _write(lines: Sequence[Line], source: Path, docs: Path) -> None:
    """The document, its picture and its lines, all or nothing of the table. Raises Impossible."""
    page = docs / "benchmarks.md"
    board = Scoreboard(lines)
    if not any(board.values(metric, OURS) for metric in board.metrics):
        raise Impossible(f"{source} holds no figure of kadnet: nothing to write a document from")
    text = document.placed(page_text(page), document.scoreboard(board, "benchmarks.svg"))
    chart.draw(board, docs / "benchmarks.svg")
    write(page, text, source)
    say(f"written: {page}, benchmarks.svg and benchmarks.jsonl beside it")


def _main(given: argparse.Namespace) -> int:
    plots = find_spec("matplotlib") is not None
    if given.source is not None:
        lines = reading.read(given.source)
        if not plots:
            raise Impossible("the picture needs matplotlib: pip install '.[plot]'")
        _write(lines, given.source, given.docs)
        return 0
    options = _options(given)
    check(options)
    if options.whole and not plots:
        raise Impossible("a whole run draws a picture, which needs matplotlib: pip install '.[plot]'")
    recorder = Recorder(LATEST)
    finished = is_finished(lambda: _measure(options, recorder))
    board = Scoreboard(recorder.lines)
    show(board.rows(), console.table(board), as_json=given.json)
    if options.whole and finished:
        _write(recorder.lines, LATEST, given.docs)
    else:
        say(f"the document is not touched; its lines are in {LATEST.relative_to(ROOT)} (--from writes it from them)")
    return 0 if finished else 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print it; the exit code."""
    return exit_code(lambda: _main(_arguments(arguments)))


if __name__ == "__main__":
    sys.exit(main())
