"""The real machine behind the seam."""

from __future__ import annotations

# ruff: noqa: TID251 -- these tests compare the seam with what lies under it
import threading
import time

import pytest
import trio
from trio.testing import MockClock

from kadnet.runtime import RuntimeSettings, real_runtime
from kadnet.transport import RealNetwork, TransportSettings


async def test_now_is_trios_clock(mock_clock: MockClock) -> None:
    runtime = real_runtime()
    before = runtime.now()
    mock_clock.jump(5)
    assert runtime.now() == before + 5 == trio.current_time()


def test_wall_is_unix_time() -> None:
    assert abs(real_runtime().wall() - time.time()) < 60


def test_two_runtimes_draw_different_chance_and_entropy() -> None:
    a, b = real_runtime(), real_runtime()
    assert a.rng.getrandbits(128) != b.rng.getrandbits(128)
    assert len(a.entropy(32)) == 32
    assert a.entropy(32) != a.entropy(32)


async def test_offload_works_in_another_thread_and_brings_back_the_result() -> None:
    ours = threading.get_ident()
    assert await real_runtime().offload(threading.get_ident) != ours


async def test_offload_raises_what_the_work_raised() -> None:
    def fault() -> None:
        raise LookupError("a fault in a thread")

    with pytest.raises(LookupError, match="a fault in a thread"):
        await real_runtime().offload(fault)


async def test_offload_uses_no_more_threads_than_its_setting() -> None:
    runtime = real_runtime(RuntimeSettings(threads=1))
    inside = most = 0
    lock = threading.Lock()
    gate = threading.Event()

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        gate.wait(5)
        with lock:
            inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(runtime.offload, work)
        while not inside:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked(0.02)
        gate.set()
    assert most == 1


def test_the_network_is_this_machines_with_the_settings_given() -> None:
    settings = TransportSettings(batch=3)
    network = real_runtime(transport=settings).network
    assert isinstance(network, RealNetwork)
    assert network.settings is settings
