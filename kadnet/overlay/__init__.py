"""The overlay: nodes that keep each other's addresses and records, and find both by XOR distance.

`Overlay` is the face of this room; nobody outside imports its parts but for the types of its answers.
"""

from __future__ import annotations

from kadnet.overlay.archive import GetOutcome, PutOutcome, ValueEntry
from kadnet.overlay.bootstrap import PingOutcome
from kadnet.overlay.overlay import Overlay
from kadnet.overlay.settings import OverlaySettings, Tuning

__all__ = ["GetOutcome", "Overlay", "OverlaySettings", "PingOutcome", "PutOutcome", "Tuning", "ValueEntry"]
