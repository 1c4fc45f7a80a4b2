from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import Running, Town, kadnet, refused, town, until

NODES = 12
REPLICAS = 4


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Running]]:
    """An overlay for the tests that kill nobody."""
    with town() as made:
        yield made.overlay(NODES, REPLICAS)


def held(nodes: list[Running]) -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda node: int(node.status()["records"]), nodes))


def asked(nodes: list[Running], key: str) -> tuple[list[Running], list[Running], list[Any]]:
    """Get `key` on every node: who held it itself, who had it from others, and what the latter found."""

    def get(node: Running) -> Any:
        return node.json("get", key, "--stats")

    with ThreadPoolExecutor(4) as pool:
        answers = list(zip(nodes, pool.map(get, nodes), strict=True))
    holders = [node for node, found in answers if found["lookup"]["answered_by"] == "self"]
    others = [node for node, found in answers if found["lookup"]["answered_by"] == "network"]
    brought = [found for node, found in answers if node in others]
    for found in brought:
        assert found["lookup"]["datagrams_out"] >= found["lookup"]["queries"] > 0
        assert found["lookup"]["datagrams_in"] > 0
    return holders, others, brought


def test_all_nodes_join_through_one_address(nodes: list[Running]) -> None:
    (state,) = nodes[-1].status()["bootstrap"]
    assert state["address"] == nodes[0].host_port
    assert state["answered"]
    ids = {node.id for node in nodes}
    assert len(ids) == NODES
    for node in nodes:
        assert {peer["id"] for peer in node.json("peers")} <= ids - {node.id}
        assert until(lambda node=node: node.status()["peers"] >= NODES - 2)  # type: ignore[misc]  # bound, not late


def test_a_value_put_on_one_node_is_found_by_all_others(nodes: list[Running]) -> None:
    writer = nodes[3]
    before = held(nodes)
    stored = writer.json("put", "color", "blue")
    assert stored["replicas"] >= 3 * REPLICAS // 4  # it returns with three quarters
    assert stored == {"key": "color", "seq": 1, "replicas": stored["replicas"], "wanted": REPLICAS}

    def keepers() -> list[Running]:
        return [node for node, was, now in zip(nodes, before, held(nodes), strict=True) if now > was]

    assert until(lambda: len([node for node in keepers() if node is not writer]) >= REPLICAS)
    holders, others, brought = asked(nodes, "color")
    assert set(holders) == {*keepers(), writer}, "nobody who holds it pretends that the network answered"
    assert len(others) >= NODES - REPLICAS - 1
    for found in brought:
        (value,) = found["values"]
        assert (value["value"], value["publisher"], value["seq"]) == ("blue", writer.id, 1)
    assert others[0]("get", "color").raw == b"blue"


def test_a_get_by_somebody_else_is_seen_in_the_datagrams_of_the_node(nodes: list[Running]) -> None:
    assert nodes[4]("put", "seen", "so").code == 0
    asker = asked(nodes, "seen")[1][0]
    before = asker.status()["counters"]["rpc"]
    found = asker.json("get", "seen", "--stats")
    after = asker.status()["counters"]["rpc"]
    assert after["datagrams_out"] >= before["datagrams_out"] + found["lookup"]["queries"]
    assert after["requests_sent"] >= before["requests_sent"] + found["lookup"]["queries"]
    assert after["datagrams_in"] > before["datagrams_in"]


def test_each_writer_of_a_shared_name_has_a_line_and_the_asker_comes_first(nodes: list[Running]) -> None:
    for number in (1, 2, 3):
        assert nodes[number]("put", "motto", f"from {number}").code == 0
    for number in (1, 2, 3):
        lines = nodes[number]("get", "motto").out.splitlines()
        assert lines[0] == f"from {number}"
        assert sorted(lines) == ["from 1", "from 2", "from 3"]
    for found in asked(nodes, "motto")[2]:
        assert sorted(value["value"] for value in found["values"]) == ["from 1", "from 2", "from 3"]


def test_an_owned_name_is_its_owners_alone(nodes: list[Running]) -> None:
    owner, other = nodes[5], nodes[6]
    stored = owner.json("put", "me/page", "first")
    assert stored["key"] == f"{owner.id}/page"
    _, others, brought = asked(nodes, stored["key"])
    assert len(others) >= NODES - REPLICAS - 1
    assert {found["values"][0]["value"] for found in brought} == {"first"}
    refused = other("put", f"{owner.id}/page", "mine now")
    assert refused.code == 2
    assert "belongs to another node" in refused.err
    assert other("get", "me/page").code == 1
    assert owner("put", "me/page", "second").out.rstrip().endswith("seq 2")
    assert others[0]("get", f"{owner.id}/page").out == "second"
    assert others[1]("get", f"{owner.id}/page").out == "second"


def test_a_blob_is_found_by_the_hash_of_its_bytes(nodes: list[Running], tmp_path: Path) -> None:
    data = bytes(range(256)) + b"\xff\xfe"
    (tmp_path / "n").write_bytes(data)
    writer = nodes[7]
    address = writer("put", "blob:", "--file", str(tmp_path / "n")).out.strip()
    assert address.startswith("blob:")
    assert writer("put", "blob:", "--file", "-", stdin=data).out.strip() == address
    _, others, brought = asked(nodes, address)
    assert len(others) >= NODES - REPLICAS - 1
    for found in brought:
        (value,) = found["values"]
        assert (value["encoding"], value["publisher"], value["seq"], value["expires"]) == ("base64", None, None, None)
        assert base64.b64decode(value["value"]) == data
    assert others[0]("get", address).raw == data
    wrong = writer("put", address, "other bytes")
    assert wrong.code == 2
    assert "another address" in wrong.err


def test_a_put_can_ask_for_the_seq_it_builds_on(nodes: list[Running]) -> None:
    writer = nodes[8]
    assert writer("put", "me/counter", "1", "--if-seq", "0").code == 0
    assert writer("put", "me/counter", "2", "--if-seq", "1").code == 0
    late = writer("put", "me/counter", "2b", "--if-seq", "1", "--json")
    assert late.code == 1
    assert late.json["code"] == "conflict"
    assert late.json["seq"] == 2
    assert nodes[1]("get", f"{writer.id}/counter").out == "2"


def test_a_lookup_shows_each_query_and_a_ping_each_node(nodes: list[Running]) -> None:
    asker, target = nodes[2], nodes[9]
    walked = asker.json("lookup", target.id)
    assert walked["closest"][0]["id"] == target.id
    assert walked["queries"] == len(walked["trace"]) > 0
    assert next(query for query in walked["trace"] if query["id"] == target.id)["shared_bits"] == 256
    known = {query["id"] for query in walked["trace"]}
    assert all(query["via"] in known if query["hop"] > 1 else query["via"] is None for query in walked["trace"])
    shown = asker("lookup", target.id, "--trace").out.splitlines()
    assert shown[0].split()[:3] == ["id", "address", "asked"]
    assert any(target.id[:8] in line and line.endswith("#1") for line in shown[1:])
    assert shown[-1].startswith("ended: ")
    for who in (target.id, target.host_port, target.address):
        pong = asker.json("ping", who)
        assert (pong["id"], pong["address"]) == (target.id, target.address)


def test_the_table_shows_every_live_contact_in_its_bucket(nodes: list[Running]) -> None:
    asker = nodes[2]
    buckets = asker.json("table")
    assert sum(len(bucket["entries"]) for bucket in buckets) == asker.status()["peers"]
    shown = asker("table").out
    for entry in (entry for bucket in buckets for entry in bucket["entries"]):
        assert f" {entry['id'][:8]}  {entry['address'].rpartition('@')[2]}" in shown
    assert shown.splitlines()[-1].startswith(f"{NODES - 1} nodes in {len(buckets)} buckets")


def test_a_lookup_on_several_paths_asks_nobody_twice(nodes: list[Running]) -> None:
    asker, target = nodes[3], nodes[8]
    walked = asker.json("lookup", target.id, "--paths", "3")
    assert walked["closest"][0]["id"] == target.id
    asked_ones = [query["id"] for query in walked["trace"]]
    assert len(asked_ones) == len(set(asked_ones)) > 0
    assert target.id[:8] in asker("lookup", target.id, "--paths", "3", "--trace").out
    for wrong in ("0", "9"):
        refused(asker("lookup", target.id, "--paths", wrong), "1 to 8 paths")


def test_status_tells_the_size_of_the_network_once_enough_walks_were_made(nodes: list[Running]) -> None:
    asker = nodes[4]

    words = iter(range(12))

    def told() -> int | None:
        asker("lookup", f"word-{next(words)}")
        found: int | None = asker.status()["network_size"]
        return found

    size = until(told, 12)
    assert size is not None
    assert NODES / 3 <= size <= NODES * 3
    assert f"about {size} nodes" in asker("status").out


def test_what_nobody_put_is_not_found_and_said_in_json_too(nodes: list[Running]) -> None:
    done = nodes[1]("get", "nobody-wrote-this", "--json")
    assert done.code == 1
    assert done.json == {"key": "nobody-wrote-this", "values": []}
    assert "nobody-wrote-this" in done.err


def remembered(data_dir: Path) -> int:
    """How many contacts the node has on disk."""
    with closing(sqlite3.connect(f"file:{data_dir / 'peers.db'}?mode=ro", uri=True)) as database:
        row: tuple[int] = database.execute("SELECT count(*) FROM peers").fetchone()
        return row[0]


def test_records_outlive_the_bootstrap_node_and_a_holder_who_comes_back_without_it(town: Town) -> None:
    nodes = town.overlay(NODES, REPLICAS)
    first, writer = nodes[0], nodes[5]
    kept: dict[str, str] = {}
    kept[writer.json("put", "kept", "as it was")["key"]] = "as it was"
    holder = next(node for node in asked(nodes, "kept")[0] if node not in (first, writer))
    for number in range(4):
        kept[writer.json("put", f"kept-{number}", f"value {number}")["key"]] = f"value {number}"
    kept[writer.json("put", "me/page", "owned")["key"]] = "owned"
    kept[writer.json("put", "blob:", "bytes")["key"]] = "bytes"
    # A node may die at any moment; what it knew of the others a second earlier is on its disk.
    assert until(lambda: remembered(holder.data_dir) >= 5 and holder.status()["peers"] >= 5)
    holding = holder.status()["records"]
    first.kill()
    holder.kill()
    survivors = [node for node in nodes if node not in (first, writer, holder)]

    for number, (key, value) in enumerate(kept.items()):
        for node in (survivors[number % len(survivors)], survivors[(number + 4) % len(survivors)]):
            assert node("get", key).out == value

    again = town.start(holder.data_dir)
    assert again.id == holder.id
    assert again.status()["bootstrap"] == []
    assert until(lambda: again.status()["joined"])
    assert again.status()["records"] == holding, "what it held for others is still there"
    for key, value in kept.items():
        assert again("get", key).out == value
    assert survivors[0].json("ping", again.address)["id"] == holder.id
    stored = again.json("put", "after-the-fall", "still here")
    assert stored["replicas"] >= 3 * REPLICAS // 4
    assert survivors[1]("get", "after-the-fall").out == "still here"

    second = kadnet(again.data_dir, "run", "--listen", "127.0.0.1:0")
    assert second.code == 4
    assert second.raw == b""
    assert f"process {again.process.pid}" in second.err
    assert again("get", "after-the-fall").out == "still here"
