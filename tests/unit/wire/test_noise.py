import hashlib
from random import Random

import pytest
from nacl.bindings import crypto_scalarmult_base as public

from kadnet.errors import Malformed
from kadnet.wire import noise
from kadnet.wire.noise import CipherState, HandshakeState, pattern_of, protocol_name
from tests import vectorfile
from tests.unit.wire.talk import reference

INITIATOR = bytes(range(1, 33))
RESPONDER = bytes(range(2, 34))
E1, E2 = bytes(range(33, 65)), bytes(range(65, 97))
PSK = b"p" * 32
ZERO_POINTS = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("ed" + "ff" * 30 + "7f"),
]


def pair(pattern: str = "IKpsk1", *, psk: bytes = PSK, prologue: bytes = b"prologue") -> tuple[HandshakeState, ...]:
    """Initiator and responder; the responder's psk and prologue can differ from the initiator's."""
    count = pattern.count("psk")
    rs = public(RESPONDER)
    ours = HandshakeState(pattern, initiator=True, prologue=b"prologue", s=INITIATOR, rs=rs, e=E1, psks=(PSK,) * count)
    theirs = HandshakeState(pattern, initiator=False, prologue=prologue, s=RESPONDER, e=E2, psks=(psk,) * count)
    return ours, theirs


@pytest.mark.parametrize("vector", vectorfile.load("noise_published"), ids=lambda vector: vector["protocol"])
def test_handshakes_are_those_that_the_noise_project_published(vector: dict[str, str]) -> None:
    given = {name: bytes.fromhex(value) for name, value in vector.items() if set(value) <= set("0123456789abcdef")}
    pattern = vector["protocol"].split("_")[1]
    psks = [given["psks"]] if "psks" in given else []
    sides = [
        HandshakeState(
            pattern,
            initiator=who == "initiator",
            prologue=given["prologue"],
            s=given.get(f"{who} static"),
            rs=given.get("responder static public") if who == "initiator" else None,
            e=given[f"{who} ephemeral"],
            psks=psks,
        )
        for who in ("initiator", "responder")
    ]
    assert protocol_name(pattern).decode() == vector["protocol"]
    payloads = [bytes.fromhex(payload) for payload in vector["payloads"].split()]
    messages = []
    for payload in payloads[:2]:
        messages.append(sides[0].write_message(payload))
        assert sides[1].read_message(messages[-1]) == payload
        sides.reverse()
    assert sides[0].handshake_hash == sides[1].handshake_hash
    assert vector.get("handshake hash") in (None, sides[0].handshake_hash.hex())
    assert sides[0].finished
    assert sides[1].finished
    ways = [(sides[0].split()[0], sides[1].split()[1]), (sides[1].split()[0], sides[0].split()[1])]
    for number, payload in enumerate(payloads[2:]):
        send, receive = ways[number % 2]
        messages.append(send.encrypt(b"", payload))
        assert receive.decrypt(b"", messages[-1]) == payload
        sides.reverse()
    assert [len(message) for message in messages] == [int(size) for size in vector["message sizes"].split()]
    assert b"".join(messages).hex() == vector["hex"]


PATTERNS = [*noise.PATTERNS, "IKpsk0", "IKpsk1", "IKpsk2", "NNpsk0", "NNpsk2", "NKpsk2", "KKpsk0", "XXpsk3"]
PATTERNS += ["IKpsk0+psk2", "XXpsk0+psk1+psk2+psk3"]


@pytest.mark.parametrize("ours_first", [True, False], ids=["as initiator", "as responder"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_byte_for_byte_that_of_noiseprotocol(pattern: str, ours_first: bool) -> None:
    chance = Random(pattern)
    for _ in range(3):
        s, rs, e, re, prologue = (chance.randbytes(32) for _ in range(5))
        psks = [chance.randbytes(32) for _ in range(pattern.count("psk"))]
        ours = HandshakeState(pattern, initiator=ours_first, prologue=prologue, s=s, rs=public(rs), e=e, psks=psks)
        name, theirs_first = protocol_name(pattern).decode(), not ours_first
        theirs = reference(name, initiator=theirs_first, prologue=prologue, s=rs, rs=public(s), e=re, psks=psks)
        writing = ours_first
        while not ours.finished:
            payload = chance.randbytes(chance.randrange(200))
            if writing:
                assert theirs.read_message(ours.write_message(payload)) == payload
            else:
                assert ours.read_message(bytes(theirs.write_message(payload))) == payload
            writing = not writing
        assert theirs.handshake_finished
        assert ours.handshake_hash == theirs.get_handshake_hash()
        send, receive = ours.split()
        state = theirs.noise_protocol
        for _ in range(5):
            ad, text = chance.randbytes(chance.randrange(20)), chance.randbytes(chance.randrange(300))
            assert state.cipher_state_decrypt.decrypt_with_ad(ad, send.encrypt(ad, text)) == text
            assert receive.decrypt(ad, state.cipher_state_encrypt.encrypt_with_ad(ad, text)) == text
            if chance.random() < 0.5:
                send.rekey()
                theirs.rekey_inbound_cipher()
            if chance.random() < 0.5:
                receive.rekey()
                theirs.rekey_outbound_cipher()


def test_modifiers_stand_where_section_9_puts_them() -> None:
    assert pattern_of("IK").messages == (("e", "es", "s", "ss"), ("e", "ee", "se"))
    assert pattern_of("IKpsk0").messages == (("psk", "e", "es", "s", "ss"), ("e", "ee", "se"))
    assert pattern_of("IKpsk1").messages == (("e", "es", "s", "ss", "psk"), ("e", "ee", "se"))
    assert pattern_of("IKpsk2").messages == (("e", "es", "s", "ss"), ("e", "ee", "se", "psk"))
    assert pattern_of("XXpsk0+psk3").messages[::2] == (("psk", "e"), ("s", "se", "psk"))
    assert pattern_of("IKpsk1").responder_pre == ("s",)


@pytest.mark.parametrize(
    "name", ["", "ZZ", "IKpsk3", "IKpsk", "IKpsk1+", "IKpsk1+1", "IK+psk1", "IKpskx", "psk1", "IK1"]
)
def test_there_is_no_other_pattern(name: str) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        pattern_of(name)


def test_a_long_name_is_hashed_and_a_short_one_filled_up() -> None:
    assert noise.SymmetricState(b"x" * 64).hash == b"x" * 64
    assert noise.SymmetricState(b"x" * 65).hash == hashlib.blake2b(b"x" * 65).digest()
    assert noise.SymmetricState(b"x").hash == b"x" + bytes(63)


def test_both_sides_learn_who_the_other_is() -> None:
    ours, theirs = pair()
    assert theirs.remote_static is None
    theirs.read_message(ours.write_message(b""))
    assert theirs.remote_static == public(INITIATOR)
    assert ours.remote_static == public(RESPONDER)


@pytest.mark.parametrize("pattern", ["IK", "IKpsk0", "IKpsk1", "IKpsk2"])
def test_every_flipped_byte_of_either_message_is_caught(pattern: str) -> None:
    hello = pair(pattern)[0].write_message(b"payload")
    ours, theirs = pair(pattern)
    theirs.read_message(ours.write_message(b"payload"))
    answer = theirs.write_message(b"payload")
    for place in range(len(hello)):
        with pytest.raises(Malformed, match=r"noise-box|noise-key"):
            pair(pattern)[1].read_message(hello[:place] + bytes([hello[place] ^ 1 << place % 8]) + hello[place + 1 :])
    for place in range(len(answer)):
        ours, _ = pair(pattern)
        ours.write_message(b"payload")
        with pytest.raises(Malformed, match=r"noise-box|noise-key"):
            ours.read_message(answer[:place] + bytes([answer[place] ^ 1 << place % 8]) + answer[place + 1 :])


def test_a_message_cut_short_anywhere_is_refused() -> None:
    hello = pair()[0].write_message(b"payload")
    reasons = []
    for size in range(len(hello)):
        with pytest.raises(Malformed) as caught:
            pair()[1].read_message(hello[:size])
        reasons.append(caught.value.reason)
    assert reasons == ["noise-length"] * 80 + ["noise-box"] * (len(hello) - 80)


def test_a_message_longer_than_noise_allows_is_refused_and_not_made() -> None:
    ours, theirs = pair()
    with pytest.raises(Malformed, match="noise-length"):
        theirs.read_message(bytes(65536))
    with pytest.raises(ValueError, match="65535"):
        ours.write_message(bytes(65536 - 96))
    assert len(pair()[0].write_message(bytes(65535 - 96))) == 65535


@pytest.mark.parametrize("point", ZERO_POINTS, ids=bytes.hex)
def test_a_key_that_agrees_on_zero_is_refused(point: bytes) -> None:
    hello = pair()[0].write_message(b"")
    with pytest.raises(Malformed, match="noise-key"):
        pair()[1].read_message(point + hello[32:])
    with pytest.raises(Malformed, match="noise-key"):
        HandshakeState("IK", initiator=True, s=INITIATOR, rs=point, e=E1).write_message()


def test_another_psk_or_prologue_or_recipient_is_told_from_the_first_message() -> None:
    hello = pair()[0].write_message(b"payload")
    assert pair()[1].read_message(hello) == b"payload"
    stranger = HandshakeState("IKpsk1", initiator=False, prologue=b"prologue", s=INITIATOR, e=E2, psks=(PSK,))
    for theirs in (pair(psk=b"q" * 32)[1], pair(prologue=b"another")[1], stranger):
        with pytest.raises(Malformed, match="noise-box"):
            theirs.read_message(hello)


def test_the_psk_of_psk2_is_told_by_the_second_message_alone() -> None:
    ours, theirs = pair("IKpsk2", psk=b"q" * 32)
    theirs.read_message(ours.write_message(b"payload"))
    with pytest.raises(Malformed, match="noise-box"):
        ours.read_message(theirs.write_message(b""))


def test_a_side_takes_its_turn_and_no_other() -> None:
    ours, theirs = pair()
    with pytest.raises(RuntimeError, match="cannot read"):
        ours.read_message(bytes(200))
    with pytest.raises(RuntimeError, match="cannot write"):
        theirs.write_message()
    with pytest.raises(RuntimeError, match="not finished"):
        ours.split()
    hello = ours.write_message()
    with pytest.raises(RuntimeError, match="cannot write"):
        ours.write_message()
    theirs.read_message(hello)
    with pytest.raises(RuntimeError, match="cannot read"):
        theirs.read_message(hello)
    ours.read_message(theirs.write_message())
    assert ours.finished
    assert theirs.finished
    for side in (ours, theirs):
        with pytest.raises(RuntimeError, match="cannot"):
            side.write_message()


def test_a_side_that_met_an_error_is_of_no_more_use() -> None:
    ours, theirs = pair()
    hello = ours.write_message(b"")
    with pytest.raises(Malformed):
        theirs.read_message(hello[:-1] + bytes([hello[-1] ^ 1]))
    with pytest.raises(RuntimeError, match="cannot read"):
        theirs.read_message(hello)
    with pytest.raises(RuntimeError, match="cannot write"):
        theirs.write_message()
    assert not theirs.finished


def test_keys_of_a_wrong_length_or_number_are_refused_at_once() -> None:
    for wrong in ({"s": b"short"}, {"e": bytes(33)}, {"rs": b""}, {"psks": (b"short",)}):
        keys = {"s": INITIATOR, "rs": public(RESPONDER), "e": E1, "psks": (PSK,)} | wrong
        with pytest.raises(ValueError, match="32 bytes"):
            HandshakeState("IKpsk1", initiator=True, **keys)  # type: ignore[arg-type]  # each key has its own type
    for psks in ((), (PSK, PSK)):
        with pytest.raises(ValueError, match="does not take"):
            HandshakeState("IKpsk1", initiator=True, s=INITIATOR, rs=public(RESPONDER), e=E1, psks=psks)
    with pytest.raises(ValueError, match="not given"):
        HandshakeState("IK", initiator=True, s=INITIATOR, e=E1)
    with pytest.raises(ValueError, match="not given"):
        HandshakeState("IK", initiator=True, rs=public(RESPONDER), s=INITIATOR).write_message()
    with pytest.raises(ValueError, match="32 bytes"):
        CipherState(b"short")


def test_a_message_that_does_not_open_leaves_the_counter_where_it_was() -> None:
    send, receive = CipherState(PSK), CipherState(PSK)
    first, second = send.encrypt(b"ad", b"first"), send.encrypt(b"ad", b"second")
    for wrong in (second, first[:-1], first[:15], b"", bytes(100)):
        with pytest.raises(Malformed, match="noise-box"):
            receive.decrypt(b"ad", wrong)
    with pytest.raises(Malformed, match="noise-box"):
        receive.decrypt(b"another", first)
    assert receive.nonce == 0
    assert receive.decrypt(b"ad", first) == b"first"
    assert receive.decrypt(b"ad", second) == b"second"
    assert (send.nonce, receive.nonce) == (2, 2)


def test_the_reserved_nonce_is_never_used() -> None:
    send, receive = CipherState(PSK), CipherState(PSK)
    send.nonce = receive.nonce = 2**64 - 2
    last = send.encrypt(b"", b"last")
    assert receive.decrypt(b"", last) == b"last"
    with pytest.raises(OverflowError, match="nonce"):
        send.encrypt(b"", b"one more")
    with pytest.raises(Malformed, match="noise-nonce"):
        receive.decrypt(b"", last)


def test_a_new_key_opens_nothing_of_the_old_and_the_counter_goes_on() -> None:
    send, receive = CipherState(PSK), CipherState(PSK)
    receive.decrypt(b"", send.encrypt(b"", b"before"))
    old = CipherState(PSK)
    old.nonce = 1
    send.rekey()
    sealed = send.encrypt(b"", b"after")
    for state in (receive, old):
        with pytest.raises(Malformed):
            state.decrypt(b"", sealed)
    receive.rekey()
    assert receive.decrypt(b"", sealed) == b"after"
    assert send.nonce == receive.nonce == 2
