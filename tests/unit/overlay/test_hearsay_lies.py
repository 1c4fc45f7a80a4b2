"""A liar who names IDs near a key where nobody is: what lies under that key is found all the same."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import random
from typing import Any

import pytest
import trio

from kadnet.errors import ProtocolError
from kadnet.host import Host
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCache, ContactCacheSettings
from kadnet.kademlia.keyspace import BITS
from kadnet.kademlia.table import RoutingTable, TableSettings
from kadnet.overlay.peers import PeerBook, PeerSettings
from kadnet.wire.keys import Key
from kadnet.wire.messages import MAX_CONTACTS, SERVES, FindNode, Nodes, Request, Status
from kadnet.wire.records import Record, blob
from tests.unit.kademlia.tables import take
from tests.unit.overlay.bare import bare
from tests.unit.overlay.builders import CALM, PORT, PUBLIC, Lab, contact_of, entry, identity, in_lab, values

DATA = b"the blob"
WHAT: dict[str, tuple[Key, Record, bytes]] = {
    "blob": (Key.blob_of(DATA), blob(DATA), DATA),
    "entry": (Key.shared("x"), entry("p", b"the entry"), b"the entry"),
}


def is_usable(id: bytes) -> bool:
    try:
        PeerBook(identity("anybody"), PUBLIC, PeerSettings()).to_ask(id)
    except ProtocolError:
        return False
    return True


def inventions(count: int, target: int, within: int, *, usable: bool) -> list[Contact]:
    """Contacts nearer to `target` than `within`, where nobody is; with IDs that can be keys, or with such that cannot.

    Each in a /24 of its own.
    """
    rng, found = random.Random(5), list[Contact]()
    while len(found) < count:
        contact = Contact(rng.randbytes(32), Endpoint(f"10.9.{len(found)}.1", PORT))
        if contact.position ^ target < within and is_usable(contact.id) is usable:
            found.append(contact)
    return found


async def lied_to(lab: Lab, nodes: list[Host], lies: list[Contact], target: int) -> None:
    """The last of the nodes asks a liar about the place, as a contact that is due for a ping, for all of the lies."""
    liar = await lab.raw("liar", "10.8.0.1")
    left = list(lies)

    def lie(request: Request, sender: Contact) -> None:
        if isinstance(request, FindNode):
            named, left[:] = left[:MAX_CONTACTS], left[MAX_CONTACTS:]
            liar.reply(Nodes(request.id, SERVES, bytes(8), b"".join(each.packed for each in named), b""), sender)

    liar.behave = lie
    overlay = nodes[-1].overlay
    while left:
        before = len(left)
        overlay._question(liar.contact, target, overlay.neighbours.named)
        await trio.sleep(1)
        assert len(left) < before
    liar.behave = None


def remembered(node: Host, lies: list[Contact]) -> int:
    """How many of the lies walks near the first of them would begin with, if they asked for everybody."""
    known = node.overlay.neighbours._caches[4].closest(lies[0].position, 1000, trio.current_time())
    return len(set(known) & set(lies))


@pytest.mark.parametrize("usable", [True, False], ids=["unreachable", "unusable"])
@pytest.mark.parametrize("what", ["blob", "entry"])
@in_lab
async def test_ids_near_a_key_where_nobody_is_hide_nothing(lab: Lab, what: str, usable: bool) -> None:
    key, record, value = WHAT[what]
    target = int.from_bytes(key.hash, "big")
    nodes = await lab.overlay(7, tuning=CALM)
    writer = await lab.raw("writer", "10.1.0.1")
    for node in nodes[:-1]:
        assert (await writer.store(record, contact_of(node))).status == Status.OK
    nearest = min(contact_of(node).position ^ target for node in nodes)
    lies = inventions(2 * MAX_CONTACTS, target, nearest, usable=usable)
    await lied_to(lab, nodes, lies, target)
    asker = nodes[-1]
    assert remembered(asker, lies) == len(lies)
    start = asker.overlay.neighbours.starts(4, target, MAX_CONTACTS // 2)
    assert set(start[: MAX_CONTACTS // 2]) <= set(lies), "or this test shows nothing"
    assert values(await asker.overlay.get(key)) == {value}


@in_lab
async def test_whom_nobody_can_be_is_forgotten_by_the_first_walk_that_meets_it(lab: Lab) -> None:
    key = Key.shared("x")
    target = int.from_bytes(key.hash, "big")
    nodes = await lab.overlay(4, tuning=CALM)
    nearest = min(contact_of(node).position ^ target for node in nodes)
    lies = inventions(MAX_CONTACTS, target, nearest, usable=False)
    await lied_to(lab, nodes, lies, target)
    assert remembered(nodes[-1], lies) == len(lies)
    await nodes[-1].overlay.lookup(key.hash)
    assert remembered(nodes[-1], lies) == 0


@in_lab
async def test_an_id_that_is_no_key_has_failed_as_soon_as_it_is_asked(lab: Lab) -> None:
    asker = await bare(lab, "asker", "10.0.0.1")
    (nobody,) = inventions(1, 0, 1 << BITS, usable=False)
    reason: Any = await asker.call(nobody)
    assert isinstance(reason, str)
    assert asker.heard.failed == [nobody]
    assert asker.rpc.counters.datagrams_out == 0


@pytest.mark.parametrize(("count", "proved"), [(8, 3), (16, 4), (32, 8)])
def test_a_walk_begins_with_some_of_the_table_however_many_are_known_nearer(count: int, proved: int) -> None:
    contacts = take(60)
    known, table = ContactCache(ContactCacheSettings()), RoutingTable(bytes(32), TableSettings(), random.Random(1))
    known.named(contacts[:40], 0.0)
    for contact in contacts[40:]:
        table.answered(contact, 0.1, 0.0)
    start = known.starts(table, 0, count, 0.0)
    assert start[:count] == known.closest(0, count, 0.0)
    assert start[count:] == table.closest(0, proved)
    assert len(start) == count + proved


def test_where_few_are_known_a_walk_begins_with_all_that_it_would_without_them() -> None:
    contacts = take(20)
    known, table = ContactCache(ContactCacheSettings()), RoutingTable(bytes(32), TableSettings(), random.Random(1))
    known.named(contacts[:5], 0.0)
    for contact in contacts[5:]:
        table.answered(contact, 0.1, 0.0)
    assert known.starts(table, 0, 8, 0.0)[5:] == table.closest(0, 8)
