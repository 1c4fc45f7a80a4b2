"""The swarm must neither lose a failure nor invent one, and its seed must give the same runs again."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import warnings
from pathlib import Path

import pytest

from tests import swarm
from tests.swarm import Done, Scenario, Swarm

SEEDS = 6


def passes(seed: int, tmp_path: Path, kind: str) -> None:
    assert tmp_path.is_dir()
    assert kind in "ab"


def fails_on_odd(seed: int) -> None:
    assert seed % 2 == 0, "odd\nand a second line"


def warns(seed: int) -> None:
    warnings.warn("beware", stacklevel=1)


def leaks(seed: int) -> None:
    open(os.devnull)  # noqa: SIM115  # that it is never closed is the point


def test_the_scenarios_are_the_tests_that_take_a_seed_one_for_each_set_of_parameters() -> None:
    found = swarm.scenarios()
    assert len({each.id(1) for each in found}) == len(found)
    nodes = [each.node for each in found]
    assert (
        "tests/scenarios/test_the_bootstrap_node_dies.py::test_the_overlay_lives_on_and_takes_in_newcomers_through_anybody"
        in nodes
    )
    assert sum("test_links_two_call_each_other" in node for node in nodes) == 5
    assert not any("test_without_replication_they_are_lost" in node for node in nodes), "it takes no seed"
    assert not any("test_the_same_seed_gives_the_same_trace" in node for node in nodes), "it has seeds of its own"


def test_a_swarm_seed_gives_the_same_runs_and_takes_every_scenario_in_turn() -> None:
    runs, again, other = (list(itertools.islice(swarm.draw(5, seed), 15)) for seed in (1, 1, 2))
    assert runs == again != other
    assert all(sorted(number for number, _ in runs[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert len({seed for _, seed in runs}) == 15


def test_a_scenario_is_called_with_what_it_asks_for() -> None:
    scenario = Scenario("x.py::passes", passes, {"kind": "a"})
    done = swarm.attempt(scenario, 7, [])
    assert (done.outcome, done.test, done.why) == ("passed", "x.py::passes[7-a]", "")


def test_a_failure_has_its_first_line_its_stack_and_the_command_that_shows_it_again() -> None:
    done = swarm.attempt(Scenario("x.py::fails_on_odd", fails_on_odd), 7, [])
    assert (done.outcome, done.why) == ("failed", "AssertionError: odd")
    assert "in fails_on_odd" in done.detail
    assert done.replay == "python -m pytest 'x.py::fails_on_odd[7]' --lab-seeds=7"
    assert swarm.attempt(Scenario("x.py::fails_on_odd", fails_on_odd), 8, []).outcome == "passed"


def test_a_warning_is_a_failure_and_so_is_what_nobody_could_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    unheard: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda broken: unheard.append(str(broken.exc_value)))
    assert swarm.attempt(Scenario("x.py::warns", warns), 1, unheard).why == "UserWarning: beware"
    assert "unclosed" in swarm.attempt(Scenario("x.py::leaks", leaks), 1, unheard).why


WORKER = """
import os, sys, time
for line in sys.stdin:
    number, seed = map(int, line.split())
    if seed % 3 == 0:
        print("last words", file=sys.stderr, flush=True)
        os._exit(9)
    outcome = "failed" if seed % 3 == 1 else "passed"
    print('{"test": "t[%d]", "seed": %d, "outcome": "%s", "seconds": 0.0}' % (seed, seed, outcome), flush=True)
    if seed > 900_000:
        time.sleep(60)
"""


@pytest.fixture
def with_a_worker_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its outcome is the seed's remainder by three: it dies, fails, passes."""
    program = tmp_path / "worker.py"
    program.write_text(WORKER)
    monkeypatch.setattr(swarm, "__file__", str(program))


@pytest.mark.usefixtures("with_a_worker_of_ours")
def test_every_run_is_reported_once_also_when_workers_die() -> None:
    runs = Swarm([Scenario("t", fails_on_odd)], "", seed=1, runs=SEEDS)
    results: list[Done] = []
    runs.run(2, 10, results.append)
    expected = [seed for _, seed in itertools.islice(swarm.draw(1, 1), SEEDS)]
    assert sorted(each.seed for each in results) == sorted(expected)
    assert {each.seed: each.outcome for each in results} == {s: ["died", "failed", "passed"][s % 3] for s in expected}
    assert all("last words" in each.detail for each in results if each.outcome == "died")
    assert runs.summary(1.0)[-1].startswith(f"{SEEDS} of {SEEDS} runs")


@pytest.mark.usefixtures("with_a_worker_of_ours")
def test_what_is_interrupted_ends_its_workers_and_keeps_what_was_done() -> None:
    runs = Swarm([Scenario("t", fails_on_odd)], "", seed=1, runs=10_000)

    def interrupt(result: Done) -> None:
        if runs.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runs.run(2, 10, interrupt)
    assert 3 <= runs.done < 10_000


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--jobs", "x"], ["--seed", "x"], ["--what"]])
def test_bad_usage_is_told_in_a_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        swarm.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("swarm: error: ")


def test_a_text_that_no_scenario_has_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert swarm.main(["--only", "no such scenario"]) == 2
    assert "'no such scenario'" in capsys.readouterr().out
