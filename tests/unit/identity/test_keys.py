import hashlib

import pytest
from nacl import bindings
from nacl.exceptions import CryptoError

from kadnet.errors import InputError, ProtocolError
from kadnet.identity.keys import Identity, verify, x25519, x25519_public
from tests import vectorfile

ALICE = Identity.from_seed(b"a" * 32)
BOB = Identity.from_seed(b"b" * 32)
ORDER_TWO = bytes.fromhex("ec" + "ff" * 30 + "7f")
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize("vector", vectorfile.load("ed25519"), ids=lambda vector: vector["what"])
def test_keys_and_signatures_are_those_of_rfc_8032(vector: dict[str, str]) -> None:
    identity = Identity.from_seed(bytes.fromhex(vector["seed"]))
    if vector["what"] == "public key":
        assert identity.public.hex() == vector["hex"]
    else:
        message = bytes.fromhex(vector["message"])
        assert identity.sign(message).hex() == vector["hex"]
        assert verify(identity.public, message, bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", vectorfile.load("x25519"), ids=lambda vector: vector["u"][:8])
def test_x25519_is_that_of_rfc_7748(vector: dict[str, str]) -> None:
    assert x25519(bytes.fromhex(vector["scalar"]), bytes.fromhex(vector["u"])).hex() == vector["hex"]


def test_x25519_iterated_a_thousand_times_is_that_of_rfc_7748() -> None:
    k = u = bytes([9]) + bytes(31)
    for _ in range(1000):
        k, u = x25519(k, u), k
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_two_identities_agree_on_the_same_secret() -> None:
    assert ALICE.agree(BOB.public) == BOB.agree(ALICE.public)
    assert ALICE.agree(BOB.public) != ALICE.agree(ALICE.public)


def test_agreement_is_x25519_of_the_x25519_forms() -> None:
    assert x25519_public(BOB.public) == x25519(BOB.x25519_secret, bytes([9]) + bytes(31))
    assert ALICE.agree(BOB.public) == x25519(ALICE.x25519_secret, x25519_public(BOB.public))


def test_the_x25519_secret_is_the_clamped_half_of_the_hashed_seed() -> None:
    half = bytearray(hashlib.sha512(ALICE.seed).digest()[:32])
    half[0] &= 248
    half[31] = half[31] & 127 | 64
    assert ALICE.x25519_secret == bytes(half)
    assert ALICE.x25519_secret is ALICE.x25519_secret


BAD_KEYS = [
    bytes(32),
    bytes([1]) + bytes(31),
    ORDER_TWO,
    bindings.crypto_core_ed25519_add(BOB.public, ORDER_TWO),
    bytes([2]) + bytes(31),
    BOB.public[:31],
    BOB.public + b"\0",
    b"",
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=bytes.hex)
def test_a_bad_key_is_a_protocol_error_and_never_an_agreement(key: bytes) -> None:
    for attempt in (ALICE.agree, x25519_public):
        with pytest.raises(ProtocolError) as caught:
            attempt(key)
        assert caught.value.reason == "bad-key"
    assert not verify(key, b"message", ALICE.sign(b"message"))


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31), b"short", b""], ids=bytes.hex)
def test_an_all_zero_agreement_is_refused(point: bytes) -> None:
    with pytest.raises(ProtocolError, match="bad-key"):
        x25519(ALICE.x25519_secret, point)


def test_an_all_zero_agreement_is_refused_even_if_the_library_lets_it_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "crypto_scalarmult", lambda secret, point: bytes(32))
    with pytest.raises(ProtocolError, match="bad-key"):
        ALICE.agree(BOB.public)


def test_a_key_is_judged_before_it_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    # libsodium's conversion refuses the same points today; that is not in its documented contract.
    x25519_form = BOB.x25519_secret
    monkeypatch.setattr(bindings, "crypto_sign_ed25519_pk_to_curve25519", lambda key: x25519_form)
    assert x25519_public(BOB.public) == x25519_form
    with pytest.raises(ProtocolError, match="bad-key"):
        x25519_public(bindings.crypto_core_ed25519_add(BOB.public, ORDER_TWO))


def test_a_failed_conversion_is_a_protocol_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: bytes) -> bytes:
        raise CryptoError("no")

    monkeypatch.setattr(bindings, "crypto_sign_ed25519_pk_to_curve25519", fail)
    with pytest.raises(ProtocolError, match="bad-key"):
        x25519_public(BOB.public)


def test_a_signature_holds_for_its_key_and_message_alone() -> None:
    signature = ALICE.sign(b"message")
    assert len(signature) == 64
    assert verify(ALICE.public, b"message", signature)
    assert not verify(ALICE.public, b"messagE", signature)
    assert not verify(BOB.public, b"message", signature)
    for at in (0, 31, 32, 63):
        assert not verify(ALICE.public, b"message", signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :])


@pytest.mark.parametrize("cut", [0, 1, 63])
def test_a_signature_of_another_length_does_not_hold(cut: int) -> None:
    signature = ALICE.sign(b"message")
    assert not verify(ALICE.public, b"message", signature[:cut])
    # The bytes that follow a signature are no part of the message.
    assert not verify(ALICE.public, b"sage", signature + b"mes")


def test_no_signature_holds_under_a_mixed_order_key() -> None:
    # Made so that the equation of RFC 8032 holds, and the library agrees: two texts would share one signer.
    secret = int.from_bytes(ALICE.x25519_secret, "little")
    public = bindings.crypto_core_ed25519_add(ALICE.public, ORDER_TWO)
    once = 12345
    commitment = bindings.crypto_scalarmult_ed25519_base_noclamp(once.to_bytes(32, "little"))
    for number in range(64):
        message = bytes([number])
        challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % GROUP_ORDER
        if challenge % 2 == 0:
            break
    signature = commitment + ((once + challenge * secret) % GROUP_ORDER).to_bytes(32, "little")
    assert bindings.crypto_sign_open(signature + message, public) == message
    assert not verify(public, message, signature)


def test_the_repr_shows_the_short_id_and_not_the_seed() -> None:
    shown = f"{ALICE!r} {ALICE!s} {[ALICE]}"
    assert "Identity(" in shown
    assert ALICE.seed.hex() not in shown
    assert repr(ALICE.seed) not in shown
    assert "aaaaaaaaaaaaaaaa" not in shown


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(InputError, match=f"32 bytes, not {length}"):
        Identity.from_seed(bytes(length))
