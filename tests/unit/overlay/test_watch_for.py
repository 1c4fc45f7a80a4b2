"""Somebody waits for a peer: its next answer is told, and its next request brings a question."""

from __future__ import annotations

from dataclasses import replace

import trio

from kadnet.events import PeerBack
from kadnet.host import Host
from kadnet.overlay import Tuning
from kadnet.overlay.peers import PeerSettings
from kadnet.wire.messages import Ping
from tests.unit.overlay.builders import CALM, Lab, RawPeer, contact_of, fill, in_lab
from tests.unit.overlay.test_neighbours import alive, knock

WINDOW = 1.0  # seconds of virtual time in which an answer has come


async def told(node: Host, act: RawPeer, *, asks: bool) -> list[bytes]:
    """Whose return is told within a second after `act` has asked the node something, or was asked by it."""
    back = []
    async with node.events(PeerBack) as stream:
        if asks:
            await knock(act, contact_of(node))
        else:
            node.overlay._ping(act.contact, 1)
        with trio.move_on_after(WINDOW):
            async for event in stream:
                assert isinstance(event, PeerBack)
                back.append(event.peer)
    return back


async def known(lab: Lab, tuning: Tuning = CALM) -> tuple[Host, RawPeer]:
    """A node, and a contact of its table that has nothing to say for a while."""
    node, peer = await lab.node("node", "10.0.0.1", tuning=tuning), await lab.raw("peer", "10.1.0.1")
    alive(peer)
    fill(node, [peer.contact])
    await trio.sleep(5)
    peer.inbox.clear()
    return node, peer


@in_lab
async def test_a_contact_that_asks_is_asked_once_and_its_answer_is_told_once(lab: Lab) -> None:
    node, peer = await known(lab)
    node.watch_for(peer.identity.public)
    assert await told(node, peer, asks=True) == [peer.identity.public]
    assert len(peer.messages(Ping)) == 1
    assert await told(node, peer, asks=True) == []
    assert len(peer.messages(Ping)) == 1


@in_lab
async def test_a_request_alone_proves_nothing(lab: Lab) -> None:
    node, peer = await known(lab)
    node.watch_for(peer.identity.public)
    peer.behave = None
    assert await told(node, peer, asks=True) == []
    assert len(peer.messages(Ping)) == 1


@in_lab
async def test_whatever_it_answers_is_told(lab: Lab) -> None:
    node, peer = await known(lab)
    assert await told(node, peer, asks=False) == []
    node.watch_for(peer.identity.public)
    assert await told(node, peer, asks=False) == [peer.identity.public]


@in_lab
async def test_contacts_for_whom_nobody_waits_are_not_asked_for_asking(lab: Lab) -> None:
    node, peer = await known(lab)
    node.watch_for(bytes(32))
    assert await told(node, peer, asks=True) == []
    assert peer.messages(Ping) == []


@in_lab
async def test_past_the_bound_the_one_waited_for_longest_is_forgotten(lab: Lab) -> None:
    node, peer = await known(lab, replace(CALM, peers=PeerSettings(max_awaited=2)))
    node.watch_for(peer.identity.public)
    node.watch_for(b"\1" * 32)
    node.watch_for(b"\2" * 32)
    assert await told(node, peer, asks=True) == []
    node.watch_for(peer.identity.public)
    assert await told(node, peer, asks=True) == [peer.identity.public]
