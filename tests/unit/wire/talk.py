"""Two ends of a link for the tests, under fixed keys, and the reference implementation of Noise as a third."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from noise.connection import Keypair, NoiseConnection

from kadnet.errors import Malformed
from kadnet.identity.keys import Identity
from kadnet.wire import handshake
from kadnet.wire.channel import REKEY_AFTER, Assembler, Channel
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, MORE, Frame, FrameReader, encode_frame
from kadnet.wire.handshake import Answerer, Caller
from kadnet.wire.noise import CipherState
from tests.unit.wire.samples import ALICE, BOB, PUBLIC

ALICE_INSTANCE = b"alice-01"
BOB_INSTANCE = b"bob-0002"
ALICE_EPHEMERAL = bytes(range(1, 33))
BOB_EPHEMERAL = bytes(range(101, 133))


def caller(
    identity: Identity = ALICE,
    peer: bytes = BOB.public,
    network: bytes = PUBLIC,
    purpose: str = handshake.PEER,
    ephemeral: bytes = ALICE_EPHEMERAL,
) -> Caller:
    return Caller(identity, peer, network, instance=ALICE_INSTANCE, purpose=purpose, ephemeral=ephemeral)


def answerer(identity: Identity = BOB, network: bytes = PUBLIC, ephemeral: bytes = BOB_EPHEMERAL) -> Answerer:
    return Answerer(identity, network, instance=BOB_INSTANCE, ephemeral=ephemeral)


def channels(rekey_after: int = REKEY_AFTER) -> tuple[Channel, Channel]:
    """Both ends of a link after its handshake, under two fixed keys."""
    there, back = bytes(range(32)), bytes(range(32, 64))
    ours = Channel(CipherState(there), CipherState(back), rekey_after=rekey_after)
    return ours, Channel(CipherState(back), CipherState(there), rekey_after=rekey_after)


def frames(stream: bytes) -> list[Frame]:
    """The frames of a stream that is whole and right."""
    reader = FrameReader(MAX_PAYLOAD)
    reader.feed(stream)
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    assert not reader.buffered
    return found


def opened(channel: Channel, stream: bytes) -> list[bytes]:
    """The messages of a stream of SEALED frames."""
    assembler = Assembler(1 << 20)
    parts = [assembler.add(channel.open(frame), bool(frame.flags & MORE)) for frame in frames(stream)]
    return [message for message in parts if message is not None]


@dataclass
class Receiver:
    """What a link does with the bytes it receives, without I/O: handshake first, then messages."""

    end: Caller | Answerer
    reader: FrameReader = field(default_factory=FrameReader)
    assembler: Assembler = field(default_factory=lambda: Assembler(1 << 20))
    channel: Channel | None = None
    delivered: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        self.reader.feed(data)
        while (frame := self.reader.next_frame()) is not None:
            if self.channel is not None:
                message = self.assembler.add(self.channel.open(frame), bool(frame.flags & MORE))
                if message is not None:
                    self.delivered.append(message)
            elif frame.command != HANDSHAKE:
                raise Malformed("frame-command")
            else:
                self.channel = self._shake(frame.payload)
                self.reader.limit = MAX_PAYLOAD

    def _shake(self, payload: bytes) -> Channel:
        if isinstance(self.end, Caller):
            return self.end.read(payload)[1]
        self.end.read(payload)
        return self.end.reply()[1]


def conversation(said: Sequence[bytes], answered: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """What goes over the wire from Alice to Bob, and back, as `said` and `answered` are sent: first the handshakes."""
    calling, answering = caller(), answerer()
    hello = calling.hello()
    answering.read(hello)
    answer, theirs = answering.reply()
    ours = calling.read(answer)[1]
    out = [encode_frame(HANDSHAKE, 0, hello), *(ours.seal(message) for message in said)]
    back = [encode_frame(HANDSHAKE, 0, answer), *(theirs.seal(message) for message in answered)]
    return out, back


def reference(
    name: str,
    *,
    initiator: bool,
    prologue: bytes,
    s: bytes,
    rs: bytes,
    e: bytes,
    psks: Sequence[bytes],
) -> NoiseConnection:
    """The same side of a handshake as made by the `noiseprotocol` package."""
    side = NoiseConnection.from_name(name.encode())
    side.set_prologue(prologue)
    if psks:
        side.set_psks(psks=list(psks))
    (side.set_as_initiator if initiator else side.set_as_responder)()
    side.set_keypair_from_private_bytes(Keypair.EPHEMERAL, e)
    side.set_keypair_from_private_bytes(Keypair.STATIC, s)
    side.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, rs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of ephemeral keypairs")  # fixed keys are what this is for
        side.start_handshake()
    return side
