"""The inbox and the outbox: the tables `messages` and `outbox` of chat.db.

What is received is decided inside the transaction that keeps it: whether it is there already, and whether there is room
for its sender. A message that was received is never deleted here, so its id is never forgotten and it is shown once,
however late it is sent again. Delivered messages of ours are remembered up to a bound.

Reads are inline and take a page at a time; a row that the disk has changed is shown as well as it can be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kadnet.apps.chat import protocol
from kadnet.apps.chat.protocol import Body, Proof
from kadnet.apps.chat.settings import ChatSettings
from kadnet.apps.chat.writing import write
from kadnet.errors import InputError, Malformed, ProtocolError
from kadnet.storage import Database


@dataclass(frozen=True, slots=True)
class Message:
    """A message received. `number` orders the inbox. `sent_at` is the sender's claim, `received_at` ours; Unix seconds.

    `text` is as it was sent: escape it before a terminal sees it.
    """

    number: int
    id: bytes
    sender: bytes
    text: str
    sent_at: int
    received_at: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message of ours. `received_at`: when the recipient had it on its disk (its clock, Unix seconds).

    While it is "queued" it is tried again by itself; `problem` says in one line what the last try came to.
    """

    id: bytes
    recipient: bytes
    state: Literal["delivered", "queued"]
    problem: str | None
    received_at: int | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of ours that is not delivered yet. `attempts`: how often it was sent out in vain.

    `problem`: what the last try of this message, or of one before it to the same recipient, came to. `next_at`: Unix
    seconds of the next try; None while one is under way.
    """

    number: int
    id: bytes
    recipient: bytes
    text: str
    sent_at: int
    attempts: int
    problem: str | None
    next_at: float | None


class Counts(NamedTuple):
    """Messages in the inbox, and messages of ours that wait."""

    received: int
    queued: int


class Queued(NamedTuple):
    """A message to deliver. `address`: where its recipient was said to be, as text."""

    number: int
    body: Body
    address: str | None


class Kept(NamedTuple):
    """What the inbox says of a message: it stands there since `received_at`, and whether it came just now."""

    number: int
    received_at: int
    new: bool


class Mailbox:
    """The inbox and the outbox of one node."""

    def __init__(self, database: Database, settings: ChatSettings) -> None:
        self._database = database
        self._settings = settings

    # The inbox.

    async def receive(self, sender: bytes, body: Body, received_at: int, told: Callable[[Kept], object]) -> Kept:
        """Keep a message, unless it is kept already. `told` gets the answer right behind the commit.

        Raises ProtocolError(FULL or ID_REUSED), StorageFailed.
        """
        text = body.text.encode()
        size = len(text) + self._settings.overhead

        def operation(connection: sqlite3.Connection) -> Kept:
            row = connection.execute(
                "SELECT number, received_at, text FROM messages WHERE sender = ? AND id = ?", (sender, body.id)
            ).fetchone()
            if row is not None:
                if row[2] != text:
                    raise ProtocolError(protocol.ID_REUSED)
                return Kept(row[0], row[1], False)
            self._check_room(connection, sender, size)
            cursor = connection.execute(
                "INSERT INTO messages (sender, id, text, sent_at, received_at, size) VALUES (?, ?, ?, ?, ?, ?)",
                (sender, body.id, text, body.sent_at, received_at, size),
            )
            assert cursor.lastrowid is not None
            return Kept(cursor.lastrowid, received_at, True)

        return await write(self._database, operation, told=told)

    def messages_after(self, number: int, limit: int) -> list[Message]:
        """Up to `limit` messages with higher numbers, in their order."""
        rows = self._database.stored(
            "SELECT number, id, sender, text, sent_at, received_at FROM messages WHERE number > ?"
            " ORDER BY number LIMIT ?",
            (number, limit),
        )
        return [
            Message(number, id, sender, _text(text), protocol.plausible(sent_at, received_at), received_at)
            for number, id, sender, text, sent_at, received_at in rows
        ]

    def _check_room(self, connection: sqlite3.Connection, sender: bytes, size: int) -> None:
        settings = self._settings
        _, everything = _used(connection, "inbox", b"")
        if everything + size > settings.inbox_bytes:
            raise ProtocolError(protocol.FULL)
        if connection.execute("SELECT 1 FROM contacts WHERE id = ?", (sender,)).fetchone() is not None:
            return
        messages, theirs = _used(connection, "inbox", sender)
        if messages >= settings.stranger_messages or theirs + size > settings.stranger_bytes:
            raise ProtocolError(protocol.FULL)
        if everything + size <= settings.strangers_bytes:
            return
        # Asked of the contacts, who are few: so a stranger who becomes one needs no bookkeeping.
        (known,) = connection.execute(
            "SELECT coalesce(sum(bytes), 0) FROM used WHERE what = 'inbox' AND who IN (SELECT id FROM contacts)"
        ).fetchone()
        if everything - known + size > settings.strangers_bytes:
            raise ProtocolError(protocol.FULL)

    # The outbox.

    async def enqueue(self, body: Body, recipient: bytes, address: str | None, told: Callable[[int], object]) -> int:
        """Put a message of ours at the end of the outbox; its number. InputError when the outbox is full,
        StorageFailed."""
        text, settings = body.text.encode(), self._settings
        size = len(text) + settings.overhead

        def operation(connection: sqlite3.Connection) -> int:
            messages, used = _used(connection, "queued", b"")
            if messages >= settings.outbox_messages or used + size > settings.outbox_bytes:
                raise InputError(
                    f"the outbox is full: {messages} messages ({used >> 10} KiB) wait for their recipients",
                    hint="see whom they are for with: kadnet outbox",
                )
            cursor = connection.execute(
                "INSERT INTO outbox (id, recipient, address, text, sent_at, size, state, attempts)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued', 0)",
                (body.id, recipient, address, text, body.sent_at, size),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

        return await write(self._database, operation, told=told)

    def recipients(self) -> list[bytes]:
        """Everybody for whom something waits."""
        rows = self._database.stored("SELECT DISTINCT recipient FROM outbox WHERE state = 'queued'")
        return [recipient for (recipient,) in rows]

    def queued_for(self, recipient: bytes, after: int, limit: int) -> list[Queued]:
        """What waits for one recipient, with numbers above `after`, in the order in which it was sent."""
        rows = self._database.stored(
            "SELECT number, id, sent_at, text, address FROM outbox"
            " WHERE state = 'queued' AND recipient = ? AND number > ? ORDER BY number LIMIT ?",
            (recipient, after, limit),
        )
        return [Queued(number, Body(id, sent_at, _text(text)), address) for number, id, sent_at, text, address in rows]

    async def delivered(
        self, id: bytes, recipient: bytes, proof: Proof, delivered_at: int, told: Callable[[Receipt], object]
    ) -> Receipt:
        """Note a receipt that was found valid, and forget the deliveries longest past beyond the bound.

        `told` gets what is now known of the message. StorageFailed: it stays queued, is sent and acknowledged again.
        """
        kept = self._settings.keep_delivered

        def operation(connection: sqlite3.Connection) -> Receipt:
            connection.execute(
                "UPDATE outbox SET state = 'delivered', problem = NULL, delivered_at = ?, receipt = ? WHERE id = ?",
                (delivered_at, protocol.encode_receipt(proof), id),
            )
            deliveries, _ = _used(connection, "delivered", b"")
            if deliveries > kept:
                connection.execute(
                    "DELETE FROM outbox WHERE number IN"
                    " (SELECT number FROM outbox WHERE state = 'delivered' ORDER BY delivered_at, number LIMIT ?)",
                    (deliveries - kept,),
                )
            return Receipt(id, recipient, "delivered", None, proof.received_at)

        return await write(self._database, operation, told=told)

    async def failed(self, id: bytes, problem: str) -> None:
        """Note that a message was sent out in vain. StorageFailed."""

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, problem = ? WHERE id = ? AND state = 'queued'",
                (problem, id),
            )

        await write(self._database, operation)

    def receipt(self, id: bytes) -> Receipt | None:
        """What is known of a message of ours; None when it never was one, or was delivered long ago."""
        rows = self._database.stored(
            "SELECT number, recipient, state, problem, receipt FROM outbox WHERE id = ?", (id,)
        )
        if not rows:
            return None
        number, recipient, state, problem, receipt = rows[0]
        if state == "queued" and problem is None:
            problems = self._database.stored(
                "SELECT problem FROM outbox WHERE state = 'queued' AND recipient = ? AND number < ?"
                " AND problem IS NOT NULL ORDER BY number DESC LIMIT 1",
                (recipient, number),
            )
            problem = problems[0][0] if problems else None
        try:
            received_at = None if receipt is None else protocol.decode_receipt(receipt).received_at
        except Malformed:  # the disk has changed it
            received_at = None
        return Receipt(id, recipient, state, problem, received_at)

    def outgoing(
        self, next_at: Callable[[bytes], float | None], *, after: int = 0, limit: int = 1000
    ) -> list[Outgoing]:
        """The first `limit` that wait numbered above `after`, oldest first; `next_at` is asked for each recipient."""
        problems: dict[bytes, str | None] = {}
        waiting: list[Outgoing] = []
        for number, id, recipient, text, sent_at, attempts, problem in self._database.stored(
            "SELECT number, id, recipient, text, sent_at, attempts, problem FROM outbox"
            " WHERE state = 'queued' AND number > ? ORDER BY number LIMIT ?",
            (after, limit),
        ):
            if problem is None:  # it was not tried yet: it waits behind another
                if recipient not in problems:
                    problems[recipient] = self._problem_of(recipient)
                problem = problems[recipient]
            waiting.append(Outgoing(number, id, recipient, _text(text), sent_at, attempts, problem, next_at(recipient)))
        return waiting

    def _problem_of(self, recipient: bytes) -> str | None:
        rows = self._database.stored(
            "SELECT problem FROM outbox WHERE recipient = ? AND state = 'queued' AND problem IS NOT NULL"
            " ORDER BY number LIMIT 1",
            (recipient,),
        )
        return rows[0][0] if rows else None

    def counts(self) -> Counts:
        """How many messages there are."""
        sums = dict(
            self._database.stored("SELECT what, items FROM used WHERE what IN ('inbox', 'queued') AND who = x''")
        )
        return Counts(sums.get("inbox", 0), sums.get("queued", 0))


def _used(connection: sqlite3.Connection, what: str, who: bytes) -> tuple[int, int]:
    """How many messages, and their bytes."""
    row: tuple[int, int] | None = connection.execute(
        "SELECT items, bytes FROM used WHERE what = ? AND who = ?", (what, who)
    ).fetchone()
    return (0, 0) if row is None else row


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
