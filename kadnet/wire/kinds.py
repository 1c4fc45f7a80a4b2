"""The kinds of records as one table: who may write one, how long it lives, how many share a key.

A holder asks this table and nothing else, so a new kind is a new row. A kind that is not in the table is refused with
UNKNOWN-KIND. Numbers are never used again; 5 (letters) is reserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BLOB: Final = 1
SHARED: Final = 2
OWNED: Final = 3
PRESENCE: Final = 4
LETTER: Final = 5  # reserved

HOUR: Final = 3600
DAY: Final = 24 * HOUR

MAX_EXPIRES_AHEAD: Final = 7 * DAY
"""Seconds that `expires` may lie in the future. The outer bound of every life."""

CLOCK_TOLERANCE: Final = HOUR
"""Seconds by which two clocks may differ before a holder takes a record for expired or for one of the far future."""

MAX_VALUE: Final = 900
"""Bytes of a value that fits a datagram in every message that carries it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind of record.

    signed         an entry `[publisher, H(name), seq, expires, lease, value]` with a signature; else bare bytes
    many           several publishers share one key, one entry each
    max_lease      seconds a holder may keep it without hearing of it again
    max_tombstone  the same for a tombstone, which has to outlive what it takes back
    """

    number: int
    name: str
    signed: bool
    many: bool
    max_lease: int
    max_tombstone: int
    max_value: int = MAX_VALUE


KINDS: Final[dict[int, Kind]] = {
    kind.number: kind
    for kind in (
        Kind(BLOB, "blob", signed=False, many=False, max_lease=7 * DAY, max_tombstone=0),
        Kind(SHARED, "shared", signed=True, many=True, max_lease=DAY, max_tombstone=7 * DAY),
        Kind(OWNED, "owned", signed=True, many=False, max_lease=7 * DAY, max_tombstone=7 * DAY),
        Kind(PRESENCE, "presence", signed=True, many=False, max_lease=7 * DAY, max_tombstone=7 * DAY),
    )
}
