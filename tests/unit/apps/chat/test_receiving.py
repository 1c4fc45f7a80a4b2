"""What a node does with a message that comes: once, with one receipt, or a refusal by its reason."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest
import trio

from kadnet.apps.chat import ChatSettings, protocol
from kadnet.apps.chat.protocol import Body
from kadnet.errors import PeerRefused
from kadnet.lab import EPOCH
from tests.unit.apps.fakes import Person, Wire, open_chat
from tests.unit.overlay.bench import on_virtual_time

NOW = int(EPOCH)


async def ask(wire: Wire, sender: Person, recipient: Person, data: bytes) -> bytes:
    """A request made by hand."""
    return await wire.carry(sender.host, recipient.id, "chat", data)


@on_virtual_time
async def test_a_full_disk_at_the_receiver_gives_no_receipt_and_the_message_stays_queued() -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        bob.host.fail_writes()
        receipt = await alice.chat.send(bob.id, "hello")
        assert (receipt.state, receipt.received_at) == ("queued", None)
        assert receipt.problem == "refused (storage-failed): its disk did not take the message"
        await trio.sleep(60)
        assert (bob.texts(), alice.waiting()) == ([], ["hello"])
        bob.host.fail_writes(failing=False)
        await alice.chat.delivered(receipt.id)
        assert bob.texts() == ["hello"]


@on_virtual_time
async def test_the_same_message_has_the_same_receipt_whenever_it_comes(tmp_path: Path) -> None:
    wire = Wire()
    data = protocol.encode(Body(bytes(16), NOW, "hello"))
    receipts = []
    async with open_chat(wire, "alice") as alice:
        for restart in range(2):
            async with open_chat(wire, "bob", folder=tmp_path, restarts=restart) as bob:
                for _ in range(3):
                    receipts.append(await ask(wire, alice, bob, data))
                    await trio.sleep(1000)
                assert bob.texts() == ["hello"]
    assert len(set(receipts)) == 1
    proof = protocol.decode_receipt(receipts[0])
    signed = protocol.signed_data(alice.id, bob.id, bytes(16), NOW, b"hello")
    assert proof.received_at == NOW
    assert alice.host.verify(bob.id, "receipt", signed, proof.signature)


@on_virtual_time
async def test_sixteen_copies_at_once_are_one_message_with_one_receipt() -> None:
    wire = Wire()
    data = protocol.encode(Body(bytes(16), NOW, "hello"))
    async with open_chat(wire, "alice") as alice, open_chat(wire, "bob") as bob:
        receipts: set[bytes] = set()

        async def one() -> None:
            receipts.add(await ask(wire, alice, bob, data))

        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(one)
        assert len(receipts) == 1
        assert bob.texts() == ["hello"]
        assert (bob.host.reasons["received"], bob.host.reasons["repeated"]) == (1, 15)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "encoding"),
        (msgpack.packb([bytes(16), NOW]), "shape"),
        (protocol.encode(Body(bytes(16), NOW, "a" * 101)), "text-size"),
        (protocol.encode(Body(bytes(16), NOW, "a" * 999)), "too-large"),
    ],
)
def test_what_is_no_message_is_refused_and_counted(data: bytes, reason: str) -> None:
    @on_virtual_time
    async def play() -> None:
        wire = Wire()
        async with (
            open_chat(wire, "alice") as alice,
            open_chat(wire, "bob", settings=ChatSettings(max_text=100)) as bob,
        ):
            with pytest.raises(PeerRefused) as caught:
                await ask(wire, alice, bob, data)
            assert caught.value.reason == reason
            assert bob.host.reasons.get(f"refused-{reason}", 0) == (reason != "too-large")  # that one is the host's
            assert bob.texts() == []

    play()


@on_virtual_time
async def test_a_stranger_past_its_room_is_refused_and_a_contact_is_not() -> None:
    wire = Wire()
    async with open_chat(wire, "alice") as alice:
        async with open_chat(wire, "bob", settings=ChatSettings(stranger_messages=1)) as bob:
            assert (await alice.chat.send(bob.id, "one")).state == "delivered"
            assert (await alice.chat.send(bob.id, "two")).problem == "refused (full): its inbox has no room for us"
            await bob.chat.book.add("alice", alice.id)
            await trio.sleep(2)
            assert bob.texts() == ["one", "two"]
            assert bob.host.reasons["refused-full"] == 1
