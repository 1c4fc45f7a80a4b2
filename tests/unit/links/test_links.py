"""Requests and notices between nodes, and what is left behind when they come to nothing."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import replace

import pytest
import trio

from kadnet.errors import InputError, PeerRefused, PeerUnreachable
from kadnet.events import ContactAdded, LinkUp
from kadnet.identity.address import Address
from kadnet.links import LinkSettings
from tests.unit.links.bench import Bench, Room, identity, on_bench, on_sockets, soon

QUIET = LinkSettings()
"""A handler's fault does not end the test."""
RTT = 0.1


@on_sockets
async def test_a_request_is_answered_over_real_sockets(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    assert await alice.links.request(bob.id, "echo", b"hello") == b"hello"
    assert await alice.links.request(bob.id, "echo", b"again") == b"again"
    assert alice.links.counters.dialed == 1
    assert [event.peer for event in bob.events(LinkUp)] == [alice.id]


@on_bench
async def test_the_first_request_takes_three_round_trips_and_a_later_one_takes_one(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    for trips in (3, 1):  # connection, handshake, request
        start = trio.current_time()
        await alice.links.request(bob.id, "echo", b"x")
        assert trio.current_time() - start == pytest.approx(trips * RTT)


@on_bench
async def test_a_peer_that_the_table_has_heard_is_called_again_at_once(bench: Bench) -> None:
    """Not when the pause after the last call is over; a contact that nobody has to do with changes nothing."""
    alice, bob = await bench.two()
    bob.echo()
    await alice.links.request(bob.id, "echo", b"x")
    pair, heard = alice.links._pairs[bob.id], list[bytes]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(pair), "met", lambda self: heard.append(self.peer))
        for peer in (identity("nobody").public, bob.id):
            alice.bus.publish(ContactAdded(trio.current_time(), peer, "192.0.2.1:7420"))
    assert heard == [bob.id]


@on_bench
async def test_an_answer_goes_to_the_request_it_is_for(bench: Bench) -> None:
    alice, bob = await bench.two()

    async def slow(_peer: bytes, body: bytes) -> bytes:
        await trio.sleep(3 - body[0])
        return body

    bob.links.handle("slow", slow)
    answers: list[tuple[int, bytes]] = []

    async def ask(number: int) -> None:
        answers.append((number, await alice.links.request(bob.id, "slow", bytes([number]))))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, number)
    assert answers == [(2, b"\x02"), (1, b"\x01"), (0, b"\x00")]
    assert trio.current_time() - start < 3.5, "they are worked on side by side"


@on_bench
async def test_notices_come_once_and_in_order(bench: Bench) -> None:
    alice, bob = await bench.two()
    found = bob.collect()
    sent = [number.to_bytes(2, "big") for number in range(3000)]
    for body in sent:
        await alice.links.notify(bob.id, "note", body)
    await soon(lambda: len(found) == len(sent))
    await trio.sleep(30)
    assert found == sent


@on_bench
async def test_a_body_of_one_mebibyte_goes_there_and_back(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo(max_body=1 << 20)
    body = bytes(range(256)) * 4096
    assert await alice.links.request(bob.id, "echo", body) == body
    with pytest.raises(InputError, match="1048577 bytes"):
        await alice.links.request(bob.id, "echo", body + b"x")


@pytest.mark.parametrize("size", [1001, 70_000])  # in one frame, and in two
@on_bench
async def test_a_body_over_the_bound_of_its_protocol_is_refused_with_it(bench: Bench, size: int) -> None:
    alice, bob = await bench.two()
    bob.echo(max_body=1000)
    with pytest.raises(PeerRefused, match="at most 1000 bytes") as caught:
        await alice.links.request(bob.id, "echo", bytes(size))
    assert caught.value.reason == "too-large"
    assert bob.links.counters.too_large == 1
    assert await alice.links.request(bob.id, "echo", bytes(1000)) == bytes(1000)
    assert alice.links.counters.dialed == 1, "and the link stands"


@pytest.mark.parametrize("size", [1, 70_000])
@on_bench
async def test_a_protocol_that_nobody_offers_is_named_so(bench: Bench, size: int) -> None:
    alice, bob = await bench.two()
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(bob.id, "none", bytes(size))
    assert caught.value.reason == "no-protocol"
    found = bob.collect("deaf")
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(bob.id, "deaf", b"a question")
    assert caught.value.reason == "not-offered"
    await alice.links.notify(bob.id, "none", b"lost")
    await alice.links.notify(bob.id, "deaf", b"heard")
    await soon(lambda: found == [b"heard"])
    assert bob.links.counters.unknown == 1


@on_bench
async def test_an_answer_too_large_for_a_link_is_an_error_of_the_answerer(bench: Bench) -> None:
    alice, bob = await bench.two()

    async def much(_peer: bytes, _body: bytes) -> bytes:
        return bytes((1 << 20) + 1)

    bob.links.handle("much", much)
    with pytest.raises(PeerRefused) as caught:
        await alice.links.request(bob.id, "much", b"")
    assert caught.value.reason == "too-large"


# --- what is left behind


def is_clean(room: Room) -> bool:
    """Nothing is kept for anybody but the links that stand."""
    links = room.links
    return all(
        not pair._open and pair.machine.queued == (0, 0) for pair in links._pairs.values()
    ) and room.pairs == len(links.linked())


@on_bench
async def test_a_cancelled_request_leaves_nothing_behind(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()

    async def hang(_peer: bytes, _body: bytes) -> bytes:
        await trio.sleep(20)
        return b"too late"

    bob.links.handle("hang", hang)
    for seconds in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 1.0):  # before, during and after the call
        with trio.move_on_after(seconds) as scope:
            await alice.links.request(bob.id, "hang", b"x")
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert is_clean(alice)
    await trio.sleep(30)
    assert alice.links.counters.unclaimed == bob.links.services.counters.requests > 0
    assert await alice.links.request(bob.id, "echo", b"x") == b"x"


@on_bench
async def test_a_cancelled_notice_is_not_sent(bench: Bench) -> None:
    alice, bob = await bench.two()
    found = bob.collect()
    with trio.move_on_after(0.15):  # the call takes two round trips
        await alice.links.notify(bob.id, "note", b"taken back")
    await alice.links.notify(bob.id, "note", b"sent")
    await soon(lambda: found)
    await trio.sleep(5)
    assert found == [b"sent"]
    assert is_clean(alice)


@on_bench
async def test_a_peer_that_nobody_knows_is_not_found_and_not_kept(bench: Bench) -> None:
    (alice, _) = await bench.two()
    nobody = identity("nobody").public
    for verb in (alice.links.request, alice.links.notify):
        with pytest.raises(PeerUnreachable, match="was not found"):
            await verb(nobody, "echo", b"x")
    assert alice.pairs == 0
    assert alice.links.counters.dials_failed == 2


@pytest.mark.parametrize("verb", ["request", "notify"])
@on_bench
async def test_all_who_wait_for_a_peer_that_cannot_be_reached_are_told(bench: Bench, verb: str) -> None:
    """More than may be queued: those behind the bound are told as well as those in front of it."""
    alice = await bench.room("alice", "10.0.1.1", settings=replace(QUIET, queue_items=8, max_open=8))
    nobody = identity("nobody").public
    told: list[BaseException] = []

    async def call() -> None:
        try:
            await getattr(alice.links, verb)(nobody, "note", b"x")
        except PeerUnreachable as error:
            told.append(error)

    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(call)
    assert len(told) == 40
    assert alice.pairs == 0


@on_bench
async def test_an_id_that_no_node_can_have_is_refused_before_anybody_is_called(bench: Bench) -> None:
    (alice, bob) = await bench.two()
    no_id = bytes(32)
    alice.links.hint(no_id, Address(no_id, bob.at.host, bob.at.port))
    with pytest.raises(InputError, match="no node ID"):
        await alice.links.request(no_id, "echo", b"x")
    with pytest.raises(InputError, match="no node ID"):
        await alice.links.notify(bytes(31), "echo", b"x")
    assert alice.pairs == 0


@pytest.mark.parametrize(
    ("protocol", "options", "said"),
    [
        ("link", {}, "cannot name a protocol"),
        ("", {}, "cannot name a protocol"),
        ("Upper", {}, "cannot name a protocol"),
        ("a" * 33, {}, "cannot name a protocol"),
        ("ok", {"concurrent": 0}, "concurrent must be"),
        ("ok", {"max_body": -1}, "max_body must be"),
        ("ok", {"max_body": (1 << 20) + 1}, "max_body must be"),
        ("echo", {}, "has handlers already"),
    ],
)
@on_bench
async def test_handlers_that_cannot_be_are_refused(
    bench: Bench, protocol: str, options: dict[str, int], said: str
) -> None:
    (alice, bob) = await bench.two()
    alice.echo()
    with pytest.raises(InputError, match=said):
        alice.echo(protocol, **options)
    if "name" in said:
        with pytest.raises(InputError, match="cannot name a protocol"):
            await alice.links.request(bob.id, protocol, b"")


@on_bench
async def test_a_body_must_be_bytes(bench: Bench) -> None:
    (alice, bob) = await bench.two()
    bob.echo()
    with pytest.raises(InputError, match="a body is bytes, not str"):
        await alice.links.request(bob.id, "echo", "text")  # type: ignore[arg-type]  # an app without a type checker
    assert await alice.links.request(bob.id, "echo", memoryview(b"view")) == b"view"  # type: ignore[arg-type]  # as bytes
