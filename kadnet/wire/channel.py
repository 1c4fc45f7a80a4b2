"""What follows the handshake on a link: messages out as SEALED frames, frames in as parts of messages.

A message longer than a frame goes out as several frames, all but the last with the flag MORE. Each frame is sealed
with the first 10 bytes of its own header as associated data, so neither its length nor its flag can be changed on the
way, and under the next nonce of its direction, so none can be dropped, repeated or moved. Each direction goes on to its
next key after a fixed number of frames, by count alone: no word about it is needed on the wire.

No I/O and no bounds of time here. A frame that does not open ends the link; that is for the link to do.
"""

from __future__ import annotations

import zlib
from typing import Final

from kadnet.errors import Malformed
from kadnet.wire.frames import HEADER_SIZE, MAX_PAYLOAD, MORE, SEALED, Frame, frame_head
from kadnet.wire.noise import MAC_SIZE, CipherState

MAX_PART: Final = MAX_PAYLOAD - MAC_SIZE
"""Bytes of a message that one frame carries."""
REKEY_AFTER: Final = 2**20
"""Frames after which a direction goes on to its next key (part of the wire format)."""


class Channel:
    """Both directions of one link, after its handshake. About 5 µs to seal 1 KiB, and as much to open it."""

    __slots__ = ("_receive", "_rekey_after", "_send")

    def __init__(self, send: CipherState, receive: CipherState, *, rekey_after: int = REKEY_AFTER) -> None:
        """Both sides must have the same `rekey_after`; another value than the protocol's is for tests."""
        self._send = send
        self._receive = receive
        self._rekey_after = rekey_after

    def seal(self, message: bytes) -> bytes:
        """`message` as one or more whole frames, to be sent before those of any later message."""
        if len(message) <= MAX_PART:
            return self._seal_part(message, 0)
        frames = [
            self._seal_part(message[at : at + MAX_PART], MORE if at + MAX_PART < len(message) else 0)
            for at in range(0, len(message), MAX_PART)
        ]
        return b"".join(frames)

    def open(self, frame: Frame) -> bytes:
        """What `frame` carries: a whole message, or a part of one (see `Assembler`).

        Malformed: "frame-command" for anything but a SEALED frame; "noise-box" when it is not the other side's next
        frame, unchanged.
        """
        if frame.command != SEALED:
            raise Malformed("frame-command")
        receive = self._receive
        part = receive.decrypt(frame.head, frame.payload)
        if receive.nonce % self._rekey_after == 0:
            receive.rekey()
        return part

    def _seal_part(self, part: bytes, flags: int) -> bytes:
        head = frame_head(SEALED, flags, len(part) + MAC_SIZE)
        send = self._send
        sealed = send.encrypt(head, part)
        if send.nonce % self._rekey_after == 0:
            send.rekey()
        return head + zlib.crc32(sealed).to_bytes(HEADER_SIZE - len(head), "big") + sealed


class Assembler:
    """Parts in, messages out. `limit` bytes of a message are kept at most; its owner may change it at any part."""

    __slots__ = ("_collected", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._collected = bytearray()

    @property
    def collected(self) -> int:
        """Bytes of an unfinished message that are kept. 0 when the next part begins a message."""
        return len(self._collected)

    def add(self, part: bytes, more: bool) -> bytes | None:
        """The message that `part` completes, or None when `more` of it is to come.

        Malformed: "message-length" when it is longer than `limit`; "message-part" for an empty part of a message that
        goes on, of which there could be any number.
        """
        if len(self._collected) + len(part) > self.limit:
            raise Malformed("message-length")
        if not more:
            if not self._collected:
                return part
            message = bytes(self._collected + part)
            self._collected = bytearray()
            return message
        if not part:
            raise Malformed("message-part")
        self._collected += part
        return None
