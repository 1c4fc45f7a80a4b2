"""The bytes of chat: a message, its receipt, and what the receipt's signature covers.

A request of protocol "chat" carries `[id (16 bytes), sent_at, text]`, its answer is `[received_at, signature]`. Both
are msgpack arrays with exact types whose further fields are ignored, so a later version can add some. The signature,
under the label of receipts, covers who sent what to whom and when it came: sender ‖ recipient ‖ id ‖ received_at (8
bytes, big-endian) ‖ SHA-256 of the text. So a receipt proves, also to others, that its signer had this very text.

Pure: ids and times come in as arguments, signing is the caller's.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgpack

from kadnet.errors import InputError, Malformed

NAME: Final = "chat"
"""The protocol's name on a link."""
RECEIPT: Final = "receipt"
"""The purpose of a receipt's signature."""
ID_SIZE: Final = 16
SIGNATURE_SIZE: Final = 64
MAX_TIME: Final = 2**40 - 1
"""Unix seconds; the same bound as in records."""
ENVELOPE: Final = 64
"""Bytes of a message beside its text, with room for fields of a later version."""
CLOCK_TOLERANCE: Final = 86_400
"""Seconds by which a sender's clock may be ahead of ours and be believed."""

FULL: Final = "full"
"""Refused: there is no room for this sender."""
ID_REUSED: Final = "id-reused"
"""Refused: this id stands for another text."""
TOO_LARGE: Final = "too-large"
"""Refused by the host: the whole request is longer than this protocol's may be there."""
FAULTS: Final = frozenset({"encoding", "shape", "id", "sent-at", "text", "text-size", ID_REUSED, TOO_LARGE})
"""Refusals that lie in one message alone: what the same sender sends next may well pass."""


class Body(NamedTuple):
    """A message as it travels. `sent_at` is what the sender claims; Unix seconds."""

    id: bytes
    sent_at: int
    text: str


class Proof(NamedTuple):
    """A receipt as it travels."""

    received_at: int
    signature: bytes


def encode(body: Body) -> bytes:
    """The bytes of a message."""
    data: bytes = msgpack.packb(tuple(body))
    return data


def decode(data: bytes, max_text: int) -> Body:
    """The message in a request, its text 1 to `max_text` bytes. Malformed, its reason one of FAULTS, for all else."""
    id, sent_at, text = _fields(data, 3)
    if type(id) is not bytes or len(id) != ID_SIZE:
        raise Malformed("id")
    if not _is_time(sent_at):
        raise Malformed("sent-at")
    if type(text) is not str:
        raise Malformed("text")
    if not 1 <= len(text.encode()) <= max_text:
        raise Malformed("text-size")
    return Body(id, sent_at, text)


def encode_receipt(proof: Proof) -> bytes:
    """The bytes of a receipt."""
    data: bytes = msgpack.packb(tuple(proof))
    return data


def decode_receipt(data: bytes) -> Proof:
    """The receipt in an answer; its signature has not been looked at. Malformed for anything else."""
    received_at, signature = _fields(data, 2)
    if not _is_time(received_at):
        raise Malformed("received-at")
    if type(signature) is not bytes or len(signature) != SIGNATURE_SIZE:
        raise Malformed("signature")
    return Proof(received_at, signature)


def signed_data(sender: bytes, recipient: bytes, id: bytes, received_at: int, text: bytes) -> bytes:
    """What the recipient signs: 120 bytes. `text` is the UTF-8 of the message."""
    return sender + recipient + id + received_at.to_bytes(8, "big") + hashlib.sha256(text).digest()


def utf8(text: str, max_text: int) -> bytes:
    """The bytes of a text that may be sent. InputError, naming the limit, for one that may not."""
    if not isinstance(text, str):
        raise InputError(f"a message is a text, not {type(text).__name__}", hint="decode bytes first: data.decode()")
    if not text:
        raise InputError("a message has at least one character", hint="write something")
    if len(text) <= max_text:  # each character is a byte at least: a huge text is not encoded to be refused
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"character {error.start + 1} of the message is a lone surrogate, which is no text"
            ) from None
        if len(data) <= max_text:
            return data
        size = f"{len(data)} bytes"
    else:
        size = f"at least {len(text)} bytes"
    raise InputError(f"the message has {size}, and {max_text} bytes of UTF-8 is the limit", hint="send it in parts")


def plausible(sent_at: int, received_at: int) -> int:
    """When a message was sent, for showing: the sender's claim, but never more than a day after it was received."""
    return max(0, min(sent_at, received_at + CLOCK_TOLERANCE))


def unix_seconds(wall: float) -> int:
    """A wall clock's time as the wire takes it, however wrong the clock may be."""
    return max(0, min(int(wall), MAX_TIME))


def _fields(data: bytes, count: int) -> tuple[Any, ...]:
    try:
        fields = msgpack.unpackb(data, use_list=False, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed("encoding") from None
    if type(fields) is not tuple or len(fields) < count:
        raise Malformed("shape")
    return fields[:count]


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_TIME
