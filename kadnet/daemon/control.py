"""The control socket: bound so that nobody meets half of it, gone before the lock is.

hypercorn would unlink and take over whatever lies at the path of a `unix:` binding, a living server's socket too, and
leaves the file behind. So the socket is bound here: under a temporary name beside its place, closed to others,
listening, then renamed. What is served on it stands in `connections`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio
from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.connections import Connections, ConnectionSettings
from kadnet.errors import DataDirError
from kadnet.identity.text import printable


@dataclass(frozen=True, slots=True)
class ControlSettings(ConnectionSettings):
    """`backlog`: connections not yet accepted; a loop of scripts must find room. The system may hold it to less."""

    backlog: int = 1024


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
    ours = _which(path)
    stop = trio.Event()
    left: BaseException | None = None
    with bound:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Connections(app, log, settings).serve, bound.dup(), stop)
            try:
                yield
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                left = error
            _remove(path, ours)
            stop.set()
            bound.close()
    if left is not None:
        raise left


def _which(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any other: a second node may have put its own there, in a folder that was
    removed and made anew while the first still ran. None when there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(path: Path, ours: tuple[int, int] | None) -> None:
    # As long as our socket is bound, no other file can have got its number.
    if ours is not None and _which(path) == ours:
        with suppress(OSError):
            path.unlink()


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
