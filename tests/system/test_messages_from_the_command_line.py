from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.processes import Running, Town, kadnet, refused, town, until
from tests.system.talking import at_once, going, links_of, outbox, received, texts

ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Running]]:
    """A bootstrap node and three that were told its address and nothing else."""
    with town() as made:
        yield made.overlay(4)


def absent(folder: Path) -> str:
    """The ID of a node that does not run."""
    assert kadnet(folder, "init").code == 0
    return kadnet(folder, "id").out.strip()


def counted(node: Running, reason: str) -> int:
    """Callers that the node turned away for that."""
    found: int = node.status()["counters"]["links"]["refused"].get(reason, 0)
    return found


# --------------------------------------------------------------------------------------------------------- send, inbox


def test_messages_go_both_ways_between_nodes_that_know_only_a_bootstrap_address(nodes: list[Running]) -> None:
    _, anna, bert, carl = nodes
    routes = [(anna, bert), (bert, anna), (carl, anna), (anna, carl), (bert, carl), (anna, bert)]
    sent = {}
    for number, (sender, recipient) in enumerate(routes):
        said = sender.json("send", recipient.id, f"letter {number}\nof two lines, für alle")
        assert said == {"id": said["id"], "state": "delivered"}
        assert ID.fullmatch(said["id"])
        sent[said["id"]] = (number, sender, recipient)
    assert len(sent) == len(routes)
    for node in (anna, bert, carl):
        mine = received(node)
        assert [message["number"] for message in mine] == list(range(1, len(mine) + 1))
        assert {message["id"] for message in mine} == {id for id, (_, _, to) in sent.items() if to is node}
        for message in mine:
            assert set(message) == {"number", "id", "from", "text", "sent_at", "received_at"}
            number, sender, _ = sent[message["id"]]
            assert message["from"] == sender.id
            assert message["text"] == f"letter {number}\nof two lines, für alle"
            assert type(message["sent_at"]) is type(message["received_at"]) is int
            assert 0 <= message["received_at"] - message["sent_at"] < 600
    assert received(carl) == mine, "reading consumes nothing"
    assert received(carl, "--after", "1") == mine[1:] != []
    assert carl("inbox").out.count("\n") == len(mine), "one line each, whatever is in it"
    assert outbox(anna) == []
    status = carl.status()
    assert (status["messages"], status["queued"]) == (len(mine), 0)
    assert received(nodes[0]) == []


def test_a_message_that_is_not_delivered_is_exit_1_with_its_json_and_stays_in_the_outbox(
    nodes: list[Running], tmp_path: Path
) -> None:
    anna = nodes[1]
    gone = absent(tmp_path)
    done = anna("send", gone, "are you there?", "--wait", "0", "--json")
    assert done.code == 1
    assert done.json == {"id": done.json["id"], "state": "queued"}
    assert done.err.count("\n") == 1
    assert "not delivered yet" in done.err
    assert "it is kept" in done.err
    (waiting,) = until(lambda: [each for each in outbox(anna) if each["problem"]])
    assert (waiting["id"], waiting["to"], waiting["text"]) == (done.json["id"], gone, "are you there?")
    assert waiting["attempts"] >= 1
    assert gone in waiting["problem"]
    assert "are you there?" in anna("outbox").out
    assert anna.status()["queued"] == 1
    again = anna("send", gone, "hello?", "--wait", "0.5")
    assert (again.code, again.raw) == (1, b"")
    assert [each["text"] for each in outbox(anna)] == ["are you there?", "hello?"]


def test_what_cannot_be_sent_is_exit_2_and_where_no_node_runs_3(nodes: list[Running], tmp_path: Path) -> None:
    anna, bert = nodes[1:3]
    before = [each["id"] for each in outbox(anna)]
    mistyped = bert.id[:20] + ("a" if bert.id[20] != "a" else "b") + bert.id[21:]
    refused(anna("send", anna.id, "to myself"), "this node itself")
    refused(anna("send", mistyped, "x"), "mistyped")
    refused(anna("send", "zoe", "x"), "zoe")
    refused(anna("send", bert.id, "x" * 16_385), "16384")
    refused(anna("send", bert.id, b"\xff\xfe"), "not UTF-8")
    refused(anna("send", bert.id, "x", "--wait", "nan"), "nan")
    refused(anna("send", bert.id), "TEXT")
    assert [each["id"] for each in outbox(anna)] == before, "nothing of it is kept"
    assert anna("send", bert.id, "x" * 16_384).out == "delivered\n"
    assert texts(bert)[-1] == "x" * 16_384
    for words in (("send", bert.id, "x"), ("inbox", "--follow"), ("outbox",), ("chat", "bert"), ("contact", "list")):
        refused(kadnet(tmp_path, *words), f"no node runs on {tmp_path}", code=3)


def test_a_contacts_name_stands_for_its_node_until_it_is_removed(nodes: list[Running]) -> None:
    _, anna, bert, carl = nodes
    added = anna.json("contact", "add", "bert", bert.id)
    assert (added["name"], added["id"]) == ("bert", bert.id)
    assert anna("contact", "add", "carl", carl.address).out == f"carl is {carl.id}\n"
    listed = anna.json("contact", "list")
    assert [(each["name"], each["id"]) for each in listed] == [("bert", bert.id), ("carl", carl.id)]
    assert listed[1]["address"] == carl.address
    assert anna("send", "bert", "by name").code == 0
    assert texts(bert)[-1] == "by name"
    assert bert("send", anna.id, "who am I?").code == 0
    shown = received(anna)[-1]
    assert (shown["from"], shown["name"]) == (bert.id, "bert")
    assert "bert" in anna("inbox").out.splitlines()[-1]
    for wrong in ("me", "Bert"):
        refused(anna("contact", "add", wrong, bert.id), "name")
    refused(anna("contact", "add", "anna", anna.id), "this node itself")
    assert anna.json("contact", "remove", "bert")["id"] == bert.id
    refused(anna("send", "bert", "still there?"), "bert")
    assert [each["name"] for each in anna.json("contact", "list")] == ["carl"]


# ------------------------------------------------------------------------------------------------ who follows and chats


def test_a_follower_is_shown_what_was_there_and_each_message_as_it_comes(nodes: list[Running]) -> None:
    _, anna, bert, carl = nodes
    assert bert("send", carl.id, "before").code == 0
    earlier = received(carl)
    with (
        going(carl, "inbox", "--follow", "--json") as follower,
        going(carl, "inbox", "--follow", "--after", str(earlier[-1]["number"])) as late,
    ):
        assert [json.loads(line) for line in follower.lines(len(earlier))] == earlier
        for number in range(3):
            assert anna("send", carl.id, f"live {number}").code == 0
            shown = json.loads(follower.line())
            assert (shown["text"], shown["from"]) == (f"live {number}", anna.id)
            assert late.line().endswith(f"live {number}")
        for each in (follower, late):
            each.interrupt()
            done, left = each.end()
            assert (done.code, left, done.err) == (130, [], "")


def test_a_chat_by_pipe_sends_each_line_and_prints_what_comes(nodes: list[Running]) -> None:
    _, anna, bert, carl = nodes
    assert anna("contact", "add", "bert", bert.id).code == 0
    before = len(texts(bert))
    done = anna("chat", "bert", stdin=b"one\ntwo\n\nthree, without an end")
    assert (done.code, done.err) == (0, "")
    assert texts(bert)[before:] == ["one", "two", "three, without an end"]
    with going(bert, "chat", anna.id, "--json") as theirs:
        theirs.type("I am here")  # once it is, it prints what comes
        assert json.loads(theirs.line())["state"] == "delivered"
        with going(anna, "chat", "bert", "--json") as ours:
            for number in range(3):
                ours.type(f"question {number}")
                assert json.loads(ours.line())["state"] == "delivered"
                shown = json.loads(theirs.line())
                assert (shown["text"], shown["from"]) == (f"question {number}", anna.id)
                theirs.type(f"answer {number}")
                assert json.loads(theirs.line())["state"] == "delivered"
                assert json.loads(ours.line())["text"] == f"answer {number}"
                assert carl("send", anna.id, "I am not part of this").code == 0
            for each in (ours, theirs):
                ended, left = each.end()
                assert (ended.code, left, ended.err) == (0, [], "")
    bad = anna("chat", "bert", stdin=b"good\n" + b"x" * 17_000 + b"\n\xff\xfe\ngood again\n")
    assert bad.code == 0
    assert bad.err.count("\n") == 2, "a line that cannot be sent is said, and the chat goes on"
    assert texts(bert)[-2:] == ["good", "good again"]


def test_a_follower_and_a_chat_end_in_one_line_when_their_node_stops(town: Town) -> None:
    node, other = town.overlay(2)
    assert other("send", node.id, "the last one").code == 0
    with going(node, "inbox", "--follow", "--json") as follower, going(node, "chat", other.id, "--json") as chat:
        assert json.loads(follower.line())["text"] == "the last one"
        chat.type("a line")
        assert json.loads(chat.line())["state"] == "delivered"
        code, seconds = node.end()
        assert code == 0
        assert seconds < 2.0, "followers do not hold it up"
        for each in (follower, chat):
            done, (problem,) = each.end()
            assert (done.code, json.loads(problem)["code"]) == (3, "no-node")
            assert done.err.count("\n") == 1
            assert f"the node stopped before it answered, on {node.data_dir}" in done.err


# ------------------------------------------------------------------------------------------- who is called, and by whom


def test_a_message_for_one_node_at_the_address_of_another_never_arrives_at_that_other(
    nodes: list[Running], town: Town
) -> None:
    seed, _, bert, carl = nodes
    before, refusals = texts(bert), counted(bert, "noise-box")
    assert links_of(carl)[seed.id] == 0
    sent = carl.json("send", f"kadnet://{seed.id}@{bert.host_port}", "for the first node alone")
    assert sent["state"] == "delivered", "it is looked up"
    assert texts(seed) == ["for the first node alone"]
    until(lambda: counted(bert, "noise-box") >= refusals + 1)
    folder = town.folder("late")
    late = absent(folder)
    done = carl("send", f"kadnet://{late}@{bert.host_port}", "for one who is not here yet", "--wait", "0", "--json")
    assert (done.code, done.json["state"]) == (1, "queued")
    (waiting,) = until(lambda: [each for each in outbox(carl) if each["problem"]])
    assert waiting["to"] == late
    assert f"{bert.host_port} is another node: {bert.id}" in waiting["problem"]
    assert bert.id in carl("send", f"kadnet://{late}@{bert.host_port}", "and again", "--wait", "0.5").err
    until(lambda: counted(bert, "noise-box") >= refusals + 2)
    assert "it called another node" in bert.said()
    assert texts(bert) == before
    node = town.start(folder, bootstrap=[seed.host_port])
    assert node.id == late
    until(lambda: len(texts(node)) == 2)
    assert texts(node) == ["for one who is not here yet", "and again"]
    until(lambda: outbox(carl) == [])
    assert texts(bert) == before


def test_nodes_that_all_call_each_other_at_once_end_with_one_link_for_each_pair(town: Town) -> None:
    nodes = town.overlay(3)
    routes = [(sender, recipient) for sender in nodes for recipient in nodes if sender is not recipient]
    for done in at_once(*((sender, ("send", recipient.id, "now")) for sender, recipient in routes)):
        assert (done.code, done.out) == (0, "delivered\n")
    for node in nodes:
        others = {other.id: 1 for other in nodes if other is not node}
        until(lambda node=node, others=others: links_of(node) == others)  # type: ignore[misc]  # bound, not late
        until(lambda node=node: node.status()["links"] == 2)  # type: ignore[misc]  # bound, not late
        assert sorted(message["from"] for message in received(node)) == sorted(others)
