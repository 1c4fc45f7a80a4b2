import hashlib

import pytest
from nacl.bindings import crypto_scalarmult_base, crypto_secretbox_easy

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import Identity, x25519, x25519_public
from kadnet.wire import sealing
from kadnet.wire.sealing import seal, unseal
from tests.unit.wire.samples import ALICE, BOB, PRIVATE, PUBLIC
from tests.vectors_plugin import CheckVectors

LABEL = b"kadnet app/test\0"
SECRET = bytes(range(7, 39))
SEALED = seal(BOB.public, LABEL, PUBLIC, b"for bob", one_time_secret=SECRET)
ZERO_POINTS = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("ed" + "ff" * 30 + "7f"),
]


def test_sealed_pieces_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for recipient, label, network, data in (
        (BOB, LABEL, PUBLIC, b"for bob"),
        (BOB, LABEL, PRIVATE, b"for bob"),
        (ALICE, b"another label", PUBLIC, b""),
    ):
        inputs = {"recipient seed": recipient.seed.hex(), "label": label.hex(), "network": network.hex()}
        inputs |= {"one-time secret": SECRET.hex(), "data": data.hex()}
        sealed = seal(recipient.public, label, network, data, one_time_secret=SECRET)
        made.append({**inputs, "hex": sealed.hex()})
    vectors("sealing", made)


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE])
def test_a_sealed_piece_is_what_the_protocol_spells(network: bytes) -> None:
    one_time = crypto_scalarmult_base(SECRET)
    shared = x25519(SECRET, x25519_public(BOB.public))
    key = hashlib.blake2b(LABEL + shared + one_time + BOB.public, digest_size=32, key=network).digest()
    expected = one_time + crypto_secretbox_easy(b"for bob", bytes(24), key)
    assert seal(BOB.public, LABEL, network, b"for bob", one_time_secret=SECRET) == expected
    assert len(expected) == len(b"for bob") + sealing.OVERHEAD


@pytest.mark.parametrize("data", [b"", b"x", bytes(100_000)], ids=len)
def test_what_is_sealed_opens_for_its_recipient(data: bytes) -> None:
    sealed = seal(BOB.public, LABEL, PUBLIC, data, one_time_secret=SECRET)
    assert unseal(BOB, LABEL, PUBLIC, sealed) == data


def test_it_opens_for_nobody_else_and_for_no_other_purpose_or_network() -> None:
    assert unseal(BOB, LABEL, PUBLIC, SEALED) == b"for bob"
    for who, label, network in (
        (ALICE, LABEL, PUBLIC),
        (Identity.from_seed(SECRET), LABEL, PUBLIC),
        (BOB, b"kadnet app/tess\0", PUBLIC),
        (BOB, LABEL[:-1], PUBLIC),
        (BOB, b"", PUBLIC),
        (BOB, LABEL, PRIVATE),
    ):
        with pytest.raises(Malformed, match="sealed"):
            unseal(who, label, network, SEALED)


def test_no_flipped_bit_goes_unnoticed() -> None:
    for place in range(len(SEALED) * 8):
        flipped = bytearray(SEALED)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(Malformed, match="sealed"):
            unseal(BOB, LABEL, PUBLIC, bytes(flipped))


def test_a_piece_cut_short_or_grown_does_not_open() -> None:
    for size in range(len(SEALED)):
        with pytest.raises(Malformed, match="sealed"):
            unseal(BOB, LABEL, PUBLIC, SEALED[:size])
    with pytest.raises(Malformed, match="sealed"):
        unseal(BOB, LABEL, PUBLIC, SEALED + b"\0")


@pytest.mark.parametrize("point", ZERO_POINTS, ids=bytes.hex)
def test_an_agreement_on_zero_is_refused(point: bytes) -> None:
    key = hashlib.blake2b(LABEL + bytes(32) + point + BOB.public, digest_size=32, key=PUBLIC).digest()
    forged = point + crypto_secretbox_easy(b"from nobody", bytes(24), key)
    with pytest.raises(Malformed, match="sealed"):
        unseal(BOB, LABEL, PUBLIC, forged)


@pytest.mark.parametrize("to", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"short"])
def test_nothing_is_sealed_to_an_id_that_no_node_can_have(to: bytes) -> None:
    with pytest.raises(ProtocolError, match="bad-key"):
        seal(to, LABEL, PUBLIC, b"", one_time_secret=SECRET)


def test_one_secret_gives_the_same_piece_and_another_another() -> None:
    assert seal(BOB.public, LABEL, PUBLIC, b"for bob", one_time_secret=SECRET) == SEALED
    other = seal(BOB.public, LABEL, PUBLIC, b"for bob", one_time_secret=bytes(range(8, 40)))
    assert other[:32] != SEALED[:32]
    assert other[32:] != SEALED[32:]
