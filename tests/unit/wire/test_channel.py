import struct
import zlib

import pytest
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt as aead

from kadnet.errors import Malformed
from kadnet.wire.channel import MAX_PART, REKEY_AFTER, Assembler, Channel
from kadnet.wire.frames import HANDSHAKE, HEADER_SIZE, MAX_PAYLOAD, MORE, SEALED, Frame
from kadnet.wire.noise import CipherState
from tests.unit.wire.talk import channels, frames, opened

KEY = bytes(range(32))
"""What Alice sends with, in `channels`."""


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def nonce(number: int) -> bytes:
    return bytes(4) + number.to_bytes(8, "little")


def next_key(key: bytes) -> bytes:
    """REKEY as section 4.2 of Noise has it."""
    return aead(bytes(32), b"", b"\0\0\0\0" + b"\xff" * 8, key)[:32]


def test_a_sealed_frame_is_what_the_protocol_spells() -> None:
    alice, _ = channels()
    for number, message in enumerate((b"first", b"", pattern(1000))):
        head = b"KDN1\2\0" + struct.pack(">I", len(message) + 16)
        sealed = aead(message, head, nonce(number), KEY)
        assert alice.seal(message) == head + struct.pack(">I", zlib.crc32(sealed)) + sealed


@pytest.mark.parametrize("size", [0, 1, MAX_PART - 1, MAX_PART, MAX_PART + 1, 2 * MAX_PART, 1 << 20])
def test_a_message_of_any_length_arrives_in_both_directions(size: int) -> None:
    alice, bob = channels()
    message = pattern(size)
    for sender, receiver in ((alice, bob), (bob, alice)):
        wire = sender.seal(message)
        parts = frames(wire)
        assert [frame.flags for frame in parts] == [MORE] * (len(parts) - 1) + [0]
        assert all(len(frame.payload) == MAX_PAYLOAD for frame in parts[:-1])
        assert len(wire) == size + len(parts) * (HEADER_SIZE + 16)
        assert len(parts) == max(1, -(-size // MAX_PART))
        assert opened(receiver, wire) == [message]


def test_messages_arrive_in_the_order_in_which_they_were_sealed() -> None:
    alice, bob = channels()
    messages = [pattern(size) for size in (3, 70_000, 0, 5, 140_000, 1)]
    assert opened(bob, b"".join(alice.seal(message) for message in messages)) == messages


def test_nothing_of_a_message_shows_in_its_frames() -> None:
    alice, _ = channels()
    message = b"a secret that nobody on the path may read " * 3000
    wire = alice.seal(message) + alice.seal(message)
    assert not any(message[at : at + 8] in wire for at in range(42))
    assert len({frame.payload for frame in frames(wire)}) == 4


def test_a_frame_out_of_its_place_does_not_open() -> None:
    alice, bob = channels()
    first, second, third = (frames(alice.seal(text))[0] for text in (b"first", b"second", b"third"))
    with pytest.raises(Malformed, match="noise-box"):
        bob.open(second)  # one was dropped, or two changed places
    assert bob.open(first) == b"first"
    with pytest.raises(Malformed, match="noise-box"):
        bob.open(first)  # repeated
    with pytest.raises(Malformed, match="noise-box"):
        alice.open(second)  # reflected
    assert bob.open(second) == b"second"
    with pytest.raises(Malformed, match="noise-box"):
        channels()[1].open(third)  # of another place in a link under the same keys


def test_neither_the_flag_nor_the_length_of_a_frame_can_be_changed() -> None:
    alice, bob = channels()
    whole = frames(alice.seal(b"whole"))[0]
    for head in (
        whole.head[:5] + bytes([MORE]) + whole.head[6:],
        whole.head[:-1] + bytes([whole.head[-1] ^ 1]),
        whole.head[:4] + bytes([HANDSHAKE]) + whole.head[5:],
    ):
        with pytest.raises(Malformed, match="noise-box"):
            bob.open(whole._replace(head=head))
    assert bob.open(whole) == b"whole"


def test_a_payload_shorter_than_its_mac_does_not_open() -> None:
    _, bob = channels()
    for size in range(17):
        with pytest.raises(Malformed, match="noise-box"):
            bob.open(Frame(SEALED, 0, bytes(size), b"KDN1\2\0\0\0\0" + bytes([size])))


def test_after_the_handshake_a_handshake_frame_is_refused() -> None:
    alice, bob = channels()
    frame = frames(alice.seal(b"a message"))[0]
    with pytest.raises(Malformed, match="frame-command"):
        bob.open(frame._replace(command=HANDSHAKE))
    assert bob.open(frame) == b"a message"


@pytest.mark.parametrize("bound", [1, 2, 5])
def test_each_direction_goes_on_to_its_next_key_at_the_bound_by_count_alone(bound: int) -> None:
    alice, bob = channels(rekey_after=bound)
    key = KEY
    for number in range(3 * bound + 1):
        wire = alice.seal(b"message")
        assert wire[HEADER_SIZE:] == aead(b"message", wire[:10], nonce(number), key)
        assert opened(bob, wire) == [b"message"]
        if (number + 1) % bound == 0:
            key = next_key(key)
    assert opened(alice, bob.seal(b"the other direction did not move")) == [b"the other direction did not move"]


def test_every_frame_of_a_split_message_counts_towards_the_next_key() -> None:
    alice, bob = channels(rekey_after=2)
    messages = [pattern(size) for size in (150_000, 3, 70_000, 200_000)]
    assert opened(bob, b"".join(alice.seal(message) for message in messages)) == messages
    moved, still = channels(rekey_after=2)[0], channels()[0]
    assert [moved.seal(b"x") == still.seal(b"x") for _ in range(4)] == [True, True, False, False]


def test_sides_that_count_to_different_bounds_part() -> None:
    alice, bob = channels(rekey_after=3)[0], channels(rekey_after=4)[1]
    assert opened(bob, b"".join(alice.seal(b"x") for _ in range(3))) == [b"x"] * 3
    with pytest.raises(Malformed, match="noise-box"):
        opened(bob, alice.seal(b"x"))


def test_the_bound_is_that_of_the_protocol() -> None:
    send, receive = CipherState(KEY), CipherState(KEY)
    alice, bob = Channel(send, CipherState(KEY)), Channel(CipherState(KEY), receive)
    send.nonce = receive.nonce = 2**20 - 1
    last, first = alice.seal(b"the last"), alice.seal(b"the first")
    assert opened(bob, last + first) == [b"the last", b"the first"]
    assert first[HEADER_SIZE:] == aead(b"the first", first[:10], nonce(2**20), next_key(KEY))
    assert REKEY_AFTER == 2**20


def test_the_assembler_gives_a_message_with_its_last_part() -> None:
    assembler = Assembler(100)
    assert assembler.add(b"alone", more=False) == b"alone"
    assert assembler.add(b"", more=False) == b""
    assert assembler.add(b"one ", more=True) is None
    assert assembler.collected == 4
    assert assembler.add(b"two ", more=True) is None
    assert assembler.add(b"three", more=False) == b"one two three"
    assert assembler.collected == 0
    assert assembler.add(b"part", more=True) is None
    assert assembler.add(b"", more=False) == b"part"


def test_the_assembler_keeps_no_more_than_its_limit() -> None:
    assembler = Assembler(10)
    assert assembler.add(bytes(10), more=False) == bytes(10)
    for parts in ([11], [10, 1], [4, 4, 4]):
        assembler = Assembler(10)
        for size in parts[:-1]:
            assert assembler.add(bytes(size), more=True) is None
        for more in (True, False):
            with pytest.raises(Malformed, match="message-length"):
                assembler.add(bytes(parts[-1]), more=more)
        assert assembler.collected <= 10


def test_the_limit_can_change_with_what_the_first_part_says() -> None:
    assembler = Assembler(10)
    assert assembler.add(bytes(8), more=True) is None
    assembler.limit = 20
    assert assembler.add(bytes(12), more=False) == bytes(20)
    assert assembler.add(bytes(8), more=True) is None
    assembler.limit = 10
    with pytest.raises(Malformed, match="message-length"):
        assembler.add(bytes(12), more=False)


def test_a_message_cannot_go_on_for_ever_in_empty_parts() -> None:
    assembler = Assembler(10)
    with pytest.raises(Malformed, match="message-part"):
        assembler.add(b"", more=True)
