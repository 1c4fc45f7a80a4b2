"""Who enters the tables, who leaves them, and who is only asked once."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import trio

from kadnet.identity.address import Endpoint, pack
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.contact_cache import ContactCacheSettings
from kadnet.kademlia.revalidation import RevalidationSettings
from kadnet.kademlia.table import TableSettings
from kadnet.lab import run_until
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.overlay.calls import RpcSettings
from kadnet.wire.messages import PADDED_PING, SERVES, FindNode, Nodes, Ping, Pong, Request
from tests.unit.overlay.builders import CALM, PORT, Lab, RawPeer, contact_of, fill, identity, in_lab


def alive(peer: RawPeer, flags: int = SERVES) -> None:
    """Let a peer answer from now on, and know nobody."""

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, Ping):
            peer.reply(Pong(request.id, flags, bytes(8), pack(sender.endpoint), b"\x01", 0), sender)
        elif isinstance(request, FindNode):
            peer.reply(Nodes(request.id, flags, bytes(8), b"", b""), sender)

    peer.behave = behave


async def knock(peer: RawPeer, node: Contact, times: int = 1) -> None:
    for _ in range(times):
        peer.send(Ping(peer.fresh_id(), SERVES, b""), node)
        await trio.sleep(0.12)


@in_lab
async def test_a_request_proves_nothing_but_brings_one_ping_of_ours(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    silent, living = await lab.raw("silent", "10.1.0.1"), await lab.raw("living", "10.2.0.1")
    alive(living)
    for peer in (silent, living):
        await knock(peer, contact_of(node), 10)
    await trio.sleep(20)
    assert node.overlay.contacts() == [living.contact]
    assert len(silent.messages(Ping)) == 1  # one question, and not repeated: it may not be the silent one who asked
    await trio.sleep(15)
    await knock(silent, contact_of(node))
    await trio.sleep(5)
    assert len(silent.messages(Ping)) == 2  # after 30 seconds it may be asked once more


@in_lab
async def test_a_contact_of_the_table_is_asked_three_times_before_it_counts_as_silent(lab: Lab) -> None:
    table = TableSettings(revalidation=RevalidationSettings(fast_interval=30.0))
    tuning = Tuning(table=table, contact_cache=ContactCacheSettings(curious=0.0))
    node = await lab.node("node", "10.0.0.1", tuning=tuning)
    peer, other = await lab.raw("peer", "10.1.0.1"), await lab.raw("other", "10.2.0.1")
    alive(peer)
    alive(other)
    fill(node, [peer.contact, other.contact])
    await trio.sleep(50)  # it has joined
    peer.behave = None
    peer.inbox.clear()
    await run_until(lambda: peer.messages(Ping), 600)
    await trio.sleep(5)
    assert len(peer.messages(Ping)) == 3


@in_lab
async def test_a_request_shorter_than_our_ping_sets_none_off_unless_it_was_proven(lab: Lab) -> None:
    node = contact_of(await lab.node("node", "10.0.0.1"))
    peer = await lab.raw("peer", "10.1.0.1")
    token = await peer.token(node)
    for proof in (b"", bytes(8)):
        assert peer.send(Ping(peer.fresh_id(), SERVES, proof), node, padded=False) < PADDED_PING
        await trio.sleep(1)
    assert peer.messages(Ping) == []
    assert peer.send(Ping(peer.fresh_id(), SERVES, token), node, padded=False) < PADDED_PING
    await trio.sleep(1)
    assert len(peer.messages(Ping)) == 1


@in_lab
async def test_the_ping_that_a_stranger_sets_off_is_no_larger_than_its_request(lab: Lab) -> None:
    node = contact_of(await lab.node("node", "10.0.0.1"))
    peer = await lab.raw("peer", "10.1.0.1")
    size = peer.send(Ping(peer.fresh_id(), SERVES, b""), node)
    await trio.sleep(20)
    (answer,) = [len(data) for data, message, _ in peer.inbox if isinstance(message, Ping)]
    assert answer <= size


@in_lab
async def test_who_does_not_serve_is_not_asked_and_enters_no_table(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    client = await lab.raw("client", "10.1.0.1")
    alive(client, flags=0)
    client.send(Ping(client.fresh_id(), 0, b""), contact_of(node))
    await trio.sleep(5)
    assert client.messages(Ping) == []
    await node.overlay.ping(client.contact)
    assert node.overlay.contacts() == []


@in_lab
async def test_who_stops_serving_leaves_the_table(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    peer, other = await lab.raw("peer", "10.1.0.1"), await lab.raw("other", "10.2.0.1")
    alive(peer)
    alive(other)
    await knock(peer, contact_of(node))
    await knock(other, contact_of(node))
    await run_until(lambda: len(node.overlay.contacts()) == 2, 5)
    alive(peer, flags=0)
    await run_until(lambda: node.overlay.contacts() == [other.contact], 120)


@in_lab
async def test_a_replayed_request_from_elsewhere_moves_nobody(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    peer = await lab.raw("peer", "10.1.0.1")
    attacker = await lab.internet.host("attacker", ["10.6.0.1"]).datagrams(
        contact_of(node).endpoint._replace(host="10.6.0.1")
    )
    alive(peer)
    await knock(peer, contact_of(node))
    await run_until(lambda: node.overlay.contacts() == [peer.contact], 5)
    replayed = peer.seal(b"\x94\x01\xc4\x08" + bytes(8) + b"\x01\xc4\x00" + bytes(70), node.identity.public)
    for _ in range(5):
        attacker.send(replayed, contact_of(node).endpoint)
        await trio.sleep(60)
    assert node.overlay.contacts() == [peer.contact]


@in_lab
async def test_the_dead_leave_the_table_and_the_last_one_stays(lab: Lab) -> None:
    nodes = await lab.overlay(4)
    await run_until(lambda: len(nodes[0].overlay.contacts()) == 3, 60)
    for name in ("n1", "n2", "n3"):
        await lab.stop(name, crash=True)
    await run_until(lambda: len(nodes[0].overlay.contacts()) == 1, 600)
    await trio.sleep(3600)
    assert len(nodes[0].overlay.contacts()) == 1
    assert nodes[0].overlay.neighbours.is_alone()


@in_lab
async def test_the_silence_of_the_last_contact_is_told_and_its_answer_takes_it_back(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    assert not node.overlay.neighbours.is_alone()
    await lab.stop("seed", crash=True)
    await run_until(node.overlay.neighbours.is_alone, 60)
    await lab.node("seed", "10.0.0.1")
    await run_until(lambda: not node.overlay.neighbours.is_alone(), 60)


@in_lab
async def test_strangers_beyond_the_budget_of_their_prefix_are_not_checked(lab: Lab) -> None:
    budget = RpcSettings(stranger_rate=0.001, stranger_burst=6)
    node = await lab.node("node", "198.51.100.1", tuning=replace(Tuning(), rpc=budget))
    asked = 0
    for number in range(1, 9):
        stranger = await lab.raw(f"stranger {number}", f"203.0.113.{number}")
        await knock(stranger, contact_of(node))
        await trio.sleep(5)
        asked += bool(stranger.messages(Ping))
    assert asked <= 3  # each costs one for its key and one for its check
    assert node.overlay.neighbours.counters.checks_over_budget + node.overlay.rpc_counters.dropped["budget"] >= 5


@in_lab
async def test_a_check_that_the_budget_forbids_is_counted_and_holds_up_nobody_else(lab: Lab) -> None:
    """One place for checks: it is free again for the next stranger, of another subnet."""
    tuning = Tuning(
        rpc=RpcSettings(stranger_rate=0.001, stranger_burst=2),
        table=TableSettings(revalidation=RevalidationSettings(check_queue=1)),
    )
    node = await lab.node("node", "198.51.100.1", tuning=tuning)
    first, second = await lab.raw("first", "203.0.113.1"), await lab.raw("second", "203.0.113.2")
    other = await lab.raw("other", "192.0.2.1")
    for stranger in (first, second, other):
        alive(stranger)
    assert isinstance(await second.ask(Ping(second.fresh_id(), 0, b""), contact_of(node)), Pong)
    await knock(first, contact_of(node))  # its key takes the last of the budget of their subnet
    assert first.messages(Ping) == []
    assert node.overlay.neighbours.counters.checks_over_budget == 1
    await knock(other, contact_of(node))
    await run_until(lambda: node.overlay.contacts() == [other.contact], 1)
    assert first.messages(Ping) == []


@in_lab
async def test_walks_start_from_everybody_who_answered_lately_and_nobody_is_told_of_them(lab: Lab) -> None:
    """Sixty contacts, more than the table has room for: a walk begins with the nearest, an answer names the tabled."""
    node = await lab.node("node", "10.0.0.1", tuning=CALM)
    contacts = [Contact(identity(f"c{number}").public, Endpoint(f"10.{number}.0.1", PORT)) for number in range(60)]
    fill(node, contacts)
    neighbours = node.overlay.neighbours
    tabled = set(neighbours.contacts())
    assert len(tabled) < 50
    target = next(contact.position for contact in contacts if contact not in tabled)
    assert neighbours.starts(4, target, 16)[0] not in tabled
    asker = await lab.raw("asker", "10.99.0.1")
    token = await asker.token(contact_of(node))
    key = target.to_bytes(32, "big")
    answer = await asker.ask(FindNode(asker.fresh_id(), 0, token, key), contact_of(node))
    assert answer.contacts4 == b"".join(contact.packed for contact in neighbours.closest(4, target, 16))
    neighbours.failed(neighbours.starts(4, target, 16)[0], trio.current_time())
    assert target not in [contact.position for contact in neighbours.starts(4, target, 16)]
    await trio.sleep(601)
    assert set(neighbours.starts(4, target, 16)) <= set(neighbours.contacts())


@in_lab
async def test_whom_others_name_in_a_walk_starts_the_next_one(lab: Lab) -> None:
    """Who was named and not asked: nobody is there at that address, so it can only come from hearsay."""
    node = await lab.node("node", "10.0.0.1", tuning=CALM)
    named = Contact(identity("named").public, Endpoint("10.77.0.1", PORT))
    peer = await lab.raw("peer", "10.1.0.1")

    def behave(request: Request, sender: Contact) -> None:
        peer.reply(Nodes(request.id, SERVES, bytes(8), named.packed, b""), sender)

    peer.behave = behave
    fill(node, [peer.contact])
    neighbours = node.overlay.neighbours
    assert named not in neighbours.starts(4, named.position, 16)
    with trio.move_on_after(0.15):  # the peer has answered, and the walk waits for the one it named
        await node.overlay.lookup(named.position.to_bytes(32, "big"))
    assert neighbours.starts(4, named.position, 16)[0] == named
    assert named not in neighbours.contacts()


@in_lab
async def test_while_in_use_contacts_that_are_due_for_a_ping_are_asked_for_others(lab: Lab) -> None:
    table = TableSettings(revalidation=RevalidationSettings(fast_interval=3.0))
    node = await lab.node("node", "10.0.0.1", tuning=Tuning(table=table))
    peer = await lab.raw("peer", "10.1.0.1")
    named = Contact(identity("named").public, Endpoint("10.77.0.1", PORT))
    answering = [b"", named.packed]

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, Ping):
            peer.reply(Pong(request.id, SERVES, bytes(8), pack(sender.endpoint), b"\x01", 0), sender)
        elif isinstance(request, FindNode):
            peer.reply(Nodes(request.id, SERVES, bytes(8), answering[0], b""), sender)

    peer.behave = behave
    fill(node, [peer.contact])
    await trio.sleep(700)  # the walks of the join are long over
    peer.inbox.clear()
    await trio.sleep(120)
    assert len(peer.messages(Ping)) > 5
    assert not peer.messages(FindNode)
    node.overlay.neighbours.used()
    answering.reverse()
    peer.inbox.clear()
    await trio.sleep(400)
    assert len(peer.messages(FindNode)) > len(peer.messages(Ping)) > 0
    assert named in node.overlay.neighbours.starts(4, named.position, 16)


@in_lab
async def test_a_node_in_use_asks_strangers_who_are_near_places_it_knows_nobody_at(lab: Lab) -> None:
    tuning = Tuning(upkeep=replace(Tuning().upkeep, refresh_every=1e6))
    node = await lab.node("node", "10.0.0.1", tuning=tuning)
    peer, stranger = await lab.raw("peer", "10.1.0.1"), await lab.raw("stranger", "10.2.0.1")
    alive(peer)
    alive(stranger)
    fill(node, [peer.contact])
    neighbours = node.overlay.neighbours
    await trio.sleep(700)  # the walks of the join are long over
    neighbours.named([stranger.contact], trio.current_time())
    neighbours.used()
    await trio.sleep(550)  # rarely: so far there was nothing new
    assert stranger.messages(FindNode)
    assert stranger.contact in neighbours.contacts()  # it has answered


@in_lab
async def test_what_was_asked_of_a_node_puts_it_in_use_and_its_upkeep_does_not(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    peer = await lab.raw("peer", "10.1.0.1")
    alive(peer)
    fill(node, [peer.contact])
    await trio.sleep(60)
    cache = node.overlay.neighbours._caches[4]
    joined_at = cache._used_at
    await trio.sleep(2 * 3600)  # with refreshing walks
    assert node.overlay.housekeeping.counters.refreshed > 0
    assert cache._used_at == joined_at
    await node.overlay.lookup(bytes(32))
    assert cache._used_at > joined_at


@in_lab
async def test_who_no_longer_serves_starts_no_walk(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    peer = await lab.raw("peer", "10.1.0.1")
    fill(node, [peer.contact, Contact(identity("other").public, Endpoint("10.2.0.1", PORT))])
    assert peer.contact in node.overlay.neighbours.starts(4, 0, 16)
    node.overlay.neighbours.answered(peer.contact, 0.1, False, trio.current_time())
    assert peer.contact not in node.overlay.neighbours.starts(4, 0, 16)


@in_lab
async def test_one_subnet_cannot_fill_a_table_unless_it_is_our_own_kind(lab: Lab) -> None:
    public, private = await lab.node("public", "198.51.100.1"), await lab.node("private", "10.0.0.1")
    for node, prefix in ((public, "203.0.113"), (private, "10.5.5")):
        peers = [await lab.raw(f"{prefix} {number}", f"{prefix}.{number}") for number in range(1, 31)]
        fill(node, [peer.contact for peer in peers])
    assert len(public.overlay.contacts()) <= 10
    assert len(private.overlay.contacts()) > 20


@in_lab
async def test_a_client_asks_and_is_in_nobodys_table(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    client = await lab.node("client", "10.0.1.1", seed, settings=OverlaySettings(reach="client"))
    await trio.sleep(60)
    assert client.overlay.contacts() == [contact_of(seed)]
    assert seed.overlay.contacts() == []
