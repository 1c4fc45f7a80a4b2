from __future__ import annotations

import pytest

from kadnet import shapes
from kadnet.daemon.verbs import Verbs
from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.links import Linked
from kadnet.wire.keys import Key
from tests.unit.daemon.fake import AT, ME, NOW, PEER, WALL, FakeNode


def verbs(node: FakeNode | None = None) -> Verbs:
    return Verbs(node or FakeNode(), now=lambda: NOW, wall=lambda: WALL)


async def test_times_of_the_table_become_unix_seconds() -> None:
    [peer] = await verbs().peers()
    assert (peer.added_at, peer.answered_at) == (WALL - 200, WALL - 5)
    assert peer.rtt_ms == 12.3


async def test_a_peer_tells_how_many_links_are_open_to_it() -> None:
    node = FakeNode()
    assert [peer.links for peer in await verbs(node).peers()] == [0]
    node.links = [Linked(PEER.public, AT, 1, NOW, NOW, None)]
    assert [peer.links for peer in await verbs(node).peers()] == [1]


async def test_who_is_only_linked_is_a_peer_too() -> None:
    node = FakeNode()
    node.links = [Linked(ME.public, AT, 2, NOW - 10, NOW - 3, 0.05)]
    [_, peer] = await verbs(node).peers()
    assert (peer.id, peer.links, peer.rtt_ms, peer.checks) == (nodeid.encode(ME.public), 2, 50.0, 0)
    assert (peer.added_at, peer.answered_at) == (WALL - 10, WALL - 3)


async def test_a_bucket_with_nobody_in_it_is_left_out() -> None:
    [bucket] = await verbs().table()
    assert (bucket.index, bucket.family) == (3, 4)
    assert len(bucket.replacements) == 1


async def test_the_address_of_a_blob_is_computed() -> None:
    stored = await verbs().put(shapes.PutRequest("blob:", "aGk=", "base64"))
    assert stored.key == str(Key.blob_of(b"hi"))


async def test_the_address_of_a_blob_may_be_given_when_it_is_right() -> None:
    right = str(Key.blob_of(b"hi"))
    assert (await verbs().put(shapes.PutRequest(right, "hi"))).key == right
    with pytest.raises(InputError, match=right):
        await verbs().put(shapes.PutRequest("blob:" + "0" * 64, "hi"))


async def test_a_blob_has_no_seq_to_ask_for() -> None:
    with pytest.raises(InputError, match="seq"):
        await verbs().put(shapes.PutRequest("blob:", "hi", if_seq=1))


async def test_bytes_that_are_no_text_come_out_as_base64() -> None:
    node = FakeNode()
    await node.put("raw", b"\xff\x00")
    found = await verbs(node).get(shapes.GetRequest("raw"))
    assert found.values[0].encoding == "base64"
    assert found.values[0].data == b"\xff\x00"


async def test_stats_say_who_answered_and_what_it_took() -> None:
    found = await verbs().get(shapes.GetRequest("color", stats=True))
    assert found.lookup == shapes.GetStats("network", 2, 1, 250.0, 0, 3)
    found = await verbs().get(shapes.GetRequest("here", stats=True))
    assert found.lookup is not None
    assert found.lookup.answered_by == "self"
