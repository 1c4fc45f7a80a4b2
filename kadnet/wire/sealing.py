"""A sealed piece of data for one recipient, who may be away: no handshake, no answer, one key for one use.

    sealed   one-time public key 32 | secretbox of the data (MAC 16 first)                            48 bytes + data
    key      B(32, network key, label ‖ X25519(one-time, recipient) ‖ one-time public key ‖ recipient's ID)

Anybody can seal to an ID, so what is inside must say who it is from and prove it. What the label, the network key and
the recipient do in the key is that a piece made for one purpose, network or person opens in no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nacl.bindings import crypto_scalarmult_base, crypto_secretbox_easy, crypto_secretbox_open_easy
from nacl.exceptions import CryptoError

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import x25519, x25519_public
from kadnet.wire.packets import keyed_hash

if TYPE_CHECKING:
    from kadnet.identity.keys import Identity

OVERHEAD: Final = 48
"""Bytes by which a sealed piece is longer than its data."""

_PUBLIC_SIZE: Final = 32
_NONCE: Final = bytes(24)
"""All zero, which is right here and hardly anywhere else: the key comes from a one-time secret and seals once."""


def seal(to: bytes, label: bytes, network: bytes, data: bytes, *, one_time_secret: bytes) -> bytes:
    """`data` for the node ID `to` alone. `one_time_secret` is 32 fresh random bytes, used for nothing else.

    ProtocolError("bad-key") when no node can have that ID.
    """
    shared = x25519(one_time_secret, x25519_public(to))
    one_time = crypto_scalarmult_base(one_time_secret)
    return one_time + crypto_secretbox_easy(data, _NONCE, _key(network, label, shared, one_time, to))


def unseal(identity: Identity, label: bytes, network: bytes, sealed: bytes) -> bytes:
    """What was sealed for us under this label on this network. Malformed("sealed") when it was not."""
    one_time, box = sealed[:_PUBLIC_SIZE], sealed[_PUBLIC_SIZE:]
    if len(sealed) < OVERHEAD:
        raise Malformed("sealed")
    try:
        shared = x25519(identity.x25519_secret, one_time)
        return crypto_secretbox_open_easy(box, _NONCE, _key(network, label, shared, one_time, identity.public))
    except (CryptoError, ProtocolError):
        raise Malformed("sealed") from None


def _key(network: bytes, label: bytes, shared: bytes, one_time: bytes, recipient: bytes) -> bytes:
    return keyed_hash(32, network, label + shared + one_time + recipient)
