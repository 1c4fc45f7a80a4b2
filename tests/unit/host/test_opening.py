"""A node starts whole or not at all: whatever stops it leaves bare, in one line, with everything closed again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from kadnet.errors import DataDirInUse, InputError, NotFound, PortInUse, StorageFailed
from kadnet.host import Host
from kadnet.identity.address import Endpoint
from kadnet.node import open_node
from kadnet.transport import RealNetwork

Start = Callable[[Host, "trio.TaskStatus[None]"], Awaitable[None]]


@dataclass
class App:
    start: Start
    name: str = "app"

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.start(host, task_status)


async def opens(data_dir: Path | None = None, *apps: App, listen: str = "127.0.0.1:0") -> None:
    async with open_node(data_dir, listen=listen, apps=apps):
        pass


async def refuse(_host: Host, _task_status: trio.TaskStatus[None]) -> None:
    raise NotFound("the app found nothing")


async def refuse_inside(host: Host, task_status: trio.TaskStatus[None]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse, host, task_status)
        await trio.sleep_forever()


async def refuse_as_two(host: Host, task_status: trio.TaskStatus[None]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse, host, task_status)
        nursery.start_soon(refuse, host, task_status)


async def serve(_host: Host, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


async def end_at_once(_host: Host, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()


@pytest.mark.parametrize("start", [refuse, refuse_inside])
async def test_an_app_that_cannot_start_is_why_the_node_does_not(tmp_path: Path, start: Start) -> None:
    with pytest.raises(NotFound, match="the app found nothing"):
        await opens(tmp_path / "node", App(serve, "first"), App(start))
    await opens(tmp_path / "node")  # the lock is free, the port closed, the files closed


async def test_an_app_that_fails_twice_over_does_not_hide_it(tmp_path: Path) -> None:
    with pytest.raises((NotFound, BaseExceptionGroup)) as caught:
        await opens(tmp_path / "node", App(refuse_as_two))
    assert "the app found nothing" in repr(caught.value)
    await opens(tmp_path / "node")


async def test_an_app_may_end_and_the_node_goes_on() -> None:
    async with open_node(None, listen="127.0.0.1:0", apps=[App(end_at_once)]) as node:
        await trio.lowlevel.checkpoint()
        assert node.linked() == []


async def test_a_crash_of_a_running_app_ends_the_node_as_a_group() -> None:
    async def crash(_host: Host, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise ValueError("a fault of the app")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_node(None, listen="127.0.0.1:0", apps=[App(crash)]):
            await trio.sleep_forever()
    assert caught.group_contains(ValueError, match="a fault of the app")


async def test_what_the_body_raises_leaves_bare_and_the_apps_have_ended() -> None:
    ended: list[str] = []

    async def until_the_end(_host: Host, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("app")

    with pytest.raises(StorageFailed, match="said by the body"):
        async with open_node(None, listen="127.0.0.1:0", apps=[App(until_the_end)]):
            raise StorageFailed("said by the body")
    assert ended == ["app"]


async def test_an_app_that_ends_slowly_can_still_send(tmp_path: Path) -> None:
    """Apps stop before links: the last word of an app goes out."""
    got: list[bytes] = []
    last_word = trio.Event()

    async def take(_peer: bytes, body: bytes) -> None:
        got.append(body)
        if body == b"goodbye":
            last_word.set()

    async with open_node(None, listen="127.0.0.1:0") as other:
        other.handle("note", None, take)

        async def farewell(host: Host, task_status: trio.TaskStatus[None]) -> None:
            await host.notify(other.address, "note", b"hello")
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await host.notify(other.id, "note", b"goodbye")

        async with open_node(tmp_path / "node", listen="127.0.0.1:0", apps=[App(farewell)]):
            pass
        with trio.fail_after(5):
            await last_word.wait()
        assert got == [b"hello", b"goodbye"]


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    taken = await RealNetwork().listen(Endpoint("127.0.0.1", 0))
    with pytest.raises(PortInUse):
        await opens(tmp_path / "node", listen=f"127.0.0.1:{taken.local.port}")
    await taken.aclose()
    await opens(tmp_path / "node")


@pytest.mark.parametrize(
    "text",
    ["[node]\nlisten = 7\n", "[overlay]\nreplicas = 0\n", "[apps]\n", "listen = 1\n", "no toml", "[app]\nx = 1\n"],
)
async def test_a_bad_settings_file_is_named(tmp_path: Path, text: str) -> None:
    home = tmp_path / "node"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(text)

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    async def read(host: Host, task_status: trio.TaskStatus[None]) -> None:
        host.settings("app", Nothing)
        task_status.started()

    with pytest.raises(InputError):
        await opens(home, App(read))
    (home / "config.toml").unlink()
    await opens(home)


@pytest.mark.parametrize("name", ["node", "overlay", "chat", "", "Upper case"])
async def test_an_app_may_not_have_the_name_of_a_room(name: str) -> None:
    """Its section of the settings would be that of the room."""
    with pytest.raises(InputError, match="name"):
        await opens(None, App(serve, name))


async def test_a_second_node_on_the_same_data_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    async with open_node(tmp_path / "node", listen="127.0.0.1:0"):
        with pytest.raises(DataDirInUse):
            await opens(tmp_path / "node")
    await opens(tmp_path / "node")


async def test_a_start_that_is_cancelled_closes_what_it_had_opened(tmp_path: Path) -> None:
    started = trio.Event()

    async def never(_host: Host, _task_status: trio.TaskStatus[None]) -> None:
        started.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(opens, tmp_path / "node", App(never))
        await started.wait()
        nursery.cancel_scope.cancel()
    await opens(tmp_path / "node")
