"""Writes of chat.db that may be refused, and that tell what they did when it is on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

from kadnet.errors import InputError, KadnetError, ProtocolError, StorageFailed
from kadnet.storage import Database

T = TypeVar("T")


async def write(
    database: Database,
    operation: Callable[[sqlite3.Connection], T],
    *,
    told: Callable[[T], object] | None = None,
) -> T:
    """Do a write and wait for its commit; once this has begun to wait it is done even when the caller is cancelled.

    `operation` may refuse with InputError or ProtocolError before it writes anything; that is raised here and fails no
    other write. `told` gets its result right behind the commit, whether anybody still waits or not, and is not called
    for a write that was refused or failed. Raises StorageFailed when the disk did not take it.
    """
    finished = trio.Event()
    results: list[T | KadnetError | ProtocolError] = []

    def refusing(connection: sqlite3.Connection) -> T | InputError | ProtocolError:
        try:
            return operation(connection)
        except (InputError, ProtocolError) as refusal:
            return refusal

    def done(result: T | KadnetError | ProtocolError) -> None:
        results.append(result)
        finished.set()
        if told is not None and not isinstance(result, (KadnetError, ProtocolError)):
            told(result)

    if not database.submit(refusing, done):
        raise StorageFailed("chat.db takes no more writes now: too many wait, or the node is closed")
    await finished.wait()
    result = results[0]
    if isinstance(result, (KadnetError, ProtocolError)):
        raise result
    return result
