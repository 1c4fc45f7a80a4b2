"""Every decoder takes any bytes: what comes out is what was meant, or one Malformed or InputError of one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgpack
from hypothesis import assume, given
from hypothesis import strategies as st

from kadnet import config
from kadnet.errors import InputError, Malformed
from kadnet.identity import address, nodeid
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.wire import keys, messages, packets
from kadnet.wire import records as wire_records
from kadnet.wire.messages import Carried, Message, Request, Store, Values, decode, encode, encode_padded
from kadnet.wire.packets import HEADER, MAX_DATAGRAM, Channel
from kadnet.wire.records import Record, parse, sign_entry
from tests.properties import strategies
from tests.properties.strategies import mutated

ALICE, BOB = Identity.from_seed(b"a" * 32), Identity.from_seed(b"b" * 32)
TO_BOB, AT_BOB = Channel(ALICE, BOB.public), Channel(BOB, ALICE.public)
NONCE = bytes(24)
any_text = st.text(st.characters(exclude_categories=()))  # surrogates too


def malformed(decoder: Callable[[bytes], object], data: bytes) -> bool:
    """Whether a decoder refused, in the one way it may."""
    reason = "none"
    try:
        decoder(data)
    except Malformed as error:
        reason = error.reason
    assert reason.replace("-", "").isalpha()
    return reason != "none"


def datagrams(message: bytes) -> list[bytes]:
    cookie = bytes(16)
    return [TO_BOB.seal(message, NONCE), packets.probe(cookie), packets.probe_reply(cookie, ALICE.public)]


@given(st.binary(max_size=120) | st.binary(max_size=118).map(b"\x6b\x11".__add__))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    for decoder in (packets.kind_of, packets.open_probe, packets.open_probe_reply, AT_BOB.open):
        malformed(decoder, data)
    packets.tag_of(data)
    packets.sender_of(data)


@given(st.binary(min_size=1, max_size=1150).flatmap(lambda m: mutated(st.sampled_from(datagrams(m)))))
def test_a_packet_with_a_fault_is_malformed_or_whole(data: bytes) -> None:
    if malformed(packets.kind_of, data):
        return
    kind = packets.kind_of(data)
    assert len(data) <= MAX_DATAGRAM
    if kind == packets.SEALED and not malformed(AT_BOB.open, data):
        assert TO_BOB.seal(AT_BOB.open(data), data[42:66])[66:] == data[66:]
    elif kind == packets.PROBE:
        malformed(packets.open_probe, data)
    elif kind == packets.PROBE_REPLY:
        malformed(packets.open_probe_reply, data)


@given(st.binary(min_size=1, max_size=packets.MAX_MESSAGE), st.binary(min_size=24, max_size=24))
def test_what_is_sealed_opens(message: bytes, nonce: bytes) -> None:
    sealed = TO_BOB.seal(message, nonce)
    assert packets.kind_of(sealed) == packets.SEALED
    assert len(sealed) == HEADER + len(message)
    assert AT_BOB.open(sealed) == message


@given(strategies.messages)
def test_every_message_reads_back_as_it_was(message: Message) -> None:
    again = decode(encode(message))
    assert (type(again), again) == (type(message), message)


def accepted(data: bytes) -> None:
    """Decode, and where that succeeds look at what came out: it is exactly what it says."""
    message = decode(data)
    assert decode(encode(message)) == message
    assert type(message.id) is bytes
    assert len(message.id) == 8
    for number in (field for field in message if isinstance(field, int)):
        assert type(number) in (int, bool)
    if isinstance(message, Values | Store):
        for one in message.records if isinstance(message, Values) else (message.carried,):
            malformed(lambda _data, record=one.record: parse(record), b"")  # type: ignore[misc]  # a default binds it


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    malformed(accepted, data)


@given(mutated(strategies.messages.map(encode)))
def test_a_message_with_a_fault_is_a_message_or_malformed(data: bytes) -> None:
    malformed(accepted, data)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=60)
    | st.text(max_size=10)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(0, 5), inner, max_size=2),
    max_leaves=12,
)


@given(st.integers(0, 9) | leaves, st.lists(trees, max_size=10))
def test_any_array_is_a_message_or_malformed(kind: object, fields: list[object]) -> None:
    malformed(accepted, msgpack.packb([kind, bytes(8), 0, *fields]))
    malformed(accepted, msgpack.packb([kind, bytes(8), 0, bytes(8), *fields]))


@given(strategies.messages, st.data())
def test_a_field_of_any_other_type_is_refused_or_was_allowed(message: Message, data: st.DataObject) -> None:
    fields: list[object] = [messages.TYPES[type(message)], *message]
    fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(trees)
    malformed(accepted, msgpack.packb(fields))


@given(strategies.messages, st.lists(st.none() | st.booleans() | st.integers(0, 9) | st.binary(max_size=9), max_size=4))
def test_what_a_later_version_adds_at_the_end_is_ignored(message: Message, later: list[object]) -> None:
    assert decode(msgpack.packb([messages.TYPES[type(message)], *message, *later])) == message


@given(strategies.requests, st.integers(0, MAX_DATAGRAM))
def test_padding_gives_exactly_the_size_whenever_it_is_larger(request: Request, size: int) -> None:
    padded = encode_padded(request, size)
    assert len(padded) == max(len(encode(request)), size - HEADER)
    assert decode(padded) == request


@given(strategies.identities, st.data(), st.integers(0, 2**31 - 1), st.booleans())
def test_a_value_of_900_bytes_always_fits_values_and_store(
    identity: Identity, data: st.DataObject, remaining: int, cached: bool
) -> None:
    entry = data.draw(strategies.entries(identity))._replace(value=bytes([data.draw(st.integers(0, 255))]) * 900)
    kind = data.draw(st.sampled_from([2, 3]))
    one = Carried(*sign_entry(identity, kind, entry, bytes(32)), remaining, cached)
    cursor = data.draw(st.sampled_from([b"", bytes(32)]))
    flags = data.draw(st.integers(0, 2**16 - 1))
    values = encode(Values(bytes(8), flags, bytes(8), 255, cursor, (one,), b"", b""))
    store = encode(Store(bytes(8), flags, bytes(8), one))
    assert max(len(values), len(store)) + HEADER <= MAX_DATAGRAM
    assert parse(one.record).value == entry.value


@given(st.integers(0, 255), st.binary(max_size=300), st.sampled_from([b"", bytes(64), bytes(63)]))
def test_any_bytes_are_a_record_or_malformed(kind: int, payload: bytes, signature: bytes) -> None:
    malformed(lambda _: parse(Record(kind, payload, signature)), b"")


@given(mutated(strategies.signed_records().map(lambda drawn: drawn[0].payload)), st.sampled_from([1, 2, 3, 4, 5]))
def test_a_record_with_a_fault_is_a_record_or_malformed(payload: bytes, kind: int) -> None:
    signature = b"" if kind == 1 else bytes(64)
    if not malformed(lambda _: parse(Record(kind, payload, signature)), b""):
        parsed = parse(Record(kind, payload, signature))
        assert len(parsed.key) == 32
        assert parsed.value is None or len(parsed.value) <= 900
        assert 0 <= parsed.seq < 2**63
        assert 0 <= parsed.expires < 2**40
        wire_records.remaining_at_most(parsed, 60, 0.0)
        wire_records.is_authentic(parsed, bytes(32))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_contact_or_malformed(data: bytes) -> None:
    if not malformed(Contact.from_packed, data):
        contact = Contact.from_packed(data)
        assert contact == Contact(contact.id, contact.endpoint) == Contact.from_packed(contact.packed)
        assert contact.id == data[:32]


def refused(decoder: Callable[[str], object], text: str) -> bool:
    """Whether a decoder of what people type refused, in one line."""
    said = hint = ""
    try:
        decoder(text)
    except InputError as error:
        said, hint = str(error), error.hint or ""
    assert len(said.splitlines()) <= 1
    assert len(hint.splitlines()) <= 1
    return bool(said)


@given(any_text | st.text("abcdefgh234567", min_size=56, max_size=56))
def test_any_text_is_a_node_id_or_an_input_error(text: str) -> None:
    refused(nodeid.decode, text)


addresses = st.just(b"kadnet://" + nodeid.encode(ALICE.public).encode() + b"@[2001:db8::1]:7420")


@given(any_text | mutated(addresses).map(lambda data: data.decode("latin-1")))
def test_any_text_is_an_address_or_an_input_error(text: str) -> None:
    refused(address.parse_address, text)
    refused(address.parse_listen, text)


@given(any_text | any_text.map("me/".__add__) | any_text.map("blob:".__add__) | any_text.map("name:".__add__))
def test_any_text_is_a_key_or_an_input_error(text: str) -> None:
    def read(text: str) -> None:
        key = keys.parse_key(text, ALICE.public, {})
        assert keys.parse_key(str(key), ALICE.public, {}) == key

    refused(read, text)


@dataclass(frozen=True)
class Section:
    replicas: int = 16
    lease: float = 60.0
    name: str = ""
    bootstrap: tuple[str, ...] = ()
    on: bool = True
    limit: int | None = None


def settle(text: str) -> None:
    tables = config.parse(text)
    config.check_sections(tables, ["overlay", "links"])
    section = config.section(tables, "overlay", Section)
    assert type(section.replicas) is int
    assert type(section.lease) is float
    assert type(section.on) is bool
    assert all(type(one) is str for one in section.bootstrap)


_SIGNS = ["[", "]", "{", "}", "=", "\n", '"', "'", ",", ".", "#", "\\", " ", "\x00", "\r", "\u2028", "é"]
_NAMES = ["[overlay]", "[links]", "[[overlay]]", "replicas", "lease", "name", "bootstrap", "on", "limit"]
_VALUES = ["true", "16", "1.5", "nan", "1e400", "0xff", "9" * 30, "1979-05-27", "'a'", '"b"', "['a', 'b']", "{x = 1}"]
toml_words = st.sampled_from([*_SIGNS, *_NAMES, *_VALUES])


@given(st.lists(toml_words, max_size=12).map("".join) | any_text)
def test_any_text_is_settings_or_an_input_error(text: str) -> None:
    refused(settle, text)


@given(st.sampled_from(["replicas", "lease", "name", "bootstrap", "on", "limit", "other"]), st.lists(toml_words))
def test_any_value_of_a_setting_is_taken_or_an_input_error(name: str, words: list[str]) -> None:
    assume(len(words) < 8)
    refused(settle, f"[overlay]\n{name} = {''.join(words)}")
