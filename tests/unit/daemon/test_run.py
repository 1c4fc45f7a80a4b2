from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import trio
import trio.testing
from starlette.applications import Starlette

from kadnet.client import Client
from kadnet.daemon import run
from kadnet.daemon.app import AppSettings, make_app
from kadnet.daemon.run import RunSettings, _Stop, _watch, run_daemon
from kadnet.daemon.verbs import Verbs
from kadnet.errors import DataDirInUse, KadnetError, NoNode, PortInUse
from kadnet.identity.address import Endpoint, text
from kadnet.runtime import real_runtime
from kadnet.shapes import InboxRequest, Message, Ready, Status
from tests.unit.client.test_client import failing
from tests.unit.daemon.fake import quiet

LISTEN = "127.0.0.1:0"


async def live(data_dir: Path, stop_with: signal.Signals) -> tuple[int, Ready, Status]:
    """Run a node, ask it how it fares, and stop it by a signal."""
    said: list[Ready] = []
    asked: list[Status] = []

    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            client = Client(data_dir)
            asked.append(await real_runtime().offload(client.status))
            signal.raise_signal(stop_with)

        def ready(line: Ready) -> None:
            said.append(line)
            nursery.start_soon(ask)

        code = await run_daemon(data_dir, listen=LISTEN, log=quiet(), ready=ready)
    return code, said[0], asked[0]


async def test_a_node_serves_says_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    code, ready, status = await live(tmp_path, signal.SIGTERM)
    assert code == 0
    assert ready.event == "ready"
    assert (ready.id, ready.address) == (status.id, status.address)
    assert ready.control == str(tmp_path / "control.sock")
    assert not (tmp_path / "control.sock").exists()
    assert (tmp_path / "node.lock").read_text() == ""
    assert json.loads((tmp_path / "identity.json").read_text())["id"] == ready.id


async def test_a_node_whose_terminal_goes_stops_like_on_sigterm(tmp_path: Path) -> None:
    code, _, _ = await live(tmp_path, signal.SIGHUP)
    assert code == 0
    assert not (tmp_path / "control.sock").exists()
    assert (tmp_path / "node.lock").read_text() == ""


async def test_an_interrupted_node_ends_with_130_and_keeps_its_identity(tmp_path: Path) -> None:
    code, first, _ = await live(tmp_path, signal.SIGINT)
    assert code == 130
    _, second, _ = await live(tmp_path, signal.SIGTERM)
    assert second.id == first.id


async def test_whoever_waits_for_a_message_is_told_when_the_node_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = trio.Event()
    told: list[trio.Event] = []
    real = make_app

    def spying(verbs: Verbs, settings: AppSettings | None = None, stopping: trio.Event | None = None) -> Starlette:
        assert stopping is not None
        told.append(stopping)
        coming = verbs.chat.coming

        async def noted(request: InboxRequest) -> list[Message]:
            waiting.set()
            return await coming(request)

        monkeypatch.setattr(verbs.chat, "coming", noted)
        return real(verbs, settings, stopping)

    monkeypatch.setattr(run, "make_app", spying)
    came: list[KadnetError] = []
    async with trio.open_nursery() as nursery:

        async def follow() -> None:
            came.append(await failing(lambda: next(Client(tmp_path).follow())))

        async def stop() -> None:
            await waiting.wait()
            assert not told[0].is_set()
            signal.raise_signal(signal.SIGTERM)

        nursery.start_soon(stop)
        code = await run_daemon(tmp_path, listen=LISTEN, log=quiet(), ready=lambda _: nursery.start_soon(follow))
    assert code == 0
    assert told[0].is_set()
    assert isinstance(came[0], NoNode)


async def test_a_second_node_on_the_data_dir_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        serving = trio.Event()

        async def first() -> None:
            await run_daemon(tmp_path, listen=LISTEN, log=quiet(), ready=lambda _: serving.set())

        nursery.start_soon(first)
        await serving.wait()
        with pytest.raises(DataDirInUse) as caught:
            await run_daemon(tmp_path, listen=LISTEN, log=quiet(), ready=lambda _: None)
        assert caught.value.pid is not None
        assert (tmp_path / "control.sock").exists()
        nursery.cancel_scope.cancel()


async def test_a_port_in_use_leaves_bare_and_gives_the_data_dir_back(tmp_path: Path) -> None:
    taken = await real_runtime().network.datagrams(Endpoint("127.0.0.1", 0))
    try:
        with pytest.raises(PortInUse):
            await run_daemon(tmp_path, listen=text(taken.local), log=quiet(), ready=lambda _: None)
    finally:
        await taken.aclose()
    assert (tmp_path / "node.lock").read_text() == ""


class Signals:
    """Signals that come after some seconds each."""

    def __init__(self, *when: tuple[float, signal.Signals]) -> None:
        self._when = list(when)

    def __aiter__(self) -> Signals:
        return self

    async def __anext__(self) -> int:
        if not self._when:
            await trio.sleep_forever()
        wait, number = self._when.pop(0)
        await trio.sleep(wait)
        return number


async def watched(stop: _Stop, clock: trio.testing.MockClock, *when: tuple[float, signal.Signals]) -> float:
    """When everything was cancelled, in virtual seconds from the start."""
    started = clock.current_time()
    with trio.CancelScope() as everything:
        await _watch(Signals(*when), stop, everything, RunSettings(stop_within=1.8), quiet())
        await trio.sleep_forever()
    return clock.current_time() - started


async def test_the_first_signal_lets_the_node_stop_in_its_time(autojump_clock: trio.testing.MockClock) -> None:
    stop = _Stop()
    stop.serving = True
    assert await watched(stop, autojump_clock, (1.0, signal.SIGTERM)) == pytest.approx(2.8)
    assert stop.told.is_set()


async def test_a_second_signal_cancels_at_once(autojump_clock: trio.testing.MockClock) -> None:
    stop = _Stop()
    stop.serving = True
    assert await watched(stop, autojump_clock, (1.0, signal.SIGINT), (0.5, signal.SIGINT)) == pytest.approx(1.5)
    assert stop.signal == signal.SIGINT


async def test_a_signal_before_ready_cancels_the_start(autojump_clock: trio.testing.MockClock) -> None:
    stop = _Stop()
    assert await watched(stop, autojump_clock, (1.0, signal.SIGTERM)) == pytest.approx(1.0)
    assert not stop.told.is_set()
