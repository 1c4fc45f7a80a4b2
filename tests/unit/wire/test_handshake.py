import hashlib

import msgpack
import pytest

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import Identity, x25519_public
from kadnet.wire import handshake
from kadnet.wire.frames import HANDSHAKE, MAX_UNPROVEN, SEALED, FrameReader, encode_frame
from kadnet.wire.handshake import ERRAND, Answerer, Caller, Hello
from kadnet.wire.noise import HandshakeState
from tests.unit.wire.samples import ALICE, BOB, PRIVATE, PUBLIC
from tests.unit.wire.talk import (
    ALICE_EPHEMERAL,
    ALICE_INSTANCE,
    BOB_EPHEMERAL,
    BOB_INSTANCE,
    Receiver,
    answerer,
    caller,
    conversation,
    frames,
    opened,
    reference,
)
from tests.vectors_plugin import CheckVectors

CAROL = Identity.from_seed(b"c" * 32)
PAYLOAD = [ALICE.public, ALICE_INSTANCE, "peer"]


def hello_with(payload: bytes, identity: Identity = ALICE) -> bytes:
    """A hello that Noise takes, of a caller who writes into it what he likes."""
    noise = HandshakeState(
        "IKpsk1",
        initiator=True,
        prologue=b"kadnet/1" + BOB.public,
        s=identity.x25519_secret,
        rs=x25519_public(BOB.public),
        e=ALICE_EPHEMERAL,
        psks=(PUBLIC,),
    )
    return noise.write_message(payload)


def answer_with(payload: bytes, hello: bytes) -> bytes:
    """The same for an answer to a hello for Bob."""
    noise = HandshakeState(
        "IKpsk1",
        initiator=False,
        prologue=b"kadnet/1" + BOB.public,
        s=BOB.x25519_secret,
        e=BOB_EPHEMERAL,
        psks=(PUBLIC,),
    )
    noise.read_message(hello)
    return noise.write_message(payload)


def test_handshakes_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for network in (PUBLIC, PRIVATE):
        for purpose in (handshake.PEER, ERRAND):
            ours, theirs = caller(network=network, purpose=purpose), answerer(network=network)
            hello = ours.hello()
            theirs.read(hello)
            answer, at_bob = theirs.reply()
            _, at_alice = ours.read(answer)
            inputs = {"caller seed": ALICE.seed.hex(), "answerer seed": BOB.seed.hex(), "network": network.hex()}
            inputs |= {"caller ephemeral": ALICE_EPHEMERAL.hex(), "answerer ephemeral": BOB_EPHEMERAL.hex()}
            inputs |= {"caller instance": ALICE_INSTANCE.hex(), "answerer instance": BOB_INSTANCE.hex()}
            inputs |= {"purpose": purpose}
            for what, made_bytes in (
                ("hello, framed", encode_frame(HANDSHAKE, 0, hello)),
                ("answer, framed", encode_frame(HANDSHAKE, 0, answer)),
                ('the caller\'s first frame, of "ping"', at_alice.seal(b"ping")),
                ('the answerer\'s first frame, of "pong"', at_bob.seal(b"pong")),
            ):
                made.append({"what": what, **inputs, "hex": made_bytes.hex()})
    vectors("handshakes", made)


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE])
def test_a_handshake_is_what_the_protocol_spells_by_noiseprotocol(network: bytes) -> None:
    name = "Noise_IKpsk1_25519_ChaChaPoly_BLAKE2b"
    prologue = b"kadnet/1" + BOB.public
    secrets, publics = [[x.x25519_secret for x in (ALICE, BOB)], [x25519_public(x.public) for x in (ALICE, BOB)]]
    as_caller, as_answerer = (
        reference(name, initiator=first, prologue=prologue, s=s, rs=rs, e=e, psks=(network,))
        for first, s, rs, e in (
            (True, secrets[0], publics[1], ALICE_EPHEMERAL),
            (False, secrets[1], publics[0], BOB_EPHEMERAL),
        )
    )
    ours, theirs = caller(network=network), answerer(network=network)
    hello = ours.hello()
    assert hello == as_caller.write_message(msgpack.packb([ALICE.public, ALICE_INSTANCE, "peer"]))
    as_answerer.read_message(hello)
    theirs.read(hello)
    answer, at_bob = theirs.reply()
    assert answer == as_answerer.write_message(msgpack.packb([BOB_INSTANCE]))
    at_alice = ours.read(answer)[1]
    state = as_answerer.noise_protocol
    for text in (b"", b"a message"):
        frame = frames(at_alice.seal(text))[0]
        assert state.cipher_state_decrypt.decrypt_with_ad(frame.head, frame.payload) == text
        frame = frames(at_bob.seal(text))[0]
        assert state.cipher_state_encrypt.encrypt_with_ad(frame.head, text) == frame.payload


@pytest.mark.parametrize("purpose", [handshake.PEER, ERRAND, "a-later-one", "x" * 32])
def test_each_side_learns_of_the_other_and_both_can_speak(purpose: str) -> None:
    ours, theirs = caller(purpose=purpose), answerer()
    assert theirs.read(ours.hello()) == Hello(ALICE.public, ALICE_INSTANCE, purpose)
    answer, at_bob = theirs.reply()
    instance, at_alice = ours.read(answer)
    assert instance == BOB_INSTANCE
    assert opened(at_bob, at_alice.seal(b"to bob") + at_alice.seal(b"again")) == [b"to bob", b"again"]
    assert opened(at_alice, at_bob.seal(b"to alice")) == [b"to alice"]


def test_both_messages_fit_the_limit_of_the_unproven() -> None:
    ours, theirs = caller(purpose="x" * 32), answerer()
    hello = ours.hello()
    theirs.read(hello)
    assert len(theirs.reply()[0]) < len(hello) < MAX_UNPROVEN / 4


def test_who_calls_somebody_else_or_another_network_is_told_from_the_hello() -> None:
    hello = caller().hello()
    for theirs in (answerer(CAROL), answerer(network=PRIVATE)):
        with pytest.raises(Malformed, match="noise-box"):
            theirs.read(hello)
        with pytest.raises(RuntimeError):
            theirs.reply()
    assert answerer().read(hello).id == ALICE.public


def test_who_answers_in_another_s_place_is_found_out() -> None:
    for theirs, own_hello in (
        (answerer(CAROL), caller(peer=CAROL.public).hello()),
        (answerer(network=PRIVATE), caller(network=PRIVATE).hello()),
        (answerer(), caller(ephemeral=bytes(range(50, 82))).hello()),  # Bob himself, but to another hello
    ):
        theirs.read(own_hello)
        ours = caller()
        ours.hello()
        with pytest.raises(Malformed, match="noise-box"):
            ours.read(theirs.reply()[0])


@pytest.mark.parametrize("peer", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"short", b""])
def test_nobody_calls_an_id_that_no_node_can_have(peer: bytes) -> None:
    with pytest.raises(ProtocolError, match="bad-key"):
        caller(peer=peer)


BAD_HELLOS = {
    "nothing": (b"", "hello-shape"),
    "no msgpack": (b"\xc1", "hello-shape"),
    "more than one thing": (msgpack.packb(PAYLOAD) + b"\0", "hello-shape"),
    "a map": (msgpack.packb({0: 1, 1: 2, 2: 3}), "hello-shape"),
    "a number": (msgpack.packb(3), "hello-shape"),
    "two fields": (msgpack.packb(PAYLOAD[:2]), "hello-shape"),
    "too many fields": (msgpack.packb([*PAYLOAD, *range(14)]), "hello-shape"),
    "an extension": (msgpack.packb([*PAYLOAD, msgpack.ExtType(1, b"x")]), "hello-shape"),
    "text that is no UTF-8": (msgpack.packb(PAYLOAD[:2]).replace(b"\x92", b"\x93", 1) + b"\xa1\xff", "hello-shape"),
    "nested too deep": (b"\x91" * 900 + b"\0", "hello-shape"),
    "another's ID": (msgpack.packb([CAROL.public, *PAYLOAD[1:]]), "hello-id"),
    "our own ID": (msgpack.packb([BOB.public, *PAYLOAD[1:]]), "hello-id"),
    "no point": (msgpack.packb([b"\xff" * 32, *PAYLOAD[1:]]), "hello-id"),
    "a small point": (msgpack.packb([b"\1" + bytes(31), *PAYLOAD[1:]]), "hello-id"),
    "an ID too short": (msgpack.packb([ALICE.public[:31], *PAYLOAD[1:]]), "hello-id"),
    "an ID too long": (msgpack.packb([ALICE.public + b"\0", *PAYLOAD[1:]]), "hello-id"),
    "an ID as text": (msgpack.packb(["a" * 32, *PAYLOAD[1:]]), "hello-id"),
    "an ID that is none": (msgpack.packb([None, *PAYLOAD[1:]]), "hello-id"),
    "an ID in a list": (msgpack.packb([[ALICE.public], *PAYLOAD[1:]]), "hello-id"),
    "an instance too short": (msgpack.packb([ALICE.public, b"short", "peer"]), "hello-instance"),
    "an instance too long": (msgpack.packb([ALICE.public, bytes(9), "peer"]), "hello-instance"),
    "an instance as a number": (msgpack.packb([ALICE.public, 8, "peer"]), "hello-instance"),
    "an instance as text": (msgpack.packb([ALICE.public, "8 letter", "peer"]), "hello-instance"),
    "no purpose": (msgpack.packb([ALICE.public, ALICE_INSTANCE, ""]), "hello-purpose"),
    "a purpose too long": (msgpack.packb([ALICE.public, ALICE_INSTANCE, "x" * 33]), "hello-purpose"),
    "a purpose that could move a cursor": (msgpack.packb([ALICE.public, ALICE_INSTANCE, "\x1b[A"]), "hello-purpose"),
    "a purpose with a line after it": (msgpack.packb([ALICE.public, ALICE_INSTANCE, "peer\n"]), "hello-purpose"),
    "a purpose in bytes": (msgpack.packb([ALICE.public, ALICE_INSTANCE, b"peer"]), "hello-purpose"),
    "a purpose as a number": (msgpack.packb([ALICE.public, ALICE_INSTANCE, True]), "hello-purpose"),
}


@pytest.mark.parametrize("what", BAD_HELLOS)
def test_a_hello_that_says_something_else_is_refused_for_its_reason(what: str) -> None:
    payload, reason = BAD_HELLOS[what]
    with pytest.raises(Malformed) as caught:
        answerer().read(hello_with(payload))
    assert caught.value.reason == reason


def test_who_proves_another_key_than_that_of_the_id_is_refused() -> None:
    honest = msgpack.packb(PAYLOAD)
    assert answerer().read(hello_with(honest)).id == ALICE.public
    with pytest.raises(Malformed, match="hello-id"):
        answerer().read(hello_with(honest, CAROL))


BAD_ANSWERS = {
    "nothing": (b"", "answer-shape"),
    "no list": (msgpack.packb(BOB_INSTANCE), "answer-shape"),
    "an empty list": (msgpack.packb([]), "answer-shape"),
    "a map": (msgpack.packb({0: BOB_INSTANCE}), "answer-shape"),
    "too short": (msgpack.packb([b"short"]), "answer-instance"),
    "too long": (msgpack.packb([bytes(9)]), "answer-instance"),
    "text": (msgpack.packb(["8 letter"]), "answer-instance"),
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_an_answer_that_says_something_else_is_refused_for_its_reason(what: str) -> None:
    payload, reason = BAD_ANSWERS[what]
    ours = caller()
    answer = answer_with(payload, ours.hello())
    with pytest.raises(Malformed) as caught:
        ours.read(answer)
    assert caught.value.reason == reason


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    later = ["1.2", 3, None, [b"list"], 1.5]
    hello = hello_with(msgpack.packb([*PAYLOAD, *later]))
    assert answerer().read(hello) == Hello(ALICE.public, ALICE_INSTANCE, "peer")
    ours = caller()
    assert ours.read(answer_with(msgpack.packb([BOB_INSTANCE, *later]), ours.hello()))[0] == BOB_INSTANCE


def test_a_recorded_hello_gains_the_replayer_nothing() -> None:
    out, _ = conversation([b"a secret order", b"another"], [])
    hello = frames(out[0])[0].payload
    again = answerer(ephemeral=bytes(range(200, 232)))
    assert again.read(hello).id == ALICE.public  # the answerer cannot tell, so nothing may be believed of it yet
    answer, at_bob = again.reply()
    # What was recorded with it does not open, in any order, so the link stays pending.
    for recorded in out[1:]:
        with pytest.raises(Malformed, match="noise-box"):
            at_bob.open(frames(recorded)[0])
    # Nor can the replayer read the answer: all he has is the network key and what he saw.
    replayer = Caller(CAROL, BOB.public, PUBLIC, instance=bytes(8), ephemeral=bytes(range(50, 82)))
    replayer.hello()
    with pytest.raises(Malformed, match="noise-box"):
        replayer.read(answer)


def test_one_hello_gets_another_answer_each_time() -> None:
    hello = caller().hello()
    answers = set()
    for number in range(3):
        theirs = answerer(ephemeral=hashlib.blake2b(bytes([number]), digest_size=32).digest())
        theirs.read(hello)
        answers.add(theirs.reply()[0])
    assert len(answers) == 3


def test_a_hello_hides_who_calls_and_an_answer_says_nothing_in_the_clear() -> None:
    out, back = conversation([b"plain words"], [b"plain answer"])
    seen = b"".join(out + back)
    secrets = (ALICE.public, BOB.public, x25519_public(ALICE.public), x25519_public(BOB.public))
    for word in (*secrets, ALICE_INSTANCE, BOB_INSTANCE, b"peer", b"plain"):
        assert word not in seen


WORDS = [b"ping", b"", b"a message of some length, to be sealed", b"m" * 66_000]


@pytest.mark.parametrize("mended", [False, True], ids=["as flipped", "with the checksum mended"])
@pytest.mark.parametrize("side", ["to the answerer", "to the caller"])
def test_every_flipped_byte_of_a_conversation_is_caught(side: str, mended: bool) -> None:
    wires = conversation(WORDS, WORDS)
    sent = wires[0] if side == "to the answerer" else wires[1]
    stream = b"".join(sent)
    starts = [sum(map(len, sent[:number])) for number in range(len(sent))]
    uncaught, forged = [], []
    for place in range(starts[-1] + 14):  # and the header of a frame that says more is to come
        start = max(start for start in starts if start <= place)
        for mask in {1 << place % 8, 1 << (place + 3) % 8, 3, 0xFF}:
            changed = bytearray(stream)
            changed[place] ^= mask
            if mended:
                _mend(changed, start)
                if changed == stream:  # it was the checksum that was flipped
                    continue
            receiver = _receiver(side)
            try:
                receiver.feed(bytes(changed))
                uncaught.append((place, mask))
            except Malformed:
                pass
            if receiver.delivered != WORDS[: len(receiver.delivered)] or len(receiver.delivered) == len(WORDS):
                forged.append((place, mask))
    assert uncaught == []
    assert forged == []


def _receiver(side: str) -> Receiver:
    if side == "to the answerer":
        return Receiver(answerer())
    calling = caller()
    calling.hello()
    return Receiver(calling)


def _mend(stream: bytearray, start: int) -> None:
    """Make the checksum of the frame at `start` right again for what it now says is its payload."""
    length = int.from_bytes(stream[start + 6 : start + 10], "big")
    payload = bytes(stream[start + 14 : start + 14 + length])
    stream[start + 10 : start + 14] = encode_frame(SEALED, 0, payload[:65535])[10:14]


def test_an_instance_or_purpose_of_another_shape_is_not_sent() -> None:
    for wrong in ({"instance": b"short"}, {"purpose": ""}, {"purpose": "Peer"}, {"purpose": "x" * 33}):
        keys = {"instance": ALICE_INSTANCE, "ephemeral": ALICE_EPHEMERAL} | wrong
        with pytest.raises(ValueError, match="instance"):
            Caller(ALICE, BOB.public, PUBLIC, **keys)
    with pytest.raises(ValueError, match="instance"):
        Answerer(BOB, PUBLIC, instance=b"short", ephemeral=BOB_EPHEMERAL)


def test_a_reader_of_the_unproven_takes_both_messages() -> None:
    out, back = conversation([], [])
    for wire in (out[0], back[0]):
        reader = FrameReader()
        reader.feed(wire)
        assert reader.next_frame() is not None
