"""A blob is asked of the nearest alone where that is near, and of several where it is not or fails."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import trio

from kadnet.host import Host
from kadnet.overlay import Tuning
from kadnet.overlay.archive import GetOutcome
from kadnet.wire.keys import Key
from kadnet.wire.messages import COMPLETE, SERVES, FindValue, Status, Values
from kadnet.wire.records import blob
from tests.unit.overlay.builders import Lab, RawPeer, carried, contact_of, fill, ids_nearest, in_lab, values

DATA = b"the blob"
KEY = Key.blob_of(DATA)
ALL_NEAR = replace(Tuning(), rpc=replace(Tuning().rpc, near=60.0))
NOBODY_NEAR = replace(Tuning(), rpc=replace(Tuning().rpc, near=0.0))


async def held(lab: Lab, tuning: Tuning) -> Host:
    """Six nodes of which five hold the blob; the one that does not."""
    nodes = await lab.overlay(6, tuning=tuning)
    writer = await lab.raw("writer", "10.1.0.1")
    for node in nodes[:5]:
        assert (await writer.store(blob(DATA), contact_of(node))).status == Status.OK
    return nodes[5]


async def got(asker: Host) -> tuple[GetOutcome, int]:
    """A get, and the requests it took."""
    before = asker.overlay.rpc_counters.requests_sent
    outcome = await asker.overlay.get(KEY)
    return outcome, asker.overlay.rpc_counters.requests_sent - before


async def nearest_peer(lab: Lab, asker: Host) -> RawPeer:
    """Somebody by hand who is nearer to the key than everybody else, and has once answered at once."""
    peer = await lab.raw(ids_nearest(KEY.hash, 1)[0], "10.3.0.1")
    fill(asker, [peer.contact])
    asker.overlay.rpc._peers.to_ask(peer.contact.id).fastest = 0.0
    return peer


@in_lab
async def test_a_near_holder_is_asked_alone(lab: Lab) -> None:
    outcome, requests = await got(await held(lab, ALL_NEAR))
    assert values(outcome) == {DATA}
    assert not outcome.held
    assert requests == 1
    assert outcome.walk is not None
    assert (outcome.walk.queries, outcome.walk.answers, outcome.walk.hops) == (1, 1, 1)


@in_lab
async def test_of_far_holders_several_are_asked_at_once(lab: Lab) -> None:
    outcome, requests = await got(await held(lab, NOBODY_NEAR))
    assert values(outcome) == {DATA}
    assert requests >= 3


@in_lab
async def test_a_near_peer_that_is_silent_costs_its_head_start_and_no_more(lab: Lab) -> None:
    asker = await held(lab, ALL_NEAR)
    peer = await nearest_peer(lab, asker)
    began = trio.current_time()
    outcome, requests = await got(asker)
    assert values(outcome) == {DATA}
    assert requests >= 3
    assert any(isinstance(message, FindValue) for _, message, _ in peer.inbox)
    assert trio.current_time() - began < 1.0


@in_lab
async def test_a_near_peer_with_another_blob_is_not_believed_and_the_walk_goes_on(lab: Lab) -> None:
    asker = await held(lab, ALL_NEAR)
    peer = await nearest_peer(lab, asker)
    forged = (carried(blob(b"forged")),)
    peer.behave = lambda request, sender: peer.reply(
        Values(request.id, SERVES, bytes(8), COMPLETE, b"", forged, b"", b""), sender
    )
    outcome, _ = await got(asker)
    assert values(outcome) == {DATA}
    assert peer.inbox


@in_lab
async def test_who_left_a_request_unanswered_for_long_is_not_near_any_more(lab: Lab) -> None:
    asker = await held(lab, ALL_NEAR)
    peer = await nearest_peer(lab, asker)
    rpc = asker.overlay.rpc
    assert rpc.is_near(peer.contact, trio.current_time())
    await got(asker)
    assert not rpc.is_near(peer.contact, trio.current_time() + 5)


@in_lab
async def test_a_near_peer_that_became_slow_is_waited_for_no_longer_than_the_longest_head_start(lab: Lab) -> None:
    """Its usual round trip is near two seconds by now, and that it once was near is not forgotten."""
    tuning = replace(ALL_NEAR, rpc=replace(ALL_NEAR.rpc, longest_head_start=0.15))
    asker = await held(lab, tuning)
    peer = await nearest_peer(lab, asker)
    rpc, estimate = asker.overlay.rpc, asker.overlay.rpc._peers.to_ask(peer.contact.id).rtt
    for _ in range(40):
        estimate.update(1.8)
    assert rpc.timeout(peer.contact) > 1.5
    assert rpc.is_near(peer.contact, trio.current_time())
    before, outcomes = rpc.counters.requests_sent, list[GetOutcome]()

    async def get() -> None:
        outcomes.append(await asker.overlay.get(KEY))

    lab.nursery.start_soon(get)
    await trio.sleep(0.14)
    assert rpc.counters.requests_sent == before + 1
    await trio.sleep(0.02)
    assert rpc.counters.requests_sent > before + 1
    await trio.sleep(1)
    assert [values(outcome) for outcome in outcomes] == [{DATA}]
