"""Node IDs: a 32-byte Ed25519 public key, and the 56 characters a person copies.

Text = base32, lower case, of key (32) || checksum (2) || version (1): 35 bytes, so no padding and no spare bits, and
one key has one text (but for case). The checksum is the first 2 bytes of the 64-byte BLAKE2b digest of
"kadnet id" || key || version: the shape of a Tor v3 name, under a label of our own.

The short form of 8 characters is for eyes only. It is never read: 40 bits are quickly matched by a stranger's key.
"""

from __future__ import annotations

import base64
import functools
import hashlib

from nacl import bindings

from kadnet.errors import InputError
from kadnet.identity.text import printable

KEY_BYTES = 32
TEXT_LENGTH = 56
SHORT_LENGTH = 8
VERSION = 1

_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@functools.lru_cache(maxsize=4096)  # the check multiplies by the group order; the same few keys come back all the time
def is_valid(public_key: bytes) -> bool:
    """True for a canonical point of the prime-order subgroup: the only keys that may be a node's ID.

    Small-order and mixed-order points are out, so an ID's X25519 form never yields a result a stranger can foresee,
    and one key has one encoding. Anything but 32 bytes is False.
    """
    return len(public_key) == KEY_BYTES and bindings.crypto_core_ed25519_is_valid_point(public_key)


def _checksum(public_key: bytes, version: int) -> bytes:
    return hashlib.blake2b(b"kadnet id" + public_key + bytes([version])).digest()[:2]


@functools.lru_cache(maxsize=4096)
def encode(public_key: bytes) -> str:
    """The 56 characters of a key. It must have 32 bytes (ValueError); whether it is a usable key is not asked."""
    if len(public_key) != KEY_BYTES:
        raise ValueError(f"a node ID is {KEY_BYTES} bytes, not {len(public_key)}")
    raw = public_key + _checksum(public_key, VERSION) + bytes([VERSION])
    return base64.b32encode(raw).decode("ascii").lower()


def short(public_key: bytes) -> str:
    """The first 8 characters, for showing. `decode` refuses it."""
    return encode(public_key)[:SHORT_LENGTH]


def decode(text: str) -> bytes:
    """The 32-byte key that `text` names, in either case.

    Raises InputError naming what is wrong: the length, a character and its place, the checksum (a typo), the
    version, or the key itself.
    """
    if len(text) != TEXT_LENGTH:
        if len(text) == SHORT_LENGTH and _ALPHABET.issuperset(text):
            raise InputError(
                f"node ID {text!r} is the short form, which is only for showing: give all {TEXT_LENGTH} characters"
            )
        raise InputError(f"node ID has {len(text)} characters, and needs {TEXT_LENGTH}")
    for place, char in enumerate(text, start=1):
        if char not in _ALPHABET:
            raise InputError(f"node ID has '{printable(char)}' as character {place}: only a-z and 2-7 occur in one")
    raw = base64.b32decode(text.upper())
    public_key, checksum, version = raw[:32], raw[32:34], raw[34]
    if checksum != _checksum(public_key, version):
        raise InputError("node ID is mistyped: its checksum does not match")
    if version != VERSION:
        raise InputError(f"node ID is of version {version}, and this kadnet reads version {VERSION}")
    if not is_valid(public_key):
        raise InputError("node ID is not a usable key: no point of the prime-order group of Ed25519")
    return public_key
