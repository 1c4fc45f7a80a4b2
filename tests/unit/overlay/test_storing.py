"""What the answers to a STORE are worth: claims of a newer entry, shown, shared, alone and absurd."""

from __future__ import annotations

from kadnet.kademlia.contact import Contact
from kadnet.overlay.storing import MAX_JUMP, StoreOutcome
from kadnet.wire.keys import Key
from kadnet.wire.messages import SERVES, FindValue, Ping, Pong, Request, Status, Store, Stored, Values
from kadnet.wire.records import MAX_SEQ, Record, parse
from tests.unit.overlay.builders import Lab, RawPeer, carried, entry, in_lab

X = Key.shared("x")
TOKEN = bytes(8)


def claims(peer: RawPeer, seq: int, *, shows: Record | None = None) -> RawPeer:
    """Answers every STORE with STALE and `seq`, and a FIND_VALUE with the record it can show."""

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, Store):
            peer.send(Stored(request.id, SERVES, Status.STALE, seq), sender)
        elif isinstance(request, FindValue):
            records = () if shows is None else (carried(shows, 60, False),)
            peer.send(Values(request.id, SERVES, TOKEN, 0, b"", records, b"", b""), sender)
        elif isinstance(request, Ping):
            peer.send(Pong(request.id, SERVES, TOKEN, bytes(6), b"\1", 0), sender)

    peer.behave = behave
    return peer


def accepts(peer: RawPeer) -> RawPeer:
    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, Store):
            peer.send(Stored(request.id, SERVES, Status.OK, 0), sender)

    peer.behave = behave
    return peer


async def store_with(lab: Lab, *peers: RawPeer) -> StoreOutcome:
    node = await lab.node("node", "10.0.0.1")
    ours = parse(entry("node", b"ours", seq=5))
    return await node.overlay._archive._storing.store(tuple(peer.contact for peer in peers), ours, 60)


async def raws(lab: Lab, count: int) -> list[RawPeer]:
    return [await lab.raw(f"holder{number}", f"10.1.{number}.1") for number in range(count)]


@in_lab
async def test_a_newer_entry_that_is_shown_is_believed(lab: Lab) -> None:
    liar, *others = await raws(lab, 5)
    claims(liar, 9, shows=entry("node", b"newer", seq=9))
    assert await store_with(lab, liar, *map(accepts, others)) == StoreOutcome(4, newer=9, claimed=9)


@in_lab
async def test_what_another_has_signed_shows_nothing(lab: Lab) -> None:
    liar, *others = await raws(lab, 5)
    claims(liar, 9, shows=entry("somebody", b"newer", seq=9))
    assert await store_with(lab, liar, *map(accepts, others)) == StoreOutcome(4, newer=None, claimed=9)


@in_lab
async def test_a_lone_claim_far_above_ours_is_worth_nothing(lab: Lab) -> None:
    liar, *others = await raws(lab, 5)
    claims(liar, MAX_SEQ)
    assert await store_with(lab, liar, *map(accepts, others)) == StoreOutcome(4)


@in_lab
async def test_a_lone_claim_is_believed_as_far_as_the_bound_and_no_farther(lab: Lab) -> None:
    (near,) = await raws(lab, 1)
    assert (await store_with(lab, claims(near, 5 + MAX_JUMP))).claimed == 5 + MAX_JUMP
    await lab.stop("node")
    assert (await store_with(lab, claims(near, 6 + MAX_JUMP))).claimed is None


@in_lab
async def test_what_more_than_a_quarter_claims_is_believed_without_being_shown(lab: Lab) -> None:
    one, two, three, *others = await raws(lab, 8)
    claims(one, MAX_SEQ)
    claims(two, MAX_SEQ - 1)
    claims(three, MAX_SEQ - 2)
    outcome = await store_with(lab, one, two, three, *map(accepts, others))
    assert outcome == StoreOutcome(5, newer=MAX_SEQ - 2, claimed=MAX_SEQ - 2)


@in_lab
async def test_two_of_eight_are_not_enough(lab: Lab) -> None:
    one, two, *others = await raws(lab, 8)
    outcome = await store_with(lab, claims(one, MAX_SEQ), claims(two, MAX_SEQ), *map(accepts, others))
    assert outcome == StoreOutcome(6)
