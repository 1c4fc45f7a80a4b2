"""Why a goal is missed, by the key of its figure; written by hand, and printed only where it is missed.

`make figures` names each miss that has no reason here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "silent worst": "an asker that hears of the silent only from the first answer waits a round trip, and then two "
        "timers of a round trip and 10 ms each (docs/decisions/0024)",
    }
)
