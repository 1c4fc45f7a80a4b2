"""The control socket: bound so that nobody meets half of it, served by hypercorn, gone before the lock is.

hypercorn would unlink and take over whatever lies at the path of a `unix:` binding, a living server's socket too, and
leaves the file behind. So the socket is bound here: under a temporary name beside its place, closed to others,
listening, then renamed; hypercorn gets the descriptor. All that is hypercorn's stands in `_serve`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hypercorn.trio
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.log import HypercornLog
from kadnet.errors import DataDirError
from kadnet.identity.text import printable


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """`grace`: seconds that requests under way get when the node stops; the whole stop has less than two. `backlog`:
    connections not yet accepted. `keep_alive`: seconds an idle connection is kept."""

    grace: float = 0.5
    backlog: int = 128
    keep_alive: float = 5.0


@asynccontextmanager
async def control_socket(
    app: Starlette, path: Path, log: FilteringBoundLogger, settings: ControlSettings | None = None
) -> AsyncIterator[None]:
    """Serve `app` at `path` for the length of the block. DataDirError when it cannot be bound.

    At its end the file goes first, so that nobody finds a node that is leaving; then requests under way get their
    grace.
    """
    settings = settings or ControlSettings()
    bound = _bind(path, settings.backlog)
    stop = trio.Event()
    left: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(_serve, app, bound.detach(), stop, log, settings))
            try:
                yield
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                left = error
            _remove(path)
            stop.set()
    finally:
        _remove(path)
    if left is not None:
        raise left


def _bind(path: Path, backlog: int) -> socket.socket:
    temporary = path.with_suffix(".tmp")  # no longer than the name itself: a socket's path has a short limit
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # We hold the lock of the data directory: whatever lies here was left by a process that is gone.
        temporary.unlink(missing_ok=True)
        bound.bind(str(temporary))
        temporary.chmod(0o600)
        bound.listen(backlog)
        os.rename(temporary, path)
    except OSError as error:
        bound.close()
        temporary.unlink(missing_ok=True)
        shown = printable(str(path), 300)
        raise DataDirError(f"cannot make the control socket {shown}: {error.strerror or error}") from error
    return bound


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _serve(
    app: Starlette,
    descriptor: int,
    stop: trio.Event,
    log: FilteringBoundLogger,
    settings: ControlSettings,
    *,
    task_status: trio.TaskStatus[Any],
) -> None:
    """hypercorn on a socket that is bound; it owns `descriptor` from here on."""
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.backlog = settings.backlog
    config.graceful_timeout = settings.grace
    config.keep_alive_timeout = settings.keep_alive
    config.include_server_header = False
    config.logger_class = lambda _config: HypercornLog(log)  # type: ignore[assignment, return-value]  # duck-typed there
    await hypercorn.trio.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]  # starlette's app type is looser
