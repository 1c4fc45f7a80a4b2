"""One seed, one schedule."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import trio
import trio._core._run as scheduler

from kadnet.lab import determinism
from kadnet.lab.determinism import NotDeterministic, deterministic


def schedule(seed: int | None) -> list[int]:
    """The order in which 30 tasks that are always ready get their turns."""
    order: list[int] = []

    async def worker(number: int) -> None:
        for _ in range(3):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(worker, number)

    if seed is None:
        trio.run(main)
    else:
        with deterministic(seed) as promise:
            assert promise.promised
            trio.run(main)
    return order


def test_one_seed_gives_one_schedule_and_another_another() -> None:
    first = schedule(7)
    assert schedule(7) == first
    assert schedule(8) != first


def test_trios_private_state_is_put_back_also_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", False)  # a plugin may have switched it on
    state = scheduler._r.getstate()

    def fault() -> None:
        with deterministic(7):
            assert scheduler._ALLOW_DETERMINISTIC_SCHEDULING
            assert scheduler._r.getstate() != state
            raise LookupError

    with pytest.raises(LookupError):
        fault()
    assert not scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    assert scheduler._r.getstate() == state


def test_a_second_run_at_the_same_time_is_refused_and_the_first_is_as_it_would_be_alone() -> None:
    alone = schedule(7)
    said: list[str] = []

    def second() -> None:
        try:
            schedule(8)
        except RuntimeError as error:
            said.append(str(error))

    async def main() -> None:
        await trio.to_thread.run_sync(second)  # noqa: TID251  # a second thread is what this is about

    with deterministic(7):
        trio.run(main)
    assert said == ["another run of the lab goes on in this process: run one after the other, or in processes"]
    assert schedule(7) == alone


def test_pythons_own_chance_is_left_alone() -> None:
    state = random.getstate()
    with deterministic(7):
        pass
    assert random.getstate() == state


@pytest.mark.parametrize(("name", "value"), [("_SWITCH", "_gone"), ("_CHANCE", "_gone"), ("_MODULE", "trio._gone")])
def test_a_trio_without_the_names_runs_and_promises_nothing(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(determinism, name, value)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with deterministic(7) as promise:
            assert not promise.promised
            trio.run(trio.lowlevel.checkpoint)
    assert [warning.category for warning in said] == [NotDeterministic]
    assert "\n" not in str(said[0].message)


_PROGRAM = """
import trio
from kadnet import lab
from kadnet.identity.address import Endpoint

async def main():
    async with lab.virtual_internet(lab.NetworkOptions(loss=0.1, jitter=0.02), seed=7) as internet:
        hosts = [internet.host(f"h{n}", [f"10.0.0.{n}"]) for n in range(1, 9)]
        ports = [await host.datagrams(Endpoint(host.addresses[0], 7)) for host in hosts]
        async def chat(n):
            runtime = lab.virtual_runtime(hosts[n], 7, f"h{n}")
            for _ in range(20):
                to = runtime.rng.choice(ports).local
                ports[n].send(runtime.entropy(20), to)
                with trio.move_on_after(runtime.rng.random()):
                    for data, source in await ports[n].receive():
                        ports[n].send(data[1:], source)
        async with trio.open_nursery() as nursery:
            for n in range(8):
                nursery.start_soon(chat, n)
        print(internet.accounting.sent, internet.trace.hexdigest())

lab.run(main, seed=7)
"""


def test_processes_with_other_hash_seeds_leave_one_trace() -> None:
    root = Path(__file__).parents[3]
    traces = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1
    sent = int(traces.pop().split()[0])
    assert sent > 160
