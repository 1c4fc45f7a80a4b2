"""Which scripts measure the figures, in which order, and what may run beside what.

What is measured in real time runs alone, its sides one after the other in each repeat, before anything else. What runs
in virtual time finds the same in any company: it goes into workers beside each other, the longest first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.environments import ROOT, Driver
from benchmarks.figures.modelled import plan_of
from benchmarks.figures.sheet import GROUPS, OURS
from benchmarks.metrics import Line, metrics
from kadnet.lab.model import STRATEGIES, bytes_needed

Made = Callable[[Line], Mapping[str, float | None]]
SEEDS: Final = (1, 2, 3)
REPEATS: Final = 3
NODES, QUICK_NODES = 128, 32
PEERS: Final[Mapping[str, tuple[str, ...]]] = {
    "kill": ("kadnet", "kademlia"),
    "get": ("kadnet", "libtorrent", "kademlia"),
    "rpc": ("kadnet", "bare"),
}
"""Whose drivers each group needs."""
_MIB: Final = 2**20
_PROCESS: Final = 60 * _MIB  # an interpreter with a node


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one script. `guess`: seconds; `memory`: bytes; `alone`: nothing else may run meanwhile. `made`: makes
    figures of a line of another form; None: its lines are as they are to be."""

    row: str
    side: str
    repeat: int
    command: tuple[str, ...]
    guess: float
    memory: int = 200 * _MIB
    alone: bool = False
    made: Made | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def limit(self) -> float:
        """Seconds after which it hangs: far above what a slow machine needs."""
        return 300 + 10 * self.guess


def peers_of(groups: Sequence[str]) -> list[str]:
    """Whose drivers are needed."""
    return list(dict.fromkeys(peer for group in groups for peer in PEERS.get(group, ())))


def jobs(groups: Sequence[str], drivers: Mapping[str, Driver], *, quick: bool) -> list[Job]:
    """All that is to be done: what runs alone, then the rest with the longest first."""
    found: list[Job] = []
    for repeat in range(1 if quick else REPEATS):
        for group in ("get", "rpc", "memory", "kill"):
            if group in groups:
                found += _ALONE[group](drivers, repeat, quick)
    if "stages" in groups:
        found.append(_stages(quick))
    beside = [job for group in GROUPS if group in groups and group in _BESIDE for job in _BESIDE[group](quick)]
    return found + sorted(beside, key=lambda job: -job.guess)


# Alone, in real time.


def _gets(drivers: Mapping[str, Driver], repeat: int, quick: bool) -> list[Job]:
    nodes, values = (QUICK_NODES, 50) if quick else (NODES, 200)
    verb = ("overlay", str(nodes), str(values))
    sides = {side: drivers[side] for side in PEERS["get"] if side in drivers}
    found = [_of_driver("blobs", side, repeat, each, verb, 30, of_overlay(nodes)) for side, each in sides.items()]
    command = (*_script("gets"), str(nodes), str(values), str(repeat))
    return [*found, Job("entries", OURS, repeat, command, 20, alone=True)]


def _rpc(drivers: Mapping[str, Driver], repeat: int, quick: bool) -> list[Job]:
    verb = ("ping", "0.5" if quick else "2")
    sides = {side: drivers[side] for side in PEERS["rpc"] if side in drivers}
    return [_of_driver("rpc", side, repeat, each, verb, 4, of_ping) for side, each in sides.items()]


def _memory(_drivers: Mapping[str, Driver], repeat: int, quick: bool) -> list[Job]:
    nodes = str(QUICK_NODES if quick else NODES)
    kinds = {"memory": nodes, "disk": nodes, "cache": "8192"}
    script = _script("memory")
    commands = [(*script, kind, count, str(repeat)) for kind, count in kinds.items()]
    return [Job("memory", OURS, repeat, command, 12, alone=True) for command in commands]


def _kill(drivers: Mapping[str, Driver], repeat: int, quick: bool) -> list[Job]:
    processes, killed, values = (24, 7, 40) if quick else (100, 30, 400)
    found = []
    for side in PEERS["kill"]:
        if side in drivers:
            each = drivers[side]
            script = (sys.executable, str(ROOT / "benchmarks" / "kill.py"))
            command = (*script, str(processes), str(killed), str(values), *each.command)
            job = Job("kill", side, repeat, command, 100, processes * _PROCESS, True, of_kill, each.env)
            found.append(job)
    return found


def _stages(quick: bool) -> Job:
    nodes, values = (QUICK_NODES, 50) if quick else (NODES, 200)
    return Job("stages", OURS, 0, (*_script("stages"), str(nodes), str(values)), 20, alone=True)


_ALONE: Final = {"get": _gets, "rpc": _rpc, "memory": _memory, "kill": _kill}


def _of_driver(
    row: str, side: str, repeat: int, driver: Driver, verb: tuple[str, ...], guess: float, made: Made
) -> Job:
    return Job(row, side, repeat, (*driver.command, *verb), guess, 600 * _MIB, True, made, driver.env)


# Beside each other, in virtual time.


def _modelled(world: str, strategies: Sequence[str], seeds: Sequence[int], quick: bool) -> list[Job]:
    found = []
    for strategy in strategies:
        for seed in seeds:
            plan = plan_of(world, seed, quick=quick)
            cost = plan.nodes / 1000 * _COSTS.get(strategy, 1.0) * (2.0 if plan.warm else 1.0)
            memory = bytes_needed(plan, strategy) + 100 * _MIB
            command = (*_script("modelled"), world, strategy, str(seed), *(("quick",) if quick else ()))
            found.append(Job(world, strategy, seed, command, 40 * cost, memory))
    return found


_COSTS: Final = {"k8-a3-2s": 0.15, "k20-a3-5s": 0.47, "k20-a10-10s": 0.53}


def _seeds(quick: bool) -> tuple[int, ...]:
    return SEEDS[:1] if quick else SEEDS


def _thousands(quick: bool) -> list[Job]:
    """Ten thousand nodes take minutes and gigabytes: one seed, and one control."""
    both = (OURS, "k8-a3-2s")
    large = [*_modelled("warm", (OURS,), SEEDS[:1], quick), *_modelled("cold", both[1:], SEEDS[:1], quick)]
    return [*large, *_modelled("few", both, _seeds(quick), quick)]


def _internet(quick: bool) -> list[Job]:
    return [
        Job("internet", OURS, seed, (*_script("internet"), str(seed), *(("quick",) if quick else ())), 60)
        for seed in _seeds(quick)
    ]


def _stragglers(quick: bool) -> list[Job]:
    return [
        Job("silent", side, seed, (*_script("stragglers"), side, str(seed), *(("quick",) if quick else ())), 20)
        for side in (OURS, "patient")
        for seed in _seeds(quick)
    ]


_BESIDE: Final[Mapping[str, Callable[[bool], list[Job]]]] = {
    "world": lambda quick: _modelled("world", tuple(STRATEGIES), _seeds(quick), quick),
    "hard": lambda quick: _modelled("hard", tuple(STRATEGIES), _seeds(quick), quick),
    "thousands": _thousands,
    "internet": _internet,
    "put": lambda quick: _modelled("put", tuple(STRATEGIES), _seeds(quick), quick),
    "stragglers": _stragglers,
}


def _script(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"benchmarks.figures.{name}"


# Lines of the scoreboard's scripts.


def of_overlay(nodes: int) -> Made:
    """The figures of a driver's overlay, as the scoreboard reads them."""
    row = f"overlay-{nodes}"
    names = {"cpu": "cpu_ms", "rate": "gets_per_s", "slowest": "slowest_ms", "right": "success", "memory": "kib"}

    def made(line: Line) -> dict[str, float | None]:
        found = {metric.key: metric.pick(line) for metric in metrics([{"row": row}]) if metric.row == row}
        return {name: found[f"{row} {key}"] for key, name in names.items()}

    return made


def of_ping(line: Line) -> dict[str, float | None]:
    return {"per_s": line["per_s"]}


def of_kill(line: Line) -> dict[str, float | None]:
    after = line["after"]
    figures = {f"{part}_{name}": line[part][name] for part in ("before", "after") for name in ("p50_ms", "p99_ms")}
    return {**figures, "success": 100 * after["right"] / after["asked"] if after["asked"] else None}
