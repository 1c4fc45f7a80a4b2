"""Text of strangers, made safe to show on a terminal or in a log.

A peer chooses its names, values and messages; a terminal obeys what it is sent. `printable` is the one gate between
the two. It leaves out everything about meaning: look-alike letters stay, since no display can settle them.
"""

from __future__ import annotations

import unicodedata

# Joiners are format characters by category, yet Persian, Indic scripts and emoji are not spelled without them,
# and they move nothing on a screen.
_JOINERS = "\u200c\u200d"

ELLIPSIS = "\u2026"


def _is_safe(char: str) -> bool:
    # str.isprintable is False for Cc, Cf (the bidi controls among them), Cs, Co, Cn, Zl, Zp and every Zs but " ".
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, limit: int = 200) -> str:
    """`text` with every control, format, surrogate, private and unassigned character escaped, on one line.

    The result has at most `limit` characters (at least 1); what was cut is marked by a closing ellipsis, and no
    escape is cut in half. The work done is bounded by `limit`, not by the length of `text`.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    if len(text) <= limit and text.isprintable():
        return text
    pieces: list[str] = []
    used = 0
    kept = 0  # how many pieces still fit beside an ellipsis
    for char in text[: limit + 1]:
        piece = char if _is_safe(char) else _escape(char)
        used += len(piece)
        if used > limit:
            return "".join(pieces[:kept]) + ELLIPSIS
        pieces.append(piece)
        if used < limit:
            kept = len(pieces)
    return "".join(pieces)
