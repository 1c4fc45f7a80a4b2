"""`make bench`: every benchmark in one run, as a table of ratios with their goals. JSON lines go to standard output
with --json. A goal that is missed is printed as missed; nothing fails on time."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import trio

from benchmarks import bare_loop, idle, notices, sealed_rpc
from benchmarks.environments import python_of

IN_FLIGHT = 32
_PEER = Path(__file__).with_name("peer_kademlia.py")
Row = dict[str, Any]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _serve_bare(tell: Any) -> None:
    trio.run(bare_loop.serve, tell)


def _serve_sealed(tell: Any) -> None:
    trio.run(sealed_rpc.serve, tell)


def _serve_links(tell: Any) -> None:
    trio.run(notices.serve_links, tell)


def _serve_bare_tcp(tell: Any) -> None:
    trio.run(notices.serve_bare, tell)


def _row(name: str, ours: list[float], theirs: list[float] | None, goal: str, met: Callable[[float], bool]) -> Row:
    """A row: its figure is the median of the ratios of each repeat, or of ours where nothing stands beside."""
    figures = ours if theirs is None else [a / b for a, b in zip(ours, theirs, strict=True)]
    figure = median(figures)
    row: Row = {"row": name, "figure": figure, "low": min(figures), "high": max(figures), "goal": goal}
    row["met"] = met(figure)
    row["ours"] = median(ours)
    row["beside"] = None if theirs is None else median(theirs)
    return row


class _Servers:
    """Processes that serve until the end of the block."""

    def __init__(self) -> None:
        self._running: list[Any] = []

    def __enter__(self) -> _Servers:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        for server in self._running:
            server.terminate()
            server.join()

    def start(self, serve: Callable[[Any], None]) -> Any:
        """Run `serve(tell)` in a process of its own; returns the first thing that it tells."""
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there,), daemon=True)
        process.start()
        self._running.append(process)
        return here.recv()


def link_rows(repeats: int, seconds: float) -> list[Row]:
    """Notices over a link beside bare TCP, a warm request, and handshakes."""
    linked, bare, trips, hands = [], [], [], []
    with _Servers() as servers:
        link_at, bare_at = servers.start(_serve_links), servers.start(_serve_bare_tcp)
        for number in range(repeats):
            _say(f"  notices over a link, repeat {number + 1} of {repeats}")
            linked.append(trio.run(notices.over_a_link, link_at, seconds))
            bare.append(trio.run(notices.over_bare_tcp, bare_at, seconds))
            trips.append(1e6 * trio.run(notices.warm_round_trips, link_at, 300))
            hands.append(notices.handshakes_per_second(seconds))
    return [
        _row("notices of 1 KiB/s ÷ bare trio TCP", linked, bare, "≥ 0.4", lambda x: x >= 0.4),
        _row("request and answer on a warm link, µs", trips, None, "(stated)", lambda _: True),
        _row("handshakes/s, both sides on one core", hands, None, "(stated)", lambda _: True),
    ]


def rpc_rows(repeats: int, seconds: float) -> list[Row]:
    """Sealed round trips per second beside the bare loop and beside the plaintext ping of `kademlia`."""
    servers = _Servers()
    bare_at, sealed_at = servers.start(_serve_bare), servers.start(_serve_sealed)
    kademlia = python_of("kademlia")
    peer = subprocess.Popen([kademlia, _PEER, "serve"], stdout=subprocess.PIPE, text=True)
    assert peer.stdout is not None
    port = peer.stdout.readline().strip()
    bare, sealed, awaited, plain = [], [], [], []
    try:
        for number in range(repeats):
            _say(f"  rpc round trips, repeat {number + 1} of {repeats}")
            bare.append(trio.run(partial(bare_loop.round_trips, bare_at, IN_FLIGHT, seconds)) / seconds)
            sealed.append(
                trio.run(partial(sealed_rpc.round_trips, sealed_at, IN_FLIGHT, seconds, tasks=False)) / seconds
            )
            awaited.append(
                trio.run(partial(sealed_rpc.round_trips, sealed_at, IN_FLIGHT, seconds, tasks=True)) / seconds
            )
            ping = subprocess.run(
                [kademlia, _PEER, "ping", port, str(seconds)], capture_output=True, text=True, check=True
            )
            plain.append(json.loads(ping.stdout)["per_s"])
    finally:
        peer.terminate()
        peer.wait()
        servers.stop()
    return [
        _row("sealed RPC/s ÷ bare unsealed loop", sealed, bare, "≥ 0.55", lambda x: x >= 0.55),
        _row("the same with a task for each call", awaited, bare, "(stated)", lambda _: True),
        _row("sealed RPC/s ÷ kademlia's plaintext ping", sealed, plain, "≥ 1.5", lambda x: x >= 1.5),
    ]


def get_rows(nodes: int, values: int, repeats: int) -> list[Row]:
    """CPU per get beside `kademlia`'s, and our rate."""
    kademlia = python_of("kademlia")
    ours, theirs, rates = [], [], []
    for number in range(repeats):
        _say(f"  gets among {nodes} nodes, repeat {number + 1} of {repeats}")
        command = [sys.executable, "-m", "benchmarks.gets", str(nodes), str(values)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        ours.append(median(one["cpu_ms_per_get"] for one in result["rounds"]))
        rates.append(median(one["gets_per_s"] for one in result["rounds"]))
        peer = subprocess.run(
            [kademlia, _PEER, "gets", str(nodes), str(values)], capture_output=True, text=True, check=True
        )
        rounds = json.loads(peer.stdout)["rounds"]
        wrong = sum(one["gets"] - one["right"] for one in rounds)
        if wrong:
            _say(f"  kademlia did not bring {wrong:g} of its values")
        theirs.append(median(one["cpu_ms_per_get"] for one in rounds))
    name = f"CPU ms per get, {nodes} nodes ÷ kademlia's"
    return [
        _row(name, ours, theirs, "≤ 1", lambda x: x <= 1),
        _row(f"gets per second, {nodes} nodes", rates, None, "(stated)", lambda _: True),
    ]


def idle_rows(repeats: int, seconds: float) -> list[Row]:
    """A node of 16 at rest."""
    _say(f"  16 daemons at rest, {repeats} windows of {seconds:g} s")
    result = idle.measure(16, repeats, seconds, settle=10)
    return [
        _row("idle node, % of a core", result["cpu_percent"], None, "≤ 1", lambda x: x <= 1),
        _row("idle node, MiB above the imports", [result["mib_above_imports"]], None, "≤ 40", lambda x: x <= 40),
    ]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [f"{'':44} {'figure':>8} {'low':>8} {'high':>8}   {'goal':<9} {'ours':>9} {'beside':>9}"]
    for row in rows:
        beside = "" if row["beside"] is None else f"{row['beside']:9.3g}"
        verdict = "" if row["met"] else "  MISSED"
        lines.append(
            f"{row['row']:44} {row['figure']:8.3g} {row['low']:8.3g} {row['high']:8.3g}   {row['goal']:<9}"
            f" {row['ours']:9.3g} {beside:>9}{verdict}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each (default 5)")
    parser.add_argument("--only", choices=("rpc", "links", "gets", "idle"), help="one of them")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    rows: list[Row] = []
    try:
        if options.only in (None, "rpc"):
            rows += rpc_rows(options.repeats, 1.0)
        if options.only in (None, "links"):
            rows += link_rows(options.repeats, 2.0)
        if options.only in (None, "gets"):
            rows += get_rows(32, 200, options.repeats) + get_rows(128, 200, options.repeats)
        if options.only in (None, "idle"):
            rows += idle_rows(options.repeats, 10.0)
    except KeyboardInterrupt:
        _say("interrupted; what was finished:")
    if options.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
