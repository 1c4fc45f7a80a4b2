"""Requests and answers: what is believed, what is sent when, and what is never sent."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from typing import Any

import pytest
import trio

from kadnet.identity.address import Endpoint, pack
from kadnet.kademlia.contact import Contact
from kadnet.overlay.calls import RpcSettings
from kadnet.wire import packets
from kadnet.wire.messages import SERVES, FindNode, Nodes, Ping, Pong, Request, Stored
from tests.unit.overlay.bare import Bare, bare
from tests.unit.overlay.builders import PORT, Lab, RawPeer, identity, in_lab

TARGET = bytes(32)


def pong(peer: RawPeer, request: Request, token: bytes = b"", flags: int = SERVES) -> Pong:
    return Pong(request.id, flags, token, pack(peer.socket.local), b"\x01", 0)


@in_lab
async def test_a_ping_comes_back_with_where_we_were_seen(lab: Lab) -> None:
    a, b = await bare(lab, "a", "10.0.0.1"), await bare(lab, "b", "10.0.0.2")
    answer = await a.call(b.contact)
    assert isinstance(answer, Pong)
    assert answer.seen == pack(a.contact.endpoint)
    ((contact, rtt, serves),) = a.heard.answered
    assert (contact, serves) == (b.contact, True)
    assert rtt == pytest.approx(0.1)
    assert (a.rpc.counters.requests_sent, a.rpc.counters.answers_received, a.rpc.open_calls) == (1, 1, 0)


@in_lab
async def test_without_a_token_requests_are_padded_and_with_one_they_are_not(lab: Lab) -> None:
    a, b = await bare(lab, "a", "10.0.0.1"), await bare(lab, "b", "10.0.0.2")
    sizes: list[int] = []
    lab.internet.observers.append(
        lambda e: sizes.append(len(e.data)) if e.source == a.contact.endpoint and e.fate.value == "sent" else None
    )
    await a.call(b.contact, Ping)
    await a.call(b.contact, Ping)
    await a.call(b.contact, FindNode, TARGET)
    assert sizes[:2] == [160, 160]  # a PING always: see below
    assert sizes[2] < 160
    c = await bare(lab, "c", "10.0.0.3")
    await a.call(c.contact, FindNode, TARGET)
    assert sizes[3] == 1232
    await trio.sleep(301)  # a token is used for an epoch and no longer
    await a.call(c.contact, FindNode, TARGET)
    assert sizes[4] == 1232


@in_lab
async def test_a_server_with_a_new_secret_is_asked_once_again_with_its_new_token(lab: Lab) -> None:
    a, b = await bare(lab, "a", "10.0.0.1"), await bare(lab, "b", "10.0.0.2")
    await a.call(b.contact)
    lab.internet.kill(lab.machine("10.0.0.2"))
    b = await bare(lab, "b", "10.0.0.2", restarts=1)
    answer = await a.call(b.contact, FindNode, TARGET)
    assert isinstance(answer, Nodes)
    assert (answer.flags, len(answer.contacts4)) == (SERVES, 608)
    assert [asker.proven for _, asker in b.heard.served] == [False, True]
    assert a.rpc.counters.retransmitted == 1


@in_lab
async def test_a_ping_with_a_token_that_died_with_its_server_is_answered_all_the_same(lab: Lab) -> None:
    a, b = await bare(lab, "a", "10.0.0.1"), await bare(lab, "b", "10.0.0.2")
    await a.call(b.contact)
    assert a.book.to_ask(b.contact.id).token
    lab.internet.kill(lab.machine("10.0.0.2"))
    b = await bare(lab, "b", "10.0.0.2", restarts=1)
    assert isinstance(await a.call(b.contact), Pong)
    assert b.rpc.counters.dropped == {}


@in_lab
async def test_one_that_always_answers_short_is_asked_twice_and_no_more(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    peer.behave = lambda request, sender: peer.send(Nodes(request.id, 8 | SERVES, bytes(8), b"", b""), sender)
    assert isinstance(await a.call(peer.contact, FindNode, TARGET), Nodes)
    assert len(peer.inbox) == 2


@in_lab
async def test_the_round_trip_is_that_of_the_very_transmission_answered(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    requests: list[Request] = []
    peer.behave = lambda request, _sender: requests.append(request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.call, peer.contact, Ping)
        await trio.sleep(0.4)
        call = next(iter(a.rpc._pending.values()))[0]
        a.rpc.retransmit(call)
        await trio.sleep(0.2)
        assert len(requests) == 2
        assert requests[0].id != requests[1].id
        peer.send(pong(peer, requests[1]), a.contact)
    assert a.heard.answered[0][1] == pytest.approx(0.25)  # sent at 0.4, answered from 0.6 on
    assert a.book.to_ask(peer.identity.public).rtt.srtt == pytest.approx(0.25)


@in_lab
async def test_an_answer_to_the_first_of_two_transmissions_counts_with_its_own_time(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    requests: list[Request] = []
    peer.behave = lambda request, _sender: requests.append(request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.call, peer.contact, Ping)
        await trio.sleep(0.4)
        a.rpc.retransmit(next(iter(a.rpc._pending.values()))[0])
        await trio.sleep(0.2)
        peer.send(pong(peer, requests[0]), a.contact)
    assert a.heard.answered[0][1] == pytest.approx(0.65)
    await trio.sleep(1)
    peer.send(pong(peer, requests[1]), a.contact)
    await trio.sleep(1)
    assert len(a.heard.answered) == 1
    assert a.rpc.counters.dropped == {"unsolicited": 1}


@in_lab
async def test_a_lone_attempt_waits_with_patience_and_a_late_answer_counts(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    start = trio.current_time()
    assert await a.call(peer.contact) == "no answer"
    assert trio.current_time() - start == pytest.approx(2.5)
    assert a.heard.failed == [peer.contact]
    assert a.rpc.counters.timed_out == 1
    requests: list[Request] = []
    peer.behave = lambda request, _sender: requests.append(request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.call, peer.contact)
        await trio.sleep(2.4)
        peer.send(pong(peer, requests[0]), a.contact)
    assert len(a.heard.answered) == 1
    assert len(a.heard.failed) == 1


@in_lab
async def test_three_attempts_go_out_after_the_timer_and_after_twice_of_it(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    times: list[float] = []
    peer.behave = lambda *_: times.append(trio.current_time())
    start = trio.current_time()
    assert await a.call(peer.contact, attempts=3) == "no answer"
    assert [when - start - 0.05 for when in times] == pytest.approx([0.0, 0.5, 1.5])
    assert trio.current_time() - start == pytest.approx(3.5)
    counters = a.rpc.counters
    assert (counters.requests_sent, counters.retransmitted, counters.timed_out) == (1, 2, 1)
    assert a.rpc.open_calls == 0


@in_lab
async def test_answers_of_others_from_elsewhere_or_of_another_type_are_dropped(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    other, elsewhere = await lab.raw("other", "10.0.0.3"), await lab.raw("peer", "10.0.0.4")

    def behave(request: Request, sender: Contact) -> None:
        other.send(pong(other, request), sender)  # another peer, who saw the id
        elsewhere.send(pong(elsewhere, request), sender)  # the right one, from the wrong endpoint
        peer.send(pong(peer, Ping(bytes(8), 0, b"")), sender)  # an id nobody asked
        peer.send(Stored(request.id, SERVES, 0, 0), sender)  # another type of answer

    peer.behave = behave
    assert await a.call(peer.contact) == "no answer"
    assert a.rpc.counters.dropped == {"unsolicited": 3, "wrong-answer": 1}
    assert a.heard.answered == []
    assert a.rtt.overall.samples == 0


@in_lab
async def test_a_request_changes_no_endpoint_no_liveness_and_no_round_trip(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    elsewhere = await lab.raw("peer", "10.0.0.4")
    peer.behave = lambda request, sender: peer.send(pong(peer, request), sender)
    await a.call(peer.contact)
    kept = a.book.to_ask(peer.identity.public)
    before = (kept.rtt.srtt, kept.rtt.samples, kept.token, kept.token_at, a.rtt.overall.samples, len(a.heard.answered))
    await elsewhere.ask(Ping(elsewhere.fresh_id(), SERVES, b""), a.contact)
    assert a.heard.requested == [(peer.identity.public, elsewhere.socket.local)]
    after = (kept.rtt.srtt, kept.rtt.samples, kept.token, kept.token_at, a.rtt.overall.samples, len(a.heard.answered))
    assert after == before
    await a.call(peer.contact)
    assert len(peer.inbox) == 2
    assert len(elsewhere.messages(Ping)) == 0


@in_lab
async def test_a_client_tells_nobody_that_it_serves(lab: Lab) -> None:
    client, server = await bare(lab, "client", "10.0.0.1", serves=False), await bare(lab, "server", "10.0.0.2")
    await client.call(server.contact)
    await server.call(client.contact)
    assert server.heard.requested == []
    assert [serving for _, _, serving in server.heard.answered] == [False]


@in_lab
async def test_open_requests_are_bounded_and_an_unusable_id_fails_at_once(lab: Lab) -> None:
    a = await bare(lab, "a", "10.0.0.1", settings=RpcSettings(max_pending=4))
    failures: list[str] = []

    def ask(contact: Contact) -> Any:
        return a.rpc.ask(contact, Ping, (), lambda *_: None, failures.append)

    nobody = [Contact(identity(f"nobody {n}").public, Endpoint("10.0.9.9", PORT)) for n in range(5)]
    assert all(ask(contact) is not None for contact in nobody[:4])
    assert ask(nobody[4]) is None
    assert failures == ["too many requests open"]
    await trio.sleep(3)
    assert failures[1:] == ["no answer"] * 4
    assert ask(Contact(bytes(32), Endpoint("10.0.9.9", PORT))) is None
    assert ask(Contact(identity("six").public, Endpoint("2001:db8::1", PORT))) is None
    assert failures[-1] == "no port of that family"
    assert len(failures) == 7
    assert a.rpc.open_calls == 0


@in_lab
async def test_a_probe_is_answered_with_the_id_and_only_on_this_network(lab: Lab) -> None:
    a, b = await bare(lab, "a", "10.0.0.1"), await bare(lab, "b", "10.0.0.2")
    other = await bare(lab, "other", "10.0.0.3", network=b"\x01" * 32)
    assert a.rpc.probe(b.contact.endpoint, b"c" * 16)
    a.rpc.probe(other.contact.endpoint, b"d" * 16)
    assert not a.rpc.probe(Endpoint("2001:db8::1", PORT), b"e" * 16)
    await trio.sleep(1)
    assert a.heard.claimed == [(b"c" * 16, b.contact.id, b.contact.endpoint)]
    assert other.rpc.counters.dropped == {"mac": 1}
    assert other.rpc.counters.datagrams_out == 0


@in_lab
async def test_another_network_hears_nothing(lab: Lab) -> None:
    a = await bare(lab, "a", "10.0.0.1")
    private = await bare(lab, "private", "10.0.0.2", network=b"\x01" * 32)
    assert await a.call(private.contact) == "no answer"
    assert private.rpc.counters.dropped == {"tag": 1}
    assert private.rpc.counters.datagrams_out == 0


def count_agreements(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    made: list[bytes] = []

    class Counting(packets.Channel):
        def __init__(self, own: Any, peer: bytes, network: bytes = bytes(32)) -> None:
            made.append(peer)
            super().__init__(own, peer, network)

    monkeypatch.setattr(packets, "Channel", Counting)
    return made


@in_lab
async def test_no_key_is_agreed_before_the_tag_and_the_budget_were_passed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await bare(lab, "a", "10.0.0.1", settings=RpcSettings(stranger_rate=1, stranger_burst=3))
    strangers = [await lab.raw(f"stranger {n}", f"203.0.113.{n}") for n in range(1, 6)]
    sealed = [s.seal(bytes(90), a.contact.id) for s in strangers]
    made = count_agreements(monkeypatch)
    wrong_tag = sealed[0][:2] + bytes(8) + sealed[0][10:]
    strangers[0].socket.send(wrong_tag, a.contact.endpoint)
    await trio.sleep(0.2)
    assert made == []
    assert a.rpc.counters.dropped == {"tag": 1}
    for stranger, datagram in zip(strangers, sealed, strict=True):
        stranger.socket.send(datagram, a.contact.endpoint)
    await trio.sleep(0.2)
    assert made == [s.identity.public for s in strangers[:3]]
    assert a.rpc.counters.dropped["budget"] == 2
    assert a.rpc.counters.datagrams_out == 0


@in_lab
async def test_budgets_hold_per_prefix_and_for_the_node_and_not_for_our_own_people(lab: Lab) -> None:
    settings = RpcSettings(stranger_rate=1, stranger_burst=2, node_rate=1, node_burst=5)
    a = await bare(lab, "a", "198.51.100.1", settings=settings)

    async def admitted(*hosts: str) -> int:
        before = a.rpc.counters.requests_served
        for host in hosts:
            stranger = await lab.raw(f"at {host}", host)
            stranger.send(Ping(bytes(8), 0, b""), a.contact)
        await trio.sleep(0.2)
        return a.rpc.counters.requests_served - before

    assert await admitted(*[f"203.0.113.{n}" for n in range(1, 6)]) == 2
    assert await admitted(*[f"203.0.{n}.1" for n in range(1, 9)]) == 3  # the rest of the node's five
    assert await admitted(*[f"10.0.0.{n}" for n in range(1, 9)]) == 8  # private: exempt
    known = await lab.raw("known", "203.0.50.1")
    a.book.to_ask(known.identity.public)
    known.send(Ping(bytes(8), 0, b""), a.contact)
    await trio.sleep(0.2)
    assert a.rpc.counters.requests_served == 14  # a known peer passes no budget


@in_lab
async def test_a_probe_costs_its_prefix_budget_too(lab: Lab) -> None:
    a = await bare(lab, "a", "198.51.100.1", settings=RpcSettings(stranger_rate=1, stranger_burst=2))
    stranger = await lab.raw("stranger", "203.0.113.1")
    for _ in range(5):
        stranger.socket.send(packets.probe(bytes(16)), a.contact.endpoint)
    await trio.sleep(0.2)
    assert len(stranger.inbox) == 2
    assert a.rpc.counters.dropped == {"budget": 3}


@in_lab
async def test_every_reason_is_counted_and_garbage_gets_no_reply(lab: Lab) -> None:
    a, peer = await bare(lab, "a", "10.0.0.1"), await lab.raw("peer", "10.0.0.2")
    good = peer.seal(bytes(90), a.contact.id)
    own = identity("a")
    to_self = packets.Channel(own, own.public).seal(bytes(90), bytes(24))
    weak = packets._SEALED_START + packets.recipient_tag(bytes(32), bytes(32), own.public) + bytes(32)

    cases: list[tuple[bytes, str]] = [
        (b"", "length"),
        (bytes(65), "length"),
        (bytes(1233), "length"),
        (good[:82], "length"),
        (b"\x00" + good[1:], "magic"),
        (b"\x6b\x21" + good[2:], "version"),
        (b"\x6b\x14" + good[2:], "kind"),
        (b"\x6b\x12" + bytes(80), "length"),
        (b"\x6b\x12" + bytes(94), "mac"),
        (b"\x6b\x13" + bytes(64), "mac"),
        (good[:2] + bytes(8) + good[10:], "tag"),
        (good[:-1] + bytes((good[-1] ^ 1,)), "box"),
        (to_self, "self"),
        (good, "encoding"),
        (peer.seal(b"\x93\x01\x02\x03", a.contact.id), "shape"),
        (peer.seal(b"\x94\x63\xc4\x08" + bytes(8) + b"\x00\x00", a.contact.id), "type"),
        (peer.seal(b"\x94\x01\xc4\x07" + bytes(7) + b"\x00\xc4\x00", a.contact.id), "id"),
        (peer.seal(b"\x94\x01\xc4\x08" + bytes(8) + b"\xc2\xc4\x00", a.contact.id), "flags"),
        (peer.seal(b"\x94\x01\xc4\x08" + bytes(8) + b"\x00\xc4\x01\x00", a.contact.id), "token"),
    ]
    expected: dict[str, int] = {}
    for datagram, reason in cases:
        a.rpc.on_datagram(_socket(a), datagram, peer.socket.local, trio.current_time())
        expected[reason] = expected.get(reason, 0) + 1
        assert a.rpc.counters.dropped == expected, datagram[:2]
    a.rpc.on_datagram(_socket(a), weak + bytes(90), peer.socket.local, trio.current_time())
    assert a.rpc.counters.dropped.total == len(cases) + 1  # a sender's ID that is no key
    await trio.sleep(1)
    assert a.rpc.counters.datagrams_out == 0
    assert peer.inbox == []
    assert isinstance(await peer.ask(Ping(peer.fresh_id(), 0, b""), a.contact), Pong)


def _socket(node: Bare) -> Any:
    return node.rpc._sockets[4]
