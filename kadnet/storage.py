"""SQLite, once for all rooms: opening, migrations, one batching writer, inline reads.

Reads are inline: a point query costs about 13 µs, a trip to a thread ten times that. Writes go through one writer
task, which gathers what has piled up into a single transaction in a thread and only then reports each result; so
whoever acknowledges from its callback acknowledges what is on the disk. A write is a function of the connection and
may read and decide inside the transaction: decisions of concurrent writers cannot miss each other.

A connection costs 40 to 90 KiB, its copy of the schema included, so there is none before it is needed: a database in
memory is made when it is first written to, and a second connection to a file is opened when a read first meets a
transaction under way.

A cache that is damaged is moved aside and begun anew, and that is said; what cannot be rebuilt (`precious`) is refused
instead and never overwritten. What is stored where is for the rooms to say.
"""

from __future__ import annotations

import errno
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import trio

from kadnet.errors import DataDirError, ProtocolError, StorageFailed

T = TypeVar("T")
Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
Connect = Callable[..., sqlite3.Connection]


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """`max_queue`: writes waiting; past it a write is refused, so a slow disk costs refusals and not memory.

    `max_batch`: writes in one transaction, so that no reply waits for an endless one. `page_size`: bytes, of a database
    that is made now. SQLite takes twenty pages for each connection at once, whatever it needs: with its own 4,096 the
    files of a node cost 360 KiB of memory more, and reads and writes of records are no faster. `statements`: prepared
    ones that a connection keeps, 1 to 3 KiB each. To put an entry, to hold it and to answer a get of it takes 18 (a
    test counts them), which is the most for one record; sqlite3 would keep 128, those of the start among them.
    """

    max_queue: int = 2048
    max_batch: int = 256
    page_size: int = 1024
    statements: int = 20


class _Job(Generic[T]):
    __slots__ = ("done", "operation")

    def __init__(
        self, operation: Callable[[sqlite3.Connection], T], done: Callable[[T | StorageFailed], object]
    ) -> None:
        self.operation = operation
        self.done = done


class Database:
    """One SQLite file, or a database in memory when `path` is None.

    `migrations` are scripts; the n-th takes schema n to n + 1. `notes` says what was odd at opening, for the log.
    `connect` is `Runtime.connect`.
    """

    def __init__(
        self,
        path: Path | None,
        migrations: Sequence[str],
        *,
        offload: Offload,
        precious: bool = False,
        settings: StorageSettings | None = None,
        connect: Connect = sqlite3.connect,
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self._settings = settings if settings is not None else StorageSettings()
        self._offload = offload
        self._precious = precious
        self._connect = connect
        self._jobs: deque[_Job[Any]] = deque()
        self._wake = trio.Event()
        self._closed = False
        self._migrations = migrations
        self._writing = False  # a transaction is under way, in a thread
        self._opened = None if path is None else self._open(path)
        self._file = self._place()
        self._beside: sqlite3.Connection | None = None

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """The rows of a query, inline. StorageFailed when the disk or the file does not answer."""
        try:
            connection = self._second() if self._writing else self._writer
            return connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise StorageFailed(f"{self._name} cannot be read: {reason}") from None

    def stored(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """`read`, but no rows of what is `untouched`, not even the one of a `count(*)`: it is not made for that."""
        return [] if self.untouched else self.read(sql, parameters)

    @property
    def untouched(self) -> bool:
        """A database in memory before its first write, or `read`: there is none yet."""
        return self._opened is None and not self._closed

    def submit(self, operation: Callable[[sqlite3.Connection], T], done: Callable[[T | StorageFailed], object]) -> bool:
        """Queue a write; `done` gets its result after the commit, or why it failed. False when the queue is full."""
        if self._closed or len(self._jobs) >= self._settings.max_queue:
            return False
        self._jobs.append(_Job(operation, done))
        self._wake.set()
        return True

    async def write(
        self, operation: Callable[[sqlite3.Connection], T], *, after: Callable[[], object] | None = None
    ) -> T:
        """Do a write and wait for its commit. Once queued it is done even when the caller is cancelled.

        `after` is called right behind the commit, whether anybody still waits or not: there a cache is told.
        """
        finished = trio.Event()
        results: list[T | StorageFailed] = []

        def done(result: T | StorageFailed) -> None:
            if after is not None:
                after()
            results.append(result)
            finished.set()

        if not self.submit(operation, done):
            raise StorageFailed(f"{self._name} has too many writes waiting")
        await finished.wait()
        result = results[0]
        if isinstance(result, StorageFailed):
            raise result
        return result

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The writer. On cancellation it commits what is queued before it lets go."""
        task_status.started()
        try:
            while True:
                await self._wake.wait()
                await self._turn()
        finally:
            with trio.CancelScope(shield=True):
                while self._jobs:
                    await self._turn()

    def close(self) -> None:
        """Close the file. Queued writes that no writer took are refused."""
        self._closed = True
        while self._jobs:
            self._jobs.popleft().done(StorageFailed(f"{self._name} is closed"))
        for connection in (self._beside, self._opened):
            if connection is not None:
                connection.close()

    @property
    def _writer(self) -> sqlite3.Connection:
        """The connection that writes, and that reads while nothing is being written."""
        if self._opened is None:
            if self._closed:
                raise sqlite3.ProgrammingError("it is closed")
            self._opened = self._prepared(None)
        return self._opened

    def _second(self) -> sqlite3.Connection:
        """One more, so that a read neither waits for the transaction under way nor sees what that has not committed."""
        if self._beside is None:
            self._still_there()
            beside = self._connection(self.path)
            try:
                self._still_there()
            except OSError:
                beside.close()
                raise
            self._beside = beside
        return self._beside

    def _still_there(self) -> None:
        """A path may lead to another file by now, or to none, which SQLite would make. OSError then."""
        if self._place() != self._file:
            raise OSError(errno.ESTALE, "another file is in its place; stop the node and look at its directory")

    def _place(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        found = self.path.stat()
        return found.st_dev, found.st_ino

    @property
    def _name(self) -> str:
        return self.path.name if self.path is not None else "the database in memory"

    async def _turn(self) -> None:
        batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._settings.max_batch))]
        if not self._jobs:
            self._wake = trio.Event()
        if not batch:
            return
        if self.path is None:  # no disk to wait for
            results = self._commit(batch)
        else:
            self._writing = True
            try:
                with trio.CancelScope(shield=True):  # a batch that has begun is finished and reported
                    results = await self._offload(lambda: self._commit(batch))
            finally:
                self._writing = False
        for job, result in zip(batch, results, strict=True):
            job.done(result)

    def _commit(self, batch: list[_Job[Any]]) -> list[Any]:
        """One transaction for all; when that fails, one for each, so that one bad write fails alone.

        A ProtocolError here is a row whose bytes are not what was once stored in it.
        """
        try:
            return self._transaction(batch)
        except (sqlite3.Error, ProtocolError) as error:
            if len(batch) == 1:
                return [StorageFailed(f"{self._name} cannot be written: {error}")]
        results: list[Any] = []
        for job in batch:
            try:
                results += self._transaction([job])
            except (sqlite3.Error, ProtocolError) as error:
                results.append(StorageFailed(f"{self._name} cannot be written: {error}"))
        return results

    def _transaction(self, batch: list[_Job[Any]]) -> list[Any]:
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [job.operation(connection) for job in batch]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            if self._precious:
                _look_at(self._connect, path)
            return self._prepared(path)
        except OSError as error:
            raise self._unopened(error) from None
        except (sqlite3.DatabaseError, _Damaged) as error:
            if isinstance(error, sqlite3.OperationalError) and not _looks_damaged(error):
                raise self._unopened(error) from None
            if self._precious:
                raise DataDirError(
                    f"{path} is damaged ({error}) and is left as it is", hint="restore it from a backup"
                ) from None
            aside = path.with_name(path.name + ".damaged")
            for suffix in ("", "-wal", "-shm"):
                source = Path(str(path) + suffix)
                if source.exists():
                    source.replace(str(aside) + suffix)
            self.notes.append(f"{path.name} was damaged ({error}); moved to {aside.name}, begun anew")
            return self._prepared(path)

    def _unopened(self, error: Exception) -> DataDirError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return DataDirError(f"{self.path} cannot be opened: {reason}")

    def _connection(self, path: Path | None) -> sqlite3.Connection:
        return _connect(self._connect, path, self._precious, self._settings.statements)

    def _prepared(self, path: Path | None) -> sqlite3.Connection:
        migrations = self._migrations
        connection = self._connection(path)
        try:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(migrations):
                raise DataDirError(
                    f"{self._name} has schema {version}, newer than this kadnet knows ({len(migrations)})",
                    hint="run the newer kadnet that wrote it, or name another --data-dir",
                )
            if version == 0:  # of a file that has tables it is what it is
                connection.execute(f"PRAGMA page_size = {self._settings.page_size}")
            elif path is not None:
                _check_pages(connection)
            for number in range(version, len(migrations)):
                connection.executescript(
                    f"BEGIN IMMEDIATE; {migrations[number]};"
                    f" PRAGMA application_id = {_OURS}; PRAGMA user_version = {number + 1}; COMMIT;"
                )
            if path is not None:  # written into the file, so only once it is known to be ours
                connection.execute("PRAGMA journal_mode = WAL")
                # What opening has read is mostly not read again: an idle database gives its pages back.
                connection.execute("PRAGMA shrink_memory")
        except BaseException:
            connection.close()
            raise
        return connection


class _Damaged(Exception):
    """What is wrong with the file."""


_OURS = int.from_bytes(b"kadn", "big")
"""SQLite's application_id of our files; another program's is not taken for one."""


def _look_at(connect: Connect, path: Path) -> None:
    """Judge a precious file before anything is written: _Damaged, and it is byte for byte as it was.

    The connection that looks can only read: the last one that can write brings what is left in the -wal into the file
    as it closes, also into a damaged one.
    """
    wal = Path(f"{path}-wal")
    if not path.exists() or path.stat().st_size == 0:
        if wal.exists() and wal.stat().st_size:
            raise _Damaged("it is empty, and what belongs into it lies beside it in the -wal")
        return
    # A process that was killed as it made the file has left a transaction to undo, which only a writer can.
    journal = Path(f"{path}-journal")
    mode = "rw" if journal.exists() and journal.stat().st_size else "ro"
    connection = connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 2000")
        _check_pages(connection)
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and mark != _OURS:
            raise _Damaged("it is another program's")
    finally:
        connection.close()


def _check_pages(connection: sqlite3.Connection) -> None:
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        lines = [line for line in verdict.splitlines() if not line.startswith("***")]
        raise _Damaged(lines[0] if lines else verdict)


def _looks_damaged(error: sqlite3.OperationalError) -> bool:
    """Some damage surfaces as an operational error: a schema that is not ours, a disk image that cannot be read."""
    text = str(error)
    return "no such" in text or "already exists" in text or "malformed" in text


def _connect(connect: Connect, path: Path | None, precious: bool, statements: int) -> sqlite3.Connection:
    # Used by one thread at a time (the writer's turns are sequential), which is all that SQLite asks for.
    connection = connect(
        ":memory:" if path is None else path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=statements,
    )
    try:
        if path is not None:
            path.chmod(0o600)
            # NORMAL can lose the newest commits on a power cut, never corrupt: right for what the overlay holds again.
            connection.execute(f"PRAGMA synchronous = {'FULL' if precious else 'NORMAL'}")
        connection.execute("PRAGMA busy_timeout = 2000")
    except BaseException:
        connection.close()
        raise
    return connection
