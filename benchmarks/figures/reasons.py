"""Why a goal is missed, by the key of its figure; written by hand, and printed only where it is missed.

`make figures` names each miss that has no reason here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType({})
