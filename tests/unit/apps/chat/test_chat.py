"""What a node says and hears: a text to a node ID, its receipt, and every way in which it is refused."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from pathlib import Path
from typing import cast

import msgpack
import pytest
import trio
import trio.testing

from kadnet.apps.chat import Chat, ChatSettings, Counts, Message, Receipt, protocol
from kadnet.errors import DataDirError, InputError, NotFound, StorageFailed
from kadnet.host import Host
from kadnet.identity.address import Address
from kadnet.lab import EPOCH
from kadnet.runtime import real_runtime
from kadnet.storage import Database
from tests.unit.apps.fakes import FakeHost, Person, Wire, open_chat
from tests.unit.overlay.bench import on_virtual_time
from tests.unit.overlay.builders import identity

NOW = int(EPOCH)


@on_virtual_time
async def test_a_message_arrives_and_its_receipt_is_signed_by_its_reader() -> None:
    wire = Wire(delay=3.0)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        receipt = await alice.chat.send(bob.id, "hello")
        assert receipt == Receipt(receipt.id, bob.id, "delivered", None, NOW + 3)
        assert bob.chat.inbox() == [Message(1, receipt.id, alice.id, "hello", NOW, NOW + 3)]
        assert alice.chat.receipt(receipt.id) == receipt == await alice.chat.delivered(receipt.id)
        assert alice.waiting() == []
        assert trio.current_time() == 6.0


@on_virtual_time
async def test_a_message_is_on_the_senders_disk_before_anybody_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        on_disk: list[list[str]] = []
        carry = wire.carry

        async def look(*args: object) -> bytes:
            on_disk.append(alice.waiting())
            return await carry(*args)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(wire, "carry", look)
        await alice.chat.send(bob.id, "hello")
        assert on_disk == [["hello"]]


@on_virtual_time
async def test_both_may_send_at_once_and_each_hears_the_other() -> None:
    wire = Wire(delay=0.1)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(alice.chat.send, bob.id, f"a{number}")
                nursery.start_soon(bob.chat.send, alice.id, f"b{number}")
        assert sorted(alice.texts()) == sorted(f"b{number}" for number in range(20))
        assert sorted(bob.texts()) == sorted(f"a{number}" for number in range(20))


@on_virtual_time
async def test_one_who_cannot_be_reached_leaves_the_message_in_the_outbox_with_the_reason() -> None:
    wire = Wire(delay=1.0, unreachable={"bob"})
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        receipt = await alice.chat.send(bob.id, "hello")
        assert receipt == Receipt(receipt.id, bob.id, "queued", "bob was not found", None)
        assert receipt == alice.chat.receipt(receipt.id)
        (waiting,) = alice.chat.outbox()
        assert (waiting.number, waiting.id, waiting.recipient, waiting.text) == (1, receipt.id, bob.id, "hello")
        assert (waiting.sent_at, waiting.attempts, waiting.problem) == (NOW, 1, "bob was not found")
        assert waiting.next_at == pytest.approx(NOW + 1 + 1, abs=0.11)
        assert alice.chat.counts() == Counts(0, 1)


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("full", "refused (full): its inbox has no room for us"),
        ("no-protocol", "refused (no-protocol): it does not chat"),
        ("storage-failed", "refused (storage-failed): its disk did not take the message"),
        ("a\x1b[31m\nreason", "refused (a\\x1b[31m\\x0areason): bob refused"),
        ("x" * 999, f"refused ({'x' * 190}…"),
        ("", "bob refused"),
    ],
)
def test_a_refusal_is_shown_in_one_harmless_line_and_tried_again(reason: str, problem: str) -> None:
    @on_virtual_time
    async def play() -> None:
        wire = Wire(refused={"bob": reason})
        async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
            receipt = await alice.chat.send(bob.id, "hello")
            assert (receipt.state, receipt.problem) == ("queued", problem)
            wire.refused.clear()
            assert (await alice.chat.delivered(receipt.id)).state == "delivered"
            assert trio.current_time() == pytest.approx(1.0, abs=0.11)

    play()


@on_virtual_time
async def test_posting_returns_at_the_commit_and_the_rest_goes_by_itself() -> None:
    wire = Wire(delay=4.0)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        posted = await alice.chat.post(bob.id, "hello")
        assert (posted.state, posted.problem, trio.current_time()) == ("queued", None, 0.0)
        assert alice.chat.receipt(posted.id) == posted
        assert alice.chat.outbox()[0].next_at is None  # under way
        assert (await alice.chat.attempted(posted.id)).state == "delivered"
        assert trio.current_time() == 8.0


@on_virtual_time
async def test_the_first_attempt_can_be_asked_for_when_it_is_long_over() -> None:
    wire = Wire(unreachable={"bob"})
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        ids = [(await alice.chat.post(bob.id, str(number))).id for number in range(3)]
        await trio.sleep(0.5)
        for id in ids:
            receipt = await alice.chat.attempted(id)
            assert (receipt.state, receipt.problem) == ("queued", "bob was not found")
        assert trio.current_time() == 0.5


@on_virtual_time
async def test_a_wait_that_is_cancelled_takes_nothing_back() -> None:
    wire = Wire(delay=2.0)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        with trio.move_on_after(1):
            await alice.chat.send(bob.id, "in the middle of its attempt")
        with trio.CancelScope() as scope:
            scope.cancel()
            await alice.chat.send(bob.id, "before its commit")
        assert scope.cancelled_caught
        await trio.sleep(20)
        assert bob.texts() == ["in the middle of its attempt", "before its commit"]
        assert alice.waiting() == []


@on_virtual_time
async def test_waiting_for_a_delivery_ends_with_it() -> None:
    wire = Wire(unreachable={"bob"})
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        id = (await alice.chat.send(bob.id, "hello")).id
        done: list[Receipt] = []

        async def wait() -> None:
            done.append(await alice.chat.delivered(id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.sleep(50)
            assert done == []
            wire.unreachable.clear()
        assert done == [alice.chat.receipt(id)] * 2
        assert done[0].state == "delivered"
        assert alice.chat._open.delivery._waiters == {}


@on_virtual_time
async def test_a_message_nobody_sent_is_not_found() -> None:
    async with open_chat(Wire(), "alice") as alice:
        with pytest.raises(NotFound, match=f"no message {'00' * 16} was sent from here"):
            alice.chat.receipt(bytes(16))
        with pytest.raises(NotFound):
            await alice.chat.delivered(bytes(16))
        with pytest.raises(NotFound):
            await alice.chat.attempted(bytes(16))


@on_virtual_time
async def test_what_cannot_be_sent_is_refused_and_nothing_is_queued() -> None:
    wire = Wire()
    async with open_chat(wire, "alice", settings=ChatSettings(max_text=10)) as alice, open_chat(wire, "bob") as bob:
        for to, text, said in (
            (alice.id, "hello", "that is this node itself"),
            (bytes(32), "hello", "a message goes to a node ID, and these 32 bytes are none"),
            (b"short", "hello", "a message goes to a node ID, and these 5 bytes are none"),
            (bob.id, "", "at least one character"),
            (bob.id, "h" * 11, "10 bytes of UTF-8 is the limit"),
            (bob.id, "\udcff", "lone surrogate"),
        ):
            with pytest.raises(InputError, match=said):
                await alice.chat.send(to, text)
        with pytest.raises(InputError, match="the address is that of another node"):
            await alice.chat.send(bob.id, "hello", address=Address(alice.id, "192.0.2.1", 7420))
        with pytest.raises(InputError):
            await alice.chat.send(bob.id, "hello", address=Address(None, "\ud800", 7420))
        assert (wire.sent, alice.waiting(), alice.chat.counts()) == ([], [], Counts(0, 0))


@on_virtual_time
async def test_a_disk_that_takes_no_write_stops_a_send_before_anybody_hears_of_it() -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        alice.host.fail_writes()
        with pytest.raises(StorageFailed):
            await alice.chat.send(bob.id, "hello")
        assert (wire.sent, alice.waiting()) == ([], [])
        alice.host.fail_writes(failing=False)
        assert (await alice.chat.send(bob.id, "hello again")).state == "delivered"
        assert bob.texts() == ["hello again"]


@on_virtual_time
async def test_a_sender_that_cannot_note_the_receipt_sends_again_and_it_is_shown_once() -> None:
    wire = Wire(delay=1.0)
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        posted = await alice.chat.post(bob.id, "hello")
        await trio.sleep(0.5)
        alice.host.fail_writes()
        receipt = await alice.chat.attempted(posted.id)
        assert receipt.state == "queued"
        assert receipt.problem is not None
        assert "cannot be written" in receipt.problem
        alice.host.fail_writes(failing=False)
        await alice.chat.delivered(posted.id)
        assert len(wire.times("bob")) > 1
        assert bob.texts() == ["hello"]


@on_virtual_time
async def test_a_receipt_that_another_signed_or_for_another_text_delivers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob, open_chat(wire, "eve") as eve:
        answers: list[bytes] = []

        async def answer(peer: bytes, protocol: str, body: bytes) -> bytes:
            await trio.lowlevel.checkpoint()
            return answers[0]

        monkeypatch.setattr(bob.host, "answer", answer)

        def receipt(signer: Person, text: bytes, id: bytes, at: int = NOW) -> bytes:
            signed = protocol.signed_data(alice.id, bob.id, id, NOW, text)
            return protocol.encode_receipt(protocol.Proof(at, signer.host.sign("receipt", signed)))

        posted = await alice.chat.post(bob.id, "hello")
        forged = [
            receipt(eve, b"hello", posted.id),
            receipt(bob, b"hellp", posted.id),
            receipt(bob, b"hello", bytes(16)),
            receipt(bob, b"hello", posted.id, at=NOW + 1),
            b"",
            msgpack.packb([NOW, b"short"]),
        ]
        for answers[:] in ([each] for each in forged):  # one after the other, each for long enough to be met
            await trio.sleep(50)
            assert alice.chat.receipt(posted.id).state == "queued"
            assert (alice.chat.receipt(posted.id).problem or "").startswith("its receipt is not valid (")
        assert alice.host.reasons["bad-receipt"] >= len(forged)
        answers[:] = [receipt(bob, b"hello", posted.id)]
        assert (await alice.chat.delivered(posted.id)).received_at == NOW


@on_virtual_time
async def test_a_clock_set_wrong_breaks_nothing() -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        alice.host.wall.offset, bob.host.wall.offset = -1e12, 1e30
        assert (await alice.chat.send(bob.id, "one")).received_at == protocol.MAX_TIME
        alice.host.wall.offset, bob.host.wall.offset = 1e30, -1e12
        assert (await alice.chat.send(bob.id, "two")).received_at == 0
        assert [message.sent_at for message in bob.chat.inbox()] == [0, 86_400]


@on_virtual_time
async def test_the_settings_file_is_read_unless_settings_are_given() -> None:
    tables = {"chat": {"max_text": 5}}
    wire = Wire()
    async with open_chat(wire, "alice", tables=tables) as alice, open_chat(wire, "bob") as bob:
        with pytest.raises(InputError, match="5 bytes"):
            await alice.chat.send(bob.id, "123456")
    async with open_chat(wire, "alice", tables=tables, settings=ChatSettings()) as alice, open_chat(wire, "bob") as bob:
        assert (await alice.chat.send(bob.id, "123456")).state == "delivered"


async def test_before_it_runs_it_says_so() -> None:
    chat = Chat()
    assert chat.name == "chat"
    with pytest.raises(RuntimeError, match="chat does not run"):
        await chat.send(identity("bob").public, "hello")
    with pytest.raises(RuntimeError, match="chat does not run"):
        chat.inbox()


@on_virtual_time
async def test_a_damaged_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    wire = Wire()
    async with open_chat(wire, "bob", folder=tmp_path):
        pass
    damaged = b"no database at all" * 100
    (tmp_path / "chat.db").write_bytes(damaged)
    with pytest.RaisesGroup(pytest.RaisesExc(DataDirError, match="is damaged"), flatten_subgroups=True):
        async with open_chat(wire, "bob", folder=tmp_path):
            pass
    assert (tmp_path / "chat.db").read_bytes() == damaged


@on_virtual_time
async def test_a_database_that_cannot_be_read_ends_the_start_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(database: Database, sql: str, parameters: object = ()) -> list[object]:
        raise StorageFailed("chat.db cannot be read")

    monkeypatch.setattr(Database, "read", fail)
    async with trio.open_nursery() as nursery:
        with pytest.raises(StorageFailed):
            await Chat().run(cast(Host, FakeHost(Wire(), identity("bob"), "bob", nursery)))
        nursery.cancel_scope.cancel()


async def test_it_works_with_a_real_clock_and_real_threads_too(tmp_path: Path) -> None:
    wire = Wire()
    for who in ("alice", "bob"):
        (tmp_path / who).mkdir()
    offload = real_runtime().offload
    with trio.fail_after(30):
        async with (
            open_chat(wire, "alice", folder=tmp_path / "alice", offload=offload) as alice,
            open_chat(wire, "bob", folder=tmp_path / "bob", offload=offload) as bob,
            bob.chat.messages() as inbox,
        ):
            await bob.chat.book.add("alice", alice.id)
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(alice.chat.send, bob.id, str(number))
            assert sorted([(await anext(inbox)).text for _ in range(10)]) == [str(number) for number in range(10)]
            assert alice.chat.counts() == Counts(0, 0)
