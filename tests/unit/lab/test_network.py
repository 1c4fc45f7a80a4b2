"""The virtual internet: where datagrams end, what the books say, what a test may do to it."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet import lab
from kadnet.errors import NameNotFound
from kadnet.identity.address import Endpoint
from kadnet.lab import (
    Coordinates,
    Fate,
    NetworkOptions,
    PacketEvent,
    VirtualDatagrams,
    VirtualInternet,
    VirtualNetwork,
    virtual_internet,
)


class Two:
    """Two hosts with a datagram port each."""

    def __init__(self, internet: VirtualInternet, alice: VirtualNetwork, bob: VirtualNetwork) -> None:
        self.internet = internet
        self.alice = alice
        self.bob = bob
        self.a: VirtualDatagrams
        self.b: VirtualDatagrams

    def heard(self) -> list[bytes]:
        """What waits in bob's port."""
        return [data for data, _ in self.b._inbox]


def play(body: Callable[[Two], Awaitable[None]], options: NetworkOptions | None = None, seed: int = 0) -> str:
    """Run `body` on two hosts; returns the trace."""

    async def main() -> str:
        async with virtual_internet(options, seed=seed) as internet:
            two = Two(internet, internet.host("alice", ["10.0.0.1"]), internet.host("bob", ["10.0.1.1"]))
            two.a = await two.alice.datagrams(Endpoint("10.0.0.1", 1000))
            two.b = await two.bob.datagrams(Endpoint("10.0.1.1", 2000))
            await body(two)
            assert internet.accounting.balanced
            return internet.trace.hexdigest()

    return lab.run(main, seed=seed)


def test_a_datagram_takes_the_one_way_latency() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        two.a.send(b"x", two.b.local)
        assert two.internet.accounting.in_flight == 1
        await two.b.receive()
        assert trio.current_time() - start == pytest.approx(0.05)
        start = trio.current_time()
        two.a.send(b"to myself", two.a.local)
        await two.a.receive()
        assert trio.current_time() - start == pytest.approx(0.00005)

    play(body)


def test_jitter_comes_on_top_and_may_reorder() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        for n in range(50):
            two.a.send(bytes([n]), two.b.local)
        await trio.sleep(0.0501)
        assert len(two.heard()) < 5
        await trio.sleep(start + 0.151 - trio.current_time())
        assert sorted(two.heard()) == [bytes([n]) for n in range(50)] != two.heard()

    play(body, NetworkOptions(jitter=0.1))


def test_chance_loses_the_part_it_was_told() -> None:
    async def body(two: Two) -> None:
        for n in range(2000):
            two.a.send(b"%d" % n, two.b.local)
            if n % 50 == 0:
                await trio.sleep(1)
                two.b._inbox.clear()
        await trio.sleep(1)
        assert 500 < two.internet.accounting.lost_by["chance"] < 700
        assert two.internet.accounting.sent == 2000
        assert two.internet.accounting.in_flight == 0

    play(body, NetworkOptions(loss=0.3))


def test_every_datagram_has_one_of_three_ends() -> None:
    async def body(two: Two) -> None:
        nobody = [Endpoint("10.0.1.1", 9), Endpoint("10.9.9.9", 9), Endpoint("239.1.1.1", 9), Endpoint("0.0.0.0", 9)]
        for target in [two.b.local] * 20 + nobody:
            two.a.send(b"x", target)
        await trio.sleep(1)
        books = two.internet.accounting
        assert (books.sent, books.delivered, books.lost, books.nobody) == (24, 12, 8, 4)
        assert books.lost_by == {"full": 8}
        assert two.b.overflowed == 8

    play(body, NetworkOptions(inbox=12))


def test_too_large_a_datagram_is_refused_by_its_own_host() -> None:
    async def body(two: Two) -> None:
        assert two.a.send(bytes(1472), two.b.local)
        assert not two.a.send(bytes(1473), two.b.local)
        assert two.internet.accounting.sent == 1

    play(body)


def test_a_cut_loses_what_is_sent_after_it_until_it_is_healed() -> None:
    async def body(two: Two) -> None:
        two.internet.cut(two.alice, two.bob)
        two.a.send(b"lost", two.b.local)
        two.b.send(b"lost", two.a.local)
        two.internet.heal(two.alice, two.bob)
        two.a.send(b"kept", two.b.local)
        two.b.send(b"kept", two.a.local)
        assert await two.b.receive() == [(b"kept", two.a.local)]
        assert await two.a.receive() == [(b"kept", two.b.local)]
        assert two.internet.accounting.lost_by == {"cut": 2}

    play(body)


def test_a_one_way_cut_lets_the_other_way_through() -> None:
    async def body(two: Two) -> None:
        two.internet.cut(two.alice, two.bob, one_way=True)
        two.a.send(b"lost", two.b.local)
        two.b.send(b"kept", two.a.local)
        assert await two.a.receive() == [(b"kept", two.b.local)]
        assert two.heard() == []

    play(body)


def test_a_partition_cuts_every_pair_across_it_and_nobody_else_until_all_is_healed() -> None:
    async def body(two: Two) -> None:
        carol = two.internet.host("carol", ["10.0.2.1"])
        c = await carol.datagrams(Endpoint("10.0.2.1", 3000))
        two.internet.partition([two.alice, carol], [two.bob])
        two.a.send(b"within", c.local)
        for port, target in ((two.a, two.b), (c, two.b), (two.b, two.a), (two.b, c)):
            port.send(b"across", target.local)
        assert await c.receive() == [(b"within", two.a.local)]
        assert two.internet.accounting.lost_by == {"cut": 4}
        two.internet.heal_all()
        c.send(b"healed", two.b.local)
        assert await two.b.receive() == [(b"healed", c.local)]
        with pytest.raises(ValueError, match="bob stands on both sides"):
            two.internet.partition([two.alice, two.bob], [two.bob])

    play(body)


def test_a_one_way_partition_loses_one_way_alone() -> None:
    async def body(two: Two) -> None:
        two.internet.partition([two.alice], [two.bob], one_way=True)
        two.a.send(b"lost", two.b.local)
        two.b.send(b"kept", two.a.local)
        assert await two.a.receive() == [(b"kept", two.b.local)]
        assert two.heard() == []

    play(body)


def test_a_part_of_the_datagrams_comes_twice_and_the_books_know() -> None:
    async def body(two: Two) -> None:
        for n in range(1000):
            two.a.send(b"%d" % n, two.b.local)
        await trio.sleep(1)
        books = two.internet.accounting
        assert (books.sent, books.delivered) == (1000, 1000 + books.duplicated)
        assert 250 < books.duplicated < 350
        assert len(set(two.heard())) == 1000

    play(body, NetworkOptions(duplication=0.3, inbox=2000))


def test_a_part_of_the_datagrams_is_overtaken() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        for n in range(1000):
            two.a.send(n.to_bytes(2, "big"), two.b.local)
        await trio.sleep(0.0501)
        in_time = two.heard()
        assert in_time == sorted(in_time)
        assert 650 < len(in_time) < 750
        await trio.sleep(start + 0.2501 - trio.current_time())
        assert len(two.heard()) == 1000
        assert two.heard() != sorted(two.heard())

    play(body, NetworkOptions(reordering=0.3, reorder_by=0.2))


def test_hosts_are_as_far_apart_as_their_places() -> None:
    async def body(two: Two) -> None:
        latency = two.internet.options.latency
        start = trio.current_time()
        two.a.send(b"x", two.b.local)
        await two.b.receive()
        took = trio.current_time() - start
        assert took == pytest.approx(latency.between(latency.place("alice"), latency.place("bob")))
        assert took != pytest.approx(latency.median_round_trip / 2, rel=0.01)

    play(body, NetworkOptions(latency=Coordinates(3)))


@pytest.mark.parametrize(("bandwidth", "ends"), [((10_000, None), "sender"), ((None, 10_000), "receiver")])
def test_packets_wait_for_the_line_and_what_finds_no_room_is_lost(
    bandwidth: tuple[float | None, float | None], ends: str
) -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        for n in range(10):
            two.a.send(bytes([n]) * 972, two.b.local)  # 1,000 bytes with the headers: 0.1 s each
        await two.b.receive()
        assert trio.current_time() - start == pytest.approx(0.15)
        await trio.sleep(1)
        assert [data[0] for data in two.heard()] == [1, 2, 3, 4], ends
        assert two.internet.accounting.lost_by == {"line": 5}
        two.b.send(b"the other way is free", two.a.local)
        start = trio.current_time()
        await two.a.receive()
        assert trio.current_time() - start < 0.06

    play(body, NetworkOptions(bandwidth=bandwidth, line_queue=5000))


def test_a_host_talks_to_itself_past_its_line() -> None:
    async def body(two: Two) -> None:
        start = trio.current_time()
        two.a.send(bytes(1000), two.a.local)
        await two.a.receive()
        assert trio.current_time() - start == pytest.approx(0.00005)

    play(body, NetworkOptions(bandwidth=(1000, 1000)))


def test_faults_that_are_off_draw_no_chance() -> None:
    async def body(two: Two) -> None:
        before = two.internet._rng.getstate()
        two.a.send(b"x", two.b.local)
        await two.b.receive()
        assert two.internet._rng.getstate() == before

    play(body, NetworkOptions(latency=Coordinates(1), bandwidth=(1e6, 1e6)))


def test_a_dead_host_neither_hears_nor_sends_and_its_address_can_be_taken_again() -> None:
    async def body(two: Two) -> None:
        with pytest.raises(ValueError, match=r"10\.0\.1\.1 is the address of bob"):
            two.internet.host("carol", ["10.0.1.1"])
        two.a.send(b"on its way when the power went", two.b.local)
        two.internet.kill(two.bob)
        assert not two.b.send(b"last words", two.a.local)
        await trio.sleep(1)
        again = two.internet.host("bob", ["10.0.1.1"])
        two.b = await again.datagrams(two.b.local)
        two.a.send(b"hello again", two.b.local)
        assert await two.b.receive() == [(b"hello again", two.a.local)]
        assert two.internet.accounting.nobody == 1

    play(body)


def test_the_dead_are_told_nothing() -> None:
    async def body(two: Two) -> None:
        two.internet.kill(two.bob)
        with trio.move_on_after(100) as scope:
            await two.b.receive()
        assert scope.cancelled_caught

    play(body)


def test_observers_see_each_packet_and_its_fate() -> None:
    async def body(two: Two) -> None:
        seen: list[PacketEvent] = []
        two.internet.observers.append(seen.append)
        two.internet.filters.append(lambda packet: packet.data != b"bad")
        start = trio.current_time()
        for data, target in ((b"good", two.b.local), (b"bad", two.b.local), (b"good", Endpoint("10.9.9.9", 9))):
            two.a.send(data, target)
        await trio.sleep(1)
        assert [(event.fate, event.data) for event in seen] == [
            (Fate.SENT, b"good"),
            (Fate.SENT, b"bad"),
            (Fate.LOST, b"bad"),
            (Fate.SENT, b"good"),
            (Fate.DELIVERED, b"good"),
            (Fate.NOBODY, b"good"),
        ]
        assert seen[4].time - start == pytest.approx(0.05)
        assert (seen[4].kind, seen[4].source, seen[4].target) == ("datagram", two.a.local, two.b.local)
        assert two.internet.accounting.lost_by == {"filter": 1}

    play(body)


def test_a_group_reaches_one_lan_and_no_further() -> None:
    async def body(two: Two) -> None:
        near = two.internet.host("near", ["10.0.0.2"])
        here, there = Endpoint("10.0.0.2", 7420), Endpoint("10.0.1.1", 7420)
        in_lan = await near.datagrams(here, group="239.1.1.1")
        beyond = await two.bob.datagrams(there, group="239.1.1.1")
        two.a.send(b"x", Endpoint("239.1.1.1", 7420))
        assert await in_lan.receive() == [(b"x", two.a.local)]
        assert not beyond._inbox
        two.a.send(b"closed while it was on its way", Endpoint("239.1.1.1", 7420))
        await in_lan.aclose()
        two.a.send(b"closed before", Endpoint("239.1.1.1", 7420))
        await trio.sleep(1)
        assert two.internet.accounting.nobody == 2

    play(body)


def test_names_resolve_to_the_addresses_of_their_host() -> None:
    async def body(two: Two) -> None:
        seed = two.internet.host("seed", ["10.0.9.1", "2001:DB8::9"])
        two.internet.name("seed.example", seed)
        found = await two.alice.resolve("Seed.Example", 7420)
        assert found == [Endpoint("10.0.9.1", 7420), Endpoint("2001:db8::9", 7420)]
        with pytest.raises(NameNotFound, match=r"other\.example"):
            await two.alice.resolve("other.example", 7420)
        assert (seed.local_address(4), seed.local_address(6)) == ("10.0.9.1", "2001:db8::9")
        assert two.alice.local_address(6) is None

    play(body)


def test_a_loopback_port_is_reached_from_its_own_host_alone() -> None:
    async def body(two: Two) -> None:
        inside = await two.bob.datagrams(Endpoint("127.0.0.1", 2001))
        outside = await two.bob.datagrams(Endpoint("0.0.0.0", 2002))
        assert not inside.send(b"x", two.a.local)
        two.a.send(b"x", Endpoint("127.0.0.1", 2001))
        assert outside.send(b"y", inside.local)
        assert await inside.receive() == [(b"y", Endpoint("127.0.0.1", 2002))]

    play(body)


def test_the_trace_is_a_function_of_what_was_sent_and_when() -> None:
    def sends(data: bytes, after: float = 0.0) -> Callable[[Two], Awaitable[None]]:
        async def body(two: Two) -> None:
            await trio.sleep(after)
            two.a.send(data, two.b.local)
            await trio.sleep(1)

        return body

    base = play(sends(b"x"))
    assert play(sends(b"x")) == base
    assert play(sends(b"y")) != base
    assert play(sends(b"x", 1e-9)) != base


async def test_what_the_body_raises_leaves_bare() -> None:
    with pytest.raises(LookupError):
        async with virtual_internet():
            raise LookupError
