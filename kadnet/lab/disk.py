"""A disk that fills up or breaks, under all databases of a node, in files or in memory.

What a node sees is what SQLite raises, with its words and codes: "database or disk is full" at the commit of anything
that was written, or at once where a statement commits itself, while reads go on; "disk I/O error" for every statement
once the disk is broken. Nothing of it is kept: `mend` gives back a disk with all that had been committed before.

What a statement does is asked of SQLite's own parser, by an authorizer, so no way to write it gets around a full disk.

Left out: a disk that is slow, that fails now and then, or that lies about what it has written; rows of a statement
that was under way as the disk broke; `blobopen` and `backup`; and the other files of a data folder (identity, lock,
settings), which are read once, at the start.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal


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

    @property
    def is_full(self) -> bool:
        return self._state is _State.FULL


_ROWS = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_SCHEMA = {sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_REINDEX}
_WRITTEN_IN_THE_HEAD = {"application_id", "user_version"}  # of the file, when a PRAGMA gives them a value


class _Connection(sqlite3.Connection):
    """A connection whose statements and commits ask the disk first."""

    disk: VirtualDisk

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changes = 0  # `total_changes` when the transaction began
        self._altered = False  # its schema, which `total_changes` does not count
        self._inside = False  # a transaction, when the statement began
        self.set_authorizer(self._judge)

    def cursor(self, factory: Callable[[sqlite3.Connection], Any] | None = None) -> Any:
        return super().cursor(factory or _Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return _Cursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return _Cursor(self).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        return _Cursor(self).executescript(sql_script)

    def commit(self) -> None:
        with self.asking_the_disk():
            super().commit()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> Literal[False]:
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except sqlite3.Error:
            self.rollback()  # as sqlite3 does
            raise
        return False

    @contextmanager
    def asking_the_disk(self, sql: str = "") -> Iterator[None]:
        if not sql.lstrip().upper().startswith("ROLLBACK"):  # which undoes what no disk has seen yet
            self.disk.refuse_if_broken()
        self._inside = self.in_transaction
        if not self._inside:
            self._changes, self._altered = self.total_changes, False
        if self.disk.is_full:
            self.set_authorizer(self._judge)  # so that it is asked for statements that were prepared before, too
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
                raise _error("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL") from None
            raise

    def _judge(self, action: int, what: str | None, value: str | None, _base: str | None, _trigger: str | None) -> int:
        """What SQLite asks while it prepares a statement, for each thing that this will do."""
        in_schema = action in _SCHEMA or (action in _ROWS and what in ("sqlite_master", "sqlite_schema"))
        alters = in_schema or (action == sqlite3.SQLITE_PRAGMA and what in _WRITTEN_IN_THE_HEAD and value is not None)
        self._altered = self._altered or alters
        commits = (action, what) in ((sqlite3.SQLITE_TRANSACTION, "COMMIT"), (sqlite3.SQLITE_SAVEPOINT, "RELEASE"))
        written = self._altered or self.total_changes != self._changes
        refused = commits and written if self._inside else alters or action in _ROWS
        return sqlite3.SQLITE_DENY if refused and self.disk.is_full else sqlite3.SQLITE_OK


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        with self.connection.asking_the_disk(sql):
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> _Cursor:
        with self.connection.asking_the_disk():
            return super().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        with self.connection.asking_the_disk():
            return super().executescript(sql_script)


def _error(text: str, code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error
