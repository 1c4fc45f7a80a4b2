"""Walks for values among honest nodes and liars."""

from __future__ import annotations

import pytest
import trio

from kadnet.host import Host
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import Lookup
from kadnet.overlay import walk as walk_module
from kadnet.overlay.walk import FOUND, Walk
from kadnet.wire.keys import Key
from kadnet.wire.kinds import BLOB, DAY, SHARED
from kadnet.wire.messages import COMPLETE, MORE, SERVES, FindNode, FindValue, Nodes, Ping, Pong, Request, Status, Values
from kadnet.wire.records import Parsed, Record, blob, is_authentic
from tests.unit.overlay.builders import (
    Lab,
    RawPeer,
    carried,
    contact_of,
    entry,
    fill,
    in_lab,
    values,
)

X = Key.shared("x")
DATA = b"the blob"


async def liar(lab: Lab, name: str, ip: str, records: list[Record], *, cached: bool = False) -> RawPeer:
    """One who answers everything, and every FIND_VALUE with these records."""
    peer = await lab.raw(name, ip)
    pieces = tuple(carried(record, cached=cached) for record in records)

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindValue):
            peer.reply(Values(request.id, SERVES, bytes(8), COMPLETE, b"", pieces, b"", b""), sender)
        elif isinstance(request, FindNode):
            peer.reply(Nodes(request.id, SERVES, bytes(8), b"", b""), sender)
        elif isinstance(request, Ping):
            peer.reply(Pong(request.id, SERVES, bytes(8), bytes(6), b"\x01", 0), sender)

    peer.behave = behave
    return peer


async def one_holder(lab: Lab, record: Record) -> tuple[Host, list[Host]]:
    """Six nodes of which one holds the record; the asker, and all."""
    nodes = await lab.overlay(6)
    writer = await lab.raw("writer", "10.1.0.1")
    assert (await writer.store(record, contact_of(nodes[4]))).status == Status.OK
    return nodes[5], nodes


@in_lab
async def test_forged_blobs_are_ignored_and_the_true_one_is_found(lab: Lab) -> None:
    asker, _ = await one_holder(lab, blob(DATA))
    for number in range(3):
        bad = await liar(lab, f"liar {number}", f"10.2.{number}.1", [blob(b"forged %d" % number), entry("liar")])
        fill(asker, [bad.contact])
    assert values(await asker.overlay.get(Key.blob_of(DATA))) == {DATA}


@in_lab
async def test_forged_entries_are_ignored(lab: Lab) -> None:
    asker, _ = await one_holder(lab, entry("p", b"true", seq=1))
    forged = [
        entry("p", b"forged", seq=9)._replace(signature=entry("q", b"forged", seq=9).signature),
        entry("p", b"of another key", seq=9, key=Key.shared("y")),
        entry("p", b"of another network", seq=9, network=b"\x01" * 32),
        entry("p", b"of last month", seq=9, expires=1_700_000_000),
        entry("p", b"of next month", seq=9, expires=1_900_000_000),
        Record(X.kind, b"no entry at all", bytes(64)),
        blob(b"another kind"),
    ]
    fill(asker, [(await liar(lab, "liar", "10.2.0.1", forged)).contact])
    assert values(await asker.overlay.get(X)) == {b"true"}


@in_lab
async def test_a_blob_ends_the_walk_at_the_first_valid_copy(lab: Lab) -> None:
    nodes = await lab.overlay(12)
    await nodes[1].overlay.put_blob(DATA)
    asker = await lab.node("asker", "10.3.0.1", nodes[0])
    found = await asker.overlay.get(Key.blob_of(DATA))
    assert found.walk is not None
    assert found.walk.reason == FOUND
    assert found.walk.queries <= 3  # the first to be asked had it; twelve would have been


@in_lab
async def test_each_distinct_record_is_verified_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = await lab.overlay(8)
    for number in range(3):
        await nodes[number].overlay.put(X, b"%d" % number)
    asker = await lab.node("asker", "10.3.0.1", nodes[0])
    verified: list[Parsed] = []

    def counting(parsed: Parsed, network: bytes) -> bool:
        verified.append(parsed)
        return is_authentic(parsed, network)

    monkeypatch.setattr(walk_module, "is_authentic", counting)
    assert len((await asker.overlay.get(X)).entries) == 3
    assert len(verified) == 3


@in_lab
async def test_pages_of_a_holder_that_never_ends_are_bounded(lab: Lab) -> None:
    asker = await lab.node("asker", "10.0.0.1")
    peer = await lab.raw("peer", "10.2.0.1")
    served = []

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindValue):
            served.append(request.after)
            after = len(served).to_bytes(32, "big")
            record = carried(entry(f"p{len(served)}"))
            peer.reply(Values(request.id, SERVES, bytes(8), MORE, after, (record,), bytes(38), b""), sender)

    peer.behave = behave
    fill(asker, [peer.contact])
    with trio.fail_after(60):
        found = await asker.overlay.get(X)
    assert len(served) == 64 == len(found.entries)


@in_lab
async def test_a_holder_that_sends_us_in_circles_is_not_followed(lab: Lab) -> None:
    asker = await lab.node("asker", "10.0.0.1")
    peer = await lab.raw("peer", "10.2.0.1")
    served = []

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindValue):
            served.append(request.after)
            record = carried(entry("p"))
            peer.reply(Values(request.id, SERVES, bytes(8), MORE, bytes(32), (record,), bytes(38), b""), sender)

    peer.behave = behave
    fill(asker, [peer.contact])
    assert len((await asker.overlay.get(X)).entries) == 1
    assert len(served) == 2


@in_lab
async def test_a_cached_copy_is_shown_only_where_nobody_holds_one_in_earnest(lab: Lab) -> None:
    asker = await lab.node("asker", "10.0.0.1")
    old, new = entry("p", b"old", seq=1), entry("p", b"new", seq=2)
    fill(asker, [(await liar(lab, "copy", "10.2.0.1", [new], cached=True)).contact])
    fill(asker, [(await liar(lab, "holder", "10.2.1.1", [old, new])).contact])
    walk = Walk(asker.overlay._means, X.hash, value_kind=X.kind)
    await walk.run()
    assert [fetched.parsed.seq for fetched in walk.records.values()] == [2]
    assert walk.cached_only == {} or [f.parsed.seq for f in walk.cached_only.values()] == [2]


@in_lab
async def test_a_cancelled_walk_verifies_nothing_more(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = await lab.node("asker", "10.0.0.1")
    fill(asker, [(await liar(lab, "holder", "10.2.1.1", [entry("p")])).contact])
    walk = Walk(asker.overlay._means, X.hash, value_kind=X.kind)
    with trio.move_on_after(0.05):
        await walk.run()
    await trio.sleep(5)
    assert walk.records == {}


@in_lab
async def test_records_that_leave_no_room_for_contacts_do_not_end_the_walk(lab: Lab) -> None:
    """The asker knows one node only, whose answer is full of records; the newest lies with those behind it."""
    nodes = await lab.overlay(6)
    writer = await lab.raw("writer", "10.1.0.1")
    for node in nodes:
        assert (await writer.store(entry("p", bytes(900), lease=DAY), contact_of(node))).status == Status.OK
    await writer.store(entry("q", b"q"), contact_of(nodes[5]))
    asker = await lab.node("asker", "10.3.0.1", join=False)
    fill(asker, [contact_of(nodes[0])])
    assert b"q" in values(await asker.overlay.get(X))


@in_lab
async def test_a_lie_about_where_a_holder_lives_does_not_hide_it(lab: Lab) -> None:
    """The lie comes first, and nobody answers there; the truth comes later, and in the walks after it."""
    seed, holder = await lab.node("seed", "10.0.0.1"), await lab.node("holder", "10.0.2.1")
    fill(seed, [contact_of(holder)])
    writer = await lab.raw("writer", "10.1.0.1")
    await writer.store(entry("p", b"v"), contact_of(holder))
    asker = await lab.node("asker", "10.0.3.1")
    lying = await lab.raw("lying", "10.6.0.1")
    lie = Contact(holder.identity.public, contact_of(holder).endpoint._replace(host="10.66.66.66"))

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindValue):
            lying.reply(Values(request.id, SERVES, bytes(8), COMPLETE, b"", (), lie.packed, b""), sender)

    lying.behave = behave
    fill(asker, [lying.contact])
    assert values(await asker.overlay.get(X)) == set()
    fill(asker, [contact_of(seed)])
    assert values(await asker.overlay.get(X)) == {b"v"}


@in_lab
async def test_a_late_answer_counts_from_where_it_came(lab: Lab) -> None:
    """The holder is slow; meanwhile somebody named another place where it is said to live, and nobody is there."""
    asker = await lab.node("asker", "10.0.0.1")
    slow, other = await lab.raw("slow", "10.1.0.1"), await lab.raw("other", "10.2.0.1")
    lie = Contact(slow.identity.public, slow.contact.endpoint._replace(host="10.66.66.66"))

    async def answer(request: FindNode, sender: Contact) -> None:
        await trio.sleep(0.8)
        slow.reply(Nodes(request.id, SERVES, bytes(8), b"", b""), sender)

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindNode) and len(slow.messages(FindNode)) == 1:
            lab.nursery.start_soon(answer, request, sender)

    def name_it(request: Request, sender: Contact) -> None:
        if isinstance(request, FindNode):
            other.reply(Nodes(request.id, SERVES, bytes(8), lie.packed, b""), sender)

    slow.behave, other.behave = behave, name_it
    fill(asker, [slow.contact, other.contact])
    outcome = await Walk(asker.overlay._means, X.hash).run()
    assert set(outcome.closest) == {slow.contact, other.contact}
    asked = [trace for trace in outcome.trace if trace.contact.id == lie.id]
    assert [trace.contact for trace in asked] == [slow.contact]
    assert asked[0].rtt is not None
    assert asked[0].rtt > 0.8


@in_lab
async def test_a_walk_knows_how_near_is_near_unless_the_first_holder_ends_it(lab: Lab) -> None:
    nodes = await lab.overlay(20)
    overlay = nodes[7].overlay
    key = X.hash
    neighbours = sorted(contact.position ^ contact_of(nodes[7]).position for contact in overlay.neighbours.contacts())
    near = [Walk(overlay._means, key, value_kind=kind, k=8)._near(8) for kind in (None, SHARED, BLOB)]
    assert near == [neighbours[7], neighbours[7], 0]
    walk = Walk(overlay._means, key, k=8)._lookup
    assert isinstance(walk, Lookup)
    assert walk._near == neighbours[7]


@in_lab
@pytest.mark.parametrize("paths", [1, 2])
async def test_the_silent_are_waited_for_again_only_as_long_as_an_answer_usually_takes(lab: Lab, paths: int) -> None:
    """Of whom little is known the short timer is long, and it need not be so a second time."""
    asker = await lab.node("asker", "10.0.0.1")
    overlay = asker.overlay
    other, mute = await lab.raw("other", "10.1.0.1"), await lab.raw("mute", "10.2.0.1")
    for peer in (other, mute):

        def answer(request: Request, sender: Contact, peer: RawPeer = peer) -> None:
            if isinstance(request, FindNode):
                peer.reply(Nodes(request.id, SERVES, bytes(8), b"", b""), sender)

        peer.behave = answer
    fill(asker, [other.contact, mute.contact])
    await Walk(overlay._means, X.hash).run()
    mute.behave = lambda request, sender: None
    timer, second = overlay.rpc.timeout(mute.contact), overlay.rpc.second_timeout(mute.contact)
    began = overlay._means.now()
    outcome = await Walk(overlay._means, X.hash, paths=paths).run()
    assert [trace.attempts for trace in outcome.trace if trace.contact == mute.contact] == [2]
    assert second < timer - 0.1
    assert overlay._means.now() - began == pytest.approx(timer + second, abs=0.01)
