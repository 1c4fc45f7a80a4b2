"""Timed puts in small worlds: what they cost, what is left after them, and how the network's size is judged."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from kadnet.errors import InputError
from kadnet.kademlia.spreading import SpreadSettings
from kadnet.lab.latency import Constant
from kadnet.lab.model import STRATEGIES, Plan, Report, Simulation, summary
from kadnet.lab.model.node import Node
from kadnet.lab.model.putting import PutSample
from kadnet.lab.model.world import World
from kadnet.overlay.settings import Tuning

WORLD = Plan(nodes=60, lookups=1, puts=20, stale=0.1, loss=0.01, seed=3)
QUIET = Plan(nodes=40, lookups=1, puts=10, latency=Constant(0.05), seed=3)


def simulate(plan: Plan, strategy: str = "kadnet", spread: SpreadSettings | None = None) -> Report:
    tuning = replace(Tuning(), spread=spread) if spread is not None else None
    return Simulation(plan, strategy, tuning=tuning).run(lambda *_progress: None)


def test_walks_of_before_the_network_grew_do_not_count_beside_a_full_table() -> None:
    """As in the real overlay: neither for what a node thinks of the network's size nor for where its puts go."""
    world = World(1, Constant(0.05), 0.0)
    node = Node(world, "n0", world.contact(0), Tuning())
    for number in range(4):
        node.size.walked(number << 254, [world.contact(1)], everybody=True)
    assert node.network_size() == 2
    assert node.is_among_closest(1, 16)
    for number in range(2, 12):
        node.table.answered(world.contact(number), 0.05, 0.0)
    assert node.network_size() is None
    assert not node.is_among_closest(1, 16)


def test_who_puts_is_in_use_and_explores() -> None:
    """As in the real overlay."""
    world = World(1, Constant(0.05), 0.0)
    node, rng = Node(world, "n0", world.contact(0), Tuning()), random.Random(1)
    assert [node.cache.question(0.0, rng) for _ in range(20)] == [None] * 20
    node.put(1 << 200, lambda: None)
    assert any(node.cache.question(0.0, rng) is not None for _ in range(20))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_faults_every_put_returns_and_all_of_the_closest_have_it(strategy: str) -> None:
    report = simulate(QUIET, strategy)
    assert report.complete
    assert len(report.puts) == QUIET.puts
    for put in report.puts:
        assert put.done is not None
        assert put.replicas_after_5s == report.k
        assert put.messages >= 2 * report.k, "each of them was asked, and was sent it"
    assert summary(report)["put_replicas"] == 1.0


def test_a_put_of_ours_stores_during_its_walk_and_returns_before_the_last_has_it() -> None:
    ours = summary(simulate(WORLD))
    patient = summary(simulate(WORLD, spread=SpreadSettings(quorum=1.0)))
    late = summary(simulate(WORLD, spread=SpreadSettings(early=False)))
    for other in (patient, late):
        assert ours["put_p50"] < other["put_p50"]
    assert ours["put_replicas"] >= 0.9
    assert ours["put_messages"] <= late["put_messages"] + 3


def test_a_put_of_the_control_waits_for_the_dead_among_its_holders() -> None:
    figures = summary(simulate(WORLD, "k8-a3-2s"))
    assert figures["put_p50"] > 2.0
    assert math.isnan(figures["size_error_p50"])


def test_sixteen_lookups_judge_the_size_of_the_network() -> None:
    report = simulate(replace(WORLD, nodes=200))
    assert len(report.size_estimates) == 16
    assert summary(report)["size_error_p50"] < 0.1
    assert summary(report)["size_error_p95"] < 0.25


def test_what_did_not_return_is_infinitely_late() -> None:
    report = replace(simulate(QUIET), puts=(PutSample(None, 8, 30), PutSample(0.5, 16, 40)), size_estimates=(0.9, 1.3))
    figures = summary(report)
    assert (figures["put_p50"], figures["put_p95"]) == (0.5, math.inf)
    assert figures["put_replicas"] == 0.75
    assert figures["put_messages"] == 35
    assert figures["size_error_p50"] == pytest.approx(0.1)
    assert figures["size_error_p95"] == pytest.approx(0.3)


def test_a_world_without_puts_has_no_figures_of_them() -> None:
    assert not [name for name in summary(simulate(replace(QUIET, puts=0))) if name.startswith(("put", "size"))]
    with pytest.raises(InputError):
        Plan(puts=-1)
