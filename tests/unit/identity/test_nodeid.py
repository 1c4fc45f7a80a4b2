import base64

import pytest
from nacl import bindings

from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.keys import Identity
from tests import vectorfile

KEY = Identity.from_seed(bytes(range(32))).public
TEXT = nodeid.encode(KEY)

# Every small-order point, then two second spellings (y = p and y = p + 1).
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
MIXED_ORDER = bindings.crypto_core_ed25519_add(KEY, bytes.fromhex(SMALL_ORDER[4]))
NOT_CANONICAL = bytes.fromhex("f0" + "ff" * 30 + "7f")  # y = p + 3, a second spelling of y = 3
OFF_THE_CURVE = bytes.fromhex("02" + "00" * 31)


def _spell(key: bytes, version: int) -> str:
    return base64.b32encode(key + nodeid._checksum(key, version) + bytes([version])).decode().lower()


@pytest.mark.parametrize("vector", vectorfile.load("nodeid"), ids=lambda vector: vector["text"][:8])
def test_the_known_key_has_the_known_text(vector: dict[str, str]) -> None:
    key = bytes.fromhex(vector["key"])
    assert nodeid.encode(key) == vector["text"]
    assert nodeid.decode(vector["text"]) == key
    assert base64.b32decode(vector["text"].upper()).hex() == vector["hex"]


def test_upper_case_is_read_too() -> None:
    assert nodeid.decode(TEXT.upper()) == KEY
    assert nodeid.decode(TEXT[:20] + TEXT[20:].upper()) == KEY


@pytest.mark.parametrize("length", [0, 1, 7, 9, 55, 57, 400])
def test_a_wrong_length_is_said_with_the_number_of_characters(length: int) -> None:
    with pytest.raises(InputError, match=rf"has {length} characters, and needs 56"):
        nodeid.decode((TEXT * 8)[:length])


def test_the_short_form_is_refused_and_the_error_says_what_it_is() -> None:
    assert nodeid.short(KEY) == TEXT[:8]
    for short in (TEXT[:8], TEXT[:8].upper()):
        with pytest.raises(InputError, match=r"short form, which is only for showing: give all 56"):
            nodeid.decode(short)


@pytest.mark.parametrize("char", ["0", "1", "8", "9", "=", " ", "-", "\u0131", "\u017f", "\uff21"])
def test_a_foreign_character_is_said_with_its_place(char: str) -> None:
    # Dotless i and long s become I and S in upper case: a loose reader would take them.
    with pytest.raises(InputError, match=rf"has '{char}' as character 12"):
        nodeid.decode(TEXT[:11] + char + TEXT[12:])


def test_an_error_shows_no_control_character() -> None:
    with pytest.raises(InputError) as caught:
        nodeid.decode(TEXT[:-1] + "\x1b")
    assert str(caught.value).isprintable()
    assert r"'\x1b' as character 56" in str(caught.value)


def test_a_typo_is_said_to_be_one() -> None:
    for place in range(55):
        typo = TEXT[:place] + ("a" if TEXT[place] != "a" else "b") + TEXT[place + 1 :]
        with pytest.raises(InputError, match="mistyped"):
            nodeid.decode(typo)


def test_two_characters_in_the_wrong_order_are_a_typo() -> None:
    place = next(at for at in range(55) if TEXT[at] != TEXT[at + 1])
    with pytest.raises(InputError, match="mistyped"):
        nodeid.decode(TEXT[:place] + TEXT[place + 1] + TEXT[place] + TEXT[place + 2 :])


def test_another_version_is_named() -> None:
    with pytest.raises(InputError, match="version 2, and this kadnet reads version 1"):
        nodeid.decode(_spell(KEY, 2))


@pytest.mark.parametrize(
    "key", [*map(bytes.fromhex, SMALL_ORDER), MIXED_ORDER, NOT_CANONICAL, OFF_THE_CURVE], ids=bytes.hex
)
def test_a_point_that_may_not_be_an_id_is_not_a_usable_key(key: bytes) -> None:
    assert not nodeid.is_valid(key)
    with pytest.raises(InputError, match="not a usable key"):
        nodeid.decode(nodeid.encode(key))


def test_a_real_key_is_valid_and_other_lengths_are_not() -> None:
    assert nodeid.is_valid(KEY)
    assert not nodeid.is_valid(KEY[:31])
    assert not nodeid.is_valid(KEY + b"\0")
    assert not nodeid.is_valid(b"")


def test_only_32_bytes_have_a_text() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        nodeid.encode(KEY[:31])
