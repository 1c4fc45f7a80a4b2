import struct
import zlib

import pytest

from kadnet.errors import Malformed
from kadnet.wire import frames
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, MAX_UNPROVEN, MORE, SEALED, Frame, FrameReader, encode_frame
from tests.vectors_plugin import CheckVectors


def read_all(reader: FrameReader) -> list[Frame]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    return found


def test_frames_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for what, command, flags, payload in (
        ("handshake", HANDSHAKE, 0, b"hello"),
        ("handshake, the longest", HANDSHAKE, 0, bytes(range(256)) * 4),
        ("sealed", SEALED, 0, b"a sealed message"),
        ("sealed, more to come", SEALED, MORE, b"a part"),
        ("sealed, empty", SEALED, 0, b""),
    ):
        inputs = {"what": what, "command": str(command), "flags": str(flags), "payload": payload.hex()}
        made.append({**inputs, "hex": encode_frame(command, flags, payload).hex()})
    vectors("frames", made)


def test_a_frame_is_what_the_protocol_spells() -> None:
    payload = b"payload"
    spelled = b"KDN1" + bytes([2, 1]) + struct.pack(">I", 7) + struct.pack(">I", zlib.crc32(payload)) + payload
    assert encode_frame(SEALED, MORE, payload) == spelled
    assert frames.frame_head(SEALED, MORE, 7) == spelled[: frames.AD_SIZE] == spelled[:10]
    reader = FrameReader()
    reader.feed(spelled)
    assert reader.next_frame() == Frame(SEALED, MORE, payload, spelled[:10])
    assert reader.next_frame() is None
    assert len(spelled) - len(payload) == frames.HEADER_SIZE


def test_a_frame_fed_byte_by_byte_comes_with_its_last_byte() -> None:
    reader = FrameReader()
    wire = encode_frame(SEALED, 0, b"first") + encode_frame(HANDSHAKE, 0, b"") + encode_frame(SEALED, MORE, b"third")
    found = []
    for place in range(len(wire)):
        reader.feed(wire[place : place + 1])
        frame = reader.next_frame()
        if frame is not None:
            found.append((place + 1, frame.payload))
    assert found == [(19, b"first"), (33, b""), (52, b"third")]


def test_many_frames_of_one_feed_all_come_and_leave_nothing_behind() -> None:
    reader = FrameReader(MAX_PAYLOAD)
    payloads = [bytes([n % 256]) * (n % 97) for n in range(2000)]
    for _ in range(3):
        reader.feed(b"".join(encode_frame(SEALED, 0, payload) for payload in payloads) + b"KDN")
        assert [frame.payload for frame in read_all(reader)] == payloads
        assert reader.buffered == 3
        reader.feed(encode_frame(SEALED, 0, b"last")[3:])
        assert [frame.payload for frame in read_all(reader)] == [b"last"]
        assert reader.buffered == 0


def test_what_was_given_out_is_let_go_at_the_next_feed() -> None:
    reader = FrameReader(MAX_PAYLOAD)
    for _ in range(100):
        reader.feed(encode_frame(SEALED, 0, bytes(MAX_PAYLOAD)))
        assert reader.next_frame() is not None
    reader.feed(b"K")
    assert len(reader._buffer) == reader.buffered == 1


def test_memory_does_not_grow_with_the_bytes_that_went_through() -> None:
    reader = FrameReader(MAX_PAYLOAD)
    wire = encode_frame(SEALED, 0, bytes(1000)) * 200
    for start in range(0, len(wire), 777):
        reader.feed(wire[start : start + 777])
        read_all(reader)
        assert len(reader._buffer) < 1014 + 2 * 777


GOOD = encode_frame(SEALED, 0, b"x" * 20)
BAD_FRAMES: dict[str, tuple[bytes, str, int]] = {  # what, the bytes, the reason, and the bytes that suffice to know it
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "frame-magic", 1),
    "another second letter": (b"KAN1" + GOOD[4:], "frame-magic", 2),
    "another third letter": (b"KDM1" + GOOD[4:], "frame-magic", 3),
    "another version": (b"KDN2" + GOOD[4:], "frame-magic", 4),
    "command 0": (b"KDN1\0" + GOOD[5:], "frame-command", 5),
    "command 3": (b"KDN1\3" + GOOD[5:], "frame-command", 5),
    "command 255": (b"KDN1\xff" + GOOD[5:], "frame-command", 5),
    "a flag there is not": (b"KDN1\2\2" + GOOD[6:], "frame-flags", 6),
    "all flags": (b"KDN1\2\xff" + GOOD[6:], "frame-flags", 6),
    "MORE on a handshake": (b"KDN1\1\1" + GOOD[6:], "frame-flags", 6),
    "one byte over the limit": (b"KDN1\2\0" + struct.pack(">I", MAX_UNPROVEN + 1), "frame-length", 10),
    "4 GiB": (b"KDN1\2\0" + b"\xff" * 4, "frame-length", 10),
    "another checksum": (GOOD[:13] + bytes([GOOD[13] ^ 1]) + GOOD[14:], "frame-crc", len(GOOD)),
    "another payload": (GOOD[:-1] + b"y", "frame-crc", len(GOOD)),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_a_bad_frame_is_refused_for_its_reason_as_soon_as_that_is_there(what: str) -> None:
    wire, reason, enough = BAD_FRAMES[what]
    for good_before in (b"", GOOD):
        reader = FrameReader()
        for place in range(len(good_before) + enough - 1):
            reader.feed((good_before + wire)[place : place + 1])
            assert (reader.next_frame() is not None) == (place + 1 == len(good_before))
        reader.feed(wire[enough - 1 : enough])
        with pytest.raises(Malformed) as caught:
            reader.next_frame()
        assert caught.value.reason == reason


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_a_bad_frame_in_one_piece_is_refused_for_the_same_reason(what: str) -> None:
    wire, reason, _ = BAD_FRAMES[what]
    reader = FrameReader()
    reader.feed(GOOD + wire + GOOD)
    assert reader.next_frame() is not None
    with pytest.raises(Malformed) as caught:
        reader.next_frame()
    assert caught.value.reason == reason


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_an_error_is_final(what: str) -> None:
    wire, reason, _ = BAD_FRAMES[what]
    reader = FrameReader()
    reader.feed(wire)
    for _ in range(2):
        with pytest.raises(Malformed, match=reason):
            reader.next_frame()
        with pytest.raises(Malformed, match=reason):
            reader.feed(GOOD)
    assert reader.buffered == 0


def test_the_limit_is_that_of_an_unproven_peer_until_it_is_raised() -> None:
    longest = encode_frame(SEALED, 0, bytes(MAX_UNPROVEN))
    longer = encode_frame(SEALED, 0, bytes(MAX_PAYLOAD))
    reader = FrameReader()
    reader.feed(longest)
    assert len(read_all(reader)) == 1
    reader.limit = MAX_PAYLOAD
    reader.feed(longer)
    assert len(read_all(reader)) == 1
    reader.limit = MAX_UNPROVEN
    reader.feed(longer)
    with pytest.raises(Malformed, match="frame-length"):
        reader.next_frame()
    assert (MAX_UNPROVEN, MAX_PAYLOAD) == (1024, 65535)


@pytest.mark.parametrize(
    ("command", "flags", "size"),
    [(0, 0, 1), (3, 0, 1), (SEALED, 2, 1), (HANDSHAKE, MORE, 1), (SEALED, 0, MAX_PAYLOAD + 1)],
)
def test_no_frame_is_made_that_no_reader_would_take(command: int, flags: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such frame"):
        encode_frame(command, flags, bytes(size))
