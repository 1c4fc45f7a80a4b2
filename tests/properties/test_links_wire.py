"""The wire of links: however a stream is split and whatever it holds, out comes what was sent, or one Malformed."""

from __future__ import annotations

from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base as public

from kadnet.errors import Malformed
from kadnet.identity.keys import x25519_public
from kadnet.wire import envelopes, sealing
from kadnet.wire.channel import Assembler
from kadnet.wire.envelopes import Envelope, decode_control, decode_envelope, decode_error, encode_envelope, head
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, MORE, SEALED, Frame, FrameReader, encode_frame
from kadnet.wire.handshake import PEER, Hello
from kadnet.wire.noise import HandshakeState
from tests.properties.strategies import mutated
from tests.unit.wire.samples import ALICE, BOB, PUBLIC
from tests.unit.wire.talk import (
    ALICE_EPHEMERAL,
    ALICE_INSTANCE,
    BOB_INSTANCE,
    Receiver,
    answerer,
    caller,
    channels,
    conversation,
    frames,
    opened,
    reference,
)

frame_inputs = st.tuples(st.sampled_from([(HANDSHAKE, 0), (SEALED, 0), (SEALED, MORE)]), st.binary(max_size=60))
streams = st.lists(frame_inputs.map(lambda drawn: encode_frame(*drawn[0], drawn[1])), max_size=8).map(b"".join)
cuts = st.lists(st.integers(1, 90), max_size=60)
secrets = st.binary(min_size=32, max_size=32)


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in pieces of these sizes, and the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def read(pieces: list[bytes]) -> tuple[list[Frame], str | None, int]:
    """The frames of a stream that came in these pieces, the error it ended in, and what is left over."""
    reader, found, reason = FrameReader(MAX_PAYLOAD), [], None
    for piece in pieces:
        try:
            reader.feed(piece)
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
        except Malformed as error:
            if reason not in (None, error.reason):
                raise AssertionError(f"{reason}, then {error.reason}") from None
            reason = error.reason
    return found, reason, reader.buffered


def refusal(decoder: Callable[[bytes], object], data: bytes) -> str | None:
    """The reason for which a decoder refused, in the one way it may; None when it did not."""
    try:
        decoder(data)
    except Malformed as error:
        return error.reason
    return None


@given(st.lists(frame_inputs, max_size=8), cuts)
def test_any_split_of_a_stream_gives_the_same_frames(
    inputs: list[tuple[tuple[int, int], bytes]], sizes: list[int]
) -> None:
    stream = b"".join(encode_frame(*kind, payload) for kind, payload in inputs)
    found, reason, left = read(split(stream, sizes))
    assert [((frame.command, frame.flags), frame.payload) for frame in found] == inputs
    assert (reason, left) == (None, 0)


@given(mutated(streams) | streams.flatmap(lambda stream: st.binary(max_size=30).map(stream.__add__)), cuts)
def test_any_split_of_a_faulty_stream_gives_the_same_frames_and_the_same_error(data: bytes, sizes: list[int]) -> None:
    whole = read([data])
    assert read(split(data, sizes)) == whole
    assert read([data[at : at + 1] for at in range(len(data))]) == whole
    assert data.startswith(b"".join(encode_frame(*frame[:3]) for frame in whole[0]))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"KDN1".__add__), cuts)
def test_any_bytes_are_frames_or_malformed(data: bytes, sizes: list[int]) -> None:
    reader = FrameReader()
    for piece in split(data, sizes):
        refusal(reader.feed, piece)
        refusal(lambda _: reader.next_frame(), piece)
        assert reader.buffered <= len(data)


names = st.from_regex(r"[a-z0-9./-]{1,32}", fullmatch=True)
bodies = st.binary(max_size=100) | st.sampled_from([bytes(255), bytes(256), bytes(65_535), bytes(65_536)])
any_envelope = st.builds(Envelope, names, st.integers(0, 3), st.integers(0, 2**32 - 1), bodies)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(any_envelope)
def test_an_envelope_reads_back_and_its_first_part_foretells_it(envelope: Envelope) -> None:
    data = encode_envelope(*envelope)
    assert decode_envelope(data) == envelope
    told = (*envelope[:3], len(envelope.body))
    sizes = {len(data), len(data) - len(envelope.body), min(len(data), envelopes.MAX_HEAD)}
    for size in range(max(0, min(sizes) - 3), max(sizes) + 1 if len(data) < 500 else min(sizes) + 3):
        assert head(data[:size]) in (None, told)
    assert head(data) == told


@given(
    mutated(any_envelope.map(lambda envelope: encode_envelope(*envelope)))
    | plain.map(msgpack.packb)
    | st.binary(max_size=90)
)
def test_any_bytes_are_an_envelope_or_malformed_and_the_first_part_never_says_otherwise(data: bytes) -> None:
    for decoder in (decode_error, decode_control):
        refusal(decoder, data)
    foretold = refusal(head, data)
    if refusal(decode_envelope, data) is None:
        envelope = decode_envelope(data)
        assert (foretold, head(data)) == (None, (*envelope[:3], len(envelope.body)))
        assert all(refusal(head, data[:size]) is None for size in range(min(len(data), 80)))


@given(plain.map(msgpack.packb) | mutated(st.sampled_from([msgpack.packb([ALICE.public, ALICE_INSTANCE, PEER])])))
def test_a_hello_of_any_payload_is_what_it_says_or_malformed(payload: bytes) -> None:
    noise = HandshakeState(
        "IKpsk1",
        initiator=True,
        prologue=b"kadnet/1" + BOB.public,
        s=ALICE.x25519_secret,
        rs=x25519_public(BOB.public),
        e=ALICE_EPHEMERAL,
        psks=(PUBLIC,),
    )
    hello = noise.write_message(payload)
    reason = refusal(answerer().read, hello)
    if reason is None:
        read_hello = answerer().read(hello)
        assert read_hello == Hello(*msgpack.unpackb(payload)[:3])
        assert x25519_public(read_hello.id) == x25519_public(ALICE.public)
    else:
        assert reason.startswith("hello-")


OUT, BACK = conversation([b"said"], [b"answered"])
HELLO, ANSWER = frames(OUT[0])[0].payload, frames(BACK[0])[0].payload
PIECE = sealing.seal(BOB.public, b"label", PUBLIC, b"piece", one_time_secret=bytes(range(32)))


@given(st.binary(max_size=200) | mutated(st.sampled_from([HELLO, ANSWER])))
def test_no_bytes_but_the_right_ones_shake_hands(data: bytes) -> None:
    calling = caller()
    calling.hello()
    assert (refusal(calling.read, data) is None) == (data == ANSWER)
    assert (refusal(answerer().read, data) is None) == (data == HELLO)


@given(st.binary(max_size=120) | mutated(st.sampled_from([PIECE])))
def test_no_bytes_but_the_right_ones_are_unsealed(data: bytes) -> None:
    assert (refusal(lambda sealed: sealing.unseal(BOB, b"label", PUBLIC, sealed), data) is None) == (data == PIECE)


@given(mutated(st.just(b"".join(conversation([b"one", b"two", b"three"], [])[0]))), cuts)
def test_of_a_faulty_conversation_only_what_was_said_is_delivered_in_order(data: bytes, sizes: list[int]) -> None:
    receiver = Receiver(answerer())
    for piece in split(data, sizes):
        if refusal(receiver.feed, piece) is not None:
            break
    assert receiver.delivered == [b"one", b"two", b"three"][: len(receiver.delivered)]


@given(st.lists(st.integers(0, 100) | st.integers(65_000, 140_000), max_size=6), st.integers(1, 4))
@settings(max_examples=40)
def test_messages_of_any_length_arrive_whole_and_in_order_whenever_the_keys_change(
    sizes: list[int], bound: int
) -> None:
    alice, bob = channels(rekey_after=bound)
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert opened(bob, b"".join(alice.seal(message) for message in messages)) == messages


@given(st.lists(st.tuples(st.binary(max_size=30), st.booleans()), max_size=20), st.integers(0, 60))
def test_the_assembler_gives_what_fits_its_limit_and_keeps_no_more(parts: list[tuple[bytes, bool]], limit: int) -> None:
    assembler, expected = Assembler(limit), b""
    for part, more in parts:
        expected += part
        if len(expected) > limit or (more and not part):
            with pytest.raises(Malformed):
                assembler.add(part, more)
            break
        message = assembler.add(part, more)
        assert message == (None if more else expected)
        assert assembler.collected == (len(expected) if more else 0) <= limit
        expected = expected if more else b""


@given(
    st.sampled_from(["IK", "IKpsk0", "IKpsk1", "IKpsk2"]),
    st.booleans(),
    st.tuples(secrets, secrets, secrets, secrets, secrets),
    st.binary(max_size=50),
    st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    st.lists(st.tuples(st.booleans(), st.binary(max_size=20), st.binary(max_size=100), st.booleans()), max_size=8),
)
def test_the_forms_of_ik_are_byte_for_byte_those_of_noiseprotocol(
    pattern: str,
    initiator: bool,
    keys: tuple[bytes, bytes, bytes, bytes, bytes],
    prologue: bytes,
    payloads: tuple[bytes, bytes],
    later: list[tuple[bool, bytes, bytes, bool]],
) -> None:
    own, other, own_e, other_e, psk = keys
    psks = (psk,) if "psk" in pattern else ()
    name = f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2b"
    ours = HandshakeState(pattern, initiator=initiator, prologue=prologue, s=own, rs=public(other), e=own_e, psks=psks)
    same = reference(name, initiator=initiator, prologue=prologue, s=own, rs=public(other), e=own_e, psks=psks)
    theirs = reference(name, initiator=not initiator, prologue=prologue, s=other, rs=public(own), e=other_e, psks=psks)
    for number, payload in enumerate(payloads):
        if (number == 0) == initiator:
            message = ours.write_message(payload)
            assert message == same.write_message(payload)
            assert theirs.read_message(message) == payload
        else:
            message = bytes(theirs.write_message(payload))
            assert ours.read_message(message) == same.read_message(message) == payload
    assert ours.handshake_hash == same.get_handshake_hash() == theirs.get_handshake_hash()
    send, receive = ours.split()
    at_same, at_theirs = same.noise_protocol, theirs.noise_protocol
    for sending, ad, text, rekey in later:
        if sending:
            sealed = send.encrypt(ad, text)
            assert sealed == at_same.cipher_state_encrypt.encrypt_with_ad(ad, text)
        else:
            sealed = at_theirs.cipher_state_encrypt.encrypt_with_ad(ad, text)
            assert receive.decrypt(ad, sealed) == text
        if rekey:
            if sending:
                send.rekey()
                same.rekey_outbound_cipher()
            else:
                receive.rekey()
                theirs.rekey_outbound_cipher()


def test_the_conversation_that_is_mutated_above_is_delivered_as_it_was() -> None:
    receiver = Receiver(answerer())
    receiver.feed(b"".join(OUT))
    assert receiver.delivered == [b"said"]
    calling = caller()
    calling.hello()
    assert calling.read(ANSWER)[0] == BOB_INSTANCE
