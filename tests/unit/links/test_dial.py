"""Calling a peer: which ways are tried, when, and what is said when none gets through."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from kadnet.errors import KadnetError, NotConnected, PeerRefused, PeerUnreachable
from kadnet.identity import nodeid
from kadnet.identity.address import Address, Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab import VirtualListener
from kadnet.links.dial import Path
from kadnet.transport import Network
from tests.unit.links.bench import LOUD, Bench, Directory, Room, identity, on_bench
from tests.unit.links.strangers import is_closed

RTT = 0.1
DEAD = "9.9.9.9"
CAROL = identity("carol").public


def lost(bench: Bench, room: Room) -> None:
    """Nobody has it in a table any more."""
    bench.directory.known[room.id] = []


async def ask(room: Room, other: Room) -> float:
    """Seconds until a first request is answered."""
    start = trio.current_time()
    assert await room.links.request(other.id, "echo", b"x") == b"x"
    return trio.current_time() - start


async def deaf(bench: Bench, ip: str) -> VirtualListener:
    """A machine that takes connections and says nothing."""
    return await bench.machine(ip, ip).listen(Endpoint(ip, 7420))


# --- where


@on_bench
async def test_a_stale_address_costs_a_head_start_and_no_more(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    await deaf(bench, "10.8.8.8")
    for host in (DEAD, "10.8.8.8"):
        alice.links.hint(bob.id, Address(bob.id, host, 7420))
        assert await ask(alice, bob) == pytest.approx(LOUD.dial.head_start + 3 * RTT)
        alice.links._pairs[bob.id].retire("idle")
        await trio.sleep(1)


@on_bench
async def test_an_address_that_is_refused_costs_its_round_trip(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    bench.machine("no node", "10.8.8.8")
    alice.links.hint(bob.id, Address(bob.id, "10.8.8.8", 7420))
    assert await ask(alice, bob) == pytest.approx(4 * RTT)


@on_bench
async def test_a_stale_address_that_another_node_has_taken_falls_back_to_the_search(bench: Bench) -> None:
    alice, bob = await bench.two()
    carol = await bench.room("carol", "10.0.3.1")
    bob.echo()
    lost(bench, bob)
    bench.directory.hearsay[bob.id] = [(0.2, bob.contact)]
    alice.links.hint(bob.id, Address(bob.id, carol.at.host, carol.at.port))
    assert await ask(alice, bob) < 1
    assert carol.refused == {"noise-box": 1}


@on_bench
async def test_a_name_that_does_not_resolve_falls_back_too_and_is_named_when_all_fails(bench: Bench) -> None:
    alice, bob = await bench.two()
    bob.echo()
    alice.links.hint(bob.id, Address(bob.id, "nowhere.example", 7420))
    assert await ask(alice, bob) == pytest.approx(3 * RTT)
    alice.links.hint(CAROL, Address(CAROL, "nowhere.example", 7420))
    with pytest.raises(PeerUnreachable, match=r"nowhere\.example: no such name"):
        await alice.links.request(CAROL, "echo", b"x")


@on_bench
async def test_one_false_address_does_not_keep_the_right_one_from_being_tried(bench: Bench) -> None:
    alice, bob = await bench.two()
    mallory = await bench.room("mallory", "66.6.6.6")
    bob.echo()
    lost(bench, bob)
    bench.directory.hearsay[bob.id] = [(0.1, Contact(bob.id, mallory.at)), (0.1, bob.contact)]
    assert await ask(alice, bob) < 1
    assert mallory.refused == {"noise-box": 1}


@pytest.mark.parametrize("kind", ["dead", "deaf", "refusing"])
@on_bench
async def test_one_liar_who_names_sixteen_places_does_not_hide_the_peer(bench: Bench, kind: str) -> None:
    """An answer of one node has room for so many; the peer itself answers the walk a round trip later."""
    alice, bob = await bench.two()
    bob.echo()
    lost(bench, bob)
    false = [Endpoint(f"66.6.{number}.6", 7420) for number in range(16)]
    for place in false:
        if kind == "deaf":
            await deaf(bench, place.host)
        elif kind == "refusing":
            bench.machine(place.host, place.host)
    bench.directory.hearsay[bob.id] = [(0.0, Contact(bob.id, place)) for place in false] + [(RTT, bob.contact)]
    bench.directory.answers[bob.id] = bob.contact
    with trio.fail_after(30):
        assert await ask(alice, bob) < 3


@on_bench
async def test_a_peer_that_is_nowhere_is_said_to_be_so_and_everything_is_closed(bench: Bench) -> None:
    alice, _ = await bench.two()
    listener = await deaf(bench, "10.8.8.8")
    bench.directory.hearsay[CAROL] = [(0.1, Contact(CAROL, listener.local))]
    with pytest.raises(PeerUnreachable, match=r"10\.8\.8\.8:7420 did not answer within 5 seconds"):
        await alice.links.request(CAROL, "echo", b"x")
    stream, _ = await listener.accept()
    assert await is_closed(stream)


# --- what is said


@on_bench
async def test_a_port_that_speaks_something_else_is_named(bench: Bench) -> None:
    alice, _ = await bench.two()
    listener = await deaf(bench, "10.8.8.8")

    async def web_server() -> None:
        stream, _ = await listener.accept()
        await stream.receive_some(1)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    bench.nursery.start_soon(web_server)
    bench.directory.known[CAROL] = [Contact(CAROL, listener.local)]
    with pytest.raises(PeerRefused, match="does not shake hands as kadnet does") as caught:
        await alice.links.request(CAROL, "echo", b"x")
    assert caught.value.reason == "frame-magic"


@on_bench
async def test_the_error_names_who_is_there_instead(bench: Bench) -> None:
    alice, bob = await bench.two()
    bench.directory.known[CAROL] = [Contact(CAROL, bob.at)]
    with pytest.raises(PeerRefused, match=f"{bob.at.host}:7420 is another node: {nodeid.encode(bob.id)}") as caught:
        await alice.links.request(CAROL, "echo", b"x")
    assert caught.value.reason == "another-node"
    bench.directory.claims.clear()
    with pytest.raises(PeerRefused, match="closed the handshake") as caught:
        await alice.links.request(CAROL, "echo", b"x")
    assert caught.value.reason == "handshake"
    assert bob.refused == {"noise-box": 2}


@on_bench
async def test_a_node_of_another_network_closes_the_handshake(bench: Bench) -> None:
    alice = await bench.room("alice", "10.0.1.1")
    bob = await bench.room("bob", "10.0.2.1", network=b"\x01" * 32)
    bench.directory.claims.clear()  # its probes are silent too
    with pytest.raises(PeerRefused, match="closed the handshake"):
        await alice.links.request(bob.id, "echo", b"x")


@on_bench
async def test_with_nobody_to_ask_it_says_so(bench: Bench) -> None:
    class Alone(Directory):
        async def search(self, peer: bytes, named: Callable[[Contact], object]) -> Contact | None:
            raise NotConnected("nobody could be asked")

    alice = await bench.room("alice", "10.0.1.1", directory=Alone())
    with pytest.raises(NotConnected):
        await alice.links.request(CAROL, "echo", b"x")
    alice.links.hint(CAROL, Address(CAROL, DEAD, 7420))
    with pytest.raises(PeerUnreachable, match=r"9\.9\.9\.9:7420"):
        await alice.links.request(CAROL, "echo", b"x")


# --- paths


def waits(seconds: float, log: list[tuple[float, str]], name: str, then: Path | None = None) -> Path:
    """A way in that takes a while, and then fails or goes on."""

    async def path(contact: Contact) -> trio.abc.Stream:
        log.append((round(trio.current_time(), 3), name))
        await trio.sleep(seconds)
        if then is None:
            raise OSError(f"{name} does not get through")
        return await then(contact)

    return path


Paths = Callable[[Network], list[Path]]


async def two_with(bench: Bench, paths: Paths) -> tuple[Room, Room]:
    alice = await bench.room("alice", "10.0.1.1", paths=paths)
    bob = await bench.room("bob", "10.0.2.1")
    bob.echo()
    return alice, bob


def tcp(network: Network) -> Path:
    async def connect(contact: Contact) -> trio.abc.Stream:
        return await network.connect(contact.endpoint)

    return connect


@on_bench
async def test_each_path_has_a_head_start_before_the_next(bench: Bench) -> None:
    log: list[tuple[float, str]] = []
    alice, bob = await two_with(
        bench, lambda network: [waits(60, log, "slow"), waits(60, log, "slower"), waits(0, log, "third", tcp(network))]
    )
    start = trio.current_time()
    seconds = await ask(alice, bob)
    assert [(round(at - start, 3), name) for at, name in log] == [(0, "slow"), (0.25, "slower"), (0.5, "third")]
    assert seconds == pytest.approx(0.5 + 3 * RTT)


@on_bench
async def test_a_path_that_fails_hands_over_at_once(bench: Bench) -> None:
    log: list[tuple[float, str]] = []
    alice, bob = await two_with(bench, lambda network: [waits(0.01, log, "bad"), waits(0, log, "good", tcp(network))])
    assert await ask(alice, bob) == pytest.approx(0.01 + 3 * RTT)


@on_bench
async def test_the_first_that_has_proved_itself_wins_and_the_others_are_closed(bench: Bench) -> None:
    log: list[tuple[float, str]] = []
    opened: list[trio.abc.Stream] = []

    def both(network: Network) -> list[Path]:
        async def kept(contact: Contact) -> trio.abc.Stream:
            opened.append(await network.connect(contact.endpoint))
            return opened[-1]

        return [waits(0.3, log, "one", kept), waits(0.05, log, "two", kept)]

    alice, bob = await two_with(bench, both)
    await ask(alice, bob)
    await trio.sleep(10)
    assert (alice.links.count(), bob.links.count(), len(opened)) == (1, 1, 2)
    assert sum([await has_ended(stream) for stream in opened]) == 1


async def has_ended(stream: trio.abc.Stream) -> bool:
    """Closed by its own node, seen from there."""
    try:
        await stream.send_all(b"")
    except trio.ClosedResourceError:
        return True
    return False


@on_bench
async def test_when_every_path_fails_the_error_says_where(bench: Bench) -> None:
    log: list[tuple[float, str]] = []
    alice, bob = await two_with(bench, lambda _network: [waits(0, log, "one"), waits(0, log, "two")])
    with pytest.raises(PeerUnreachable, match=r"10\.0\.2\.1:7420 cannot be reached: one does not get through"):
        await alice.links.request(bob.id, "echo", b"x")


# --- bounds


@on_bench
async def test_calls_under_way_are_bounded(bench: Bench) -> None:
    settings = replace(LOUD, dial=replace(LOUD.dial, at_once=3))
    alice = await bench.room("alice", "10.0.1.1", settings=settings)
    under_way = most = 0

    async def slow(peer: bytes, named: Callable[[Contact], object]) -> Contact | None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(1)
        under_way -= 1
        return None

    bench.directory.search = slow  # type: ignore[method-assign]  # a search that takes a second
    alice.links._dialer._whereabouts = bench.directory.whereabouts
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(refused, alice.links.request(identity(f"x{number}").public, "echo", b"x"))
    assert most == 3
    assert trio.current_time() - start == pytest.approx(3)


async def refused(call: Awaitable[bytes]) -> None:
    with pytest.raises(KadnetError):
        await call


@on_bench
async def test_addresses_that_were_typed_are_remembered_up_to_a_bound(bench: Bench) -> None:
    settings = replace(LOUD, dial=replace(LOUD.dial, hints=2))
    alice = await bench.room("alice", "10.0.1.1", settings=settings)
    for number in range(5):
        who = identity(f"x{number}").public
        alice.links.hint(who, Address(who, "10.0.0.1", 7420))
    assert list(alice.links._dialer._hints) == [identity("x3").public, identity("x4").public]


@on_bench
async def test_a_call_that_is_cancelled_with_its_node_closes_what_it_had_opened(bench: Bench) -> None:
    alice, _ = await bench.two()
    listener = await deaf(bench, "10.8.8.8")
    bench.directory.known[CAROL] = [Contact(CAROL, listener.local)]

    async def call() -> None:
        with pytest.raises(KadnetError):
            await alice.links.request(CAROL, "echo", b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        stream, _ = await listener.accept()
        await alice.stop()
        assert await is_closed(stream)
        nursery.cancel_scope.cancel()


@on_bench
async def test_to_ask_who_is_there_takes_no_longer_than_the_attempt_and_hides_nothing(bench: Bench) -> None:
    class Silent(Directory):
        async def identify(self, endpoint: Endpoint) -> bytes | None:
            await trio.sleep_forever()
            raise AssertionError

    alice = await bench.room("alice", "10.0.1.1", directory=Silent())
    bob = await bench.room("bob", "10.0.2.1", network=b"\x01" * 32)
    alice.links.hint(bob.id, Address(bob.id, bob.at.host, bob.at.port))
    start = trio.current_time()
    with pytest.raises(PeerRefused, match="closed the handshake"):
        await alice.links.request(bob.id, "echo", b"x")
    assert trio.current_time() - start < LOUD.dial.attempt + 0.1
