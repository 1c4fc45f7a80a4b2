from typing import Any

import msgpack
import pytest

from kadnet.errors import Malformed
from kadnet.wire import messages
from kadnet.wire.messages import FindNode, FindValue, Nodes, Ping, Request, Store, decode, encode, encode_padded
from kadnet.wire.packets import HEADER, MAX_MESSAGE
from tests.unit.wire.samples import BIGGEST, ID, KEY, MESSAGES, TOKEN, contacts4, contacts6
from tests.vectors_plugin import CheckVectors


def pack(*fields: object) -> bytes:
    data: bytes = msgpack.packb(fields)
    return data


def test_messages_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = [{"message": name, "hex": encode(message).hex()} for name, message in MESSAGES.items()]
    for size in (messages.PADDED_PING, messages.PADDED):
        for request in (Ping(ID, 0, b""), FindNode(ID, 0, b"", KEY), FindValue(ID, 0, b"", KEY, -1, b"")):
            name = f"{type(request).__name__} without a token, in a datagram of {size} bytes"
            made.append({"message": name, "hex": encode_padded(request, size).hex()})
    vectors("messages", made)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_reads_back(name: str) -> None:
    message = MESSAGES[name]
    again = decode(encode(message))
    assert again == message
    assert type(again) is type(message)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_an_array_of_its_number_and_its_fields_in_order(name: str) -> None:
    message = MESSAGES[name]
    fields = msgpack.unpackb(encode(message), use_list=False)
    assert fields == (messages.TYPES[type(message)], *message)


def test_each_message_has_its_number_and_each_request_its_answer() -> None:
    assert [(cls.__name__, number) for cls, number in messages.TYPES.items()] == [
        ("Ping", 1), ("Pong", 2), ("FindNode", 3), ("Nodes", 4), ("FindValue", 5), ("Values", 6), ("Store", 7),
        ("Stored", 8),
    ]  # fmt: skip
    assert set(messages.RESERVED) == set(range(9, 16))
    assert {messages.TYPES[ask]: messages.TYPES[answer] for ask, answer in messages.ANSWER_OF.items()} == {
        1: 2, 3: 4, 5: 6, 7: 8,
    }  # fmt: skip
    assert set(messages.ANSWER_OF) == messages.REQUESTS


@pytest.mark.parametrize("name", MESSAGES)
def test_trailing_fields_that_nobody_knows_are_ignored(name: str) -> None:
    message = MESSAGES[name]
    extended = pack(messages.TYPES[type(message)], *message, None, b"later", 1, (1, (2,)), "text", 1.5)
    assert decode(extended) == message


def test_trailing_fields_of_a_record_are_ignored() -> None:
    store = MESSAGES["STORE"]
    assert isinstance(store, Store)
    assert decode(pack(messages.STORE, *store[:3], (*store.carried, b"later"))) == store


@pytest.mark.parametrize("count", range(17))
def test_sixteen_contacts_of_any_mixture_are_taken(count: int) -> None:
    nodes = Nodes(ID, 0, TOKEN, contacts4(count), contacts6(16 - count))
    assert decode(encode(nodes)) == nodes


def test_answers_are_as_large_as_the_protocol_says() -> None:
    assert HEADER + len(encode(MESSAGES["NODES, 16 of v4"])) == 718
    assert HEADER + len(encode(MESSAGES["NODES, 16 of v6"])) == 910


def test_a_value_of_900_bytes_fits_values_and_store() -> None:
    assert len(BIGGEST.payload) > 900 + 32 + 32
    assert HEADER + len(encode(MESSAGES["VALUES, most"])) <= 1232
    assert HEADER + len(encode(MESSAGES["STORE, most"])) <= 1232


@pytest.mark.parametrize("size", [messages.PADDED_PING, messages.PADDED])
@pytest.mark.parametrize("name", ["PING, no token", "PING, most", "FIND_NODE", "FIND_VALUE"])
def test_padding_gives_the_size_exactly_and_changes_nothing(name: str, size: int) -> None:
    request = MESSAGES[name]
    assert isinstance(request, Request)
    padded = encode_padded(request, size)
    assert HEADER + len(padded) == size
    assert decode(padded) == request


def test_padding_reaches_every_size_across_the_gaps_of_the_encoding() -> None:
    request = Ping(ID, 0, b"")
    plain = len(encode(request))
    for missing in range(MAX_MESSAGE - plain + 1):
        padded = encode_padded(request, HEADER + plain + missing)
        assert len(padded) == plain + missing
        assert decode(padded) == request


def test_what_is_longer_already_is_not_padded() -> None:
    store = MESSAGES["STORE"]
    assert isinstance(store, Store)
    assert encode_padded(store, 160) == encode(store)


PING = (1, ID, 0, TOKEN)
PONG = (2, ID, 0, TOKEN, bytes(6), b"\x01", 0)
FIND_NODE = (3, ID, 0, TOKEN, KEY)
NODES = (4, ID, 0, TOKEN, b"", b"")
FIND_VALUE = (5, ID, 0, TOKEN, KEY, -1, b"")
CARRIED = (1, b"x", b"", 60, False)
VALUES = (6, ID, 0, TOKEN, 0, b"", (CARRIED,), b"", b"")
STORE = (7, ID, 0, TOKEN, CARRIED)
STORED = (8, ID, 0, 0, 0)


def but(fields: tuple[Any, ...], place: int, value: object) -> bytes:
    """The message with one field replaced."""
    return pack(*fields[:place], value, *fields[place + 1 :])


def carrying(place: int, value: object) -> bytes:
    return pack(*STORE[:4], (*CARRIED[:place], value, *CARRIED[place + 1 :]))


class _Ext:
    """Not a value of ours: packed as an extension of one byte."""

    packed = b"\xd4\x05\x00"


BAD_MESSAGES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "encoding"),
    "a second value behind": (pack(*PING) + b"\xc0", "encoding"),
    "cut short": (pack(*PING)[:-1], "encoding"),
    "the byte that means nothing": (b"\xc1", "encoding"),
    "an array of 4 G": (b"\xdd\xff\xff\xff\xff", "encoding"),
    "a bin of 4 G": (b"\x94\x01\xc6\xff\xff\xff\xff", "encoding"),
    "nested too deep": (b"\x91" * 1149 + b"\xc0", "encoding"),
    "text that is not UTF-8": (b"\x95\x01\xc4\x08" + ID + b"\x00\xc4\x00\xa1\xff", "encoding"),
    "a map": (pack({1: 2}), "encoding"),
    "a map among the trailing fields": (pack(*PING, {1: 2}), "encoding"),
    "an extension among the trailing fields": (b"\x95" + pack(*PING)[1:] + _Ext.packed, "encoding"),
    "a timestamp": (b"\x95" + pack(*PING)[1:] + b"\xd6\xff" + bytes(4), "encoding"),
    "a number": (b"\x07", "shape"),
    "nil": (b"\xc0", "shape"),
    "an empty array": (pack(), "shape"),
    "an array of three": (pack(1, ID, 0), "shape"),
    "a text for type": (but(PING, 0, "1"), "shape"),
    "a bool for type": (but(PING, 0, True), "shape"),
    "a float for type": (but(PING, 0, 1.0), "shape"),
    "type 0": (but(PING, 0, 0), "type"),
    "a reserved type": (but(PING, 0, 9), "type"),
    "type -1": (but(PING, 0, -1), "type"),
    "a type of 64 bits": (but(PING, 0, 2**64 - 1), "type"),
    "an id of 7 bytes": (but(PING, 1, ID[:7]), "id"),
    "an id of 9 bytes": (but(PING, 1, ID + b"\0"), "id"),
    "an id that is text": (but(PING, 1, "12345678"), "id"),
    "an id that is a number": (but(PING, 1, 5), "id"),
    "a bool for flags": (but(PING, 2, True), "flags"),
    "a float for flags": (but(PING, 2, 0.0), "flags"),
    "flags below zero": (but(PING, 2, -1), "flags"),
    "flags of 17 bits": (but(PING, 2, 2**16), "flags"),
    "a token of 7 bytes": (but(PING, 3, TOKEN[:7]), "token"),
    "a token of 9 bytes": (but(PING, 3, TOKEN + b"\0"), "token"),
    "no token but nil": (but(PING, 3, None), "token"),
    "a PONG without features": (pack(*PONG[:6]), "shape"),
    "a PONG seen from 7 bytes": (but(PONG, 4, bytes(7)), "endpoint"),
    "a PONG seen nowhere": (but(PONG, 4, None), "endpoint"),
    "a PONG of no version": (but(PONG, 5, b""), "versions"),
    "a PONG of 17 versions": (but(PONG, 5, bytes(17)), "versions"),
    "a PONG of a list of versions": (but(PONG, 5, (1,)), "versions"),
    "features of 33 bits": (but(PONG, 6, 2**32), "number"),
    "features that are a bool": (but(PONG, 6, False), "number"),
    "a PONG with a bad token": (but(PONG, 3, b"x"), "token"),
    "a FIND_NODE without a target": (pack(*FIND_NODE[:4]), "shape"),
    "a target of 31 bytes": (but(FIND_NODE, 4, KEY[:31]), "key"),
    "a target that is text": (but(FIND_NODE, 4, "x" * 32), "key"),
    "a NODES of one family": (pack(*NODES[:5]), "shape"),
    "a v4 contact cut short": (but(NODES, 4, bytes(37)), "contacts"),
    "a v6 contact cut short": (but(NODES, 5, bytes(49)), "contacts"),
    "17 contacts of v4": (but(NODES, 4, contacts4(17)), "contacts"),
    "9 and 8 contacts": (pack(*NODES[:4], contacts4(9), contacts6(8)), "contacts"),
    "contacts in a list": (but(NODES, 4, (bytes(38),)), "contacts"),
    "a FIND_VALUE without after": (pack(*FIND_VALUE[:6]), "shape"),
    "a key of 33 bytes": (but(FIND_VALUE, 4, KEY + b"\0"), "key"),
    "an own seq of -2": (but(FIND_VALUE, 5, -2), "seq"),
    "an own seq of 2^63": (but(FIND_VALUE, 5, 2**63), "seq"),
    "an own seq that is a bool": (but(FIND_VALUE, 5, True), "seq"),
    "an after of 31 bytes": (but(FIND_VALUE, 6, bytes(31)), "cursor"),
    "a VALUES without v6 contacts": (pack(*VALUES[:8]), "shape"),
    "a status of 256": (but(VALUES, 4, 256), "number"),
    "a status that is a float": (but(VALUES, 4, 0.0), "number"),
    "a cursor that is nil": (but(VALUES, 5, None), "cursor"),
    "records that are bytes": (but(VALUES, 6, b""), "records"),
    "65 records": (but(VALUES, 6, (CARRIED,) * 65), "records"),
    "a record that is a number": (but(VALUES, 6, (1,)), "record-shape"),
    "VALUES with 17 contacts": (but(VALUES, 7, contacts4(17)), "contacts"),
    "a STORE of nothing": (pack(*STORE[:4]), "shape"),
    "a record of four fields": (but(STORE, 4, CARRIED[:4]), "record-shape"),
    "a record that is bytes": (but(STORE, 4, b"12345"), "record-shape"),
    "a kind of 256": (carrying(0, 256), "record-kind"),
    "a kind that is a bool": (carrying(0, True), "record-kind"),
    "a kind below zero": (carrying(0, -1), "record-kind"),
    "a payload that is text": (carrying(1, "x"), "record-shape"),
    "a signature of 63 bytes": (carrying(2, bytes(63)), "record-shape"),
    "a signature that is nil": (carrying(2, None), "record-shape"),
    "a remaining below zero": (carrying(3, -1), "number"),
    "a remaining of 2^31": (carrying(3, 2**31), "number"),
    "a remaining that is a float": (carrying(3, 60.0), "number"),
    "a remaining that is a bool": (carrying(3, True), "number"),
    "cached that is a number": (carrying(4, 1), "record-shape"),
    "a STORED of four fields": (pack(*STORED[:4]), "shape"),
    "a STORED status that is a bool": (but(STORED, 3, True), "number"),
    "a STORED status below zero": (but(STORED, 3, -1), "number"),
    "a STORED seq of 2^63": (but(STORED, 4, 2**63), "number"),
}


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_a_bad_message_is_refused_for_the_reason_it_deserves(what: str) -> None:
    data, reason = BAD_MESSAGES[what]
    with pytest.raises(Malformed) as caught:
        decode(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "fields", [PING, PONG, FIND_NODE, NODES, FIND_VALUE, VALUES, STORE, STORED], ids=lambda f: f[0]
)
def test_what_the_bad_messages_were_made_from_is_good(fields: tuple[Any, ...]) -> None:
    decode(pack(*fields))
