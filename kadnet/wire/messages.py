"""Messages: what is inside a sealed datagram.

Every message is a msgpack array `[type, id, flags, …]`. `id` is 8 random bytes that an answer repeats. Trailing fields
that we do not know are ignored, so a later version can add some; they also serve as padding. Maps, extensions and
other types than the ones named are refused. The number of each message is its row in `TYPES`; 9 to 15 are reserved.

A message is a NamedTuple whose fields stand in the order of the wire, without the type number in front.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from kadnet.errors import Malformed
from kadnet.wire.packets import HEADER, MAX_DATAGRAM
from kadnet.wire.records import MAX_SEQ, Record

PING: Final = 1
PONG: Final = 2
FIND_NODE: Final = 3
NODES: Final = 4
FIND_VALUE: Final = 5
VALUES: Final = 6
STORE: Final = 7
STORED: Final = 8
RESERVED: Final = {9: "OFFER", 10: "WATCH", 11: "WATCHING", 12: "CHANGED", 13: "SEEN", 14: "CHECK", 15: "CHECKED"}

SERVES: Final = 1
"""Flag: the sender answers requests and keeps records."""
WANT_V4: Final = 2
WANT_V6: Final = 4
"""Flags of a request: the families of contacts it wants."""
SHORT: Final = 8
"""Flag of an answer: something was left out because the request proved no address; ask again with this token."""

TOKEN_SIZE: Final = 8
ID_SIZE: Final = 8
MAX_CONTACTS: Final = 16
"""Contacts in one answer, both families together."""
MAX_RECORDS: Final = 64

PADDED_PING: Final = 160
"""Bytes of every PING, so that its answer is no larger, also to one whose token has died with our last process."""
PADDED: Final = MAX_DATAGRAM
"""Bytes of every other request without a token."""

COMPLETE: Final = 0
MORE: Final = 1
TOO_LARGE: Final = 2
"""Status of VALUES: that was all; ask again with this token and `after`; too large for a datagram, use a link."""


class Status(IntEnum):
    """What became of a STORE."""

    OK = 0
    STALE = 1  # a newer entry stands here; its seq comes along
    FULL = 2
    FAR = 3
    BAD_TOKEN = 4
    UNKNOWN_KIND = 5
    INVALID = 6  # not signed by its publisher, expired, or of the far future
    FAILED = 7  # the disk did not take it
    NOT_SERVING = 8


class Ping(NamedTuple):
    id: bytes
    flags: int
    token: bytes


class Pong(NamedTuple):
    """`seen`: the endpoint the PING came from, packed. `versions`: one byte each. `features`: bits, unknown ignored."""

    id: bytes
    flags: int
    token: bytes
    seen: bytes
    versions: bytes
    features: int


class FindNode(NamedTuple):
    id: bytes
    flags: int
    token: bytes
    target: bytes


class Nodes(NamedTuple):
    """Contacts are packed side by side, 38 bytes (v4) or 50 (v6) each."""

    id: bytes
    flags: int
    token: bytes
    contacts4: bytes
    contacts6: bytes


class FindValue(NamedTuple):
    """`own_seq`: leave out entries up to this seq (-1: none). `after`: the publisher after whom to go on, or empty."""

    id: bytes
    flags: int
    token: bytes
    key: bytes
    own_seq: int
    after: bytes


class Carried(NamedTuple):
    """A record in VALUES and STORE: `remaining` seconds of life travel beside it, `cached` marks a copy."""

    kind: int
    payload: bytes
    signature: bytes
    remaining: int
    cached: bool

    @property
    def record(self) -> Record:
        return Record(self.kind, self.payload, self.signature)


class Values(NamedTuple):
    id: bytes
    flags: int
    token: bytes
    status: int
    after: bytes
    records: tuple[Carried, ...]
    contacts4: bytes
    contacts6: bytes


class Store(NamedTuple):
    id: bytes
    flags: int
    token: bytes
    carried: Carried


class Stored(NamedTuple):
    """`seq` is that of the entry that stands there, with STALE; else 0."""

    id: bytes
    flags: int
    status: int
    seq: int


Request: TypeAlias = Ping | FindNode | FindValue | Store
Answer: TypeAlias = Pong | Nodes | Values | Stored
Message: TypeAlias = Request | Answer

TYPES: Final[dict[type[Message], int]] = {
    Ping: PING,
    Pong: PONG,
    FindNode: FIND_NODE,
    Nodes: NODES,
    FindValue: FIND_VALUE,
    Values: VALUES,
    Store: STORE,
    Stored: STORED,
}
ANSWER_OF: Final[dict[type[Request], type[Answer]]] = {Ping: Pong, FindNode: Nodes, FindValue: Values, Store: Stored}
REQUESTS: Final[frozenset[type[Message]]] = frozenset(ANSWER_OF)

_pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True).pack


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return _pack((TYPES[type(message)], *message))


def encode_padded(message: Request, datagram_size: int) -> bytes:
    """A request made so long that its sealed datagram has `datagram_size` bytes; as it is when it is longer already."""
    plain = encode(message)
    missing = datagram_size - HEADER - len(plain)
    if missing <= 0:
        return plain
    if missing == 1:
        padding: tuple[object, ...] = (None,)
    elif missing == 258:  # bin8 ends at 257 bytes with its header, bin16 begins at 259
        padding = (None, bytes(255))
    else:
        padding = (bytes(missing - 2 if missing <= 257 else missing - 3),)
    return _pack((TYPES[type(message)], *message, *padding))


def decode(data: bytes) -> Message:
    """The message of an opened datagram. Malformed(reason) for anything else."""
    try:
        fields = msgpack.unpackb(data, use_list=False, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed("encoding") from None
    if type(fields) is not tuple or len(fields) < 4:
        raise Malformed("shape")
    kind = fields[0]
    if type(kind) is not int:
        raise Malformed("shape")
    reader = _READERS.get(kind)
    if reader is None:
        raise Malformed("type")
    if type(fields[1]) is not bytes or len(fields[1]) != ID_SIZE:
        raise Malformed("id")
    flags = fields[2]
    if type(flags) is not int or not 0 <= flags < 2**16:
        raise Malformed("flags")
    return reader(fields)


def _ping(fields: tuple[Any, ...]) -> Ping:
    return Ping(fields[1], fields[2], _token(fields[3]))


def _pong(fields: tuple[Any, ...]) -> Pong:
    _at_least(fields, 7)
    _, id_, flags, token, seen, versions, features = fields[:7]
    if type(seen) is not bytes or len(seen) not in (6, 18):
        raise Malformed("endpoint")
    if type(versions) is not bytes or not 1 <= len(versions) <= 16:
        raise Malformed("versions")
    return Pong(id_, flags, _token(token), seen, versions, _number(features, 2**32))


def _find_node(fields: tuple[Any, ...]) -> FindNode:
    _at_least(fields, 5)
    return FindNode(fields[1], fields[2], _token(fields[3]), _bytes32(fields[4]))


def _nodes(fields: tuple[Any, ...]) -> Nodes:
    _at_least(fields, 6)
    _, id_, flags, token, contacts4, contacts6 = fields[:6]
    _check_contacts(contacts4, contacts6)
    return Nodes(id_, flags, _token(token), contacts4, contacts6)


def _find_value(fields: tuple[Any, ...]) -> FindValue:
    _at_least(fields, 7)
    _, id_, flags, token, key, own_seq, after = fields[:7]
    if type(own_seq) is not int or not -1 <= own_seq <= MAX_SEQ:
        raise Malformed("seq")
    return FindValue(id_, flags, _token(token), _bytes32(key), own_seq, _cursor(after))


def _values(fields: tuple[Any, ...]) -> Values:
    _at_least(fields, 9)
    _, id_, flags, token, status, after, records, contacts4, contacts6 = fields[:9]
    if type(records) is not tuple or len(records) > MAX_RECORDS:
        raise Malformed("records")
    _check_contacts(contacts4, contacts6)
    carried = tuple([_carried(record) for record in records])
    return Values(id_, flags, _token(token), _number(status, 256), _cursor(after), carried, contacts4, contacts6)


def _store(fields: tuple[Any, ...]) -> Store:
    _at_least(fields, 5)
    return Store(fields[1], fields[2], _token(fields[3]), _carried(fields[4]))


def _stored(fields: tuple[Any, ...]) -> Stored:
    _at_least(fields, 5)
    return Stored(fields[1], fields[2], _number(fields[3], 256), _number(fields[4], MAX_SEQ + 1))


_READERS: Final[dict[int, Callable[[tuple[Any, ...]], Message]]] = {
    PING: _ping,
    PONG: _pong,
    FIND_NODE: _find_node,
    NODES: _nodes,
    FIND_VALUE: _find_value,
    VALUES: _values,
    STORE: _store,
    STORED: _stored,
}


def _at_least(fields: tuple[Any, ...], count: int) -> None:
    if len(fields) < count:
        raise Malformed("shape")


def _token(value: Any) -> bytes:
    if type(value) is not bytes or len(value) not in (0, TOKEN_SIZE):
        raise Malformed("token")
    return value


def _bytes32(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise Malformed("key")
    return value


def _cursor(value: Any) -> bytes:
    if type(value) is not bytes or len(value) not in (0, 32):
        raise Malformed("cursor")
    return value


def _number(value: Any, limit: int) -> int:
    if type(value) is not int or not 0 <= value < limit:
        raise Malformed("number")
    return value


def _carried(value: Any) -> Carried:
    if type(value) is not tuple or len(value) < 5:
        raise Malformed("record-shape")
    kind, payload, signature, remaining, cached = value[:5]
    if type(kind) is not int or not 0 <= kind < 256:
        raise Malformed("record-kind")
    if type(payload) is not bytes or type(signature) is not bytes or len(signature) not in (0, 64):
        raise Malformed("record-shape")
    if type(cached) is not bool:
        raise Malformed("record-shape")
    return Carried(kind, payload, signature, _number(remaining, 2**31), cached)


def _check_contacts(contacts4: Any, contacts6: Any) -> None:
    if type(contacts4) is not bytes or len(contacts4) % 38 or type(contacts6) is not bytes or len(contacts6) % 50:
        raise Malformed("contacts")
    if len(contacts4) // 38 + len(contacts6) // 50 > MAX_CONTACTS:
        raise Malformed("contacts")
