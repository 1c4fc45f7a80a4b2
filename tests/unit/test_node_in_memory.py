"""A node without a data directory makes a database when it has something to put into it."""

from __future__ import annotations

import trio

from kadnet.lab import open_world
from kadnet.node import Node
from kadnet.storage import Database
from tests.unit.overlay.bench import on_virtual_time


def databases(node: Node) -> tuple[Database, Database]:
    """Of its records, and of its messages."""
    chat = node.chat._parts
    assert chat is not None
    return node.host.overlay._store._database, chat.mailbox._database


@on_virtual_time
async def test_who_holds_nothing_and_says_nothing_has_no_database_for_it() -> None:
    async with open_world(seed=1) as world:
        alice, bob, carol = [virtual.node for virtual in await world.grow(3)]
        await trio.sleep(600.0)  # ten sweeps, and looks for what is due
        assert await alice.get("nothing") == []
        for node in (alice, bob, carol):
            assert [database.untouched for database in databases(node)] == [True, True]
            status = node.status()
            assert (status.records, status.published) == (0, 0)
            assert (node.inbox(), node.outbox(), node.contacts()) == ([], [], [])
            assert [database.untouched for database in databases(node)] == [True, True]
        assert (await alice.put_blob(b"v")).replicas == 2
        assert (await alice.send(bob.id, "hello")).state == "delivered"
        assert [[database.untouched for database in databases(node)] for node in (alice, bob, carol)] == [
            [False, False],
            [False, False],
            [False, True],
        ]
        assert [message.text for message in bob.inbox()] == ["hello"]
