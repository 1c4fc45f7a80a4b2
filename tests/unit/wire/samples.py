"""Fixed inputs for the tests of the wire: identities, nonces and one of every message, the same in every run."""

from __future__ import annotations

from kadnet.identity.keys import Identity
from kadnet.wire import messages
from kadnet.wire.keys import name_hash
from kadnet.wire.kinds import DAY, OWNED, PRESENCE, SHARED
from kadnet.wire.messages import (
    Carried,
    FindNode,
    FindValue,
    Message,
    Nodes,
    Ping,
    Pong,
    Store,
    Stored,
    Values,
)
from kadnet.wire.records import MAX_EXPIRES, MAX_LEASE, MAX_SEQ, Entry, Record, blob, sign_entry

ALICE = Identity.from_seed(b"a" * 32)
BOB = Identity.from_seed(b"b" * 32)
PUBLIC = bytes(32)
PRIVATE = bytes(range(32))
NONCE = bytes(range(100, 124))
COOKIE = bytes(range(200, 216))

ID = bytes.fromhex("0102030405060708")
TOKEN = bytes.fromhex("a1a2a3a4a5a6a7a8")
KEY = bytes(range(32))
NOW = 1_700_000_000

ENTRY = Entry(ALICE.public, name_hash("color"), 7, NOW + DAY, DAY, b"blue")


def signed(kind: int, entry: Entry = ENTRY, network: bytes = PUBLIC, by: Identity = ALICE) -> Record:
    return sign_entry(by, kind, entry, network)


RECORDS: dict[str, Record] = {
    "blob": blob(b"hello"),
    "empty blob": blob(b""),
    "shared": signed(SHARED),
    "shared, private network": signed(SHARED, network=PRIVATE),
    "owned": signed(OWNED),
    "owned tombstone": signed(OWNED, ENTRY._replace(seq=8, lease=7 * DAY, expires=NOW + 7 * DAY, value=None)),
    "presence": signed(PRESENCE, ENTRY._replace(name_hash=bytes(32), value=b"\x94\xc4\x00\xc4\x00\xc4\x01\x01\x00")),
    "owned, least": signed(OWNED, ENTRY._replace(seq=0, expires=0, lease=0, value=b"")),
    "owned, most": signed(
        OWNED, ENTRY._replace(seq=MAX_SEQ, expires=MAX_EXPIRES, lease=MAX_LEASE, value=bytes([255]) * 900)
    ),
}


def carried(record: Record, remaining: int = 3600, cached: bool = False) -> Carried:
    return Carried(*record, remaining, cached)


def contacts4(count: int) -> bytes:
    return b"".join(bytes([n]) * 32 + bytes([192, 0, 2, n]) + (7420).to_bytes(2, "big") for n in range(count))


def contacts6(count: int) -> bytes:
    return b"".join(
        bytes([n]) * 32 + bytes.fromhex("20010db8") + bytes([n]) * 12 + (7420).to_bytes(2, "big") for n in range(count)
    )


_FLAGS = messages.SERVES | messages.WANT_V4 | messages.WANT_V6
BIGGEST = carried(RECORDS["owned, most"], 2**31 - 1, True)

MESSAGES: dict[str, Message] = {
    "PING": Ping(ID, messages.SERVES, TOKEN),
    "PING, no token": Ping(ID, 0, b""),
    "PING, most": Ping(b"\xff" * 8, 2**16 - 1, b"\xff" * 8),
    "PONG, v4": Pong(ID, messages.SERVES, TOKEN, bytes([192, 0, 2, 1, 0x1C, 0xFC]), b"\x01", 0),
    "PONG, v6": Pong(ID, messages.SHORT, b"", bytes(15) + b"\x01\x1c\xfc", b"\x01\x02", 5),
    "PONG, most": Pong(b"\xff" * 8, 2**16 - 1, b"\xff" * 8, b"\xff" * 18, bytes(range(16)), 2**32 - 1),
    "FIND_NODE": FindNode(ID, _FLAGS, TOKEN, KEY),
    "NODES, none": Nodes(ID, 0, TOKEN, b"", b""),
    "NODES, 16 of v4": Nodes(ID, 0, TOKEN, contacts4(16), b""),
    "NODES, 16 of v6": Nodes(ID, 0, TOKEN, b"", contacts6(16)),
    "NODES, 8 and 8": Nodes(ID, messages.SHORT, TOKEN, contacts4(8), contacts6(8)),
    "FIND_VALUE": FindValue(ID, _FLAGS, TOKEN, KEY, -1, b""),
    "FIND_VALUE, most": FindValue(b"\xff" * 8, 2**16 - 1, b"\xff" * 8, b"\xff" * 32, MAX_SEQ, b"\xff" * 32),
    "VALUES, none": Values(ID, 0, TOKEN, messages.COMPLETE, b"", (), contacts4(2), contacts6(1)),
    "VALUES, blob": Values(ID, 0, TOKEN, messages.COMPLETE, b"", (carried(RECORDS["blob"]),), b"", b""),
    "VALUES, two, more to come": Values(
        ID,
        0,
        TOKEN,
        messages.MORE,
        ALICE.public,
        (carried(RECORDS["shared"]), carried(RECORDS["owned tombstone"], 0, True)),
        b"",
        b"",
    ),
    "VALUES, most": Values(b"\xff" * 8, 2**16 - 1, b"\xff" * 8, 255, b"\xff" * 32, (BIGGEST,), b"", b""),
    "STORE": Store(ID, messages.SERVES, TOKEN, carried(RECORDS["owned"])),
    "STORE, most": Store(b"\xff" * 8, 2**16 - 1, b"\xff" * 8, BIGGEST),
    "STORED": Stored(ID, messages.SERVES, messages.Status.OK, 0),
    "STORED, stale": Stored(ID, 0, messages.Status.STALE, MAX_SEQ),
}
