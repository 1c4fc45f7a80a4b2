"""Who enters the tables, who leaves them, and who is only asked once."""

from __future__ import annotations

from dataclasses import replace

import trio

from kadnet.identity.address import pack
from kadnet.kademlia.contact import Contact
from kadnet.lab import run_until
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.overlay.calls import RpcSettings
from kadnet.wire.messages import SERVES, Ping, Pong, Request
from tests.unit.overlay.builders import Lab, RawPeer, contact_of, fill, in_lab


def alive(peer: RawPeer, flags: int = SERVES) -> None:
    """Let a peer answer pings from now on."""

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, Ping):
            peer.reply(Pong(request.id, flags, bytes(8), pack(sender.endpoint), b"\x01", 0), sender)

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
    assert len({message.id for message in silent.messages(Ping)}) == 3  # one question, transmitted three times
    await trio.sleep(15)
    await knock(silent, contact_of(node))
    await trio.sleep(5)
    assert len(silent.messages(Ping)) == 6  # after 30 seconds it may be asked once more


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
