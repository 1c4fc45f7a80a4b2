"""What is run, in which order, and whether it can be run at all.

In each repeat all peers do the same work one after the other, so that noise hits all of them; who is first changes from
repeat to repeat. What has no spread (a limit in bytes) and what has its own (a node at rest) is run once.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import LABELS, ROOT, Driver

ROWS = ("overlay", "kill", "ping", "stream", "links", "largest", "idle")
STREAMS = {"stream-1024": 1024, "stream-65536": 65_536}
TOO_SLOW = {
    ("pylibp2p", "overlay-128"): "time, an overlay of 32 takes half a minute",
    ("pylibp2p", "kill"): "time, thirty processes of it take two minutes for each repeat",
}
"""What a peer is spared, by (peer, row)."""

FEWEST_NODES = 24
"""With fewer everybody holds every value, and no get proves anything."""
FEWEST_VALUES = 10
"""The asker holds a part of them, which is left out."""
SHORTEST = 0.1
"""Seconds of a window."""

_FEW = {"pylibp2p": 20, "hyperdht": 100}
"""Values for peers that need a fifth of a second for each, or let few gets through at a time."""
_PROCESS_MIB, _NODE_MIB, _SPARE_MIB = 90, 3, 300
"""Memory of one process of an interpreter with a node, of one node of the largest peer, and of everything else."""


class Impossible(ValueError):
    """Options that cannot be; the text is one line for a person."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    rows: tuple[str, ...] = ROWS
    peers: tuple[str, ...] = tuple(LABELS)
    repeats: int = 5
    nodes: tuple[int, ...] = (32, 128)
    values: int = 200
    processes: int = 30
    killed: int = 9
    seconds: float = 2.0

    @property
    def whole(self) -> bool:
        """Whether this is a run that the document may be made from."""
        usual = Options()
        return self.repeats >= usual.repeats and self == Options(repeats=self.repeats)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one script. `guess`: seconds it may take, until one has been measured."""

    repeat: int
    row: str
    peer: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    guess: float

    @property
    def limit(self) -> float:
        """Seconds after which it hangs: far above what a slow machine needs."""
        return 120 + 10 * self.guess


def check(options: Options) -> None:
    """Raises Impossible."""
    if options.repeats < 1:
        raise Impossible(f"--repeats {options.repeats}: at least 1")
    if min(options.nodes) < FEWEST_NODES:
        raise Impossible(f"--nodes {min(options.nodes)}: at least {FEWEST_NODES}, or everybody holds every value")
    if options.values < FEWEST_VALUES:
        raise Impossible(f"--values {options.values}: at least {FEWEST_VALUES}, of which the asker holds a part")
    if options.killed >= options.processes:
        raise Impossible(f"--killed {options.killed} of --processes {options.processes}: nobody would be left to ask")
    if options.killed < 1 or options.processes < FEWEST_NODES:
        raise Impossible(f"--killed at least 1 and --processes at least {FEWEST_NODES}, or everybody holds every value")
    if not SHORTEST <= options.seconds < math.inf:
        raise Impossible(f"--seconds {options.seconds:g}: at least {SHORTEST:g}, and with an end")
    if options.rows == ("idle",) and "kadnet" not in options.peers:
        raise Impossible("--only idle is about kadnet: leave it among the peers")
    _check_memory(options)


def _check_memory(options: Options) -> None:
    needed = _SPARE_MIB + _NODE_MIB * max(options.nodes)
    if "kill" in options.rows:
        needed = max(needed, _SPARE_MIB + _PROCESS_MIB * options.processes)
    free = _available_mib()
    if free is not None and free < needed:
        raise Impossible(f"this needs {needed} MiB of memory and {free} are free: fewer --nodes or --processes")


def _available_mib() -> int | None:
    """What the system could give now, where it says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:
        return None
    found = [int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def jobs(options: Options, drivers: Sequence[Driver], abouts: Mapping[str, Mapping[str, str]]) -> list[Job]:
    """All that is to be done, in order. `abouts`: what each peer cannot do, verb by verb."""
    plan: list[Job] = []
    for repeat in range(options.repeats):
        turn = repeat % max(1, len(drivers))
        order = [*drivers[turn:], *drivers[:turn]]
        for row in _rows(options):
            able = [each for each in order if verb_of(row) not in abouts[each.peer]]
            plan += [job for each in able if (job := _job(options, repeat, row, each)) is not None]
        if any(each.peer == "kadnet" for each in drivers):
            plan += _own(options, repeat)
    return plan


def verb_of(row: str) -> str:
    """The verb of a driver that a row needs."""
    name = row.partition("-")[0]
    return "node" if name == "kill" else name


def _rows(options: Options) -> list[str]:
    rows = []
    for row in options.rows:
        if row == "overlay":
            rows += [f"overlay-{count}" for count in options.nodes]
        elif row == "stream":
            rows += list(STREAMS)
        elif row in ("kill", "ping", "largest"):
            rows.append(row)
    return rows


def _job(options: Options, repeat: int, row: str, driver: Driver) -> Job | None:
    verb, _, number = row.partition("-")
    peer, guess = driver.peer, options.seconds + 3
    command: tuple[str, ...] = driver.command
    values = min(options.values, _FEW.get(peer, options.values))
    if (peer, row) in TOO_SLOW:
        return None
    if verb == "overlay":
        command = (*command, verb, number, str(values))
        guess = 8 + _SLOW_BUILD.get(peer, int(number) / 10)
    elif verb == "kill":
        script = str(ROOT / "benchmarks" / "kill.py")
        count = [str(number) for number in (options.processes, options.killed, 2 * min(40, values))]
        command, guess = (sys.executable, script, *count, *command), 60
    elif verb == "ping":
        command = (*command, verb, f"{options.seconds:g}")
    elif verb == "stream":
        command = (*command, verb, f"{options.seconds:g}", number)
    elif verb == "largest":
        if repeat:
            return None
        command, guess = (*command, verb), 10 + _SLOW_BUILD.get(peer, 0)
    return Job(repeat, row, peer, command, driver.env, guess)


_SLOW_BUILD = {"libtorrent": 20, "pylibp2p": 50, "opendht": 10, "hyperdht": 10}


def _own(options: Options, repeat: int) -> list[Job]:
    """What only kadnet is asked."""
    seconds = f"{options.seconds:g}"
    module = (sys.executable, "-m")
    plan = []
    command: tuple[str, ...]
    if "ping" in options.rows:
        command = (*module, "benchmarks.sealed_rpc", seconds)
        plan.append(Job(repeat, "tasks", "kadnet", command, {}, options.seconds + 3))
    if "links" in options.rows:
        command = (*module, "benchmarks.notices", seconds)
        plan.append(Job(repeat, "links", "kadnet", command, {}, options.seconds + 3))
    if "idle" in options.rows and repeat == options.repeats - 1:
        command = (*module, "benchmarks.idle", "16", str(options.repeats), "10")
        plan.append(Job(repeat, "idle", "kadnet", command, {}, 25 + 10 * options.repeats))
    return plan
