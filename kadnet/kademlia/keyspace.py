"""The key space: 256-bit positions and the XOR distance between them (Maymounkov and Mazières 2002, section 2.1).

A node's position is a hash of its public key, never the key itself: Ed25519 keys can be ground one after the other for
almost nothing, and values and nodes share one space this way. Positions are ints, because XOR and bit_length of a
Python int are the fastest things there are for this. Left out: buckets (`buckets`), who stands in them (`table`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

BITS = 256
LABEL = b"kadnet node"


def position_bytes(public_key: bytes) -> bytes:
    """The position of a node as 32 bytes: SHA-256("kadnet node" ‖ public key). It is also the key of its presence."""
    return sha256(LABEL + public_key).digest()


def position(public_key: bytes) -> int:
    """The position of a node as an int in [0, 2**256)."""
    return int.from_bytes(sha256(LABEL + public_key).digest(), "big")


def distance(a: int, b: int) -> int:
    """XOR: symmetric, zero only for equal positions, and for one `a` and one distance there is exactly one `b`."""
    return a ^ b


def prefix_length(a: int, b: int) -> int:
    """How many leading bits `a` and `b` share, 0..256 (256 when equal). It is the index of `b`'s bucket at `a`."""
    return BITS - (a ^ b).bit_length()


def random_in_bucket(own: int, index: int, rng: Random) -> int:
    """A uniform position that falls into bucket `index` of the node at `own`. Raises ValueError outside 0..255."""
    if not 0 <= index < BITS:
        raise ValueError(f"bucket index {index} is not in 0..{BITS - 1}")
    free = BITS - 1 - index  # the bits below the one that must differ
    return ((own >> free) ^ 1) << free | rng.getrandbits(free)
