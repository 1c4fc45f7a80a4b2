"""Small worlds: what a simulation does, not how good it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from kadnet.errors import InputError
from kadnet.lab.latency import Constant
from kadnet.lab.model import STRATEGIES, Plan, Report, Sample, Simulation, bytes_needed, summary
from kadnet.lab.model.node import Node

ROOT = Path(__file__).resolve().parents[4]
SMALL = Plan(nodes=24, lookups=20, seed=3)
NOTHING = Sample(first=None, direct=None, whole=None, messages=0, hops=None, recall=0.0)
CONTROLS = [name for name in STRATEGIES if name != "kadnet"]


def quiet(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def simulate(plan: Plan, strategy: str = "kadnet") -> Report:
    return Simulation(plan, strategy).run(quiet)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_in_a_world_without_faults_everything_is_found(strategy: str) -> None:
    report = simulate(SMALL, strategy)
    figures = summary(report)
    assert report.complete
    assert figures["lookups"] == SMALL.lookups
    assert figures["success"] == 1.0
    assert figures["recall"] == 1.0
    assert figures["hops"] < 2
    for sample in report.samples:
        assert sample.first is not None
        assert sample.whole is not None
        assert sample.direct is not None
        assert 0 < sample.direct <= sample.first * (1 + 1e-9) <= sample.whole * (1 + 1e-9)


def test_one_seed_is_one_world_and_another_is_another() -> None:
    plan = replace(SMALL, loss=0.05, stale=0.2, churn=300.0, settle=60.0)
    once = simulate(plan)
    assert simulate(plan).samples == once.samples
    assert simulate(replace(plan, seed=4)).samples != once.samples


def test_a_report_is_the_same_in_a_process_with_another_hash_seed() -> None:
    program = (
        "from hashlib import sha256\n"
        "from tests.unit.lab.model.test_simulation import *\n"
        "done = [simulate(replace(SMALL, loss=0.05, stale=0.1), name).samples for name in ('kadnet', 'k8-a3-2s')]\n"
        "print(sha256(repr(done).encode()).hexdigest())"
    )
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        digests.add(ran.stdout)
    assert len(digests) == 1


def before_the_lookups(plan: Plan, strategy: str) -> list[tuple[float, bytes, object]]:
    """The virtual time and who lives where, at the moment before the lookups begin."""
    simulation = Simulation(plan, strategy)
    seen: list[tuple[float, bytes, object]] = []

    def look(phase: str, done: int, total: int) -> None:
        if phase == "settle" and done == total and not seen:
            living = simulation.world.living
            seen.extend((simulation.world.engine.now, actor.contact.id, actor.place) for actor in living)

    simulation.run(look)
    return seen


def test_every_strategy_meets_the_same_world() -> None:
    plan = replace(SMALL, churn=120.0, settle=60.0, loss=0.02)
    worlds = [before_the_lookups(plan, strategy) for strategy in STRATEGIES]
    assert len(worlds[0]) == plan.nodes
    assert all(world == worlds[0] for world in worlds)


def test_every_strategy_loses_the_same_nodes_before_the_lookups() -> None:
    plan = replace(SMALL, stale=0.25)
    left = []
    for strategy in STRATEGIES:
        simulation = Simulation(plan, strategy)
        simulation.run(quiet)
        left.append([actor.contact.id for actor in simulation.world.living])
    assert len(left[0]) == plan.nodes - plan.dying
    assert all(each == left[0] for each in left)


def test_a_newcomer_knows_nobody_but_what_it_was_told() -> None:
    """Tables are built by joins: before the first answer a node knows nobody, after it only who is there."""
    simulation = Simulation(replace(SMALL, latency=Constant(0.05), pace=10.0), "kadnet")
    for number in range(6):
        simulation.world.engine.at(number * 10.0, simulation._start, simulation._session)
    simulation.world.engine.run_until(50.05)  # the sixth has sent its first requests, and no answer is back
    newcomer = simulation.world.living[-1]
    assert isinstance(newcomer, Node)
    assert len(newcomer.table) == 0
    simulation.world.engine.run_until(59.0)
    known = {contact.id for contact in newcomer.table.contacts()}
    assert known == {actor.contact.id for actor in simulation.world.living[:-1]}


def test_with_churn_who_leaves_is_replaced() -> None:
    simulation = Simulation(replace(SMALL, churn=100.0, settle=200.0), "kadnet")
    report = simulation.run(quiet)
    assert len(simulation.world.living) == SMALL.nodes
    assert report.joins > 2 * SMALL.nodes  # two median sessions: more than half have left, some of them twice
    assert summary(report)["success"] > 0.5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_under_churn_every_lookup_has_its_end(strategy: str) -> None:
    """Sessions of 10 s, and the rounds of the controls last as long: many a node would leave in the midst of one."""
    simulation = Simulation(replace(SMALL, lookups=100, churn=10.0, settle=20.0), strategy)
    report = simulation.run(quiet)
    assert len(report.samples) == 100
    assert report.complete
    assert len(simulation.world.living) == SMALL.nodes, "who stayed for the end of its lookup is gone after it"


def test_under_churn_newcomers_come_on_time_however_slow_the_lookups_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup keeps its asker for a while, and nobody else is moved by it: as in a world in which nobody asks."""
    plan = replace(SMALL, lookups=200, churn=10.0, settle=20.0)
    came: list[list[float]] = []
    start = Simulation._start

    def noted(simulation: Simulation, stays: Callable[[], float]) -> None:
        came[-1].append(simulation.world.engine.now)
        start(simulation, stays)

    def unasked(simulation: Simulation, _key: int) -> None:
        simulation.samples.append(NOTHING)

    monkeypatch.setattr(Simulation, "_start", noted)
    for unmoved in (False, True):
        came.append([])
        if unmoved:
            monkeypatch.setattr(Simulation, "_one", unasked)
        Simulation(plan, "k20-a3-5s").run(quiet)
    asked, still = came
    during = [moment for moment in still if moment > 50.0]  # the lookups begin before
    assert len(during) > 5
    assert asked[: len(still)] == still


@pytest.mark.parametrize("strategy", CONTROLS)
def test_a_round_with_a_dead_node_lasts_until_its_timeout(strategy: str) -> None:
    timeout = float(strategy.rpartition("-")[2].removesuffix("s"))
    samples = simulate(replace(SMALL, stale=0.3), strategy).samples
    late = [sample.whole for sample in samples if sample.whole is not None and sample.whole >= timeout]
    assert len(late) > len(samples) / 2


def test_the_dead_cost_us_less_than_the_controls() -> None:
    plan = replace(SMALL, nodes=60, stale=0.2)
    ours = summary(simulate(plan))
    for strategy in CONTROLS:
        theirs = summary(simulate(plan, strategy))
        assert ours["whole_p95"] < theirs["whole_p50"]
        assert ours["success"] >= theirs["success"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_everything_is_lost_nothing_is_found_and_it_ends(strategy: str) -> None:
    report = simulate(replace(SMALL, nodes=5, lookups=3, loss=1.0, settle=10.0), strategy)
    assert report.complete
    assert summary(report)["success"] == 0.0


def test_progress_is_told_in_three_phases_and_ends_at_the_total() -> None:
    told: list[tuple[str, int, int]] = []
    Simulation(SMALL, "kadnet").run(lambda *what: told.append(what))
    phases = list(dict.fromkeys(phase for phase, _, _ in told))
    assert phases == ["join", "settle", "look up"]
    for name in phases:
        done = [(done, total) for phase, done, total in told if phase == name]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]


def test_progress_is_told_several_times_in_a_virtual_second() -> None:
    simulation = Simulation(SMALL, "kadnet")
    moments: list[float] = []
    simulation.run(lambda *_: moments.append(simulation.world.engine.now))
    assert max(after - before for before, after in pairwise(moments)) < 0.15


def test_what_was_finished_can_be_had_after_an_interruption() -> None:
    def impatient(phase: str, done: int, _total: int) -> None:
        if phase == "look up" and done >= 5:
            raise KeyboardInterrupt

    simulation = Simulation(replace(SMALL, lookups=200), "kadnet")
    with pytest.raises(KeyboardInterrupt):
        simulation.run(impatient)
    report = simulation.report()
    assert not report.complete
    assert 5 <= len(report.samples) < 200
    assert summary(report)["success"] == 1.0


def test_an_unknown_strategy_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        Simulation(SMALL, "guess")
    assert caught.value.hint is not None
    for name in STRATEGIES:
        assert name in caught.value.hint
    with pytest.raises(InputError):
        bytes_needed(SMALL, "guess")


def test_who_knows_nobody_has_no_complete_set() -> None:
    report = simulate(replace(SMALL, nodes=5, lookups=3, loss=1.0, settle=10.0))
    assert all(sample.whole is None for sample in report.samples)


def test_memory_grows_with_the_nodes_and_the_lookups() -> None:
    for strategy in STRATEGIES:
        needed = bytes_needed(SMALL, strategy)
        assert bytes_needed(replace(SMALL, nodes=240), strategy) > 8 * needed
        assert bytes_needed(replace(SMALL, lookups=1_000_000), strategy) > needed + 500_000_000
