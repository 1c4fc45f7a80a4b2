"""Keys: where a record lies, and the text a person types for one.

`Key` says the same three things in Python that `NAME`, `OWNER/NAME` and `blob:HEX` say on the command line. The text
rules are a contract (docs/cli.md): what is typed is never guessed at; a text that could mean two things is
refused with the form that means one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.wire.kinds import BLOB, KINDS, OWNED, PRESENCE, SHARED

MAX_NAME = 255
"""Bytes of a name in UTF-8."""

CONTACT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
RESERVED_NAMES = frozenset({"me", "name", "blob"})
_ID_SHAPE = re.compile(r"[A-Za-z2-7]{56}")
_NO_NAME = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """One place in the overlay: `kind` and the 32 bytes that a lookup walks towards.

    `name` and `publisher` are what the key was made from, where that is known: they cannot be read back from `hash`.
    """

    kind: int
    hash: bytes
    name: str | None = None
    publisher: bytes | None = None

    @classmethod
    def shared(cls, name: str) -> Key:
        """The shared entry `name`: anyone may write there, each publisher one entry."""
        name = check_name(name)
        return cls(SHARED, record_key(SHARED, name_hash(name)), name)

    @classmethod
    def owned(cls, publisher: bytes, name: str) -> Key:
        """The entry `name` of `publisher` (a 32-byte node ID), which that node alone can write."""
        name = check_name(name)
        return cls(OWNED, record_key(OWNED, name_hash(name), publisher), name, publisher)

    @classmethod
    def blob(cls, content_hash: bytes) -> Key:
        """A blob by its 32-byte address, which is the hash of its bytes."""
        if len(content_hash) != 32:
            raise InputError(f"a blob address has 32 bytes, not {len(content_hash)}")
        return cls(BLOB, content_hash)

    @classmethod
    def blob_of(cls, data: bytes) -> Key:
        """The address that `data` has as a blob."""
        return cls(BLOB, blob_key(data))

    @classmethod
    def presence(cls, node_id: bytes) -> Key:
        """Where a node says how it can be reached: at its own position."""
        return cls(PRESENCE, record_key(PRESENCE, _NO_NAME, node_id), None, node_id)

    @property
    def name_hash(self) -> bytes:
        """H(name): what an entry carries instead of its name. 32 zero bytes where there is none."""
        return _NO_NAME if self.name is None else name_hash(self.name)

    def __str__(self) -> str:
        if self.kind == BLOB:
            return f"blob:{self.hash.hex()}"
        if self.name is not None and self.publisher is not None:
            return f"{nodeid.encode(self.publisher)}/{self.name}"
        if self.name is not None:
            return f"name:{self.name}" if "/" in self.name or ":" in self.name else self.name
        return f"{KINDS[self.kind].name}:{self.hash.hex()}"


def name_hash(name: str) -> bytes:
    """H(name) of a checked name."""
    return hashlib.sha256(name.encode()).digest()


def blob_key(data: bytes) -> bytes:
    """H("kadnet blob" ‖ bytes)."""
    return hashlib.sha256(b"kadnet blob" + data).digest()


def record_key(kind: int, hashed_name: bytes, publisher: bytes = b"") -> bytes:
    """The key of an entry of `kind`, as every holder computes it from the record itself."""
    if kind == SHARED:
        return hashlib.sha256(b"kadnet shared" + hashed_name).digest()
    if kind == OWNED:
        return hashlib.sha256(b"kadnet owned" + publisher + hashed_name).digest()
    if kind == PRESENCE:
        return hashlib.sha256(b"kadnet node" + publisher).digest()
    raise ValueError(f"entries of kind {kind} have no key")


def check_name(name: str) -> str:
    """`name` in NFC. InputError when it is empty, longer than 255 bytes of UTF-8, or has control characters."""
    name = unicodedata.normalize("NFC", name)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InputError("a name must be text that UTF-8 can carry") from None
    if not 1 <= size <= MAX_NAME:
        raise InputError(f"a name has 1 to {MAX_NAME} bytes of UTF-8, not {size}")
    for place, character in enumerate(name, 1):
        if unicodedata.category(character) == "Cc":
            raise InputError(f"a name has no control characters (character {place} is U+{ord(character):04X})")
    return name


def check_contact_name(name: str) -> str:
    """`name` when it can name a contact. InputError with the rule otherwise."""
    if name in RESERVED_NAMES or not CONTACT_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a contact",
            hint="1 to 32 of a-z 0-9 _ -, a letter or digit first, and not me, name or blob",
        )
    return name


def parse_key(text: str, me: bytes, contacts: Mapping[str, bytes]) -> Key:
    """What a person typed after `put` or `get`.

    `me` is the node's own ID, `contacts` the IDs by contact name. NAME, `name:TEXT`, OWNER/NAME (OWNER is `me`, a node
    ID or a contact's name) or `blob:HEX`. InputError says which part is wrong and which form to use.
    """
    if text.startswith("name:"):
        return Key.shared(text[5:])
    if text.startswith("blob:"):
        return Key.blob(_blob_address(text[5:]))
    owner, slash, name = text.partition("/")
    if not slash:
        return Key.shared(text)
    if owner == "me":
        return Key.owned(me, name)
    if owner in contacts:
        return Key.owned(contacts[owner], name)
    shared_form = f"for a shared name that contains a slash, write name:{text}"
    if _ID_SHAPE.fullmatch(owner):
        try:
            return Key.owned(nodeid.decode(owner), name)
        except InputError as error:
            raise InputError(f"before the slash: {error}", hint=shared_form) from None
    if CONTACT_NAME.fullmatch(owner):
        raise InputError(f"no contact is called {owner!r}", hint=shared_form)
    return Key.shared(text)


def _blob_address(text: str) -> bytes:
    if len(text) != 64:
        raise InputError(f"a blob address has 64 hexadecimal digits, not {len(text)}")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InputError("a blob address has hexadecimal digits only (0-9 a-f)") from None
