"""A disk that fills up or breaks, under all databases of a node, in files or in memory.

What a node sees is what SQLite raises, with its words and codes: "database or disk is full" at the commit of anything
that was written, while reads go on; "disk I/O error" for every statement once the disk is broken. Nothing of it is
kept: `mend` gives back a disk with all that had been committed before.

Left out: a disk that is slow, that fails now and then, or that lies about what it has written; and the other files of
a data folder (identity, lock, settings), which are read once, at the start.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterable
from typing import Any


class _State(enum.Enum):
    WELL = enum.auto()
    FULL = enum.auto()
    BROKEN = enum.auto()


class VirtualDisk:
    """The disk of one machine. `connect` opens databases on it, as `Runtime.connect` does."""

    def __init__(self) -> None:
        self._state = _State.WELL

    def fill(self) -> None:
        """No room is left: what is written from now on is refused, what is there can be read."""
        self._state = _State.FULL

    def fail(self) -> None:
        """It is broken: from now on nothing can be read or written."""
        self._state = _State.BROKEN

    def mend(self) -> None:
        """It is well again, and there is room."""
        self._state = _State.WELL

    def connect(self, database: Any, /, **options: Any) -> sqlite3.Connection:
        """`sqlite3.connect` on this disk; it takes the same options."""
        connection = sqlite3.connect(database, factory=_Connection, **options)
        connection.disk = self
        return connection

    def refuse_if_broken(self) -> None:
        if self._state is _State.BROKEN:
            raise _error("disk I/O error", sqlite3.SQLITE_IOERR, "SQLITE_IOERR")

    def refuse_if_full(self) -> None:
        if self._state is _State.FULL:
            raise _error("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL")


class _Connection(sqlite3.Connection):
    """A connection whose statements ask the disk first. Ours use no cursor of their own, so these three are all."""

    disk: VirtualDisk

    _written_before = 0  # `total_changes` when the transaction began

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "ROLLBACK":  # undoes what no disk has seen yet
            return super().execute(sql)
        self.disk.refuse_if_broken()
        if sql.startswith("BEGIN"):
            self._written_before = self.total_changes
        elif sql == "COMMIT" and self.total_changes != self._written_before:
            self.disk.refuse_if_full()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        self.disk.refuse_if_broken()
        return super().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        self.disk.refuse_if_broken()
        self.disk.refuse_if_full()  # scripts are migrations, and each of them writes
        return super().executescript(sql_script)


def _error(text: str, code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error
