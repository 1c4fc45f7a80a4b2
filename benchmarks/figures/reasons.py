"""Why a goal is missed, by the key of its figure; written by hand, and printed only where it is missed.

`make figures` names each miss that has no reason here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "memory kib_memory": "three databases of SQLite take some 125 KiB, 16 tasks 70, the keys and round trips of 90 "
        "peers 60 (docs/decisions/0023)",
        "memory kib_disk": "the same, and a second connection to each database, for reads that wait for no write",
        "silent worst": "the slowest lookup of two of three seeds took 3 % longer than that; why is not known yet",
    }
)
