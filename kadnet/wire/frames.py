"""Frames: how the byte stream of a link is cut into pieces, without any I/O.

    frame  KDN1 4 | command 1 | flags 1 | payload length 4 | CRC-32 of the payload as sent 4 | payload     14 + payload

`FrameReader` is given whatever a read of the stream brought and gives whole frames or one typed error; how the stream
was split changes neither. It checks each field of the header as soon as its bytes are there, so a stranger who speaks
another protocol is known by its first wrong byte, and a length is judged before anything is kept for it.

The CRC is redundant under the authenticated cipher of the payload. It tells a broken path from a broken peer before
any decryption. Nothing here is secret and nothing is decrypted: that is `channel.py`. Who may send which command when
is the business of the link; the reader only knows the commands there are.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from kadnet.errors import Malformed

MAGIC: Final = b"KDN1"

HANDSHAKE: Final = 1
"""Command: the payload is a Noise handshake message."""
SEALED: Final = 2
"""Command: the payload is a Noise transport message."""
MORE: Final = 0x01
"""Flag, on SEALED only: the message goes on in the next frame."""

HEADER_SIZE: Final = 14
AD_SIZE: Final = 10
"""Bytes of the header that are authenticated with a SEALED payload: all but the CRC, which is made from it."""

MAX_PAYLOAD: Final = 65535
"""Bytes: the longest Noise message (Noise rev 34, section 3)."""
MAX_UNPROVEN: Final = 1024
"""Bytes of a payload before its sender has proved an identity. Both handshake messages are far below it."""

_HEADER: Final = struct.Struct(">4sBBII")
_HEAD: Final = struct.Struct(">4sBBI")
_FLAGS_OF: Final = {HANDSHAKE: (0,), SEALED: (0, MORE)}


class Frame(NamedTuple):
    """One frame as received. `head` is the first 10 bytes of its header, as they are authenticated."""

    command: int
    flags: int
    payload: bytes
    head: bytes


def frame_head(command: int, flags: int, length: int) -> bytes:
    """The first 10 bytes of a frame's header: its associated data. `length` is that of the payload as sent."""
    return _HEAD.pack(MAGIC, command, flags, length)


def encode_frame(command: int, flags: int, payload: bytes) -> bytes:
    """The bytes of a frame. ValueError for what no reader would take."""
    length = len(payload)
    if length > MAX_PAYLOAD or flags not in _FLAGS_OF.get(command, ()):
        raise ValueError(f"no such frame: command {command}, flags {flags}, {length} bytes")
    return _HEADER.pack(MAGIC, command, flags, length, zlib.crc32(payload)) + payload


class FrameReader:
    """Bytes in, frames out. An error is final: the stream has lost its place, so every later call raises it again.

    `limit` is the longest payload that is taken, in bytes. Its owner raises it once the peer is proven. The buffer
    holds what was fed and not yet taken, so who calls `next_frame` until it gives None before feeding on never holds
    more than `limit` and one read.
    """

    __slots__ = ("_at", "_buffer", "_error", "limit")

    def __init__(self, limit: int = MAX_UNPROVEN) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._at = 0  # what lies before this place has been given out
        self._error: str | None = None

    @property
    def buffered(self) -> int:
        """Bytes fed that no frame has been made of yet."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take what the stream brought. Malformed when an earlier frame was."""
        if self._error is not None:
            raise Malformed(self._error)
        if self._at:
            del self._buffer[: self._at]  # once a read, not once a frame
            self._at = 0
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None when more bytes are needed.

        Malformed: "frame-magic", "frame-command", "frame-flags", "frame-length" (over `limit`) or "frame-crc".
        """
        if self._error is not None:
            raise Malformed(self._error)
        buffer, at = self._buffer, self._at
        start = at + HEADER_SIZE
        if len(buffer) < start:
            self._check_beginning(bytes(buffer[at:]))
            return None
        magic, command, flags, length, crc = _HEADER.unpack_from(buffer, at)
        if magic != MAGIC or flags not in _FLAGS_OF.get(command, ()) or length > self.limit:
            self._check_beginning(bytes(buffer[at:start]))
        end = start + length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            payload = bytes(view[start:end])
        if zlib.crc32(payload) != crc:
            raise self._fail("frame-crc")
        self._at = end
        return Frame(command, flags, payload, _HEAD.pack(MAGIC, command, flags, length))

    def _check_beginning(self, header: bytes) -> None:
        """Judge a header of which perhaps only the first bytes are there, field by field in the order of the wire."""
        if not MAGIC.startswith(header[:4]):
            raise self._fail("frame-magic")
        if len(header) > 4 and header[4] not in _FLAGS_OF:
            raise self._fail("frame-command")
        if len(header) > 5 and header[5] not in _FLAGS_OF[header[4]]:
            raise self._fail("frame-flags")
        if len(header) >= AD_SIZE and int.from_bytes(header[6:10], "big") > self.limit:
            raise self._fail("frame-length")

    def _fail(self, reason: str) -> Malformed:
        self._error = reason
        self._buffer.clear()
        self._at = 0
        return Malformed(reason)
