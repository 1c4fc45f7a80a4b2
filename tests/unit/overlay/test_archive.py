"""Put and get over a few nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from kadnet.errors import Conflict, InputError, NotConnected
from kadnet.kademlia.outcome import ENOUGH
from kadnet.lab import EPOCH, run_until
from kadnet.overlay import OverlaySettings
from kadnet.overlay.storing import StoreOutcome
from kadnet.wire.keys import Key
from kadnet.wire.kinds import DAY
from kadnet.wire.messages import Status
from kadnet.wire.records import Record
from tests.unit.overlay.builders import CALM, PUBLIC, Lab, contact_of, entry, fill, identity, in_lab, values

X = Key.shared("x")


@in_lab
async def test_two_writers_of_one_shared_name_are_both_visible(lab: Lab) -> None:
    nodes = await lab.overlay(5)
    await nodes[1].overlay.put(X, b"one")
    await nodes[2].overlay.put(X, b"two")
    found = (await nodes[1].overlay.get(X)).entries
    assert [(each.value, each.publisher) for each in found] == [
        (b"one", nodes[1].identity.public),  # ours first
        (b"two", nodes[2].identity.public),
    ]


@in_lab
async def test_a_tombstone_hides_the_value_and_the_next_put_stands_above_it(lab: Lab) -> None:
    nodes = await lab.overlay(5)
    await nodes[1].overlay.put(X, b"one")
    assert (await nodes[1].overlay.put(X, None)).seq == 2
    assert values(await nodes[3].overlay.get(X)) == set()
    assert (await nodes[1].overlay.put(X, b"again")).seq == 3
    assert values(await nodes[3].overlay.get(X)) == {b"again"}


@in_lab
async def test_get_takes_the_newest_entry_over_all_holders(lab: Lab) -> None:
    nodes = await lab.overlay(6)
    stranger = await lab.raw("stranger", "10.1.0.1")
    for number, node in enumerate(nodes[:5]):
        record = entry("writer", b"new" if number == 3 else b"old", seq=2 if number == 3 else 1)
        assert (await stranger.store(record, contact_of(node))).status == Status.OK
    assert values(await nodes[5].overlay.get(X)) == {b"new"}


@in_lab
async def test_put_counts_only_acknowledgements_of_others(lab: Lab) -> None:
    nodes = await lab.overlay(4)
    assert (await nodes[1].overlay.put(X, b"one")).replicas == 3
    await lab.stop("n2", crash=True)
    assert (await nodes[1].overlay.put(X, b"two")).replicas == 2


@in_lab
async def test_put_stores_with_as_many_as_the_settings_say(lab: Lab) -> None:
    nodes = await lab.overlay(8, settings=OverlaySettings(replicas=3))
    outcome = await nodes[1].overlay.put(X, b"one")
    assert (outcome.replicas, outcome.wanted) == (3, 3)
    await trio.sleep(1)
    held = [len(node.overlay._store.get(X.hash)) for node in nodes]
    assert sum(held) in (3, 4)  # the publisher keeps one too when it is among the closest


@in_lab
async def test_alone_get_raises_and_put_is_kept_and_stored_when_a_peer_is_met(lab: Lab) -> None:
    node = await lab.node("alone", "10.0.1.1", "10.0.0.1:7420", join=False)
    with pytest.raises(NotConnected):
        await node.overlay.get(X)
    outcome = await node.overlay.put(X, b"kept")
    assert outcome.replicas == 0
    assert values(await node.overlay.get(X)) == {b"kept"}  # our own is here
    seed = await lab.node("seed", "10.0.0.1")
    with trio.fail_after(70):
        await node.overlay.joined()
    await run_until(lambda: seed.overlay._store.get(X.hash), 10)
    publication = node.overlay._published.get(X.hash)
    await run_until(lambda: (p := node.overlay._published.get(X.hash)) is not None and p.replicas == 1, 10)
    assert publication is not None
    assert publication.parsed.seq == 1


@in_lab
async def test_a_put_that_reached_nobody_is_stored_soon_after_the_others_are_back(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    await lab.stop("seed", crash=True)
    assert (await node.overlay.put(X, b"kept")).replicas == 0
    again = await lab.node("seed", "10.0.0.1")
    await run_until(lambda: again.overlay._store.get(X.hash), 130)


@in_lab
async def test_seq_grows_over_a_restart_with_nobody_around(lab: Lab, tmp_path: Path) -> None:
    node = await lab.node("node", "10.0.1.1", data_dir=tmp_path / "d")
    assert [(await node.overlay.put(X, b"%d" % n)).seq for n in range(3)] == [1, 2, 3]
    await lab.stop("node")
    node = await lab.node("node", "10.0.1.1", data_dir=tmp_path / "d")
    assert (await node.overlay.put(X, b"later")).seq == 4


@in_lab
async def test_seq_grows_above_what_the_overlay_shows_when_the_disk_is_lost(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    for _ in range(3):
        await node.overlay.put(X, b"before")
    await lab.stop("node")
    node = await lab.node("node", "10.0.1.1", seed)
    assert (await node.overlay.put(X, b"after")).seq == 4
    assert values(await seed.overlay.get(X)) == {b"after"}


@in_lab
async def test_a_stale_answer_is_retried_once_above_the_seq_it_names(lab: Lab) -> None:
    """The entry lapsed, so no walk meets it; the floor under it still names its seq."""
    seed = await lab.node("seed", "10.0.0.1")
    stranger = await lab.raw("stranger", "10.1.0.1")
    await stranger.store(entry("node", b"before", seq=7, lease=60), contact_of(seed), remaining=5)
    await trio.sleep(10)
    node = await lab.node("node", "10.0.1.1", seed)
    outcome = await node.overlay.put(X, b"after")
    assert (outcome.seq, outcome.replicas) == (8, 1)
    assert values(await seed.overlay.get(X)) == {b"after"}


@in_lab
async def test_a_store_whose_token_died_with_the_holder_is_sent_again_with_a_fresh_one(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    await node.overlay.put(X, b"v")
    publication = node.overlay._published.get(X.hash)
    assert publication is not None
    await lab.stop("seed", crash=True)
    await lab.node("seed", "10.0.0.1")
    outcome = await node.overlay._archive._store_with((contact_of(seed),), publication)
    assert outcome == StoreOutcome(acknowledged=1)


@in_lab
async def test_if_seq_is_held_against_the_highest_seq_anywhere(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    with pytest.raises(Conflict) as conflict:
        await node.overlay.put(X, b"v", if_seq=4)
    assert conflict.value.seq is None
    assert (await node.overlay.put(X, b"v", if_seq=0)).seq == 1
    stranger = await lab.raw("stranger", "10.1.0.1")
    await stranger.store(entry("node", b"from another machine", seq=5), contact_of(seed))
    with pytest.raises(Conflict) as conflict:
        await node.overlay.put(X, b"v", if_seq=1)
    assert conflict.value.seq == 5
    assert (await node.overlay.put(X, b"v", if_seq=5)).seq == 6


@in_lab
async def test_if_seq_holds_also_against_what_only_a_stale_answer_shows(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    assert (await node.overlay.put(X, b"v")).seq == 1
    stranger = await lab.raw("stranger", "10.1.0.1")
    await stranger.store(entry("node", b"elsewhere", seq=7, lease=60), contact_of(seed), remaining=5)
    await trio.sleep(10)
    with pytest.raises(Conflict) as conflict:
        await node.overlay.put(X, b"v2", if_seq=1)
    assert conflict.value.seq == 7


@in_lab
async def test_a_get_ends_with_three_quarters_of_the_closest_and_a_put_waits_for_all(lab: Lab) -> None:
    """One of the four closest is dead. A get leaves it at the other three; a put finds another fourth."""
    nodes = await lab.overlay(10, settings=OverlaySettings(replicas=4), tuning=CALM)
    target = int.from_bytes(X.hash, "big")
    by_distance = sorted(nodes, key=lambda node: contact_of(node).position ^ target)
    reader, writer, dead = *by_distance[-2:], by_distance[2]
    for node in (reader, writer):
        fill(node, [contact_of(other) for other in by_distance if other is not node])
    await lab.stop(f"n{nodes.index(dead)}", crash=True)
    found = await reader.overlay.get(X)
    assert found.walk is not None
    assert (found.walk.reason, found.walk.answers) == (ENOUGH, 3)
    assert (await writer.overlay.put(X, b"v")).replicas >= 3
    await trio.sleep(5)
    assert [bool(node.overlay._store.get(X.hash)) for node in by_distance[:5] if node is not dead] == [True] * 4


@in_lab
async def test_a_blob_comes_back_by_its_hash(lab: Lab) -> None:
    nodes = await lab.overlay(5)
    outcome = await nodes[1].overlay.put_blob(b"bytes")
    assert outcome.replicas == 4
    found = await nodes[3].overlay.get(Key.blob_of(b"bytes"))
    assert [(each.value, each.publisher, each.seq, each.expires) for each in found.entries] == [
        (b"bytes", None, None, None)
    ]


@in_lab
async def test_what_cannot_be_put_is_refused_with_the_reason(lab: Lab) -> None:
    node = await lab.node("node", "10.0.1.1")
    for key, value, lease in (
        (Key.blob_of(b""), b"v", None),
        (Key.owned(identity("other").public, "x"), b"v", None),
        (X, bytes(901), None),
        (X, b"v", 0),
        (X, b"v", DAY + 1),
    ):
        with pytest.raises(InputError):
            await node.overlay.put(key, value, lease=lease)
    with pytest.raises(InputError):
        await node.overlay.put_blob(bytes(901))
    assert node.overlay.record_counts()[1] == 0
    assert (await node.overlay.put(X, None, lease=7 * DAY)).seq == 1  # a tombstone lives longer


@in_lab
async def test_a_full_shared_key_of_large_values_comes_back_whole(lab: Lab) -> None:
    """64 entries of 900 bytes each, one an answer, from sixteen holders."""
    nodes = await lab.overlay(18)
    stranger = await lab.raw("stranger", "10.1.0.1")
    records = [entry(f"writer {number}", number.to_bytes(2, "big") * 450) for number in range(64)]
    for node in nodes[:17]:
        for record in records:
            assert (await stranger.store(record, contact_of(node))).status == Status.OK
    found = await nodes[17].overlay.get(X)
    assert len(found.entries) == 64


@in_lab
async def test_a_record_too_large_for_any_answer_hides_no_other(lab: Lab) -> None:
    """In msgpack's longest encoding a signed entry fits a STORE and no VALUES; its publisher's ID sorts first."""
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", seed)
    stranger = await lab.raw("stranger", "10.1.0.1")
    names = sorted((f"w{number}" for number in range(20)), key=lambda name: identity(name).public)
    answer = await stranger.store(longest_encoding(names[0]), contact_of(seed))
    assert answer.status in (Status.OK, Status.INVALID)
    for name in names[1:]:
        assert (await stranger.store(entry(name, name.encode()), contact_of(seed))).status == Status.OK
    assert {name.encode() for name in names[1:]} <= values(await node.overlay.get(X))


def longest_encoding(publisher: str) -> Record:
    """An entry whose numbers, names and array are all written in msgpack's longest forms."""

    def number(value: int) -> bytes:
        return b"\xcf" + value.to_bytes(8, "big")

    def binary(value: bytes) -> bytes:
        return b"\xc6" + len(value).to_bytes(4, "big") + value

    who = identity(publisher)
    fields = binary(who.public), binary(X.name_hash), number(1), number(int(EPOCH) + DAY), number(DAY)
    payload = b"\xdd\x00\x00\x00\x06" + b"".join(fields) + binary(bytes(900))
    return Record(X.kind, payload, who.sign(b"kadnet record/1" + PUBLIC + bytes((X.kind,)) + payload))
