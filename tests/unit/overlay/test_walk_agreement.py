"""A get of an entry asks a quorum of the closest alone, where all of it is near and agrees; else everybody."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kadnet.host import Host
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.outcome import AGREED
from kadnet.overlay import OverlaySettings
from kadnet.overlay.archive import GetOutcome
from kadnet.wire.keys import Key
from kadnet.wire.messages import COMPLETE, SERVES, TOO_LARGE, FindNode, FindValue, Nodes, Request, Values
from kadnet.wire.records import Record
from tests.unit.overlay.builders import CALM, Lab, RawPeer, carried, entry, fill, ids_nearest, in_lab, values

X = Key.shared("x")
K, QUORUM = 8, 6
OLD, NEW, OTHER = entry("p", b"old", seq=1), entry("p", b"new", seq=2), entry("q", b"other")


@dataclass
class Holder:
    """Somebody by hand: what it has, and what it says of it. `mute`: it says nothing."""

    peer: RawPeer
    records: tuple[Record, ...] = (OLD,)
    cached: bool = False
    status: int = COMPLETE
    mute: bool = False

    def answer(self, request: Request, sender: Contact) -> None:
        if self.mute:
            return
        pieces = tuple(carried(record, cached=self.cached) for record in self.records)
        if isinstance(request, FindValue):
            self.peer.reply(Values(request.id, SERVES, bytes(8), self.status, b"", pieces, b"", b""), sender)
        elif isinstance(request, FindNode):
            self.peer.reply(Nodes(request.id, SERVES, bytes(8), sender.packed, b""), sender)

    @property
    def was_asked(self) -> bool:
        return bool(self.peer.messages(FindValue))


async def among(lab: Lab, *, near: bool = True) -> tuple[Host, list[Holder]]:
    """An asker and eight holders of the same entry, nearest first, all of whom have once answered it at once."""
    asker = await lab.node("asker", "10.0.0.1", settings=OverlaySettings(replicas=K), tuning=CALM)
    holders = []
    for number, name in enumerate(ids_nearest(X.hash, K)):
        holder = Holder(await lab.raw(name, f"10.2.{number}.1"))
        holder.peer.behave = holder.answer
        holders.append(holder)
    fill(asker, [holder.peer.contact for holder in holders])
    for holder in holders:
        asker.overlay.rpc._peers.to_ask(holder.peer.contact.id).fastest = 0.0 if near else 0.1
    return asker, holders


async def got(asker: Host, holders: list[Holder]) -> tuple[GetOutcome, list[bool]]:
    outcome = await asker.overlay.get(X)
    return outcome, [holder.was_asked for holder in holders]


@in_lab
async def test_where_a_near_quorum_agrees_nobody_else_is_asked(lab: Lab) -> None:
    asker, holders = await among(lab)
    outcome, asked = await got(asker, holders)
    assert values(outcome) == {b"old"}
    assert asked == [True] * QUORUM + [False] * (K - QUORUM)
    assert outcome.walk is not None
    assert outcome.walk.reason == AGREED


@in_lab
@pytest.mark.parametrize("number", range(QUORUM))
async def test_a_newer_entry_with_one_of_them_is_found_and_everybody_is_asked(lab: Lab, number: int) -> None:
    asker, holders = await among(lab)
    holders[number].records = (NEW,)
    holders[-1].records = (NEW, OTHER)
    outcome, asked = await got(asker, holders)
    assert values(outcome) == {b"new", b"other"}
    assert asked == [True] * K


@in_lab
@pytest.mark.parametrize("trouble", ["nothing", "a copy", "more", "silence", "far"])
async def test_everybody_is_asked_where_one_of_the_quorum_is_no_witness(lab: Lab, trouble: str) -> None:
    """It has nothing, a cached copy, more than an answer holds; it is silent, or it is far away."""
    asker, holders = await among(lab, near=trouble != "far")
    odd = holders[1]
    if trouble == "nothing":
        odd.records = ()
    elif trouble == "a copy":
        odd.cached = True
    elif trouble == "more":
        odd.status = TOO_LARGE
    odd.mute = trouble == "silence"
    holders[-1].records = (NEW,)
    outcome, asked = await got(asker, holders)
    assert asked == [True] * K
    assert values(outcome) == {b"new"}


@in_lab
@pytest.mark.parametrize("far", range(QUORUM))
async def test_everybody_is_asked_at_once_where_one_of_the_quorum_is_far(lab: Lab, far: int) -> None:
    """Whom the table knows the contact cache knows as well: nobody counts twice."""
    asker, holders = await among(lab)
    asker.overlay.neighbours.named([holder.peer.contact for holder in holders], asker.runtime.now())
    asker.overlay.rpc._peers.to_ask(holders[far].peer.contact.id).fastest = 0.1
    outcome, asked = await got(asker, holders)
    assert asked == [True] * K
    assert outcome.walk is not None
    assert outcome.walk.reason != AGREED


@in_lab
async def test_that_nobody_of_the_quorum_has_anything_proves_nothing(lab: Lab) -> None:
    asker, holders = await among(lab)
    for holder in holders[:-1]:
        holder.records = ()
    outcome, _ = await got(asker, holders)
    assert values(outcome) == {b"old"}


@in_lab
async def test_what_is_not_signed_is_agreed_upon_in_vain(lab: Lab) -> None:
    asker, holders = await among(lab)
    for holder in holders[:-1]:
        holder.records = (NEW._replace(signature=OLD.signature),)
    outcome, _ = await got(asker, holders)
    assert values(outcome) == {b"old"}
