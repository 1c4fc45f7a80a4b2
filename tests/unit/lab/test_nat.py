"""NAT boxes: who gets in, at which port, for how long."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Awaitable, Callable

import pytest
import trio

from kadnet import lab
from kadnet.errors import InputError
from kadnet.identity.address import Endpoint
from kadnet.lab import NatBox, NatOptions, NetworkOptions, Place, VirtualDatagrams, VirtualInternet
from kadnet.lab.nat import KINDS

INSIDE = Endpoint("192.168.1.2", 7420)
ONE, ONE_TOO, OTHER = Endpoint("20.0.1.1", 1), Endpoint("20.0.1.1", 2), Endpoint("20.0.2.1", 1)


class Home:
    """Alice and Bob behind one box; ports outside at ONE, ONE_TOO (one host) and OTHER."""

    def __init__(self, internet: VirtualInternet, box: NatBox) -> None:
        self.internet = internet
        self.box = box
        self.alice = internet.host("alice", [INSIDE.host], behind=box)
        self.bob = internet.host("bob", ["192.168.1.3"], behind=box)
        self.outside = {at.host: internet.host(f"host at {at.host}", [at.host]) for at in (ONE, OTHER)}
        self.ports: dict[Endpoint, VirtualDatagrams] = {}
        self.a: VirtualDatagrams

    async def seen_at(self, at: Endpoint) -> Endpoint:
        """Where a datagram from Alice seems to come from at `at`."""
        assert self.a.send(b"hello", at)
        ((_, source),) = await self.ports[at].receive()
        return source

    async def let_in(self, source: Endpoint, to: Endpoint) -> bool:
        """Whether a datagram from `source` gets to Alice."""
        self.ports[source].send(b"let me in", to)
        with trio.move_on_after(1):
            assert await self.a.receive() == [(b"let me in", source)]
            return True
        return False


def play(
    body: Callable[[Home], Awaitable[None]],
    kind: str = "endpoint-independent",
    *,
    hairpin: bool = True,
    options: NetworkOptions | None = None,
) -> None:
    async def main() -> None:
        async with lab.virtual_internet(options) as internet:
            home = Home(internet, internet.nat("box", "20.0.9.9", kind, hairpin=hairpin))
            home.a = await home.alice.datagrams(INSIDE)
            for at in (ONE, ONE_TOO, OTHER):
                home.ports[at] = await home.outside[at.host].datagrams(at)
            await body(home)
            await trio.sleep(1)
            assert internet.accounting.balanced

    lab.run(main)


@pytest.mark.parametrize(
    ("kind", "ports", "let_in"),
    [
        ("endpoint-independent", 1, [True, True, True]),
        ("address-dependent", 1, [True, True, False]),
        ("symmetric", 2, [True, False, False]),
    ],
)
def test_the_kinds_map_and_filter_as_rfc_4787_says(kind: str, ports: int, let_in: list[bool]) -> None:
    async def body(home: Home) -> None:
        seen = await home.seen_at(ONE)
        assert seen.host == "20.0.9.9"
        assert seen.port != INSIDE.port
        assert await home.seen_at(ONE) == seen
        assert [await home.let_in(each, seen) for each in (ONE, ONE_TOO, OTHER)] == let_in
        assert home.internet.accounting.lost_by["nat"] == let_in.count(False)
        assert len({seen, await home.seen_at(ONE_TOO)}) == ports

    play(body, kind)


def test_nobody_gets_in_uncalled_not_even_by_the_private_address() -> None:
    async def body(home: Home) -> None:
        assert not await home.let_in(ONE, Endpoint("20.0.9.9", 7420))
        assert home.internet.accounting.lost_by == {"nat": 1}
        assert not await home.let_in(ONE, INSIDE)
        assert home.internet.accounting.nobody == 1

    play(body)


def test_a_mapping_lasts_two_minutes_after_the_last_outgoing_packet_whatever_comes_in() -> None:
    async def body(home: Home) -> None:
        seen = await home.seen_at(ONE)
        await trio.sleep(100)
        assert await home.seen_at(ONE) == seen
        await trio.sleep(100)
        assert await home.let_in(ONE, seen)
        await trio.sleep(25)
        assert not await home.let_in(ONE, seen)
        assert await home.seen_at(ONE) != seen

    play(body)


def test_who_is_let_in_is_forgotten_apart_from_the_mapping() -> None:
    async def body(home: Home) -> None:
        seen = await home.seen_at(ONE)
        for _ in range(3):
            await trio.sleep(60)
            await home.seen_at(OTHER)
        assert await home.let_in(OTHER, seen)
        assert not await home.let_in(ONE, seen)

    play(body, "address-dependent")


def test_two_behind_one_box_meet_on_their_lan_and_through_its_public_address() -> None:
    async def body(home: Home) -> None:
        b = await home.bob.datagrams(Endpoint("192.168.1.3", 7420))
        start = trio.current_time()
        home.a.send(b"x", b.local)
        assert await b.receive() == [(b"x", INSIDE)]
        assert trio.current_time() - start == pytest.approx(0.0005)
        seen = await home.seen_at(ONE)
        b.send(b"hairpin", seen)
        ((data, source),) = await home.a.receive()
        assert (data, source.host) == (b"hairpin", "20.0.9.9")
        home.a.send(b"back", source)
        assert (await b.receive())[0] == (b"back", seen)

    play(body)


def test_a_box_without_hairpinning_lets_its_own_hosts_in_by_nothing() -> None:
    async def body(home: Home) -> None:
        b = await home.bob.datagrams(Endpoint("192.168.1.3", 7420))
        home.box.forward(7420, home.alice)
        await home.alice.listen(INSIDE)
        b.send(b"hairpin", Endpoint("20.0.9.9", 7420))
        with pytest.raises(TimeoutError):
            await home.bob.connect(Endpoint("20.0.9.9", 7420))
        assert home.internet.accounting.lost_by == {"nat": 1}

    play(body, hairpin=False)


def test_private_addresses_of_two_homes_do_not_meet() -> None:
    async def body(home: Home) -> None:
        other = home.internet.nat("box 2", "20.0.8.8")
        twin = home.internet.host("twin", [INSIDE.host], behind=other)
        t = await twin.datagrams(INSIDE)
        group = await home.alice.datagrams(INSIDE, group="239.1.1.1")
        t.send(b"to myself", INSIDE)
        t.send(b"to my lan", Endpoint("239.1.1.1", 7420))
        t.send(b"to a stranger's lan", Endpoint("192.168.1.3", 7420))
        await trio.sleep(1)
        assert await t.receive() == [(b"to myself", INSIDE)]
        assert not home.a._inbox
        assert not group._inbox
        assert home.internet.accounting.nobody == 2

    play(body)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_forwarded_port_lets_everybody_in_and_outlasts_a_restart(kind: str) -> None:
    async def body(home: Home) -> None:
        outside = home.box.forward(7420, home.alice)
        assert outside == Endpoint("20.0.9.9", 7420)
        assert await home.let_in(OTHER, outside)
        assert await home.seen_at(ONE) == outside
        home.internet.kill(home.alice)
        home.alice = home.internet.host("alice", [INSIDE.host], behind=home.box)
        home.a = await home.alice.datagrams(INSIDE)
        assert await home.let_in(OTHER, outside)
        listener = await home.alice.listen(INSIDE)
        stream = await home.outside[ONE.host].connect(outside)
        accepted, source = await listener.accept()
        assert (accepted.local, stream.remote, source) == (INSIDE, outside, stream.local)
        await accepted.send_all(b"welcome")
        assert await stream.receive_some() == b"welcome"

    play(body, kind)


def test_connections_leave_through_the_box_and_none_comes_in() -> None:
    async def body(home: Home) -> None:
        listener = await home.outside[ONE.host].listen(ONE)
        await home.alice.listen(INSIDE)
        seen: list[Endpoint] = []
        home.internet.observers.append(lambda event: seen.append(event.source))
        ours = await home.alice.connect(ONE)
        theirs, source = await listener.accept()
        assert source.host == "20.0.9.9"
        await ours.send_all(b"x")
        assert await theirs.receive_some() == b"x"
        await theirs.send_all(b"y")
        assert await ours.receive_some() == b"y"
        assert {each.host for each in seen} == {"20.0.9.9", ONE.host}
        for target in (Endpoint("20.0.9.9", 7420), INSIDE):
            with pytest.raises(TimeoutError):
                await home.outside[ONE.host].connect(target)

    play(body)


def test_cuts_and_restarts_reach_through_the_box() -> None:
    async def body(home: Home) -> None:
        seen = await home.seen_at(ONE)
        listener = await home.outside[ONE.host].listen(ONE)
        stream = await home.alice.connect(ONE)
        theirs, _ = await listener.accept()
        home.internet.cut(home.outside[ONE.host], home.alice, one_way=True)
        assert not await home.let_in(ONE, seen)
        assert home.internet.accounting.lost_by == {"cut": 1}
        await theirs.send_all(b"waits")
        with trio.move_on_after(5) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        home.internet.heal_all()
        assert await stream.receive_some() == b"waits"
        home.internet.kill(home.alice)
        home.internet.host("alice", [INSIDE.host], behind=home.box)
        await theirs.send_all(b"are you the same?")
        with pytest.raises(trio.BrokenResourceError, match="restarted"):
            await theirs.receive_some()

    play(body)


def test_a_box_that_was_off_has_forgotten_its_mappings_but_not_its_forwardings() -> None:
    async def body(home: Home) -> None:
        seen = await home.seen_at(ONE)
        outside = home.box.forward(7421, home.bob)
        b = await home.bob.datagrams(Endpoint("192.168.1.3", 7421))
        home.box.restart()
        assert not await home.let_in(ONE, seen)
        home.ports[ONE].send(b"x", outside)
        assert len(await b.receive()) == 1

    play(body)


def test_hosts_behind_a_box_stand_where_it_stands() -> None:
    async def body(home: Home) -> None:
        latency = home.internet.options.latency
        start = trio.current_time()
        await home.seen_at(ONE)
        there = latency.place(f"host at {ONE.host}")
        assert trio.current_time() - start == pytest.approx(latency.between(latency.place("box"), there))

    play(body, options=NetworkOptions(latency=lab.Coordinates(2)))


def box(**options: object) -> NatBox:
    return NatBox("box", "20.0.9.9", Place(), NatOptions(**options))  # type: ignore[arg-type]  # names are checked there


def test_a_full_box_gives_no_mapping_until_one_is_over() -> None:
    full = box(kind="symmetric", max_mappings=2)
    first, second = full.outgoing(INSIDE, ONE, 0.0), full.outgoing(INSIDE, OTHER, 60.0)
    assert first is not None
    assert full.outgoing(INSIDE, ONE_TOO, 119.0) is None
    assert full.outgoing(INSIDE, OTHER, 119.0) == second
    third = full.outgoing(INSIDE, ONE_TOO, 120.0)
    assert third not in (None, first, second)
    assert full.incoming(first.port, ONE, 120.0) is None


def test_of_many_remotes_the_one_unheard_by_us_for_longest_gives_way() -> None:
    small = box(kind="address-dependent", max_remotes=2)
    hosts = [Endpoint(f"20.0.0.{n}", 1) for n in range(3)]
    for now, each in enumerate([hosts[0], hosts[1], hosts[0], hosts[2]]):
        mapped = small.outgoing(INSIDE, each, float(now))
    assert mapped is not None
    assert [small.incoming(mapped.port, each, 5.0) for each in hosts] == [INSIDE, None, INSIDE]


def test_outside_ports_are_given_in_order_and_none_twice() -> None:
    given = box(kind="symmetric")
    given.forward(20_001, lab_host := _Fixed())
    ports = [given.outgoing(INSIDE, Endpoint("20.0.1.1", n), 0.0) for n in range(1, 4)]
    assert [each and each.port for each in ports] == [20_000, 20_002, 20_003]
    given.forward(20_002, lab_host)
    assert given.incoming(20_002, OTHER, 0.0) == Endpoint("192.168.1.9", 20_002)
    moved = given.outgoing(INSIDE, Endpoint("20.0.1.1", 2), 0.0)
    assert moved is not None
    assert moved.port == 20_004


class _Fixed:
    addresses = ("192.168.1.9",)


def test_what_cannot_be_is_refused() -> None:
    async def body(home: Home) -> None:
        with pytest.raises(InputError, match=r"20\.0\.3\.1 is no private IPv4 address"):
            home.internet.host("carol", ["20.0.3.1"], behind=home.box)
        with pytest.raises(InputError, match="no private IPv4"):
            home.internet.host("carol", ["fd00::1"], behind=home.box)
        with pytest.raises(ValueError, match=r"192\.168\.1\.3 is the address of bob"):
            home.internet.host("carol", ["192.168.1.9", "192.168.1.3"], behind=home.box)
        with pytest.raises(ValueError, match=r"20\.0\.9\.9 is the address of box"):
            home.internet.host("carol", ["20.0.9.9"])
        with pytest.raises(ValueError, match="is the address of host at"):
            home.internet.nat("box 2", ONE.host)
        with pytest.raises(InputError, match="IPv6"):
            home.internet.nat("box 2", "2001:db8::1")
        with pytest.raises(InputError, match="no NAT of kind 'cone': give one of endpoint-independent"):
            home.internet.nat("box 2", "20.0.8.8", "cone")
        with pytest.raises(InputError, match="1 to 40,000 mappings"):
            home.internet.nat("box 2", "20.0.8.8", max_mappings=50_000)
        with pytest.raises(InputError, match="mapping_lifetime is 0"):
            home.internet.nat("box 2", "20.0.8.8", mapping_lifetime=0)
        home.box.forward(7420, home.alice)
        with pytest.raises(InputError, match=r"port 7420 of box is forwarded to 192\.168\.1\.2 already"):
            home.box.forward(7420, home.bob)
        with pytest.raises(InputError, match="port 0"):
            home.box.forward(0, home.bob)

    play(body)
