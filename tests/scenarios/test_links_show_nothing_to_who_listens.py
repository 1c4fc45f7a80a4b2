"""Somebody sees every byte of a conversation between two whole nodes: neither what is said nor who says it."""

from __future__ import annotations

from kadnet.identity import nodeid
from kadnet.identity.keys import x25519_public
from kadnet.lab import PacketEvent, open_world, run, run_until

LINE = "the treasure lies under the third oak"


def test_a_captured_conversation_has_no_plaintext_and_names_nobody(seed: int) -> None:
    async def main() -> None:
        async with open_world(seed=seed) as world:
            await world.grow(6)
            alice, bob = world["n1"].node, world["n4"].node
            captured: list[PacketEvent] = []
            world.internet.observers.append(captured.append)
            receipt = await alice.send(bob.id, LINE)
            await run_until(lambda: bob.inbox(), 10)
            await bob.send(alice.id, LINE[::-1])
            world.internet.observers.clear()

            assert receipt.state == "delivered"
            assert [message.text for message in bob.inbox()] == [LINE]
            stream = b"".join(event.data for event in captured if event.kind == "segment")
            everything = b"".join(event.data for event in captured)
            assert len(stream) > 500, "the conversation was captured"
            for said in (LINE.encode(), LINE[::-1].encode(), b"treasure", b"chat", b"link", b"peer"):
                assert said not in everything
            for node in (alice, bob):
                for name in (node.id, x25519_public(node.id), nodeid.encode(node.id).encode()):
                    assert name not in stream, "links hide who is at their ends"

    run(main, seed=seed)
