"""Records: what is stored under a key, proved by its own bytes.

A record is `[kind, payload, signature]`. The payload is kept exactly as it was received, because msgpack has several
encodings of one value and a signature has only one. A blob's payload is its bytes and its key is their hash; the
payload of every other kind is an entry `[publisher, H(name), seq, expires, lease, value]` signed by its publisher.

Pure: whether a record is *current* is asked with the wall time passed in.
"""

from __future__ import annotations

from typing import NamedTuple

import msgpack

from kadnet.errors import Malformed
from kadnet.identity.keys import Identity, verify
from kadnet.wire import keys
from kadnet.wire.kinds import BLOB, CLOCK_TOLERANCE, KINDS, MAX_EXPIRES_AHEAD, PRESENCE

MAX_SEQ = 2**63 - 1
MAX_EXPIRES = 2**40 - 1
MAX_LEASE = 2**31 - 1
_LABEL = b"kadnet record/1"
_FLIP = bytes(range(255, -1, -1))


class UnknownKind(Malformed):
    """A kind this node has no rules for. Not a fault of the peer: it may be newer than we are."""

    def __init__(self) -> None:
        super().__init__("unknown-kind")


class Record(NamedTuple):
    """One record as it travels: `signature` is 64 bytes for an entry and empty for a blob."""

    kind: int
    payload: bytes
    signature: bytes


class Entry(NamedTuple):
    """The payload of a signed record. `value` None is a tombstone; `expires` is Unix seconds, `lease` seconds."""

    publisher: bytes
    name_hash: bytes
    seq: int
    expires: int
    lease: int
    value: bytes | None


class Parsed(NamedTuple):
    """A record whose shape has been checked, its key recomputed; its signature has not been looked at.

    `entry` is None for a blob. `publisher` is empty for a blob.
    """

    record: Record
    key: bytes
    entry: Entry | None

    @property
    def publisher(self) -> bytes:
        return self.entry.publisher if self.entry is not None else b""

    @property
    def seq(self) -> int:
        return self.entry.seq if self.entry is not None else 0

    @property
    def expires(self) -> int:
        return self.entry.expires if self.entry is not None else 0

    @property
    def value(self) -> bytes | None:
        return self.entry.value if self.entry is not None else self.record.payload

    @property
    def rank(self) -> tuple[int, bool, int, bytes]:
        """Entries of one publisher are ordered by this, the same everywhere; the greatest is the current one.

        Higher seq; tombstone over value; later expires; smaller signature.
        """
        if self.entry is None:
            return 0, False, 0, b""
        entry = self.entry
        return entry.seq, entry.value is None, entry.expires, self.record.signature.translate(_FLIP)

    @property
    def lease(self) -> int:
        """Seconds a holder may count down from: the signed lease, never more than the kind allows."""
        kind = KINDS[self.record.kind]
        if self.entry is None:
            return kind.max_lease
        return min(self.entry.lease, kind.max_tombstone if self.entry.value is None else kind.max_lease)


def blob(data: bytes) -> Record:
    """A blob record of `data`."""
    return Record(BLOB, data, b"")


def sign_entry(identity: Identity, kind: int, entry: Entry, network: bytes) -> Record:
    """`entry` as a record of `kind`, signed by `identity`, who has to be its publisher."""
    if entry.publisher != identity.public:
        raise ValueError("an entry is signed by its publisher")
    payload: bytes = msgpack.packb(tuple(entry))
    return Record(kind, payload, identity.sign(_signed_bytes(kind, payload, network)))


def parse(record: Record) -> Parsed:
    """Check the shape of a record and recompute its key. Malformed(reason), UnknownKind."""
    kind = KINDS.get(record.kind)
    if kind is None:
        raise UnknownKind
    if not kind.signed:
        if record.signature:
            raise Malformed("record-signature")
        if len(record.payload) > kind.max_value:
            raise Malformed("record-size")
        return Parsed(record, keys.blob_key(record.payload), None)
    if len(record.signature) != 64:
        raise Malformed("record-signature")
    if len(record.payload) > kind.max_value + 128:
        raise Malformed("record-size")
    entry = _parse_entry(record.payload)
    if record.kind == PRESENCE and any(entry.name_hash):
        raise Malformed("record-name")
    if entry.value is not None and len(entry.value) > kind.max_value:
        raise Malformed("record-size")
    return Parsed(record, keys.record_key(kind.number, entry.name_hash, entry.publisher), entry)


def _parse_entry(payload: bytes) -> Entry:
    try:
        fields = msgpack.unpackb(payload, use_list=False, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed("record-encoding") from None
    if type(fields) is not tuple or len(fields) != 6:
        raise Malformed("record-shape")
    entry = Entry(*fields)
    if type(entry.publisher) is not bytes or len(entry.publisher) != 32:
        raise Malformed("record-publisher")
    if type(entry.name_hash) is not bytes or len(entry.name_hash) != 32:
        raise Malformed("record-name")
    for number, limit in ((entry.seq, MAX_SEQ), (entry.expires, MAX_EXPIRES), (entry.lease, MAX_LEASE)):
        if type(number) is not int or not 0 <= number <= limit:
            raise Malformed("record-number")
    if entry.value is not None and type(entry.value) is not bytes:
        raise Malformed("record-value")
    return entry


def is_authentic(parsed: Parsed, network: bytes) -> bool:
    """Whether the publisher signed it on this network. About 55 µs for an entry; a blob proves itself by its key."""
    if parsed.entry is None:
        return True
    kind, payload, signature = parsed.record
    return verify(parsed.entry.publisher, _signed_bytes(kind, payload, network), signature)


def is_current(parsed: Parsed, wall: float) -> bool:
    """Whether `expires` lies between now and 7 days ahead, an hour of clock difference allowed. Blobs always are."""
    if parsed.entry is None:
        return True
    return wall - CLOCK_TOLERANCE < parsed.entry.expires <= wall + MAX_EXPIRES_AHEAD + CLOCK_TOLERANCE


def remaining_at_most(parsed: Parsed, remaining: float, wall: float) -> float:
    """The seconds a holder may count for it, when a peer says `remaining`: never more than lease or expires allow."""
    bound = min(float(remaining), float(parsed.lease))
    if parsed.entry is not None:
        bound = min(bound, parsed.entry.expires - wall + CLOCK_TOLERANCE)
    return max(0.0, bound)


def _signed_bytes(kind: int, payload: bytes, network: bytes) -> bytes:
    return _LABEL + network + bytes((kind,)) + payload
