import hashlib

import pytest

from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.kademlia.keyspace import position_bytes
from kadnet.wire import keys
from kadnet.wire.keys import Key, check_contact_name, check_name, parse_key
from kadnet.wire.kinds import BLOB, KINDS, LETTER, OWNED, PRESENCE, SHARED
from tests.unit.wire.samples import ALICE, BOB
from tests.vectors_plugin import CheckVectors

A, B = nodeid.encode(ALICE.public), nodeid.encode(BOB.public)
HEX = "ab" * 32


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_keys_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    inputs: list[tuple[dict[str, str], Key]] = [({"blob": data.hex()}, Key.blob_of(data)) for data in (b"", b"hello")]
    inputs += [({"shared": name}, Key.shared(name)) for name in ("color", "a/b", "größe")]
    inputs += [
        ({"owned": name, "publisher": ALICE.public.hex()}, Key.owned(ALICE.public, name)) for name in ("color", "größe")
    ]
    inputs += [({"presence": one.public.hex()}, Key.presence(one.public)) for one in (ALICE, BOB)]
    vectors("keys", [{**what, "hex": key.hash.hex()} for what, key in inputs])


def test_keys_are_what_the_protocol_spells() -> None:
    assert Key.blob_of(b"hello").hash == h(b"kadnet blob" + b"hello")
    assert Key.shared("color").hash == h(b"kadnet shared" + h(b"color"))
    assert Key.owned(ALICE.public, "color").hash == h(b"kadnet owned" + ALICE.public + h(b"color"))
    assert Key.presence(ALICE.public).hash == h(b"kadnet node" + ALICE.public) == position_bytes(ALICE.public)


def test_no_kind_can_sit_under_the_key_of_another() -> None:
    name = keys.name_hash("color")
    found = {keys.record_key(kind, name, ALICE.public) for kind in (SHARED, OWNED, PRESENCE)}
    assert len(found | {keys.blob_key(name), keys.blob_key(ALICE.public + name)}) == 5


@pytest.mark.parametrize("kind", [BLOB, LETTER, 0, 99])
def test_an_entry_of_no_kind_has_no_key(kind: int) -> None:
    with pytest.raises(ValueError, match="have no key"):
        keys.record_key(kind, bytes(32), ALICE.public)


def test_only_shared_keys_have_many_publishers_and_only_blobs_no_signature() -> None:
    assert {kind.number for kind in KINDS.values() if kind.many} == {SHARED}
    assert {kind.number for kind in KINDS.values() if not kind.signed} == {BLOB}
    assert {number: kind.name for number, kind in KINDS.items()} == {1: "blob", 2: "shared", 3: "owned", 4: "presence"}


MEANT: dict[str, Key] = {
    "color": Key.shared("color"),
    "name:color": Key.shared("color"),
    "name:a/b": Key.shared("a/b"),
    "name:me/color": Key.shared("me/color"),
    "name:name:x": Key.shared("name:x"),
    "two words": Key.shared("two words"),
    "ü/x": Key.shared("ü/x"),
    "Bob/x": Key.shared("Bob/x"),
    "/x": Key.shared("/x"),
    "me": Key.shared("me"),
    "bob": Key.shared("bob"),
    A: Key.shared(A),
    "me/color": Key.owned(ALICE.public, "color"),
    "me/a/b": Key.owned(ALICE.public, "a/b"),
    "bob/color": Key.owned(BOB.public, "color"),
    f"{B}/color": Key.owned(BOB.public, "color"),
    f"{B.upper()}/color": Key.owned(BOB.public, "color"),
    f"blob:{HEX}": Key.blob(bytes.fromhex(HEX)),
    f"blob:{HEX.upper()}": Key.blob(bytes.fromhex(HEX)),
}


@pytest.mark.parametrize("text", MEANT)
def test_what_is_typed_means_one_key(text: str) -> None:
    assert parse_key(text, ALICE.public, {"bob": BOB.public}) == MEANT[text]


def test_a_key_prints_what_can_be_typed_for_it() -> None:
    for key in MEANT.values():
        assert parse_key(str(key), ALICE.public, {}) == key
    assert str(Key.shared("color")) == "color"
    assert str(Key.shared("a/b")) == "name:a/b"
    assert str(Key.owned(BOB.public, "color")) == f"{B}/color"
    assert str(Key.blob(bytes.fromhex(HEX))) == f"blob:{HEX}"
    assert str(Key.presence(BOB.public)).startswith("presence:")


TYPO = B[:-1] + ("a" if B[-1] != "a" else "b")


@pytest.mark.parametrize(
    ("text", "part", "hint"),
    [
        ("carol/x", "no contact is called 'carol'", "write name:carol/x"),
        ("a/b", "no contact is called 'a'", "write name:a/b"),
        ("me/", "1 to 255 bytes", None),
        ("bob/", "1 to 255 bytes", None),
        ("", "1 to 255 bytes", None),
        ("name:", "1 to 255 bytes", None),
        ("blob:", "64 hexadecimal digits, not 0", None),
        ("blob:" + HEX[:-1], "64 hexadecimal digits, not 63", None),
        ("blob:" + HEX[:-1] + "g", "hexadecimal digits only", None),
        ("blob:" + "ab " * 21 + "a", "hexadecimal digits only", None),
        ("blob:" + " " * 64, "32 bytes", None),
        ("a\x07b", "character 2 is U+0007", None),
        ("x" * 256, "not 256", None),
        (TYPO + "/x", "before the slash", "write name:"),
    ],
)
def test_what_means_nothing_is_refused_with_the_form_that_does(text: str, part: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_key(text, ALICE.public, {"bob": BOB.public})
    assert part in str(caught.value)
    assert hint is None or hint in (caught.value.hint or "")


def test_a_name_is_the_same_however_it_was_composed() -> None:
    assert check_name("gro\u0308\u00dfe") == "größe"
    assert Key.shared("gro\u0308\u00dfe") == Key.shared("größe")


@pytest.mark.parametrize("name", ["x", "x" * 255, "ü" * 127, "a b", "🐟", "\u200d"])
def test_a_name_of_up_to_255_bytes_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 256, "ü" * 128, "\x00", "a\nb", "a\x7f", "a\x85b", "\ud800"])
def test_a_name_is_not_empty_not_long_and_without_control_characters(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


@pytest.mark.parametrize("name", ["bob", "0", "a-b_c", "x" * 32])
def test_a_contact_can_be_called(name: str) -> None:
    assert check_contact_name(name) == name


@pytest.mark.parametrize("name", ["", "me", "name", "blob", "Bob", "-a", "_a", "x" * 33, "a b", "ä", "bob\n", "a/b"])
def test_a_contact_cannot_be_called(name: str) -> None:
    with pytest.raises(InputError, match="cannot name a contact"):
        check_contact_name(name)


def test_a_blob_address_has_32_bytes() -> None:
    with pytest.raises(InputError, match="32 bytes, not 31"):
        Key.blob(bytes(31))
