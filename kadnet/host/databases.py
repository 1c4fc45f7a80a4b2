"""The databases of a node: those of the rooms, opened before anything runs, and one for each app that asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import trio

from kadnet.datadir import DataDir
from kadnet.errors import InputError
from kadnet.runtime import Runtime
from kadnet.storage import Database

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""Of an app and of its database."""
_MOST = 32  # databases of a node: each is up to two connections, and files that are open


class Databases:
    """Files of the data directory, or in memory without one; closed with `stack`. What is odd goes into `notes`."""

    def __init__(self, held: DataDir | None, runtime: Runtime, stack: AsyncExitStack, notes: list[str]) -> None:
        self._held = held
        self._runtime = runtime
        self._stack = stack
        self._notes = notes
        self._open: dict[str, Database] = {}
        self._nursery: trio.Nursery | None = None

    def open(self, name: str, migrations: Sequence[str], *, precious: bool = False) -> Database:
        """Open a database; its writer is for `run_in` to start."""
        path = None if self._held is None else self._held.path / f"{name}.db"
        runtime = self._runtime
        opened = Database(path, migrations, offload=runtime.offload, precious=precious, connect=runtime.connect)
        self._stack.callback(opened.close)
        self._notes.extend(opened.notes)
        self._open[name] = opened
        return opened

    async def run_in(self, nursery: trio.Nursery) -> None:
        """Start the writers of all that are open, and of those to come."""
        for database in self._open.values():
            await nursery.start(database.run)
        self._nursery = nursery

    def open_for_app(self, name: str, migrations: Sequence[str], precious: bool) -> Database:
        """See `Host.database`. InputError for a name that cannot be or is taken."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"a database is named by a-z, then up to 31 of a-z 0-9 _ -, not {name!r:.60}")
        if name in self._open:
            raise InputError(f"the database {name!r} is open already")
        if len(self._open) >= _MOST:
            raise InputError(f"a node opens at most {_MOST} databases")
        if self._nursery is None:
            raise RuntimeError("databases are for apps that run")
        opened = self.open(name, migrations, precious=precious)
        self._nursery.start_soon(opened.run)
        return opened
