from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kadnet.identity import nodeid
from tests.system.processes import Running, town, until
from tests.system.relay import HOST, Relay, relay
from tests.system.talking import links_of, received, texts

HEADER = 14
SECRET = "the herons nest behind the old brickworks"
VALUE = "forty-one grey herons were counted"


@pytest.fixture(scope="module")
def overheard() -> Iterator[tuple[Running, Running, Relay]]:
    """Two nodes that know each other by the ports of a relay, which has heard their whole conversation."""
    with relay() as between, town() as made:
        anna = made.start(made.folder("a", "[overlay]\nreplicas = 1\n"))
        between.stands_for(0, anna.port)
        bert = made.start(made.folder("b"), bootstrap=[between.faces[0].host_port])
        until(lambda: anna.status()["joined"] and bert.status()["joined"])
        assert anna("send", bert.id, SECRET).code == 0
        assert bert("send", anna.id, f"{SECRET}: I know").code == 0
        assert anna("send", bert.id, SECRET * 300).code == 0
        assert anna("put", "herons", VALUE).code == 0
        assert bert("get", "herons").out == VALUE
        yield anna, bert, between


def test_a_recorded_conversation_shows_nothing_of_what_was_said(overheard: tuple[Running, Running, Relay]) -> None:
    anna, bert, between = overheard
    assert [peer["address"] for peer in anna.json("peers")] == [f"kadnet://{bert.id}@{between.faces[1].host_port}"], (
        "there is no way past the relay"
    )
    assert texts(bert) == [SECRET, SECRET * 300]
    assert texts(anna) == [f"{SECRET}: I know"]
    (link,) = between.connections
    assert len(link.asked) > len(SECRET) * 301
    assert len(link.answered) > len(SECRET)
    assert link.asked.startswith(b"KDN1")
    assert link.answered.startswith(b"KDN1")
    captured = b"\0".join((*between.datagrams, bytes(link.asked), bytes(link.answered)))
    for said in (SECRET, "herons", "brickworks", "forty-one"):
        for shown in (said.encode(), said.encode("utf-16-le"), said.encode("utf-16-be"), said.encode().hex().encode()):
            assert shown not in captured
        assert base64.b64encode(said.encode())[:-4] not in captured
    for node in (anna, bert):
        id = nodeid.decode(node.id)
        assert id not in link.asked + link.answered, "nor who talks with whom"
        assert any(id in datagram for datagram in between.datagrams), "which datagrams do tell"


def first_frame(stream: bytes) -> bytes:
    return stream[: HEADER + int.from_bytes(stream[6:10], "big")]


def replayed(target: Running, data: bytes) -> bytes:
    """Say recorded bytes to a node as their caller did, and read what it has to say to them."""
    with socket.create_connection((HOST, target.port), 10.0) as stranger:
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        heard = b""
        with suppress(ConnectionResetError):  # it has closed on what it did not read
            while part := stranger.recv(65_536):
                heard += part
    return heard


def test_what_was_recorded_gains_nothing_when_it_is_said_again(overheard: tuple[Running, Running, Relay]) -> None:
    anna, bert, between = overheard
    recorded = bytes(between.connections[0].asked)
    hello = first_frame(recorded)
    assert HEADER < len(hello) < len(recorded)
    before, links, inbox = bert.status(), links_of(bert), received(bert)
    answers = {replayed(bert, hello) for _ in range(50)}
    assert len(answers) == 50, "each answer is a new one"
    for _ in range(10):
        replayed(bert, recorded)

    def refusals() -> dict[str, int]:
        was, now = before["counters"]["links"]["refused"], bert.status()["counters"]["links"]["refused"]
        return {reason: count - was.get(reason, 0) for reason, count in now.items() if count > was.get(reason, 0)}

    until(lambda: sum(refusals().values()) == 60)
    assert refusals() == {"gone": 50, "noise-box": 10}
    after = bert.status()
    assert received(bert) == inbox
    assert links_of(bert) == links == {anna.id: 1}
    for what in ("links", "messages", "peers"):
        assert after[what] == before[what]
    assert after["counters"]["links"]["accepted"] == before["counters"]["links"]["accepted"] + 60
    assert after["counters"]["links"]["proven"] == before["counters"]["links"]["proven"]
    assert after["counters"]["chat"] == before["counters"]["chat"], "not even a message again"
    assert anna("send", bert.id, "are you still there?").code == 0
    assert texts(bert)[-1] == "are you still there?"
    assert len(between.connections) == 1, "over the link that there was"
