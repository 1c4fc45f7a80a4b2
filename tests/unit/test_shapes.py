from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kadnet import shapes
from kadnet.errors import TABLE, Conflict, DataDirInUse, InputError, KadnetError, hint_of

PEER = shapes.Peer("id", "kadnet://id@h:1", 1.5, 10.0, 20.0, 3, True, 1)
SHAPES: list[Any] = [
    shapes.PutRequest("k", "v", ttl=5),
    shapes.GetRequest("k", stats=True),
    shapes.PingRequest("w"),
    shapes.LookupRequest("t", 4),
    shapes.Stored("k", 1, 2, 3),
    shapes.Found("k", (shapes.Value("v", "utf-8", None, None, None),), shapes.GetStats("network", 1, 2, 3.5, 4, 5)),
    shapes.Status(
        "i", "a", "v", 1.5, 1, 0, 2, 3, True, False, 16, "public",
        (shapes.BootstrapState("h:1", False, "no answer", 2),), ("note",), {"rpc": {"dropped": {"x": 1}}}, 4, 5, 1234,
    ),
    PEER,
    shapes.Bucket(3, 4, (PEER,), (shapes.Place("i", "a"),)),
    shapes.Pong("i", "a", 0.5),
    shapes.Walked("00", (), "why", 1, 2, 3, 4.5, (shapes.Query(1, "i", "a", 1, 0.0, None, "failed", 0, "v", 23, 2),)),
    shapes.Ready("ready", "i", "a", "c"),
    shapes.Problem("t", "input", "title", 400, "d", "h"),
    shapes.ResolveRequest("w"),
    shapes.SendRequest("w", "t", 1.5),
    shapes.DeliveryRequest("i", 0.0),
    shapes.InboxRequest(1, 2, 3.5),
    shapes.OutboxRequest(4),
    shapes.ContactRequest("n", "w"),
    shapes.NameRequest("n"),
    shapes.Who("i", "n"),
    shapes.Sent("i", "queued", "why"),
    shapes.Message(1, "i", "s", "t", 2, 3, "n"),
    shapes.Outgoing(1, "i", "r", "t", 2, 3, None, None),
    shapes.BookEntry("n", "i", None, 5),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_a_shape_survives_the_way_through_json(shape: Any) -> None:
    assert shapes.from_json(type(shape), json.loads(json.dumps(shapes.to_json(shape)))) == shape


def test_the_fields_of_the_contract_are_there_and_no_others() -> None:
    assert list(shapes.to_json(shapes.Stored("k", 1, 2, 3))) == ["key", "seq", "replicas", "wanted"]
    found = shapes.to_json(shapes.Found("k", (shapes.Value("v", "utf-8", None, None, None),)))
    assert list(found) == ["key", "values"]
    assert found["values"] == [{"value": "v", "encoding": "utf-8", "publisher": None, "seq": None, "expires": None}]
    ready = shapes.to_json(shapes.Ready("ready", "i", "a", "c"))
    assert list(ready) == ["event", "id", "address", "control"]


def test_messages_have_the_fields_of_the_contract_and_no_others() -> None:
    assert shapes.to_json(shapes.Sent("i", "delivered")) == {"id": "i", "state": "delivered"}
    message = shapes.to_json(shapes.Message(1, "i", "s", "t", 2, 3))
    assert message == {"number": 1, "id": "i", "from": "s", "text": "t", "sent_at": 2, "received_at": 3}
    assert list(message) == ["number", "id", "from", "text", "sent_at", "received_at"]
    outgoing = shapes.to_json(shapes.Outgoing(1, "i", "r", "t", 2, 3, None, None))
    assert list(outgoing) == ["number", "id", "to", "text", "sent_at", "attempts", "problem", "next_at"]
    assert list(shapes.to_json(shapes.BookEntry("n", "i", None, 5))) == ["name", "id", "address", "added_at"]


def test_a_field_is_read_by_its_name_in_the_json_alone() -> None:
    data = {"number": 1, "id": "i", "from": "s", "text": "t", "sent_at": 2, "received_at": 3}
    assert shapes.from_json(shapes.Message, data, strict=True).sender == "s"
    del data["from"]
    with pytest.raises(InputError, match="field 'from' is missing"):
        shapes.from_json(shapes.Message, data)
    with pytest.raises(InputError, match="unknown field 'sender'"):
        shapes.from_json(shapes.Message, {**data, "from": "s", "sender": "s"}, strict=True)


def test_what_an_older_node_says_is_still_read() -> None:
    status, peer = (
        shapes.to_json(next(each for each in SHAPES if isinstance(each, shapes.Status))),
        shapes.to_json(PEER),
    )
    for name in ("messages", "queued"):
        del status[name]
    del peer["links"]
    assert shapes.from_json(shapes.Peer, peer).links == 0
    assert shapes.from_json(shapes.Status, status).messages == 0


def test_what_does_not_apply_to_an_error_is_left_out() -> None:
    assert "seq" not in shapes.to_json(shapes.problem_of(InputError("x")))
    assert shapes.to_json(shapes.problem_of(Conflict("x", seq=4)))["seq"] == 4


@given(st.binary(max_size=200))
def test_any_bytes_come_back_as_they_were(data: bytes) -> None:
    text, encoding = shapes.encode_value(data)
    assert shapes.decode_value(text, encoding) == data


def test_text_is_sent_as_text_and_the_rest_as_base64() -> None:
    assert shapes.encode_value("blå".encode()) == ("blå", "utf-8")
    assert shapes.encode_value(b"") == ("", "utf-8")
    assert shapes.encode_value(b"\xff") == ("/w==", "base64")
    assert shapes.encode_value(b"a\0b")[1] == "base64"


@pytest.mark.parametrize(
    ("value", "encoding", "said"),
    [("\udcff", "utf-8", "UTF-8"), ("!", "base64", "base64"), ("é", "base64", "base64"), ("x", "hex", "encoding")],
)
def test_a_value_that_is_not_what_it_claims_is_refused(value: str, encoding: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        shapes.decode_value(value, encoding)


def error_samples() -> list[KadnetError]:
    samples = [cls("what", hint="do") for cls in TABLE if cls not in (DataDirInUse, Conflict)]
    return [*samples, DataDirInUse("/d", 42), Conflict("what", seq=9), Conflict("what", seq=None)]


@pytest.mark.parametrize("error", error_samples(), ids=lambda error: type(error).__name__)
def test_every_error_of_the_table_travels_as_itself(error: KadnetError) -> None:
    data = json.loads(json.dumps(shapes.to_json(shapes.problem_of(error))))
    came = shapes.error_of(shapes.from_json(shapes.Problem, data))
    assert type(came) is type(error)
    assert (str(came), hint_of(came)) == (str(error), hint_of(error))
    assert getattr(came, "seq", None) == getattr(error, "seq", None)
    assert getattr(came, "pid", None) == getattr(error, "pid", None)


def test_a_code_of_a_newer_node_is_still_an_error() -> None:
    came = shapes.error_of(shapes.Problem("t", "unheard-of", "t", 418, "teapot", "pour"))
    assert type(came) is KadnetError
    assert str(came) == "teapot"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "a JSON object is needed here, not a list"),
        ({"value": "v"}, "field 'key' is missing"),
        ({"key": 1, "value": "v"}, "field 'key' must be text, not a whole number"),
        ({"key": "k", "value": None}, "field 'value' must be text, not null"),
        ({"key": "k", "value": "v", "ttl": True}, "field 'ttl' must be a whole number, not true or false"),
        ({"key": "k", "value": "v", "ttl": 1.0}, "field 'ttl' must be a whole number"),
        ({"key": "k", "value": "v", "tll": 1}, "unknown field 'tll'"),
    ],
)
def test_a_request_is_read_strictly_and_the_field_is_named(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        shapes.from_json(shapes.PutRequest, data, strict=True)


def test_an_answer_may_say_more_than_this_version_knows() -> None:
    data = {"key": "k", "seq": 1, "replicas": 2, "wanted": 3, "mood": "good"}
    assert shapes.from_json(shapes.Stored, data) == shapes.Stored("k", 1, 2, 3)


def test_a_list_of_shapes_is_a_list() -> None:
    assert shapes.list_from_json(shapes.Place, [{"id": "i", "address": "a"}]) == [shapes.Place("i", "a")]
    with pytest.raises(InputError, match="list"):
        shapes.list_from_json(shapes.Place, {})
