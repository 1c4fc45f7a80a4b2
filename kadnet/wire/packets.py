"""Datagrams: sealed messages between two node IDs, and the probe that asks a bare address for its ID.

A sealed datagram needs no session and no handshake. Each direction of each pair on each network has a key of its own,
derived from the X25519 agreement of the two identities, so a packet cannot be reflected to its sender, relabelled, or
carried into another network. What that gives up (forward secrecy of routing traffic, impersonation *towards* one whose
key is stolen) is written in docs/threats.

    sealed  0x6b 0x11 | tag 8 | sender 32 | nonce 24 | secretbox of the message (MAC 16 first)     82 bytes + message
    probe   0x6b 0x12 | cookie 16 | MAC 16 | zeros                                                 96 bytes
    reply   0x6b 0x13 | cookie 16 | node ID 32 | MAC 16                                            66 bytes

This module leaves out everything that has a life: which keys are cached, who may be answered, how often.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from nacl.bindings import crypto_secretbox_easy, crypto_secretbox_open_easy
from nacl.exceptions import CryptoError

from kadnet.errors import Malformed

if TYPE_CHECKING:
    from kadnet.identity.keys import Identity

MAX_DATAGRAM = 1232
"""Bytes: an IPv6 packet of the minimum MTU (1,280) less its IP and UDP headers; the same for IPv4."""

HEADER = 82
"""Bytes of a sealed datagram that are not its message."""

MAX_MESSAGE = MAX_DATAGRAM - HEADER
PROBE_SIZE = 96
PROBE_REPLY_SIZE = 66
NONCE_SIZE = 24
COOKIE_SIZE = 16

MAGIC = 0x6B
VERSION = 1
SEALED = 0x11
PROBE = 0x12
PROBE_REPLY = 0x13
RETRY = 0x14  # reserved: a cookie for strangers over the node's budget
SEALED_WITH_COOKIE = 0x15  # reserved: the sealed form that carries it

PUBLIC_NETWORK = bytes(32)
"""The network key of the public network."""

_SEALED_START = bytes((MAGIC, SEALED))
_PROBE_START = bytes((MAGIC, PROBE))
_REPLY_START = bytes((MAGIC, PROBE_REPLY))


class Channel:
    """The keys of one pair of identities on one network, seen from one side.

    Making one costs a point conversion and a scalar multiplication (about 80 µs); sealing and opening about 2 µs each.
    """

    __slots__ = ("_head", "_open_key", "_seal_key", "tag")

    def __init__(self, own: Identity, peer: bytes, network: bytes = PUBLIC_NETWORK) -> None:
        """`peer` is the other's node ID, `network` the 32-byte network key. ProtocolError for an ID that no key has."""
        shared = own.agree(peer)
        self._seal_key = _datagram_key(network, shared, own.public, peer)
        self._open_key = _datagram_key(network, shared, peer, own.public)
        self._head = _SEALED_START + recipient_tag(network, own.public, peer) + own.public
        self.tag = recipient_tag(network, peer, own.public)

    def seal(self, message: bytes, nonce: bytes) -> bytes:
        """A whole datagram. `nonce` is 24 fresh random bytes; `message` has at most MAX_MESSAGE bytes."""
        return self._head + nonce + crypto_secretbox_easy(message, nonce, self._seal_key)

    def open(self, datagram: bytes) -> bytes:
        """The message of a sealed datagram from the peer. Malformed("box") when it was not sealed for us by them."""
        try:
            return crypto_secretbox_open_easy(datagram[66:], datagram[42:66], self._open_key)
        except CryptoError:
            raise Malformed("box") from None


def _datagram_key(network: bytes, shared: bytes, sender: bytes, recipient: bytes) -> bytes:
    return keyed_hash(32, network, b"kadnet/1 datagram" + shared + sender + recipient)


def keyed_hash(size: int, key: bytes, data: bytes) -> bytes:
    """B(n, key, data) of the protocol: keyed BLAKE2b with an output of `size` bytes."""
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def recipient_tag(network: bytes, sender: bytes, recipient: bytes) -> bytes:
    """The 8 bytes by which a recipient knows, without any key agreement, that a datagram can be for it."""
    return keyed_hash(8, network, b"kadnet/1 to" + sender + recipient)


def kind_of(datagram: bytes) -> int:
    """SEALED, PROBE or PROBE_REPLY. Checks what costs nothing: the length and two bytes.

    Malformed: "length", "magic", "version" (of a later protocol; its kinds are not judged) or "kind".
    """
    size = len(datagram)
    if size < PROBE_REPLY_SIZE or size > MAX_DATAGRAM:
        raise Malformed("length")
    if datagram[0] != MAGIC:
        raise Malformed("magic")
    kind = datagram[1]
    if kind == SEALED:
        if size <= HEADER:
            raise Malformed("length")
        return SEALED
    if kind >> 4 != VERSION:
        raise Malformed("version")
    if (kind == PROBE and size == PROBE_SIZE) or (kind == PROBE_REPLY and size == PROBE_REPLY_SIZE):
        return kind
    raise Malformed("length" if kind in (PROBE, PROBE_REPLY) else "kind")


def sender_of(datagram: bytes) -> bytes:
    """The node ID that a sealed datagram claims to be from. A claim: only opening it proves anything."""
    return datagram[10:42]


def tag_of(datagram: bytes) -> bytes:
    """The recipient tag of a sealed datagram."""
    return datagram[2:10]


def probe(cookie: bytes, network: bytes = PUBLIC_NETWORK) -> bytes:
    """Ask whoever listens at an address for its node ID. `cookie` is 16 fresh random bytes."""
    body = _PROBE_START + cookie + keyed_hash(16, network, b"kadnet/1 probe" + cookie)
    return body + bytes(PROBE_SIZE - len(body))


def open_probe(datagram: bytes, network: bytes = PUBLIC_NETWORK) -> bytes:
    """The cookie of a probe. Malformed("mac") when it is not of this network: it deserves silence."""
    cookie = datagram[2:18]
    if not hmac.compare_digest(datagram[18:34], keyed_hash(16, network, b"kadnet/1 probe" + cookie)):
        raise Malformed("mac")
    return cookie


def probe_reply(cookie: bytes, node_id: bytes, network: bytes = PUBLIC_NETWORK) -> bytes:
    """Answer a probe with our node ID. Smaller than the probe, so it amplifies nothing."""
    mac = keyed_hash(16, network, b"kadnet/1 probe reply" + cookie + node_id)
    return _REPLY_START + cookie + node_id + mac


def open_probe_reply(datagram: bytes, network: bytes = PUBLIC_NETWORK) -> tuple[bytes, bytes]:
    """(cookie, node ID) of a reply. The ID is a claim until that node answers a sealed request."""
    cookie, node_id, mac = datagram[2:18], datagram[18:50], datagram[50:66]
    if not hmac.compare_digest(mac, keyed_hash(16, network, b"kadnet/1 probe reply" + cookie + node_id)):
        raise Malformed("mac")
    return cookie, node_id
