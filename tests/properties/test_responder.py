"""Nobody can be made to send more than it was sent, to an address that proved nothing; and nothing stops a node."""

from __future__ import annotations

import msgpack
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab import run
from kadnet.wire import packets
from kadnet.wire.keys import Key
from kadnet.wire.messages import (
    SERVES,
    FindNode,
    FindValue,
    Ping,
    Pong,
    Status,
    Store,
    encode,
    encode_padded,
)
from kadnet.wire.records import parse
from tests.unit.overlay.builders import PORT, a_blob, carried, contact_of, entry, fill, identity, open_lab

X = Key.shared("x")
NODE = "10.0.0.1"
VICTIM = "203.0.113.9"

keys = st.sampled_from([X.hash, parse(a_blob(1, 900)).key, parse(a_blob(2, 20)).key, bytes(32)])
tokens = st.sampled_from([b"", bytes(8), b"\xff" * 8])
flags = st.integers(0, 7)
requests = st.one_of(
    st.builds(lambda f, t: Ping(bytes(8), f, t), flags, tokens),
    st.builds(lambda f, t, k: FindNode(bytes(8), f, t, k), flags, tokens, keys),
    st.builds(
        lambda f, t, k, s, a: FindValue(bytes(8), f, t, k, s, a),
        flags,
        tokens,
        keys,
        st.integers(-1, 3),
        st.sampled_from([b"", bytes(32), b"\x80" + bytes(31)]),
    ),
    st.builds(
        lambda f, t, r: Store(bytes(8), f, t, carried(r)),
        flags,
        tokens,
        st.sampled_from([a_blob(3, 10), a_blob(4, 900), entry("other", bytes(900))]),
    ),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(requests, st.integers(83, 1232)), min_size=1, max_size=30))
def test_answers_to_an_unproven_address_are_never_larger_than_the_requests(
    history: list[tuple[Ping | FindNode | FindValue | Store, int]],
) -> None:
    """A full table, full keys and large records; every datagram is weighed, each request by itself."""

    async def main() -> None:
        async with open_lab() as lab:
            host = await lab.node("node", NODE)
            node = contact_of(host)
            writer = await lab.raw("writer", "10.1.0.1")
            for number in range(20):
                record = entry(f"w{number}", bytes(45 * number))
                assert (await writer.store(record, node)).status == Status.OK
            for record in (a_blob(1, 900), a_blob(2, 20)):
                assert (await writer.store(record, node)).status == Status.OK
            fill(host, [Contact(identity(f"c{n}").public, Endpoint(f"203.0.{n}.1", PORT)) for n in range(60)])
            victim = await lab.raw("victim", VICTIM)
            for request, size in history:
                plain = encode_padded(request, size) if not request.flags & SERVES else encode(request)
                datagram = victim.seal(plain, node.id)
                victim.inbox.clear()
                victim.socket.send(datagram, node.endpoint)
                await trio.sleep(0.11)
                answers = [data for data, message, _ in victim.inbox if not isinstance(message, Ping)]
                assert sum(map(len, answers)) <= len(datagram)

    run(main)


NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from([0, 1, 2**40, 2**63]))
BYTES = st.one_of(st.binary(max_size=70), st.sampled_from([bytes(6), bytes(8), bytes(32), bytes(38), bytes(64)]))
VALUES = st.recursive(
    st.one_of(NUMBERS, BYTES, st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=20,
)
MESSAGES = st.one_of(
    st.binary(max_size=300),
    st.lists(VALUES, max_size=12).map(lambda fields: bytes(msgpack.packb(fields))),
    st.tuples(st.integers(1, 15), st.lists(VALUES, max_size=9)).map(
        lambda pair: bytes(msgpack.packb([pair[0], bytes(8), 1, b"", *pair[1]]))
    ),
    st.tuples(st.integers(0, 255), BYTES, st.sampled_from([b"", bytes(64)]), NUMBERS).map(
        lambda r: bytes(msgpack.packb([7, bytes(8), 1, b"", [*r, False]]))
    ),
)
DATAGRAMS = st.one_of(
    st.binary(max_size=1400),
    st.tuples(
        st.sampled_from([b"\x6b\x11", b"\x6b\x12", b"\x6b\x13", b"\x6b\x21"]), st.binary(min_size=60, max_size=1230)
    ).map(b"".join),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.one_of(st.tuples(st.just(True), MESSAGES), st.tuples(st.just(False), DATAGRAMS)), max_size=60))
def test_whatever_comes_in_the_node_answers_afterwards(history: list[tuple[bool, bytes]]) -> None:
    """Any bytes, and any message in a box that opens, from a stranger and from one who is asked something."""

    async def main() -> None:
        async with open_lab() as lab:
            host = await lab.node("node", NODE)
            peer = await lab.raw("peer", "10.1.0.1")
            fill(host, [peer.contact])
            host.overlay.rpc.ask(peer.contact, FindNode, (bytes(32),), lambda *_: None, lambda *_: None)
            before = host.overlay.rpc_counters.datagrams_in
            sent = 0
            for sealed, data in history:
                datagram = peer.seal(data[:1100], host.identity.public) if sealed else data
                sent += len(datagram) <= 1472
                peer.socket.send(datagram, contact_of(host).endpoint)
                await trio.sleep(0.06)
            assert host.overlay.rpc_counters.datagrams_in >= before + sent
            assert isinstance(await peer.ask(Ping(peer.fresh_id(), 0, b""), contact_of(host)), Pong)

    run(main)


@given(st.binary(min_size=16, max_size=16))
def test_a_probe_costs_more_than_its_reply(cookie: bytes) -> None:
    assert len(packets.probe(cookie)) > len(packets.probe_reply(cookie, bytes(32)))
