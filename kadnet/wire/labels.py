"""What a signature or a sealed text of an identity was made for. Every use has a label of its own, so that nothing made
for one purpose opens, or counts, in another; and the network is part of what is signed.
"""

from __future__ import annotations

import re
from typing import Final

from kadnet.errors import InputError

_STANDARD: Final = {"receipt": b"kadnet receipt/1"}
"""Statements that the wire itself names. Records are signed in `records.py` and by nobody else."""

_PURPOSE: Final = re.compile(r"[a-z0-9./-]{1,32}")


def label(purpose: str) -> bytes:
    """The label of a standard statement, or of an app's own purpose. InputError when it can be neither."""
    if not isinstance(purpose, str) or not _PURPOSE.fullmatch(purpose):
        raise InputError(f"a purpose is 1 to 32 of a-z 0-9 - . /, not {purpose!r:.60}")
    # Closed by a zero byte, which no purpose has: none is the beginning of another.
    return _STANDARD.get(purpose) or b"kadnet app/" + purpose.encode() + b"\0"


def statement(purpose: str, network: bytes, data: bytes) -> bytes:
    """What is signed: label ‖ network key ‖ data."""
    return label(purpose) + network + data
