"""The bytes of chat: what is sent, what is signed, and what is refused."""

from __future__ import annotations

import hashlib

import msgpack
import pytest

from kadnet.apps.chat import protocol
from kadnet.apps.chat.protocol import Body, Proof, decode, decode_receipt, encode, encode_receipt, plausible, utf8
from kadnet.errors import InputError, Malformed
from kadnet.identity.keys import verify
from tests.unit.overlay.builders import identity
from tests.vectors_plugin import CheckVectors

ID = bytes(range(16))
SENT = 1_800_000_000
ALICE, BOB = identity("alice"), identity("bob")
TEXTS = {"plain": "hello", "other scripts": "héllo — שלום 👋", "with a zero and a newline": "a\x00b\nc"}


def signed(text: str, received_at: int = SENT + 1) -> bytes:
    return protocol.signed_data(ALICE.public, BOB.public, ID, received_at, text.encode())


def test_messages_and_receipts_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for name, text in TEXTS.items():
        made.append(
            {
                "what": f"message, {name}",
                "id": ID.hex(),
                "sent_at": str(SENT),
                "text": text.encode().hex(),
                "hex": encode(Body(ID, SENT, text)).hex(),
            }
        )
        facts = {"sender": ALICE.public.hex(), "recipient": BOB.public.hex(), "received_at": str(SENT + 1)}
        made.append({"what": f"what its receipt signs, {name}", **facts, "hex": signed(text).hex()})
    made.append(
        {
            "what": "receipt",
            "received_at": str(SENT + 1),
            "signature": bytes(range(64)).hex(),
            "hex": encode_receipt(Proof(SENT + 1, bytes(range(64)))).hex(),
        }
    )
    vectors("chat", made)


def test_what_is_signed_is_what_the_protocol_spells() -> None:
    expected = ALICE.public + BOB.public + ID + (SENT + 1).to_bytes(8, "big") + hashlib.sha256(b"hello").digest()
    assert signed("hello") == expected
    assert len(expected) == 120


@pytest.mark.parametrize("text", TEXTS.values())
def test_a_message_reads_back_as_it_was_sent(text: str) -> None:
    body = Body(ID, SENT, text)
    assert decode(encode(body), len(text.encode())) == body


def test_a_receipt_of_one_message_is_none_for_another() -> None:
    signature = BOB.sign(b"label" + signed("hello"))
    changed = [
        signed("hello", SENT),
        signed("hellp"),
        protocol.signed_data(BOB.public, ALICE.public, ID, SENT + 1, b"hello"),
        protocol.signed_data(ALICE.public, BOB.public, bytes(16), SENT + 1, b"hello"),
    ]
    assert verify(BOB.public, b"label" + signed("hello"), signature)
    assert not any(verify(BOB.public, b"label" + data, signature) for data in changed)


BAD = {
    "empty": (b"", "encoding"),
    "cut": (encode(Body(ID, SENT, "hello"))[:-1], "encoding"),
    "more behind": (encode(Body(ID, SENT, "hello")) + b"\x00", "encoding"),
    "a map": (msgpack.packb({1: 2}), "encoding"),
    "a number": (msgpack.packb(7), "shape"),
    "too few": (msgpack.packb([ID, SENT]), "shape"),
    "id of 15": (msgpack.packb([ID[:15], SENT, "a"]), "id"),
    "id as text": (msgpack.packb(["0123456789abcdef", SENT, "a"]), "id"),
    "time as truth": (msgpack.packb([ID, True, "a"]), "sent-at"),
    "time as a fraction": (msgpack.packb([ID, 1.5, "a"]), "sent-at"),
    "time below zero": (msgpack.packb([ID, -1, "a"]), "sent-at"),
    "time beyond all": (msgpack.packb([ID, 2**40, "a"]), "sent-at"),
    "time no database holds": (msgpack.packb([ID, 2**64 - 1, "a"]), "sent-at"),
    "text as bytes": (msgpack.packb([ID, SENT, b"a"]), "text"),
    "no text": (msgpack.packb([ID, SENT, ""]), "text-size"),
    "text too long": (msgpack.packb([ID, SENT, "a" * 11]), "text-size"),
    "text too long in bytes": (msgpack.packb([ID, SENT, "é" * 6]), "text-size"),
    "text that is no UTF-8": (b"\x93\xc4\x10" + ID + b"\x01\xa1\xff", "encoding"),
    "a surrogate": (b"\x93\xc4\x10" + ID + b"\x01\xa3\xed\xa0\x80", "encoding"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_message_is_refused_by_a_reason_that_lies_in_it_alone(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(Malformed) as caught:
        decode(data, 10)
    assert caught.value.reason == reason
    assert reason in protocol.FAULTS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc1", "encoding"),
        (msgpack.packb([SENT]), "shape"),
        (msgpack.packb([-1, bytes(64)]), "received-at"),
        (msgpack.packb([2**40, bytes(64)]), "received-at"),
        (msgpack.packb([None, bytes(64)]), "received-at"),
        (msgpack.packb([SENT, bytes(63)]), "signature"),
        (msgpack.packb([SENT, "a" * 64]), "signature"),
    ],
)
def test_what_is_no_receipt_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_receipt(data)
    assert caught.value.reason == reason


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert decode(msgpack.packb([ID, SENT, "a", b"more", [1]]), 10) == Body(ID, SENT, "a")
    assert decode_receipt(msgpack.packb([SENT, bytes(64), None])) == Proof(SENT, bytes(64))


def test_the_largest_message_leaves_room_in_its_request() -> None:
    assert len(encode(Body(ID, protocol.MAX_TIME, "a" * 65_000))) <= 65_000 + protocol.ENVELOPE <= 65_536


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one character"),
        ("a" * 11, "the message has at least 11 bytes, and 10 bytes of UTF-8 is the limit"),
        ("é" * 6, "the message has 12 bytes, and 10 bytes of UTF-8 is the limit"),
        ("ab\ud800", "character 3 of the message is a lone surrogate"),
        (b"bytes", "a message is a text, not bytes"),
    ],
)
def test_a_text_that_cannot_be_sent_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        utf8(text, 10)
    assert utf8("é" * 5, 10) == "ééééé".encode()


def test_a_claim_of_the_far_future_is_shown_as_a_day_ahead_at_most() -> None:
    assert plausible(SENT, SENT + 5) == SENT
    assert plausible(SENT + 86_400, SENT) == SENT + 86_400
    assert plausible(SENT + 86_401, SENT) == SENT + 86_400
    assert plausible(protocol.MAX_TIME, SENT) == SENT + 86_400
    assert plausible(0, SENT) == 0
