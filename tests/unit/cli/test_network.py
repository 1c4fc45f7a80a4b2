from __future__ import annotations

import json
from pathlib import Path

from kadnet.errors import PeerUnreachable
from kadnet.identity import nodeid
from kadnet.links import Linked
from tests.unit.cli.runner import asked
from tests.unit.daemon.fake import AT, NOW, PEER, served

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
        assert lines[0].split() == ["id", "address", "rtt", "known", "for", "last", "answer", "linked"]
        assert lines[1].split()[:4] == [ID, "192.0.2.7:7420", "12.3", "ms"]
        assert lines[1].split()[-1] == "-"
        full = (await asked(tmp_path, "peers", "--full")).stdout
        assert f"kadnet://{ID}@192.0.2.7:7420" in full
        found = json.loads((await asked(tmp_path, "peers", "--json")).stdout)
        assert {"id", "address", "rtt_ms"} <= set(found[0])
        assert found[0]["links"] == 0
        node.links = [Linked(PEER.public, AT, 1, NOW, NOW, None)]
        assert (await asked(tmp_path, "peers")).stdout.splitlines()[1].split()[-1] == "yes"
        assert json.loads((await asked(tmp_path, "peers", "--json")).stdout)[0]["links"] == 1


async def test_the_table_is_a_line_for_each_bucket(tmp_path: Path) -> None:
    async with served(tmp_path):
        lines = (await asked(tmp_path, "table")).stdout.splitlines()
        assert lines[1].split()[:4] == ["3", "|=...............|", "1", "1"]
        assert lines[-1] == "1 node in 1 bucket"
        assert json.loads((await asked(tmp_path, "table", "--json")).stdout)[0]["index"] == 3


async def test_ping_says_who_answered_and_how_fast(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        done = await asked(tmp_path, "ping", "192.0.2.7:7420")
        assert done.stdout == f"kadnet://{ID}@192.0.2.7:7420 answered in 12.3 ms\n"
        assert json.loads((await asked(tmp_path, "ping", ID, "--json")).stdout)["rtt_ms"] == 12.3
        node.raises = PeerUnreachable("192.0.2.7:7420 does not answer")
        done = await asked(tmp_path, "ping", "192.0.2.7:7420")
        assert done.exit_code == 1
        assert done.stderr.startswith("kadnet: 192.0.2.7:7420 does not answer; ")


async def test_the_trace_of_a_lookup_is_a_line_for_each_query_and_the_end(tmp_path: Path) -> None:
    async with served(tmp_path):
        lines = (await asked(tmp_path, "lookup", "color", "--trace")).stdout.splitlines()
        assert lines[0].split()[0] == "hop"
        assert lines[1].split() == ["1", ID[:8], "192.0.2.7:7420", "0.0", "ms", "12.3", "ms", "answered", "4", "new"]
        assert "failed (asked 2 times)" in lines[2]
        assert lines[3].startswith("ended: the closest have all answered; 2 queries, 1 hop, ")
        assert lines[-1].split() == [ID[:8], "192.0.2.7:7420"]
        short = (await asked(tmp_path, "lookup", "color")).stdout.splitlines()
        assert short[0].startswith("ended: ")
        walked = json.loads((await asked(tmp_path, "lookup", "color", "--json")).stdout)
        assert walked["trace"][0]["hop"] == 1
