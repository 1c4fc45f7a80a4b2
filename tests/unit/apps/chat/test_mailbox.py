"""The inbox and the outbox on the disk: once, in order, and within their bounds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from kadnet.apps.chat import protocol
from kadnet.apps.chat.mailbox import Counts, Kept, Message, Receipt
from kadnet.apps.chat.schema import MIGRATIONS
from kadnet.errors import InputError, StorageFailed
from tests.unit.apps.chat.stores import ALICE, BOB, CAROL, NOW, body, open_stores
from tests.unit.overlay.bench import on_virtual_time

SIZE = 256 + 5
"""What "hello" counts."""


# The inbox.


@on_virtual_time
async def test_a_message_is_kept_once_however_often_it_comes() -> None:
    async with open_stores() as stores:
        first = await stores.receive(ALICE, body(1), NOW)
        assert first == Kept(1, NOW, True)
        assert await stores.receive(ALICE, body(1), NOW + 100) == Kept(1, NOW, False)
        assert stores.mailbox.messages_after(0, 10) == [Message(1, body(1).id, ALICE, "hello", NOW, NOW)]
        assert stores.told == [Kept(1, NOW, True), Kept(1, NOW, False)]
        assert stores.books_balance()


@on_virtual_time
async def test_two_senders_may_draw_one_id() -> None:
    async with open_stores() as stores:
        assert [await stores.receive(sender, body(1)) for sender in (ALICE, BOB)] == [
            Kept(1, NOW, True),
            Kept(2, NOW, True),
        ]
        assert [message.sender for message in stores.mailbox.messages_after(0, 10)] == [ALICE, BOB]


@on_virtual_time
async def test_an_id_that_comes_with_another_text_is_refused_and_the_first_stays() -> None:
    async with open_stores() as stores:
        await stores.receive(ALICE, body(1))
        assert await stores.receive(ALICE, body(1, "other")) == protocol.ID_REUSED
        assert [message.text for message in stores.mailbox.messages_after(0, 10)] == ["hello"]


@on_virtual_time
async def test_the_same_message_twice_in_one_transaction_is_one() -> None:
    async with open_stores() as stores:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(stores.receive, ALICE, body(1))
        assert sorted(kept.new for kept in stores.told if isinstance(kept, Kept)) == [False] * 9 + [True]
        assert stores.mailbox.counts() == Counts(1, 0)


@on_virtual_time
async def test_numbers_rise_across_restarts_and_are_never_given_again(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with open_stores(path) as stores:
        await stores.fill(ALICE, range(3))
        await stores.change("DELETE FROM messages")
        assert stores.books_balance()
    async with open_stores(path) as stores:
        assert await stores.receive(ALICE, body(9)) == Kept(4, NOW, True)


@on_virtual_time
async def test_a_page_begins_behind_its_number() -> None:
    async with open_stores() as stores:
        await stores.fill(ALICE, range(5))
        pages = [stores.mailbox.messages_after(after, 2) for after in (0, 2, 4, 5)]
        assert [[message.number for message in page] for page in pages] == [[1, 2], [3, 4], [5], []]


@on_virtual_time
async def test_text_is_kept_exactly_as_it_was_sent() -> None:
    texts = [
        "\x00zero\x00",
        "\x1b[31mred",
        "\r\n \t",
        "\u202eright to left",
        "\xe9",
        "e\u0301",
        "\U0001f469\u200d",
        "\ufeff",
    ]
    async with open_stores() as stores:
        for number, text in enumerate(texts):
            await stores.receive(ALICE, body(number, text))
        assert [message.text for message in stores.mailbox.messages_after(0, 10)] == texts


@on_virtual_time
async def test_a_time_of_the_far_future_is_shown_as_a_day_ahead_at_most() -> None:
    async with open_stores() as stores:
        await stores.receive(ALICE, body(1, sent_at=protocol.MAX_TIME))
        assert stores.mailbox.messages_after(0, 1)[0].sent_at == NOW + 86_400


@on_virtual_time
async def test_a_text_that_the_disk_has_changed_is_shown_as_well_as_it_can_be() -> None:
    async with open_stores() as stores:
        await stores.fill(ALICE, range(2))
        await stores.change("UPDATE messages SET text = x'61ff62' WHERE number = 1")
        assert [message.text for message in stores.mailbox.messages_after(0, 10)] == ["a\ufffdb", "hello"]


@on_virtual_time
async def test_a_full_inbox_takes_nothing_more_from_anybody_and_still_knows_what_it_has() -> None:
    async with open_stores(inbox_mib=1, overhead=65_536) as stores:
        await stores.book.add("alice", ALICE)
        answers = await stores.fill(ALICE, range(20))
        room = (1 << 20) // (65_536 + 5)
        assert [isinstance(answer, Kept) for answer in answers] == [True] * room + [False] * (20 - room)
        assert set(answers[room:]) == {protocol.FULL}
        assert await stores.receive(ALICE, body(0)) == Kept(1, NOW, False)
        assert stores.books_balance()


@on_virtual_time
async def test_a_stranger_has_so_many_messages_and_a_contact_is_none() -> None:
    async with open_stores(stranger_messages=3) as stores:
        assert (await stores.fill(ALICE, range(5)))[3:] == [protocol.FULL] * 2
        assert isinstance(await stores.receive(BOB, body(1)), Kept)  # another one has its own
        await stores.book.add("alice", ALICE)
        assert isinstance(await stores.receive(ALICE, body(4)), Kept)
        await stores.book.remove("alice")
        assert await stores.receive(ALICE, body(5)) == protocol.FULL


@on_virtual_time
async def test_a_stranger_has_so_many_bytes() -> None:
    async with open_stores(stranger_kib=1) as stores:
        answers = await stores.fill(ALICE, range(6))
        assert [isinstance(answer, Kept) for answer in answers] == [True] * (1024 // SIZE) + [False] * 3
        assert await stores.receive(BOB, body(1, "a" * 800)) == protocol.FULL
        await stores.book.add("bob", BOB)
        assert isinstance(await stores.receive(BOB, body(1, "a" * 800)), Kept)


@on_virtual_time
async def test_all_strangers_together_have_a_share_of_the_inbox() -> None:
    """A new identity costs nothing, so a bound for each would be none."""
    async with open_stores(inbox_mib=1, overhead=65_000, stranger_share=0.25) as stores:
        strangers = [bytes([n]) * 32 for n in range(6)]
        answers = [await stores.receive(stranger, body(1)) for stranger in strangers]
        assert [isinstance(answer, Kept) for answer in answers] == [True] * 4 + [False] * 2
        await stores.book.add("carol", CAROL)
        assert isinstance(await stores.receive(CAROL, body(1)), Kept)
        # What a new contact had sent counts as a stranger's no more.
        await stores.change("INSERT INTO contacts VALUES ('first', ?, NULL, 0)", strangers[0])
        assert isinstance(await stores.receive(strangers[5], body(1)), Kept)
        assert await stores.receive(strangers[4], body(1)) == protocol.FULL


@on_virtual_time
async def test_what_the_disk_does_not_take_is_not_told_as_kept() -> None:
    async with open_stores() as stores:
        stores.fail_writes()
        with pytest.raises(StorageFailed):
            await stores.receive(ALICE, body(1))
        assert stores.told == []
        assert stores.mailbox.messages_after(0, 10) == []


# The outbox.


@on_virtual_time
async def test_what_waits_for_a_recipient_comes_in_the_order_it_was_sent() -> None:
    async with open_stores() as stores:
        for number, recipient in enumerate([BOB, CAROL, BOB, BOB]):
            assert await stores.enqueue(recipient, body(number), f"address {number}") == number + 1
        assert set(stores.mailbox.recipients()) == {BOB, CAROL}
        queued = stores.mailbox.queued_for(BOB, 0, 10)
        assert [(one.number, one.body, one.address) for one in queued] == [
            (number + 1, body(number), f"address {number}") for number in (0, 2, 3)
        ]
        assert [one.number for one in stores.mailbox.queued_for(BOB, 1, 1)] == [3]


@on_virtual_time
async def test_what_was_delivered_waits_no_more_and_is_known() -> None:
    async with open_stores() as stores:
        for number in range(2):
            await stores.enqueue(BOB, body(number))
        receipt = await stores.deliver(BOB, body(0), NOW + 7)
        assert receipt == Receipt(body(0).id, BOB, "delivered", None, NOW + 7)
        assert stores.mailbox.receipt(body(0).id) == receipt == stores.told[-1]
        assert [one.body for one in stores.mailbox.queued_for(BOB, 0, 10)] == [body(1)]
        assert [outgoing.id for outgoing in stores.mailbox.outgoing(lambda _: None)] == [body(1).id]
        assert stores.mailbox.counts() == Counts(0, 1)
        assert stores.books_balance()
        await stores.deliver(BOB, body(1))
        assert stores.mailbox.recipients() == []


@on_virtual_time
async def test_a_failure_is_counted_and_shown_also_for_what_waits_behind() -> None:
    async with open_stores() as stores:
        for number, recipient in enumerate([BOB, CAROL, BOB]):
            await stores.enqueue(recipient, body(number))
        for _ in range(2):
            await stores.mailbox.failed(body(0).id, "bob was not found")
        waiting = stores.mailbox.outgoing({BOB: 5.0}.get)
        assert [(one.attempts, one.problem, one.next_at) for one in waiting] == [
            (2, "bob was not found", 5.0),
            (0, None, None),
            (0, "bob was not found", 5.0),
        ]
        assert stores.mailbox.outgoing({BOB: 5.0}.get, after=1, limit=2) == waiting[1:]
        assert stores.mailbox.outgoing({BOB: 5.0}.get, after=1, limit=1) == waiting[1:2]
        for number, problem in ((0, "bob was not found"), (1, None), (2, "bob was not found")):
            receipt = stores.mailbox.receipt(body(number).id)
            assert receipt is not None
            assert (receipt.state, receipt.problem, receipt.received_at) == ("queued", problem, None)


@on_virtual_time
async def test_a_failure_that_is_told_late_changes_nothing_that_was_delivered() -> None:
    async with open_stores() as stores:
        await stores.enqueue(BOB, body(0))
        await stores.deliver(BOB, body(0))
        await stores.mailbox.failed(body(0).id, "late")
        assert stores.rows("SELECT attempts, problem FROM outbox") == [(0, None)]


@on_virtual_time
async def test_a_message_nobody_sent_has_no_receipt() -> None:
    async with open_stores() as stores:
        assert stores.mailbox.receipt(bytes(16)) is None


@on_virtual_time
async def test_a_full_outbox_says_so_and_takes_more_once_something_was_delivered() -> None:
    async with open_stores(outbox_messages=3) as stores:
        for number in range(3):
            await stores.enqueue(BOB, body(number))
        with pytest.raises(InputError, match="the outbox is full: 3 messages") as caught:
            await stores.enqueue(BOB, body(3))
        assert caught.value.hint is not None
        assert "kadnet outbox" in caught.value.hint
        await stores.deliver(BOB, body(0))
        assert await stores.enqueue(BOB, body(3)) == 4


@on_virtual_time
async def test_an_outbox_of_large_messages_is_full_by_its_bytes() -> None:
    async with open_stores(outbox_mib=1, overhead=65_536) as stores:
        for number in range(15):
            await stores.enqueue(BOB, body(number, "a" * 4000))
        with pytest.raises(InputError, match="the outbox is full"):
            await stores.enqueue(BOB, body(15, "a" * 4000))


@on_virtual_time
async def test_deliveries_longest_past_are_forgotten_beyond_the_bound_and_nothing_that_waits() -> None:
    async with open_stores(keep_delivered=3) as stores:
        for number in range(7):
            await stores.enqueue(BOB, body(number))
        for at, number in enumerate((6, 5, 4, 3, 2)):
            await stores.deliver(BOB, body(number), NOW + at)
        known = [number for number in range(7) if stores.mailbox.receipt(body(number).id) is not None]
        assert known == [0, 1, 2, 3, 4]
        assert [one.body.id for one in stores.mailbox.queued_for(BOB, 0, 10)] == [body(0).id, body(1).id]
        assert stores.books_balance()


@on_virtual_time
async def test_a_receipt_that_the_disk_has_changed_leaves_the_message_delivered() -> None:
    async with open_stores() as stores:
        await stores.enqueue(BOB, body(0))
        await stores.deliver(BOB, body(0))
        await stores.change("UPDATE outbox SET receipt = x'c1'")
        assert stores.mailbox.receipt(body(0).id) == Receipt(body(0).id, BOB, "delivered", None, None)


@on_virtual_time
async def test_a_delivery_of_what_is_gone_from_the_disk_harms_nothing() -> None:
    async with open_stores() as stores:
        await stores.deliver(BOB, body(0))
        assert stores.rows("SELECT count(*) FROM outbox") == [(0,)]


@on_virtual_time
async def test_what_the_disk_does_not_take_is_not_queued() -> None:
    async with open_stores() as stores:
        stores.fail_writes()
        with pytest.raises(StorageFailed):
            await stores.enqueue(BOB, body(0))
        assert stores.told == []
        assert stores.mailbox.recipients() == []


@on_virtual_time
async def test_no_query_walks_a_table() -> None:
    """Whatever a full life asks of chat.db, SQLite finds by an index."""
    said: set[str] = set()
    async with open_stores(keep_delivered=1) as stores:
        stores.database._writer.set_trace_callback(said.add)  # in memory the reader is the writer
        await stores.fill(ALICE, range(3))
        await stores.fill(ALICE, range(3))
        for number in range(3):
            await stores.enqueue(BOB, body(number))
        await stores.deliver(BOB, body(0))
        await stores.deliver(BOB, body(1))
        await stores.mailbox.failed(body(2).id, "no")
        await stores.book.add("alice", ALICE)
        await stores.book.add("alice", ALICE)
        await stores.book.remove("alice")
        stores.mailbox.messages_after(1, 1)
        stores.mailbox.outgoing(lambda _: None)
        stores.mailbox.queued_for(BOB, 0, 1)
        stores.mailbox.receipt(body(2).id)
        stores.mailbox.recipients()
        stores.mailbox.counts()
        stores.database._writer.set_trace_callback(None)
        walks = []
        queries = [sql for sql in said if not sql.startswith(("BEGIN", "COMMIT", "--", "PRAGMA"))]
        for sql in queries:
            plan = stores.rows(f"EXPLAIN QUERY PLAN {sql}")
            walks += [(sql, row[3]) for row in plan if row[3].startswith("SCAN") and "USING" not in row[3]]
            if "recipient = " in sql or "DISTINCT recipient" in sql:
                assert "outbox_recipients" in plan[0][3]
        assert len(queries) > 15
        assert walks == []


def test_the_schema_takes_nothing_of_another_type_or_state() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(MIGRATIONS[0])
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO messages VALUES (1, x'', x'', 'text', 1, 1, 1)")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO outbox VALUES (1, x'', x'', NULL, x'', 1, 1, 'lost', 0, NULL, NULL, NULL)")
    connection.close()
