from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.testing

from kadnet.cli import render
from kadnet.client import Client
from kadnet.identity import nodeid
from kadnet.shapes import Message
from tests.unit.cli.runner import asked, typed
from tests.unit.daemon.fake import served
from tests.unit.daemon.fake_chat import BOB, EVE, MAX_TEXT

BOB_ID = nodeid.encode(BOB.public)
FIRST = "0" * 31 + "1"
HOSTILE = "a\nkadnet: b\r\x1b[2J\x1b]0;t\x07\u202etxt.exe\u2066\x9b1m\u2028c\ud7ff"


async def test_a_delivered_message_is_exit_0_and_says_so(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        done = await asked(tmp_path, "send", BOB_ID, "hi there")
        assert (done.exit_code, done.stdout, done.stderr) == (0, "delivered\n", "")
        assert node.posted == [(BOB.public, "hi there")]
        done = await asked(tmp_path, "send", BOB_ID, "hi", "--json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"id": "0" * 31 + "2", "state": "delivered"})


async def test_a_queued_message_is_exit_1_and_says_why_and_that_it_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.offline = "bob was not found"
        done = await asked(tmp_path, "send", BOB_ID, "hi", "--wait", "0")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == (
            "kadnet: not delivered yet: bob was not found; it is kept, and sent when the recipient is heard\n"
        )
        done = await asked(tmp_path, "send", BOB_ID, "hi", "--wait", "0.01", "--json")
        assert done.exit_code == 1
        said = {"id": "0" * 31 + "2", "state": "queued", "problem": "bob was not found"}
        assert json.loads(done.stdout) == said
        assert done.stderr.count("\n") == 1
        assert len(node.posted) == 2


async def test_who_has_not_got_a_message_yet_is_called_by_the_name_of_the_contact(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.add_contact("eve", nodeid.encode(EVE.public))
        await node.add_contact("bob", BOB_ID)
        node.offline = f"{BOB_ID} was not found"
        done = await asked(tmp_path, "send", "bob", "later", "--wait", "0")
        assert done.exit_code == 1
        assert done.stderr.startswith("kadnet: not delivered yet: bob was not found; it is kept")
        found = json.loads((await asked(tmp_path, "send", "bob", "later", "--wait", "0", "--json")).stdout)
        assert found["problem"] == node.offline
        await node.remove_contact("bob")
        assert f": {BOB_ID} was not found; " in (await asked(tmp_path, "send", BOB_ID, "x", "--wait", "0")).stderr


async def test_a_queued_message_without_a_reason_yet_has_no_problem_in_its_json(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        node.offline = ""
        done = await asked(tmp_path, "send", BOB_ID, "hi", "--wait", "0", "--json")
        assert json.loads(done.stdout) == {"id": FIRST, "state": "queued"}
        assert done.stderr.startswith("kadnet: not delivered yet: the recipient has not answered so far; it is kept")


async def test_a_text_that_begins_with_a_dash_is_sent_behind_two(tmp_path: Path) -> None:
    done = typed("send", BOB_ID, "-5", data_dir=tmp_path)
    assert done.exit_code == 2
    assert "write -- before a text that begins with a dash" in done.stderr
    async with served(tmp_path) as node:
        assert (await asked(tmp_path, "send", BOB_ID, "--", "-5")).exit_code == 0
        assert node.posted == [(BOB.public, "-5")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["send", "nobody", "hi"], "there is no contact 'nobody'; see: kadnet contact list"),
        (["send", BOB_ID[:-1], "hi"], "node ID has 55 characters"),
        (["send", BOB_ID, ""], f"a message has 1 to {MAX_TEXT} bytes of text"),
        (["send", BOB_ID, "x" * (MAX_TEXT + 1)], f"a message has 1 to {MAX_TEXT} bytes of text; send it in parts"),
        (["send", BOB_ID, "\udcff"], "the message is not UTF-8 text"),
        (["send", "\udcff", "hi"], "the recipient is not UTF-8 text"),
        (["send", BOB_ID, "hi", "--wait", "-1"], "invalid value for '--wait'"),
        (["send", BOB_ID, "hi", "--wait", "nan"], "invalid value for '--wait': nan is no number of seconds"),
        (["send", BOB_ID, "hi", "--wait", "inf"], "invalid value for '--wait'"),
        (["send", BOB_ID, "hi", "--wait", "3601"], "invalid value for '--wait'"),
        (["send", BOB_ID, "hi", "--wait", "soon"], "invalid value for '--wait'"),
        (["send", BOB_ID], "missing argument 'TEXT'"),
        (["inbox", "--after", "-1"], "invalid value for '--after'"),
        (["inbox", "--after", "x"], "invalid value for '--after'"),
        (["inbox", "--after", str(2**63)], "after is a whole number from 0"),
    ],
)
async def test_bad_input_is_exit_2_in_one_line_and_nothing_is_sent(tmp_path: Path, words: list[str], said: str) -> None:
    async with served(tmp_path) as node:
        done = await asked(tmp_path, *words)
        assert done.exit_code == 2, done
        assert done.stdout == ""
        assert done.stderr.startswith(f"kadnet: {said}")
        assert done.stderr.count("\n") == 1
        assert node.posted == []


async def test_the_inbox_is_a_line_for_each_message_with_time_name_and_text(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.add_contact("bob", BOB_ID)
        await node.come(BOB.public, "hi")
        await node.come(EVE.public, "psst")
        done = await asked(tmp_path, "inbox")
        stranger = nodeid.encode(EVE.public)[:8]
        assert done.stdout.splitlines() == [
            f"{render.moment(1_700_000_001)}  bob  hi",
            f"{render.moment(1_700_000_002)}  {stranger}...  psst",
        ]
        assert (await asked(tmp_path, "inbox")).stdout == done.stdout, "nothing is consumed"
        assert (await asked(tmp_path, "inbox", "--after", "1")).stdout.count("\n") == 1
        assert (await asked(tmp_path, "inbox", "--after", "2")).stdout == "no messages\n"


async def test_the_json_of_the_inbox_is_the_contract_an_object_a_line(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        assert (await asked(tmp_path, "inbox", "--json")).stdout == ""
        await node.come(EVE.public, "psst\n", sent_at=5)
        await node.add_contact("bob", BOB_ID)
        await node.come(BOB.public, "hi")
        first, second = (await asked(tmp_path, "inbox", "--json")).stdout.splitlines()
    assert json.loads(first) == {
        "number": 1,
        "id": FIRST,
        "from": nodeid.encode(EVE.public),
        "text": "psst\n",
        "sent_at": 5,
        "received_at": 1_700_000_001,
    }
    assert list(json.loads(first)) == ["number", "id", "from", "text", "sent_at", "received_at"]
    assert json.loads(second)["name"] == "bob"


async def test_an_inbox_of_several_answers_is_printed_to_its_end(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        for number in range(2100):
            await node.come(BOB.public, str(number))
        lines = (await asked(tmp_path, "inbox", "--json", "--after", "50")).stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(51, 2101))


async def test_no_text_of_a_peers_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.come(BOB.public, HOSTILE)
        lines = (await asked(tmp_path, "inbox")).stdout.splitlines()
        assert len(lines) == 1
        assert lines[0].endswith(
            "  a\\x0akadnet: b\\x0d\\x1b[2J\\x1b]0;t\\x07\\u202etxt.exe\\u2066\\x9b1m\\u2028c\\ud7ff"
        )
        node.offline = HOSTILE
        done = await asked(tmp_path, "send", BOB_ID, "hi", "--wait", "0")
        assert done.stderr.count("\n") == 1
        assert done.stderr.isascii()
        assert "\x1b" not in done.stderr
        shown = (await asked(tmp_path, "outbox")).stdout
        assert shown.count("\n") == 2
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_a_name_cannot_be_taken_for_an_id_nor_an_id_for_a_name() -> None:
    id = "alicebob" + "a" * 48
    assert render.person("alicebob", id) == "alicebob"
    assert render.person(None, id) == "alicebob..."


def test_a_time_beyond_all_calendars_is_shown_as_a_number() -> None:
    assert render.message(Message(1, FIRST, BOB_ID, "hi", 0, 2**62)) == f"at {2**62}  {BOB_ID[:8]}...  hi"


async def test_following_prints_what_is_there_and_each_message_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Client.follow
    taken: list[int] = []

    def until_third(self: Client, after: int = 0) -> object:
        for message in real(self, after):
            taken.append(message.number)
            yield message
            if message.number == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(Client, "follow", until_third)
    async with served(tmp_path) as node, trio.open_nursery() as nursery:
        await node.come(BOB.public, "one")
        await node.come(BOB.public, "two")
        printed: list[str] = []

        async def follow() -> None:
            done = await asked(tmp_path, "inbox", "--follow", "--after", "1", "--json")
            assert done.exit_code == 130
            printed.extend(json.loads(line)["text"] for line in done.stdout.splitlines())

        nursery.start_soon(follow)
        while not node.readers:
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert taken == [2]
        await node.come(BOB.public, "three")
    assert printed == ["two", "three"]


async def test_following_a_node_that_stops_ends_with_3_and_one_line(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:

        async def follow() -> None:
            done = await asked(tmp_path, "inbox", "--follow")
            assert done.exit_code == 3
            assert done.stderr.startswith(f"kadnet: the node stopped before it answered, on {tmp_path}; start one with")
            assert done.stderr.count("\n") == 1

        async with served(tmp_path) as node:
            nursery.start_soon(follow)
            while not node.readers:
                await trio.testing.wait_all_tasks_blocked(0.005)


async def test_the_outbox_says_to_whom_how_often_why_and_when_again(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        assert (await asked(tmp_path, "outbox")).stdout == "nothing waits to be delivered\n"
        assert json.loads((await asked(tmp_path, "outbox", "--json")).stdout) == []
        node.offline = f"{BOB_ID} was not found"
        await node.add_contact("bob", BOB_ID)
        await node.post("bob", "one line\nand another")
        lines = (await asked(tmp_path, "outbox")).stdout.splitlines()
        assert lines[0].split() == ["to", "waits", "for", "tried", "again", "text", "problem"]
        assert lines[1].split()[0] == "bob"
        assert lines[1].endswith("2 times    now  one line\\x0aand another  bob was not found")
        (found,) = json.loads((await asked(tmp_path, "outbox", "--json")).stdout)
    assert found == {
        "number": 1,
        "id": FIRST,
        "to": BOB_ID,
        "text": "one line\nand another",
        "sent_at": 1_700_000_000,
        "attempts": 2,
        "problem": f"{BOB_ID} was not found",
        "next_at": 1_700_000_004.5,
        "name": "bob",
    }
