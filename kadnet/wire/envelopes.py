"""Envelopes: what is inside a message of a link, and the few words that links say to each other in them.

    envelope   msgpack [protocol, kind, id, body]        error body   [code, detail]
    control    envelope of protocol "link", kind NOTICE, id 0, body [number, …]

`id` pairs a RESPONSE or an ERROR with its REQUEST; a NOTICE has none and carries 0. The body belongs to the protocol
and is not looked at. Fields after the known ones are ignored, so a later version can add some; every type is exact, and
every decoding error is one `Malformed(reason)`. What is known to whom, and how long a body may be, is the link's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from kadnet.errors import Malformed
from kadnet.identity.text import printable

REQUEST: Final = 0
RESPONSE: Final = 1
NOTICE: Final = 2
ERROR: Final = 3

LINK: Final = "link"
"""The protocol of the links themselves."""

MAX_ID: Final = 2**32 - 1
MAX_DETAIL: Final = 200
"""Characters of what an error says to a person."""
OVERHEAD: Final = 1 + 34 + 1 + 5 + 5
"""Bytes that `encode_envelope` puts before a body, at most: array, protocol, kind, id, and the body's own header."""
MAX_HEAD: Final = 5 + 37 + 9 + 9 + 5
"""The same, however wastefully another encoder writes it."""

_PROTOCOL: Final = re.compile(r"[a-z0-9./-]{1,32}")
_CODE: Final = re.compile(r"[a-z0-9-]{1,32}")
_MAX_FIELDS: Final = 16  # room for what later versions add, none for a bomb of empty arrays
_BIN_HEADERS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}

_pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True).pack
_unpack: Callable[..., Any] = msgpack.unpackb


class Envelope(NamedTuple):
    """One message of a link. `kind` is REQUEST, RESPONSE, NOTICE or ERROR."""

    protocol: str
    kind: int
    id: int
    body: bytes


class Head(NamedTuple):
    """What the first part of a split message says of the whole."""

    protocol: str
    kind: int
    id: int
    body_length: int


def is_protocol(name: str) -> bool:
    """Whether `name` can name a protocol: 1 to 32 of a-z 0-9 - . /"""
    return _PROTOCOL.fullmatch(name) is not None


def is_code(code: object) -> bool:
    """Whether `code` can be an error's: 1 to 32 of a-z 0-9 -"""
    return isinstance(code, str) and _CODE.fullmatch(code) is not None


def encode_envelope(protocol: str, kind: int, id: int, body: bytes) -> bytes:
    """The bytes of a message. The caller answers for the fields; they are checked where they come from."""
    return _pack((protocol, kind, id, body))


def decode_envelope(data: bytes) -> Envelope:
    """The envelope of a whole message.

    Malformed: "envelope-encoding", "envelope-shape", "envelope-protocol", "envelope-kind", "envelope-id" or
    "envelope-body".
    """
    fields = _fields(data, "envelope-encoding")
    if len(fields) < 4:
        raise Malformed("envelope-shape")
    protocol, kind, id_, body = fields[:4]
    _check(protocol, kind, id_)
    if type(body) is not bytes:
        raise Malformed("envelope-body")
    return Envelope(protocol, kind, id_, body)


def head(part: bytes) -> Head | None:
    """What the first part of a message already tells, so that its receiver can refuse before it assembles the rest.

    None when `part` is too short to tell, which no sender's first part is that fills its frames. Malformed as for
    `decode_envelope`.
    """
    start = part[:MAX_HEAD]
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=MAX_HEAD, max_map_len=0, max_ext_len=0)
    unpacker.feed(start)
    try:
        if unpacker.read_array_header() < 4:
            raise Malformed("envelope-shape")
        protocol, kind, id_ = unpacker.unpack(), unpacker.unpack(), unpacker.unpack()
    except msgpack.OutOfData:
        if len(part) < MAX_HEAD:
            return None
        raise Malformed("envelope-shape") from None
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed("envelope-encoding") from None
    _check(protocol, kind, id_)
    at = unpacker.tell()
    if at == len(start):
        return None
    size = _BIN_HEADERS.get(start[at])
    if size is None:
        raise Malformed("envelope-body")
    length = start[at + 1 : at + 1 + size]
    return Head(protocol, kind, id_, int.from_bytes(length, "big")) if len(length) == size else None


def encode_error(code: str, detail: str = "") -> bytes:
    """The body of an ERROR. `detail` is for a person, escaped and cut to 200 characters. ValueError for a bad code."""
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code!r} is no error code: 1 to 32 of a-z 0-9 -")
    return _pack((code, printable(detail, MAX_DETAIL)))


def decode_error(body: bytes) -> tuple[str, str]:
    """(code, detail) of an ERROR; the detail is safe to show. Malformed("error")."""
    fields = _fields(body, "error")
    if len(fields) < 2:
        raise Malformed("error")
    code, detail = fields[:2]
    if type(code) is not str or not _CODE.fullmatch(code) or type(detail) is not str or len(detail) > MAX_DETAIL:
        raise Malformed("error")
    return code, printable(detail, MAX_DETAIL)


def _fields(data: bytes, reason: str) -> tuple[Any, ...]:
    try:
        fields = _unpack(data, use_list=False, max_array_len=_MAX_FIELDS, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed(reason) from None
    if type(fields) is not tuple:
        raise Malformed(reason)
    return fields


def _check(protocol: Any, kind: Any, id_: Any) -> None:
    if type(protocol) is not str or _PROTOCOL.fullmatch(protocol) is None:
        raise Malformed("envelope-protocol")
    if type(kind) is not int or not REQUEST <= kind <= ERROR:
        raise Malformed("envelope-kind")
    if type(id_) is not int or not 0 <= id_ <= MAX_ID:
        raise Malformed("envelope-id")


# ------------------------------------------------------------------------------------------ what links say themselves


BYE: Final = "bye"
"""Why a link is closed: the node stops, or gives no reason that we know."""
SPARE: Final = "spare"
"""Another link of the pair stays."""
OLD: Final = "old"
"""It belongs to a former instance of the peer."""
IDLE: Final = "idle"
"""Nothing was said for too long."""
FULL: Final = "full"
"""There is no room for it."""
REASONS: Final = frozenset({BYE, SPARE, OLD, IDLE, FULL})


class Ping(NamedTuple):
    """Are you there? `n` (0 to 2^32 - 1) comes back in the Pong."""

    n: int


class Pong(NamedTuple):
    n: int


class Keep(NamedTuple):
    """Said by the larger ID: of the links of our pair, this one stays."""


class Kept(NamedTuple):
    """The answer to Keep."""


class Close(NamedTuple):
    """The last word on a link. `reason` is one of REASONS."""

    reason: str = BYE


Control: TypeAlias = Ping | Pong | Keep | Kept | Close

_NUMBERS: Final[dict[type[Control], int]] = {Ping: 1, Pong: 2, Keep: 3, Kept: 4, Close: 5}
_CONTROLS: Final[dict[int, type[Control]]] = {number: control for control, number in _NUMBERS.items()}


def encode_control(control: Control) -> bytes:
    """The bytes of a whole message, ready to be sealed."""
    return encode_envelope(LINK, NOTICE, 0, _pack((_NUMBERS[type(control)], *control)))


def decode_control(body: bytes) -> Control | None:
    """The control in the body of a NOTICE of protocol "link"; None for one of a later version. Malformed("control")."""
    fields = _fields(body, "control")
    number = fields[0] if fields else None
    if type(number) is not int or number < 1:
        raise Malformed("control")
    control = _CONTROLS.get(number)
    if control is None:
        return None
    if control is Keep:
        return Keep()
    if control is Kept:
        return Kept()
    value = fields[1] if len(fields) > 1 else None
    if control is Close and type(value) is str:
        return Close(value if value in REASONS else BYE)
    if control in (Ping, Pong) and type(value) is int and 0 <= value <= MAX_ID:
        return Ping(value) if control is Ping else Pong(value)
    raise Malformed("control")
