from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.daemon.app import make_app
from kadnet.daemon.control import ControlSettings, control_socket
from kadnet.daemon.verbs import Verbs
from kadnet.errors import DataDirError
from tests.unit.daemon.fake import FakeNode, quiet, served

SOCKET = "control.sock"
REQUEST = b"POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n" + b'{"key": "k"}'


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_socket_is_its_owners_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    async with served(tmp_path):
        found = (tmp_path / SOCKET).stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert names(tmp_path) == [SOCKET]
    assert names(tmp_path) == []


async def test_what_a_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / SOCKET).write_text("left over")
    (tmp_path / "control.tmp").write_text("left over")
    async with served(tmp_path):
        await (await trio.open_unix_socket(str(tmp_path / SOCKET))).aclose()
    assert names(tmp_path) == []


async def test_a_path_that_cannot_be_bound_is_named(tmp_path: Path) -> None:
    app = make_app(Verbs(FakeNode(), lambda: 0.0, lambda: 0.0))
    with pytest.raises(DataDirError, match="nowhere"):
        async with control_socket(app, tmp_path / "nowhere" / SOCKET, quiet()):
            raise AssertionError("it was served")


async def test_what_the_block_raises_leaves_bare(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match="mine"):
        async with served(tmp_path):
            raise DataDirError("mine")
    assert names(tmp_path) == []


async def test_a_request_that_hangs_is_cut_off_after_its_grace(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    node = FakeNode()
    node.hangs = True
    async with served(tmp_path, node, control=ControlSettings(grace=0.25)):
        stream = await trio.open_unix_socket(str(tmp_path / SOCKET))
        await stream.send_all(REQUEST)
        await node.called.wait()
        left_at = autojump_clock.current_time()
    assert autojump_clock.current_time() - left_at == pytest.approx(0.25, abs=0.05)
    await stream.aclose()


async def test_the_socket_of_a_second_node_at_the_path_is_left_alone(tmp_path: Path) -> None:
    ends = trio.Event()

    async def first(task_status: trio.TaskStatus[None]) -> None:
        async with served(tmp_path):
            task_status.started()
            await ends.wait()

    async with trio.open_nursery() as nursery:
        await nursery.start(first)
        (tmp_path / SOCKET).unlink()  # as when the data directory is removed and made anew
        async with served(tmp_path):
            ends.set()
            await trio.testing.wait_all_tasks_blocked()
            await (await trio.open_unix_socket(str(tmp_path / SOCKET))).aclose()
    assert names(tmp_path) == []


async def test_the_file_is_gone_before_requests_get_their_grace(tmp_path: Path) -> None:
    node = FakeNode()
    node.hangs = True
    there: list[bool] = []
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            await trio.testing.wait_all_tasks_blocked()
            there.append((tmp_path / SOCKET).exists())
            nursery.cancel_scope.cancel()

        async with served(tmp_path, node, control=ControlSettings(grace=3600)):
            stream = await trio.open_unix_socket(str(tmp_path / SOCKET))
            await stream.send_all(REQUEST)
            await node.called.wait()
            nursery.start_soon(look)
    await stream.aclose()
    assert there == [False]
