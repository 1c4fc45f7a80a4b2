"""A stranger to a room of links, who speaks the wire by hand: connections, handshakes, frames."""

from __future__ import annotations

import hashlib
from typing import Any

import trio

from kadnet.errors import Malformed
from kadnet.identity.keys import Identity
from kadnet.links import LinkSettings
from kadnet.transport import Network
from kadnet.wire import envelopes
from kadnet.wire.channel import Assembler, Channel
from kadnet.wire.envelopes import Control, Envelope, Ping, Pong
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, MORE, FrameReader, encode_frame
from kadnet.wire.handshake import PEER, Caller
from tests.unit.links.bench import LOUD, PUBLIC, Bench, Room, identity

HERE = Ping(1)


class Wire:
    """A stranger's end of a connection, from behind the handshake."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, reader: FrameReader, channel: Channel) -> None:
        self.stream = stream
        self.channel = channel
        self._reader = reader
        self._assembler = Assembler(1 << 22)

    async def control(self, control: Control) -> None:
        await self.stream.send_all(self.channel.seal(envelopes.encode_control(control)))

    async def say(self, protocol: str, kind: int, id: int, body: bytes) -> None:
        await self.stream.send_all(self.channel.seal(envelopes.encode_envelope(protocol, kind, id, body)))

    async def raw(self, message: bytes, *, more: bool = False) -> None:
        """One frame, whatever is in it."""
        await self.stream.send_all(self.channel._seal_part(message, MORE if more else 0))

    async def hear(self) -> Envelope:
        """The next message that is no control; EOFError when the node has closed."""
        while True:
            envelope = await self.next()
            if envelope.protocol != envelopes.LINK:
                return envelope

    async def told(self) -> Control:
        """The next control."""
        while True:
            envelope = await self.next()
            if envelope.protocol == envelopes.LINK:
                control = envelopes.decode_control(envelope.body)
                assert control is not None
                return control

    async def next(self) -> Envelope:
        while True:
            frame = self._reader.next_frame()
            if frame is not None:
                message = self._assembler.add(self.channel.open(frame), bool(frame.flags & MORE))
                if message is not None:
                    return envelopes.decode_envelope(message)
                continue
            data = await self.stream.receive_some(65_536)
            if not data:
                raise EOFError
            self._reader.feed(data)

    async def closed(self) -> bool:
        """Wait until the node has closed the connection, whatever it says before."""
        return await is_closed(self.stream)


async def is_closed(stream: trio.abc.ReceiveStream) -> bool:
    """Wait for the end of a stream; what comes before it is thrown away."""
    try:
        while await stream.receive_some(65_536):
            pass
    except trio.BrokenResourceError:
        pass
    return True


class Stranger:
    """Somebody with an identity who calls nodes and says what it likes."""

    def __init__(self, network: Network, who: Identity) -> None:
        self.network = network
        self.identity = who
        self.instance = b"stranger"
        self._calls = 0

    async def connect(self, to: Room) -> Any:
        return await self.network.connect(to.at)

    def caller(self, to: Room, *, peer: bytes | None = None, network: bytes = PUBLIC, purpose: str = PEER) -> Caller:
        self._calls += 1
        ephemeral = hashlib.sha256(self.identity.public + self._calls.to_bytes(4, "big")).digest()
        peer = peer if peer is not None else to.id
        return Caller(self.identity, peer, network, instance=self.instance, purpose=purpose, ephemeral=ephemeral)

    async def call(self, to: Room, *, first: Control | None = HERE) -> Wire:
        """Connect, shake hands, and say `first`: from then on it is a link. None: it stays half a one."""
        stream = await self.connect(to)
        caller = self.caller(to)
        await stream.send_all(encode_frame(HANDSHAKE, 0, caller.hello()))
        reader = FrameReader(MAX_PAYLOAD)
        while (frame := reader.next_frame()) is None:
            data = await stream.receive_some(4096)
            if not data:
                raise EOFError
            reader.feed(data)
        if frame.command != HANDSHAKE:
            raise Malformed("frame-command")
        wire = Wire(stream, reader, caller.read(frame.payload)[1])
        if first is not None:
            await wire.control(first)
        return wire


async def bob_and(bench: Bench, *, settings: LinkSettings = LOUD) -> tuple[Room, Wire]:
    """Bob and his link with a stranger."""
    bob = await bench.room("bob", "10.0.2.1", settings=settings)
    return bob, await another(bench, bob)


async def another(bench: Bench, bob: Room, number: int = 0) -> Wire:
    stranger = Stranger(bench.machine(f"mallory{number}", f"66.6.{number}.6"), identity(f"mallory{number}"))
    wire = await stranger.call(bob)
    assert await wire.told() == Pong(1)
    return wire


MALLORY = identity("mallory0").public


async def drip(stream: trio.abc.SendStream, data: bytes) -> None:
    """One byte a second."""
    for byte in data:
        await stream.send_all(bytes([byte]))
        await trio.sleep(1)
