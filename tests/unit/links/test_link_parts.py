"""Messages in parts, and answers, of a peer that means no good."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgpack
import pytest
import trio

from kadnet.errors import LinkLost, PeerRefused
from kadnet.events import LinkDown
from kadnet.links.link import Budget
from kadnet.transport import RealNetwork
from kadnet.wire import envelopes
from kadnet.wire.envelopes import ERROR, REQUEST, RESPONSE, Pong
from tests.unit.links.bench import LOUD, Bench, Room, identity, on_bench, on_sockets, soon
from tests.unit.links.strangers import MALLORY, Stranger, Wire, another, bob_and

RTT = 0.1
PART = bytes(60_000)


@on_bench
async def test_a_message_for_nobody_that_never_ends_costs_nothing(bench: Bench) -> None:
    """It is passed over part by part; whoever sends it gets its refusal at once."""
    bob, wire = await bob_and(bench)
    bob.echo(max_body=1000)
    await wire.raw(envelopes.encode_envelope("echo", REQUEST, 9, bytes(1 << 19))[:60_000], more=True)
    envelope = await wire.hear()
    assert (envelope.kind, envelope.id, envelopes.decode_error(envelope.body)[0]) == (ERROR, 9, "too-large")
    tracemalloc.start()
    for _ in range(100):
        await wire.raw(PART, more=True)
    await trio.sleep(1)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 1_000_000
    assert bob.links._budget._left == LOUD.assembling
    await wire.raw(b"the end")
    await wire.say("echo", REQUEST, 10, b"x")
    assert (await wire.hear()).body == b"x"


@on_bench
async def test_a_first_part_that_tells_nothing_ends_the_link(bench: Bench) -> None:
    """It would get round the bound of its protocol. No sender's first part is so short."""
    bob, wire = await bob_and(bench)
    bob.echo(max_body=1000)
    await wire.raw(envelopes.encode_envelope("echo", REQUEST, 9, bytes(100_000))[:3], more=True)
    await trio.sleep(1)
    assert bob.links.counters.ended == {"message-part": 1}
    assert bob.links._budget._left == LOUD.assembling


@on_bench
async def test_a_message_in_parts_is_no_longer_than_it_said(bench: Bench) -> None:
    bob, wire = await bob_and(bench)
    bob.echo(max_body=1000)
    await wire.raw(envelopes.encode_envelope("echo", REQUEST, 9, bytes(100)), more=True)
    await wire.raw(bytes(60_000), more=True)
    await trio.sleep(1)
    assert bob.links.counters.ended == {"message-length": 1}
    assert bob.links._budget._left == LOUD.assembling


@on_bench
async def test_unfinished_messages_of_all_links_have_one_budget(bench: Bench) -> None:
    bob = await bench.room("bob", "10.0.2.1", settings=replace(LOUD, assembling=200_000))
    bob.echo(max_body=1 << 20)
    beginning = envelopes.encode_envelope("echo", REQUEST, 1, bytes(1 << 19))[:60_000]
    wires = [await another(bench, bob, number) for number in range(4)]
    for wire in wires:
        await wire.raw(beginning, more=True)
        await trio.sleep(RTT)
    assert bob.links.counters.ended == {"too-many-parts": 1}
    assert bob.links._budget._left == 20_000
    for wire in wires:
        await wire.stream.aclose()
    await soon(lambda: bob.links._budget._left == 200_000)


def test_a_budget_gives_no_more_than_it_has() -> None:
    budget = Budget(10)
    budget.take(10)
    with pytest.raises(Exception, match="too-many-parts"):
        budget.take(1)
    budget.give_back(1)
    budget.take(1)


# --- answers of a peer


async def ask_mallory(bob: Room, said: Callable[[int], Awaitable[None]], wire: Wire) -> BaseException | bytes:
    """What a request of Bob comes to when the stranger, told its number, says something."""
    outcome: list[BaseException | bytes] = []

    async def ask() -> None:
        try:
            outcome.append(await bob.links.request(MALLORY, "ask", b"?"))
        except (PeerRefused, LinkLost) as error:
            outcome.append(error)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await said((await wire.hear()).id)
    return outcome[0]


@on_bench
async def test_an_answer_larger_than_a_link_carries_fails_its_request(bench: Bench) -> None:
    bob, wire = await bob_and(bench)

    async def too_much(number: int) -> None:
        await wire.raw(envelopes.encode_envelope("ask", RESPONSE, number, bytes(2 << 20))[:60_000], more=True)

    outcome = await ask_mallory(bob, too_much, wire)
    assert isinstance(outcome, PeerRefused)
    assert outcome.reason == "too-large"


@on_bench
async def test_a_refusal_that_cannot_be_read_ends_the_link_and_fails_the_request(bench: Bench) -> None:
    bob, wire = await bob_and(bench)

    async def nonsense(number: int) -> None:
        await wire.say("ask", ERROR, number, b"\xc1")

    outcome = await ask_mallory(bob, nonsense, wire)
    assert isinstance(outcome, LinkLost)
    assert bob.links.counters.ended == {"error": 1}


@on_bench
async def test_the_words_of_a_refusal_are_made_safe_to_show(bench: Bench) -> None:
    bob, wire = await bob_and(bench)

    async def escape(number: int) -> None:
        await wire.say("ask", ERROR, number, msgpack.packb(("no", "\x1b[2J\nroot: ")))

    outcome = await ask_mallory(bob, escape, wire)
    assert isinstance(outcome, PeerRefused)
    assert outcome.reason == "no"
    assert "\x1b" not in str(outcome)
    assert "\n" not in str(outcome)


@on_bench
async def test_an_answer_comes_once_and_a_second_one_is_nobodys(bench: Bench) -> None:
    bob, wire = await bob_and(bench)

    async def twice(number: int) -> None:
        await wire.say("ask", RESPONSE, number, b"first")
        await wire.say("ask", RESPONSE, number, b"second")

    assert await ask_mallory(bob, twice, wire) == b"first"
    await trio.sleep(1)
    assert bob.links.counters.unclaimed == 1


@on_sockets
async def test_a_peer_that_stops_reading_on_real_sockets_holds_a_bounded_queue(bench: Bench) -> None:
    bob = await bench.room("bob", settings=replace(LOUD, stalled=1.0))
    wire = await Stranger(RealNetwork(), identity("mallory0")).call(bob)
    assert await wire.told() == Pong(1)
    await soon(lambda: bob.links.count() == 1)
    pair = bob.links._pairs[MALLORY]
    most = 0
    with trio.move_on_after(20):
        while not bob.events(LinkDown):
            with trio.move_on_after(0.5):
                await bob.links.notify(MALLORY, "note", bytes(60_000))
            most = max(most, pair.machine.queued[1])
    assert [event.reason for event in bob.events(LinkDown)] == ["stalled"]
    assert most <= LOUD.queue_bytes + 70_000
    await wire.stream.aclose()
