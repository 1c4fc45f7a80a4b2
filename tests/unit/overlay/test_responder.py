"""What a node answers: whom it hands on, what it stores and what it refuses, and a full key page by page."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import pytest
import trio

from kadnet.host import Host
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab import EPOCH
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.overlay.store import StoreSettings
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY, HOUR, LETTER
from kadnet.wire.messages import (
    COMPLETE,
    MORE,
    SERVES,
    SHORT,
    FindNode,
    FindValue,
    Ping,
    Pong,
    Status,
    Store,
    Stored,
    Values,
)
from kadnet.wire.records import Record, UnknownKind, parse
from tests.unit.overlay.builders import (
    PORT,
    Lab,
    RawPeer,
    a_blob,
    carried,
    contact_of,
    entry,
    fill,
    identity,
    in_lab,
)

X = Key.shared("x")


def at(name: str, host: str, port: int = PORT) -> Contact:
    return Contact(identity(name).public, Endpoint(host, port))


# Client mode.


@in_lab
async def test_a_client_answers_pings_and_nothing_else(lab: Lab) -> None:
    client = contact_of(await lab.node("client", "10.0.0.1", settings=OverlaySettings(reach="client")))
    asker = await lab.raw("asker", "10.99.0.1")
    pong = await asker.ask(Ping(asker.fresh_id(), 0, b""), client)
    assert isinstance(pong, Pong)
    assert not pong.flags & SERVES
    assert await asker.ask(FindNode(asker.fresh_id(), 0, pong.token, bytes(32)), client) is None
    assert await asker.find(X.hash, client, token=pong.token) is None
    assert (await asker.store(entry("p"), client)).status == Status.NOT_SERVING


@in_lab
async def test_a_client_stands_in_no_table_and_holds_nothing(lab: Lab) -> None:
    nodes = await lab.overlay(4)
    client = await lab.node("client", "10.9.0.1", nodes[0], settings=OverlaySettings(reach="client"))
    await client.overlay.put(X, b"from a client")
    await trio.sleep(120)
    assert all(client.identity.public not in [c.id for c in node.overlay.contacts()] for node in nodes)
    assert client.overlay.record_counts() == (0, 1)
    assert len(client.overlay.contacts()) == 4


# Storing.


async def status_of(peer: RawPeer, node: Host, record: Record, remaining: int = DAY) -> int:
    return (await peer.store(record, contact_of(node), remaining=remaining)).status


@in_lab
async def test_a_store_needs_a_token_of_this_asker_at_this_endpoint(lab: Lab) -> None:
    node = contact_of(await lab.node("node", "10.0.0.1"))
    asker, other = await lab.raw("asker", "10.99.0.1"), await lab.raw("other", "10.99.0.2")
    stolen = await other.token(node)
    for token in (b"", bytes(8), stolen):
        answer = await asker.ask(Store(asker.fresh_id(), 0, token, carried(entry("p"))), node)
        assert isinstance(answer, Stored)
        assert answer.status == Status.BAD_TOKEN
    assert (await asker.find(X.hash, node)).records == ()
    own = await asker.token(node)
    await trio.sleep(599)  # two epochs at most
    assert (await asker.ask(Store(asker.fresh_id(), 0, own, carried(entry("p"))), node)).status in (
        Status.OK,
        Status.BAD_TOKEN,
    )
    await trio.sleep(2)
    assert (await asker.ask(Store(asker.fresh_id(), 0, own, carried(entry("p"))), node)).status == Status.BAD_TOKEN


@in_lab
async def test_a_token_of_the_last_epoch_still_serves(lab: Lab) -> None:
    node = contact_of(await lab.node("node", "10.0.0.1"))
    asker = await lab.raw("asker", "10.99.0.1")
    await trio.sleep(299)
    own = await asker.token(node)
    await trio.sleep(290)
    assert (await asker.ask(Store(asker.fresh_id(), 0, own, carried(entry("p"))), node)).status == Status.OK


@in_lab
async def test_each_wrong_record_is_refused_with_its_status(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    for kind in (LETTER, 77):
        with pytest.raises(UnknownKind):
            parse(Record(kind, b"", b""))
        assert await status_of(asker, node, Record(kind, b"x", bytes(64))) == Status.UNKNOWN_KIND
    good = entry("p")
    now = EPOCH + trio.current_time()
    wrong = [
        good._replace(signature=bytes(64)),
        good._replace(signature=entry("q").signature),
        entry("p", network=b"\x01" * 32),
        entry("p", expires=now - HOUR - 2),
        entry("p", expires=now + 7 * DAY + HOUR + 60),
        entry("p", lease=0),
    ]
    for record in wrong:
        assert await status_of(asker, node, record) == Status.INVALID
    assert await status_of(asker, node, good, remaining=0) == Status.INVALID
    assert node.overlay.record_counts()[0] == 0
    assert await status_of(asker, node, good) == Status.OK
    assert await status_of(asker, node, entry("late", expires=now - HOUR + 60)) == Status.OK  # clocks may differ


@in_lab
async def test_a_life_is_never_longer_than_lease_expires_or_what_the_peer_says(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    now = int(EPOCH + trio.current_time())
    cases = [
        (entry("lease", lease=500), 10_000, 500),
        (entry("kind", lease=3 * DAY), 10 * DAY, DAY),
        (entry("expires", lease=DAY, expires=now + 700), DAY, 700 + HOUR),
        (entry("said"), 300, 300),
    ]
    for record, said, _ in cases:
        assert await status_of(asker, node, record, remaining=said) == Status.OK
    stored = {r.payload: r.remaining for r in (await asker.find(X.hash, contact_of(node))).records}
    for record, _, expected in cases:
        assert expected - 5 <= stored[record.payload] <= expected


@in_lab
async def test_only_its_publisher_makes_what_is_held_live_longer(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    publisher, stranger = await lab.raw("publisher", "10.98.0.1"), await lab.raw("stranger", "10.99.0.1")
    record = entry("publisher")

    async def left() -> int:
        (held,) = (await stranger.find(X.hash, contact_of(node))).records
        return int(round(held.remaining, -1))

    assert await status_of(publisher, node, record, remaining=1000) == Status.OK
    await trio.sleep(500)
    assert await status_of(stranger, node, record, remaining=1000) == Status.OK
    assert await left() == 500
    assert await status_of(publisher, node, record, remaining=1000) == Status.OK
    assert await left() == 1000
    assert await status_of(publisher, node, record, remaining=10) == Status.OK
    assert await left() == 1000


@in_lab
async def test_a_record_far_from_us_is_refused_once_2k_closer_contacts_are_known(lab: Lab) -> None:
    key = int.from_bytes(X.hash, "big")
    # A node whose first two bits differ from the key's: all contacts of its buckets 0 and 1 are nearer.
    name = next(n for n in map(str, range(99)) if (at(n, "10.0.0.1").position ^ key) >> 254 == 3)
    # Its contacts are nobody's: a node that walks to them while it joins would lose them again.
    node = await lab.node(name, "10.0.0.1", tuning=Tuning(join_pause=3600.0))
    asker = await lab.raw("asker", "10.99.0.1")
    own = contact_of(node).position
    nearer = [c for n in range(200) if ((c := at(f"c{n}", f"10.{n}.1.1")).position ^ own) >> 254]
    for contact in nearer:
        if node.overlay.neighbours.is_far(key, 32):
            break
        assert await status_of(asker, node, entry("p")) == Status.OK
        fill(node, [contact])
    assert len(node.overlay.contacts()) == 32
    assert await status_of(asker, node, entry("q")) == Status.FAR


@in_lab
async def test_a_prefix_that_stores_too_much_is_told_full_and_private_ones_are_waived_at_home(lab: Lab) -> None:
    tuning = Tuning(store=StoreSettings(prefix_share=0.001))
    settings = OverlaySettings(store_mib=1)  # 1,048 bytes for each prefix
    node = await lab.node("node", "10.0.0.1", settings=settings, tuning=tuning)
    public, private = await lab.raw("public", "198.51.100.7"), await lab.raw("private", "10.99.0.1")
    answers = [await status_of(public, node, a_blob(n)) for n in range(5)]
    assert answers == [Status.OK] * 3 + [Status.FULL] * 2
    assert [await status_of(private, node, a_blob(n)) for n in range(5, 10)] == [Status.OK] * 5


@in_lab
async def test_a_shared_key_takes_eight_entries_of_a_prefix(lab: Lab) -> None:
    node = await lab.node("node", "198.51.100.1")
    asker = await lab.raw("asker", "203.0.113.7")
    answers = [await status_of(asker, node, entry(f"p{n}")) for n in range(9)]
    assert answers == [Status.OK] * 8 + [Status.FULL]


@in_lab
async def test_an_older_entry_is_stale_and_the_seq_that_stands_comes_along(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    assert await status_of(asker, node, entry("p", seq=9)) == Status.OK
    answer = await asker.store(entry("p", seq=4), contact_of(node))
    assert (answer.status, answer.seq) == (Status.STALE, 9)


@in_lab
async def test_a_disk_that_takes_nothing_is_said(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    node.overlay._store._database._writer.execute("PRAGMA query_only = ON")
    assert await status_of(asker, node, entry("p")) == Status.FAILED
    assert (await asker.find(X.hash, contact_of(node))).records == ()


# Reading.


@in_lab
async def test_a_full_key_comes_page_by_page_each_entry_once_and_the_askers_own_first(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("w30", "10.99.0.1")
    for number in range(64):
        assert await status_of(asker, node, entry(f"w{number}", bytes(number * 14))) == Status.OK
    token, after, got = await asker.token(contact_of(node)), b"", []
    for page in range(70):
        answer = await asker.find(X.hash, contact_of(node), after=after, token=token)
        publishers = [parse(record.record).publisher for record in answer.records]
        if not page:
            assert publishers[0] == asker.identity.public
        got += publishers
        if answer.status != MORE:
            break
        after = answer.after
    assert answer.status == COMPLETE
    assert len(got) == 64
    assert set(got) == {identity(f"w{n}").public for n in range(64)}


@in_lab
async def test_what_the_asker_has_already_is_left_out(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    for publisher, seq in (("p", 3), ("q", 5)):
        await status_of(asker, node, entry(publisher, seq=seq))
    token = await asker.token(contact_of(node))
    for own_seq, count in ((-1, 2), (2, 2), (3, 1), (5, 0)):
        answer = await asker.find(X.hash, contact_of(node), own_seq=own_seq, token=token)
        assert len(answer.records) == count


@in_lab
async def test_an_unproven_request_too_short_for_the_record_is_told_so(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    asker = await lab.raw("asker", "10.99.0.1")
    await status_of(asker, node, entry("p", bytes(900)))
    answer = await asker.ask(FindValue(asker.fresh_id(), 0, b"", X.hash, -1, b""), contact_of(node), padded=False)
    assert answer is None or (answer.flags & SHORT and not answer.records)
    full = await asker.find(X.hash, contact_of(node))
    assert len(full.records) == 1
    seen = [len(data) for data, message, _ in asker.inbox if isinstance(message, Values)]
    assert max(seen) <= 1232
