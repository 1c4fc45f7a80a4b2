"""The Noise Protocol Framework, revision 34, for one suite: 25519, ChaChaPoly, BLAKE2b.

A pattern is a row of tokens in `PATTERNS`; the `psk` modifiers of section 9 are put into a row by their name, so
IKpsk1, which links use, is not written out. Names of methods are those of the specification, its sections stand beside
them. No chance: the ephemeral secret comes in, so a handshake can be repeated byte for byte.

Left out, since nobody here needs them: other suites, fallback patterns, one-way patterns, deferred patterns. What a
handshake means (who may call whom, what payloads say) is in `handshake.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import x25519

KEY_SIZE: Final = 32
MAC_SIZE: Final = 16
MAX_MESSAGE: Final = 65535
"""Bytes of any Noise message (section 3)."""
MAX_NONCE: Final = 2**64 - 1
"""Reserved for REKEY, so the last nonce of a message is one less (section 5.1)."""

_HASH: Final = "blake2b"
_NONCE: Final = struct.Struct("<4xQ")
"""ChaChaPoly's 96-bit nonce: 32 bits of zeros, then the counter, little-endian (section 12.3)."""
_REKEY_NONCE: Final = _NONCE.pack(MAX_NONCE)


class Pattern(NamedTuple):
    """Tokens (section 7): what each side knows beforehand, then the messages in turn, the initiator's first."""

    initiator_pre: tuple[str, ...]
    responder_pre: tuple[str, ...]
    messages: tuple[tuple[str, ...], ...]


PATTERNS: Final[dict[str, Pattern]] = {
    "NN": Pattern((), (), (("e",), ("e", "ee"))),
    "NK": Pattern((), ("s",), (("e", "es"), ("e", "ee"))),
    "KK": Pattern(("s",), ("s",), (("e", "es", "ss"), ("e", "ee", "se"))),
    "XX": Pattern((), (), (("e",), ("e", "ee", "s", "es"), ("s", "se"))),
    "IK": Pattern((), ("s",), (("e", "es", "s", "ss"), ("e", "ee", "se"))),
}


def protocol_name(pattern: str) -> bytes:
    """The name of section 8 for a pattern with its modifiers, e.g. "IKpsk1" or "XXpsk0+psk3"."""
    return f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2b".encode("ascii")


def pattern_of(name: str) -> Pattern:
    """The tokens of a name such as "IKpsk1": psk0 opens the first message, pskN closes message N (section 9.4).

    ValueError for a name that is not in the table or a modifier that has no place.
    """
    base, psk, rest = name.partition("psk")
    if base not in PATTERNS:
        raise ValueError(f"no pattern is called {name!r}")
    pattern = PATTERNS[base]
    messages = list(pattern.messages)
    for modifier in (psk + rest).split("+") if psk else ():
        place = modifier.removeprefix("psk")
        if modifier == place or not place.isdecimal() or int(place) > len(messages):
            raise ValueError(f"no pattern is called {name!r}")
        number = int(place)
        if number == 0:
            messages[0] = ("psk", *messages[0])
        else:
            messages[number - 1] = (*messages[number - 1], "psk")
    return pattern._replace(messages=tuple(messages))


class CipherState:
    """One direction's key and its counter of messages (section 5.1)."""

    __slots__ = ("_key", "nonce")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a cipher key has {KEY_SIZE} bytes, not {len(key)}")
        self._key = key
        self.nonce = 0

    def encrypt(self, ad: bytes, plaintext: bytes) -> bytes:
        """EncryptWithAd: 16 bytes longer than `plaintext`. OverflowError once all nonces of the key are used."""
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise OverflowError("every nonce of this key has been used")
        ciphertext = crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, _NONCE.pack(nonce), self._key)
        self.nonce = nonce + 1
        return ciphertext

    def decrypt(self, ad: bytes, ciphertext: bytes) -> bytes:
        """DecryptWithAd. Malformed("noise-box") when it was not made so; the counter then stays where it was."""
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise Malformed("noise-nonce")
        if len(ciphertext) < MAC_SIZE:
            raise Malformed("noise-box")  # the binding would ask for a negative number of bytes
        try:
            plaintext = crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, ad, _NONCE.pack(nonce), self._key)
        except CryptoError:
            raise Malformed("noise-box") from None
        self.nonce = nonce + 1
        return plaintext

    def rekey(self) -> None:
        """REKEY (sections 4.2 and 11.3): a one-way step to the next key. The counter goes on."""
        sealed = crypto_aead_chacha20poly1305_ietf_encrypt(bytes(KEY_SIZE), b"", _REKEY_NONCE, self._key)
        self._key = sealed[:KEY_SIZE]


class SymmetricState:
    """The chaining key and the hash of everything said so far (section 5.2). `cipher` is None before the first key."""

    __slots__ = ("chaining_key", "cipher", "hash")

    def __init__(self, name: bytes) -> None:
        self.hash = name.ljust(64, b"\0") if len(name) <= 64 else hashlib.blake2b(name).digest()
        self.chaining_key = self.hash
        self.cipher: CipherState | None = None

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.blake2b(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self.chaining_key, key = hkdf(self.chaining_key, material, 2)
        self.cipher = CipherState(key[:KEY_SIZE])

    def mix_key_and_hash(self, material: bytes) -> None:
        self.chaining_key, hashed, key = hkdf(self.chaining_key, material, 3)
        self.mix_hash(hashed)
        self.cipher = CipherState(key[:KEY_SIZE])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = plaintext if self.cipher is None else self.cipher.encrypt(self.hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = ciphertext if self.cipher is None else self.cipher.decrypt(self.hash, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The initiator's sending state, then the responder's."""
        first, second = hkdf(self.chaining_key, b"", 2)
        return CipherState(first[:KEY_SIZE]), CipherState(second[:KEY_SIZE])


def hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """HKDF of section 4.3: `outputs` (2 or 3) keys of 64 bytes, by HMAC-BLAKE2b."""
    secret = hmac.digest(chaining_key, material, _HASH)
    made: list[bytes] = []
    last = b""
    for number in range(1, outputs + 1):
        last = hmac.digest(secret, last + bytes((number,)), _HASH)
        made.append(last)
    return made


class HandshakeState:
    """One side of a handshake (section 5.3), used once. An error ends it: every later call is refused."""

    __slots__ = ("_e", "_initiator", "_messages", "_name", "_psks", "_re", "_rs", "_s", "_symmetric", "_turn")

    def __init__(
        self,
        pattern: str,
        *,
        initiator: bool,
        prologue: bytes = b"",
        s: bytes | None = None,
        rs: bytes | None = None,
        e: bytes | None = None,
        psks: Sequence[bytes] = (),
    ) -> None:
        """`s` and `e` are our static and ephemeral X25519 secrets, `rs` the other's static public key, all 32 bytes.

        `e` must be fresh chance for every handshake. `psks` are taken in the order in which the pattern names them.
        ValueError when a key has another length, or the pattern needs a number of psks that is not given.
        """
        row = pattern_of(pattern)
        if any(key is not None and len(key) != KEY_SIZE for key in (s, rs, e, *psks)):
            raise ValueError(f"keys of Noise have {KEY_SIZE} bytes")
        if len(psks) != sum(message.count("psk") for message in row.messages):
            raise ValueError(f"{pattern} does not take {len(psks)} psks")
        self._name = pattern
        self._initiator = initiator
        self._s, self._e, self._rs = s, e, rs
        self._re: bytes | None = None
        self._psks = list(psks)
        self._messages = row.messages
        self._turn = 0
        self._symmetric = SymmetricState(protocol_name(pattern))
        self._symmetric.mix_hash(prologue)
        for known, ours in ((row.initiator_pre, initiator), (row.responder_pre, not initiator)):
            if known:  # the only pre-message of the table is a static key
                self._symmetric.mix_hash(crypto_scalarmult_base(self._need(s)) if ours else self._need(rs))

    @property
    def finished(self) -> bool:
        """Whether all messages have been exchanged, so that `split` may be called."""
        return self._turn == len(self._messages)

    @property
    def remote_static(self) -> bytes | None:
        """The other's X25519 public key, as soon as it is known. Proved only once a message after it was read."""
        return self._rs

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that name this handshake, the same on both sides once it is finished (section 11.2)."""
        return self._symmetric.hash

    def write_message(self, payload: bytes = b"") -> bytes:
        """The next message, with `payload` in it: encrypted where the pattern has a key by then."""
        turn = self._begin(writing=True)
        parts: list[bytes] = []
        for token in self._messages[turn]:
            if token == "e":
                public = crypto_scalarmult_base(self._need(self._e))
                parts.append(public)
                self._mix_ephemeral(public)
            elif token == "s":
                parts.append(self._symmetric.encrypt_and_hash(crypto_scalarmult_base(self._need(self._s))))
            else:
                self._mix(token)
        parts.append(self._symmetric.encrypt_and_hash(payload))
        message = b"".join(parts)
        if len(message) > MAX_MESSAGE:
            raise ValueError(f"a Noise message has at most {MAX_MESSAGE} bytes, not {len(message)}")
        self._turn = turn + 1
        return message

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other's next message. Malformed: "noise-length", "noise-key" or "noise-box"."""
        turn = self._begin(writing=False)
        if len(message) > MAX_MESSAGE:
            raise Malformed("noise-length")
        at = 0
        for token in self._messages[turn]:
            if token == "e":
                self._re = _take(message, at, KEY_SIZE)
                at += KEY_SIZE
                self._mix_ephemeral(self._re)
            elif token == "s":
                size = KEY_SIZE if self._symmetric.cipher is None else KEY_SIZE + MAC_SIZE
                self._rs = self._symmetric.decrypt_and_hash(_take(message, at, size))
                at += size
            else:
                self._mix(token)
        payload = self._symmetric.decrypt_and_hash(message[at:])
        self._turn = turn + 1
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """(what we send with, what we receive with), once finished."""
        if not self.finished:
            raise RuntimeError(f"the {self._name} handshake is not finished")
        first, second = self._symmetric.split()
        return (first, second) if self._initiator else (second, first)

    def _begin(self, *, writing: bool) -> int:
        """Which message is due. RuntimeError when it is not this side's turn to do that, or an earlier one failed."""
        turn = self._turn
        if not 0 <= turn < len(self._messages) or (turn % 2 == 0) != (writing == self._initiator):
            raise RuntimeError(f"this side of {self._name} cannot {'write' if writing else 'read'} now")
        self._turn = -1  # until it is done: who stumbles in a message has mixed half of it, and cannot try again
        return turn

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if "psk" in self._name:  # section 9.2: or two handshakes under one psk would share a key stream
            self._symmetric.mix_key(public)

    def _mix(self, token: str) -> None:
        if token == "psk":
            self._symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        # The first letter is the initiator's key, the second the responder's.
        ours, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        secret = self._need(self._e if ours == "e" else self._s)
        public = self._need(self._re if theirs == "e" else self._rs)
        try:
            self._symmetric.mix_key(x25519(secret, public))
        except ProtocolError:
            raise Malformed("noise-key") from None

    def _need(self, key: bytes | None) -> bytes:
        if key is None:
            raise ValueError(f"{self._name} needs a key that was not given")
        return key


def _take(message: bytes, at: int, size: int) -> bytes:
    if len(message) < at + size:
        raise Malformed("noise-length")
    return message[at : at + size]
