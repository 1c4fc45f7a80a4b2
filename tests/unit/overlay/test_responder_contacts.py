"""Whom a node hands on to those who ask: the nearest, none too local for the asker, fairly of both families."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab import EPOCH
from kadnet.overlay.calls import Asker, RpcCounters
from kadnet.overlay.peers import Peer
from kadnet.overlay.responder import Responder, Surroundings
from kadnet.overlay.schema import MIGRATIONS
from kadnet.overlay.store import RecordStore, StoreSettings
from kadnet.storage import Database
from kadnet.transport import Datagrams
from kadnet.wire.messages import SHORT, WANT_V4, WANT_V6, FindNode, Message, Nodes, decode
from kadnet.wire.packets import Channel
from tests.unit.overlay.bench import inline
from tests.unit.overlay.builders import PORT, PUBLIC, Lab, RawPeer, contact_of, fill, identity, in_lab


def at(name: str, host: str, port: int = PORT) -> Contact:
    return Contact(identity(name).public, Endpoint(host, port))


def handed_on(answer: Nodes) -> list[Contact]:
    packed = answer.contacts4, answer.contacts6
    return [
        Contact.from_packed(bin_[start : start + size])
        for bin_, size in zip(packed, (38, 50), strict=True)
        for start in range(0, len(bin_), size)
    ]


async def nodes_for(peer: RawPeer, node: Contact, flags: int = 0, *, proven: bool = True) -> Nodes:
    token = await peer.token(node) if proven else b""
    answer = await peer.ask(FindNode(peer.fresh_id(), flags, token, bytes(32)), node)
    assert isinstance(answer, Nodes)
    return answer


@in_lab
async def test_nobody_more_local_than_the_asker_is_handed_on(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    near = [at("loop", "127.0.0.1", 9), at("private", "192.168.7.7"), at("public", "203.0.113.9")]
    fill(node, near)
    private, public = await lab.raw("asker", "10.7.0.1"), await lab.raw("far asker", "198.51.100.7")
    assert set(handed_on(await nodes_for(private, contact_of(node)))) == set(near[1:])
    assert handed_on(await nodes_for(public, contact_of(node))) == near[2:]


@in_lab
async def test_the_asker_itself_is_never_handed_on(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.7.0.1")
    fill(node, [asker.contact, at("other", "10.8.0.1")])
    assert handed_on(await nodes_for(asker, contact_of(node))) == [at("other", "10.8.0.1")]


@in_lab
async def test_the_sixteen_nearest_are_handed_on_nearest_first(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    fill(node, [at(f"c{n}", f"10.{n}.0.1") for n in range(40)])
    answer = handed_on(await nodes_for(await lab.raw("asker", "10.99.0.1"), contact_of(node)))
    assert answer == node.overlay.neighbours.closest(4, 0, 16)
    assert len(answer) == 16


@in_lab
async def test_an_asker_from_outside_is_named_sixteen_although_nearer_ones_are_too_local(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    names = sorted((f"c{n}" for n in range(60)), key=lambda name: at(name, "10.0.0.1").position)
    fill(node, [at(name, f"10.{n}.0.1" if n < 14 else f"203.0.{n}.1") for n, name in enumerate(names)])
    nearest = node.overlay.neighbours.closest(4, 0, 32)
    public = [contact for contact in nearest if contact.endpoint.host.startswith("203")]
    assert len(nearest) - 16 < len(public) < 32  # or there is nothing to see here
    asker = await lab.raw("asker", "198.51.100.7")
    assert handed_on(await nodes_for(asker, contact_of(node))) == public[:16]


@pytest.mark.parametrize(
    ("have", "given"),
    [
        ((16, 16), (8, 8)),
        ((3, 16), (3, 13)),
        ((16, 5), (11, 5)),
        ((0, 16), (0, 16)),
        ((16, 0), (16, 0)),
        ((2, 3), (2, 3)),
    ],
)
def test_who_wants_both_families_gets_half_of_each_and_what_one_leaves_free(
    have: tuple[int, int], given: tuple[int, int]
) -> None:
    near = {
        4: [at(f"four {n}", f"203.0.{n}.1") for n in range(have[0])],
        6: [at(f"six {n}", f"2a00:{n}::1") for n in range(have[1])],
    }
    assert [len(part) for part in both_bins(near)] == [38 * given[0], 50 * given[1]]
    packed = b"".join(contact.packed for contact in near[4][: given[0]])
    assert both_bins(near)[0] == packed  # the nearest


def both_bins(near: dict[int, list[Contact]]) -> tuple[bytes, bytes]:
    """The contacts that a responder which knows `near` names to a proven asker that wants both families."""
    around = Surroundings(
        lambda number, _target, count: near[number][:count],
        lambda _key, _count: False,
        lambda _scope: False,
        lambda: EPOCH,
        lambda _parsed: None,
    )
    database = Database(None, MIGRATIONS, offload=inline)
    store = RecordStore(
        database,
        StoreSettings(),
        now=lambda: 0.0,
        wall=lambda: EPOCH,
        rng=random.Random(1),
    )
    letters = Letters()
    peer = Peer(identity("asker").public, Channel(identity("me"), identity("asker").public, PUBLIC))
    nowhere: Any = None
    asker = Asker(letters, nowhere, peer, Endpoint("203.0.113.9", PORT), bytes(8), bytes(8), proven=True, room=1232)
    responder = Responder(store, around, network=PUBLIC, serves=True, far_count=32)
    responder.serve(FindNode(bytes(8), WANT_V4 | WANT_V6, bytes(8), bytes(32)), asker, 0.0)
    database.close()
    (answer,) = letters.sent
    assert isinstance(answer, Nodes)
    return answer.contacts4, answer.contacts6


class Letters:
    """What an asker is answered, by somebody with no socket."""

    def __init__(self) -> None:
        self.counters = RpcCounters()
        self.sent: list[Message] = []

    def send(self, socket: Datagrams, peer: Peer, message: bytes, to: Endpoint) -> None:
        self.sent.append(decode(message))


@in_lab
async def test_only_families_that_are_wanted_are_handed_on(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    fill(node, [at("a", "10.1.0.1")])
    asker = await lab.raw("asker", "10.99.0.1")
    assert len(handed_on(await nodes_for(asker, contact_of(node), WANT_V4))) == 1
    assert handed_on(await nodes_for(asker, contact_of(node), WANT_V6)) == []


@in_lab
async def test_a_short_unproven_request_gets_fewer_contacts_and_is_told_so(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    fill(node, [at(f"c{n}", f"10.{n}.0.1") for n in range(40)])
    asker = await lab.raw("asker", "10.99.0.1")
    request = FindNode(asker.fresh_id(), 0, bytes(8), bytes(32))
    answer = await asker.ask(request, contact_of(node))
    assert answer.flags & SHORT
    assert len(handed_on(answer)) < 3
    again = await asker.ask(FindNode(asker.fresh_id(), 0, answer.token, bytes(32)), contact_of(node))
    assert not again.flags & SHORT
    assert len(handed_on(again)) == 16
