"""The key pair of a node: one seed, one Ed25519 key to sign with, and its X25519 form to agree with.

One key pair does both, by the birational map between the curves (RFC 7748 section 4.1), so an ID is all that must be
known of a peer. What keeps the uses apart are labels, which the callers mix in. This module knows none of them, draws
no randomness and keeps nothing on disk.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from kadnet.errors import InputError, ProtocolError
from kadnet.identity.nodeid import KEY_BYTES, is_valid, short

SEED_BYTES = 32
SIGNATURE_BYTES = 64
_ZERO = bytes(KEY_BYTES)


class Identity:
    """A key pair made from a 32-byte seed. Immutable; its repr never shows the secret."""

    __slots__ = ("_secret", "_x25519_secret", "public", "seed")

    public: bytes
    seed: bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise InputError(f"a seed is {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = bytes(seed)
        self.public, self._secret = bindings.crypto_sign_seed_keypair(self.seed)
        self._x25519_secret: bytes | None = None

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """The key pair of RFC 8032 section 5.1.5 for this seed; InputError when it has not 32 bytes."""
        return cls(seed)

    def __repr__(self) -> str:
        return f"Identity({short(self.public)})"

    @property
    def x25519_secret(self) -> bytes:
        """The 32-byte X25519 scalar of this key (computed once)."""
        if self._x25519_secret is None:
            self._x25519_secret = bindings.crypto_sign_ed25519_sk_to_curve25519(self._secret)
        return self._x25519_secret

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over `message`, which must open with the label of its purpose."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def agree(self, their_public: bytes) -> bytes:
        """X25519 of the two IDs' X25519 forms: 32 bytes, the same on both sides. Not yet a key: derive one from it.

        Raises ProtocolError("bad-key") for a key that may not be an ID, or an all-zero result. Costs about 80 us.
        """
        their_x25519 = x25519_public(their_public)
        return x25519(self.x25519_secret, their_x25519)


def x25519(secret: bytes, their_public: bytes) -> bytes:
    """X25519 (RFC 7748 section 5) of raw X25519 keys; ProtocolError("bad-key") when it cannot be or is all zero."""
    if len(secret) != KEY_BYTES or len(their_public) != KEY_BYTES:
        raise ProtocolError("bad-key")  # the binding checks no lengths, and would read past the end
    try:
        shared = bindings.crypto_scalarmult(secret, their_public)
    except (CryptoError, TypeError, ValueError) as error:
        raise ProtocolError("bad-key") from error
    if shared == _ZERO:
        raise ProtocolError("bad-key")
    return shared


def x25519_public(ed_public: bytes) -> bytes:
    """The X25519 form of an ID (two IDs share each). ProtocolError("bad-key") for what may not be an ID."""
    if not is_valid(ed_public):
        raise ProtocolError("bad-key")
    try:
        return bindings.crypto_sign_ed25519_pk_to_curve25519(ed_public)
    except (CryptoError, TypeError, ValueError) as error:
        raise ProtocolError("bad-key") from error


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """True when `signature` is this ID's over `message`. Never raises for bytes, whatever their length.

    A key that may not be an ID has no valid signatures here, even where the equation of RFC 8032 would hold.
    """
    if len(signature) != SIGNATURE_BYTES or not is_valid(public):
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True
