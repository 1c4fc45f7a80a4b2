from __future__ import annotations

import json
from pathlib import Path

from kadnet.errors import PeerUnreachable
from kadnet.identity import nodeid
from kadnet.kademlia.keyspace import position
from kadnet.links import Linked
from tests.unit.cli.runner import asked
from tests.unit.daemon.fake import AT, ME, NOW, PEER, served

ID = nodeid.encode(PEER.public)


async def test_status_names_each_bootstrap_address_with_its_problem(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.notes = ("records.db was damaged and moved aside \x1b[2J",)
        done = await asked(tmp_path, "status")
        assert done.exit_code == 0
        assert "seed.example:7420: does not answer (3 attempts)" in done.stdout
        assert "192.0.2.9:7420: answered" in done.stdout
        assert "up for 3m12s" in done.stdout
        assert "not-ours 9, bad-seal 2" in done.stdout
        assert "0 received, 0 waiting to be delivered" in done.stdout
        assert "refused    full 1" in done.stdout
        assert "moved aside \\x1b[2J" in done.stdout
        assert json.loads((await asked(tmp_path, "status", "--json")).stdout)["notes"] == list(node.notes)


async def test_status_counts_messages_that_came_and_that_wait(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.offline = "not found"
        for text in ("one", "two"):
            await node.come(PEER.public, text)
        await node.post(ID, "three")
        assert "2 received, 1 waiting to be delivered" in (await asked(tmp_path, "status")).stdout
        found = json.loads((await asked(tmp_path, "status", "--json")).stdout)
        assert (found["messages"], found["queued"]) == (2, 1)


async def test_peers_are_a_line_each_with_times(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        lines = (await asked(tmp_path, "peers")).stdout.splitlines()
        assert lines[0].split() == ["id", "address", "known", "answered", "rtt", "linked"]
        assert lines[1].split()[:2] == [ID, "192.0.2.7:7420"]
        assert lines[1].split()[-3:] == ["12.3", "ms", "-"]
        full = (await asked(tmp_path, "peers", "--full")).stdout
        assert f"kadnet://{ID}@192.0.2.7:7420" in full
        found = json.loads((await asked(tmp_path, "peers", "--json")).stdout)
        assert {"id", "address", "rtt_ms"} <= set(found[0])
        assert found[0]["links"] == 0
        node.links = [Linked(PEER.public, AT, 1, NOW, NOW, None)]
        assert (await asked(tmp_path, "peers")).stdout.splitlines()[1].split()[-1] == "yes"
        assert json.loads((await asked(tmp_path, "peers", "--json")).stdout)[0]["links"] == 1


async def test_status_says_about_how_many_nodes_there_are(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        assert "size       not known yet" in (await asked(tmp_path, "status")).stdout
        assert json.loads((await asked(tmp_path, "status", "--json")).stdout)["network_size"] is None
        node.network_size = 1234
        assert "size       about 1,200 nodes" in (await asked(tmp_path, "status")).stdout
        assert json.loads((await asked(tmp_path, "status", "--json")).stdout)["network_size"] == 1234


async def test_the_table_is_drawn_with_its_nodes(tmp_path: Path) -> None:
    async with served(tmp_path):
        lines = (await asked(tmp_path, "table")).stdout.splitlines()
        assert lines[0] == "IPv4"
        peers = (await asked(tmp_path, "peers")).stdout.splitlines()
        assert lines[1].split()[:-1] == peers[0].split()[:-1], "the same thing has the same name in both"
        assert lines[3].split() == ["3", "|=...............|", "1", "node,", "1", "waiting"]
        assert lines[4].split()[:3] == ["=", ID[:8], "192.0.2.7:7420"]
        assert lines[-1] == "1 node in 1 bucket, 1 waiting; median rtt 12.3 ms"
        [bucket] = json.loads((await asked(tmp_path, "table", "--json")).stdout)
        assert (bucket["index"], bucket["family"], len(bucket["replacements"])) == (3, 4, 1)
        [entry] = bucket["entries"]
        assert entry.keys() == {"id", "address", "rtt_ms", "added_at", "answered_at", "checks", "fast", "links"}
        assert (entry["rtt_ms"], entry["answered_at"] - entry["added_at"], entry["checks"]) == (12.3, 195.0, 3)


async def test_ping_says_who_answered_and_how_fast(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        done = await asked(tmp_path, "ping", "192.0.2.7:7420")
        assert done.stdout == f"kadnet://{ID}@192.0.2.7:7420 answered in 12.3 ms\n"
        assert json.loads((await asked(tmp_path, "ping", ID, "--json")).stdout)["rtt_ms"] == 12.3
        node.raises = PeerUnreachable("192.0.2.7:7420 does not answer")
        done = await asked(tmp_path, "ping", "192.0.2.7:7420")
        assert done.exit_code == 1
        assert done.stderr.startswith("kadnet: 192.0.2.7:7420 does not answer; ")


async def test_the_trace_of_a_lookup_is_a_tree_and_says_at_its_end_why_it_ended(tmp_path: Path) -> None:
    async with served(tmp_path):
        lines = (await asked(tmp_path, "lookup", "color", "--trace")).stdout.splitlines()
        head, first, second, _, last = lines
        assert head.split() == ["id", "address", "asked", "at", "answer", "shared", "new", "closest"]
        assert first.split()[:6] == [ID[:8], "192.0.2.7:7420", "0.0", "ms", "12.3", "ms"]
        assert first.split()[-2:] == ["4", "#1"]
        assert second.startswith(f"└─ {nodeid.encode(ME.public)[:8]}  192.0.2.8:1")
        assert "none ×2" in second
        assert last.startswith("ended: the closest have all answered; 1 hop, 2 messages, ")
        short = (await asked(tmp_path, "lookup", "color")).stdout.splitlines()
        assert short[0].startswith("ended: ")
        assert short[-1].split() == [ID[:8], "192.0.2.7:7420"]


async def test_what_writes_latin_letters_alone_is_drawn_on_with_ascii(tmp_path: Path) -> None:
    async with served(tmp_path):
        lines = (await asked(tmp_path, "lookup", "color", "--trace", encoding="latin-1")).stdout.splitlines()
        assert lines[2].startswith(f"`- {nodeid.encode(ME.public)[:8]}  192.0.2.8:1")
        assert "none x2" in lines[2]


async def test_the_json_of_a_lookup_names_who_named_whom(tmp_path: Path) -> None:
    async with served(tmp_path):
        walked = json.loads((await asked(tmp_path, "lookup", "color", "--json")).stdout)
        assert [query["via"] for query in walked["trace"]] == [None, ID]
        assert [query["hop"] for query in walked["trace"]] == [1, 2]
        target = int(walked["target"], 16)
        for query, public in zip(walked["trace"], (PEER.public, ME.public), strict=True):
            assert query["shared_bits"] == f"{position(public) ^ target:0256b}".index("1")


async def test_the_json_of_a_lookup_says_on_which_path_each_was_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        for paths, said in (("1", [None, None]), ("4", [1, 2])):
            walked = json.loads((await asked(tmp_path, "lookup", "color", "--paths", paths, "--json")).stdout)
            assert [query["path"] for query in walked["trace"]] == said
        assert node.paths == [1, 4]
        lines = (await asked(tmp_path, "lookup", "color", "--paths", "4", "--trace")).stdout.splitlines()
        assert lines[0].split()[:3] == ["id", "address", "path"]


async def test_a_lookup_goes_on_one_path_or_as_many_as_are_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await asked(tmp_path, "lookup", "color")
        await asked(tmp_path, "lookup", "color", "--paths", "4", "--trace")
        assert node.paths == [1, 4]
        refused = await asked(tmp_path, "lookup", "color", "--paths", "some")
        assert refused.exit_code == 2
        assert "--paths" in refused.stderr
