"""Calling a peer: find out where it is, connect, shake hands; the first way in that gets through wins.

Ways are tried in order with a head start each (RFC 8305): where somebody said it is, where the routing table has it,
then where the overlay finds it. How a connection is made is a function in `paths`, TCP for one; so a punched or relayed
stream is one more function. A way counts only once the peer at its end has proved to be the one that is meant.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from kadnet.bounded import Bounded
from kadnet.errors import KadnetError, Malformed, NameNotFound, PeerRefused, PeerUnreachable
from kadnet.identity import nodeid
from kadnet.identity.address import Address, Endpoint, text
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.links.settings import DialSettings
from kadnet.runtime import Runtime
from kadnet.wire.channel import Channel
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, Frame, FrameReader, encode_frame
from kadnet.wire.handshake import Caller

Path = Callable[[Contact], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """How a peer is found: `known` from the routing table, at once; `search(peer, named)` by a walk that tells `named`
    of each place as it hears of it, and returns where the peer itself has answered; `identify`: the ID that whoever
    listens at an endpoint claims, to say in an error who is there."""

    known: Callable[[bytes], list[Contact]]
    search: Callable[[bytes, Callable[[Contact], object]], Awaitable[Contact | None]]
    identify: Callable[[Endpoint], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Proven:
    """A connection whose other end has proved its ID. `reader` may hold bytes that came behind the handshake."""

    peer: bytes
    instance: bytes
    stream: trio.abc.Stream
    reader: FrameReader
    channel: Channel
    remote: Endpoint


class Dialer:
    """Calls peers. `instance`: of this start of the node."""

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        runtime: Runtime,
        whereabouts: Whereabouts,
        *,
        paths: Sequence[Path],
        instance: bytes,
        settings: DialSettings,
    ) -> None:
        self._identity = identity
        self._network = network
        self._runtime = runtime
        self._whereabouts = whereabouts
        self._paths = paths
        self._instance = instance
        self._settings = settings
        self._hints: Bounded[bytes, Address] = Bounded(settings.hints)
        self._turns = trio.Semaphore(settings.at_once)
        self._races: dict[bytes, _Race] = {}  # a pair makes one call at a time

    def hint(self, peer: bytes, address: Address) -> None:
        """Somebody said that this peer is at this address."""
        self._hints.pop(peer, None)
        self._hints[peer] = address

    async def dial(self, peer: bytes) -> Proven:
        """Reach `peer`, or raise why not: PeerRefused when somebody else is there, PeerUnreachable, NotConnected."""
        async with self._turns:
            race = self._races[peer] = _Race(self, peer)
            try:
                return await race.run()
            finally:
                del self._races[peer]

    def met(self, peer: bytes) -> None:
        """The routing table has heard this peer: if it is being called, then also where the table has it now."""
        race = self._races.get(peer)
        if race is not None:
            race.met()

    async def at_hint(self, peer: bytes) -> list[Contact]:
        """Where somebody said that it is. Raises NameNotFound."""
        address = self._hints.get(peer)
        if address is None:
            return []
        endpoints = await self._runtime.network.resolve(address.host, address.port)
        return [Contact(peer, endpoint) for endpoint in endpoints]

    async def attempt(self, contact: Contact, path: Path) -> Proven:
        """Connect and shake hands one way. Raises PeerUnreachable or PeerRefused."""
        where = text(contact.endpoint)
        with trio.move_on_after(self._settings.attempt) as patience:
            try:
                stream = await path(contact)
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
                raise PeerUnreachable(f"{where} cannot be reached: {why}") from None
            try:
                return await self._shake_hands(contact, stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
                await trio.aclose_forcefully(stream)
            except Malformed as error:
                await trio.aclose_forcefully(stream)
                raise PeerRefused(
                    f"what answers at {where} does not shake hands as kadnet does ({error.reason})", reason=error.reason
                ) from None
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        if not patience.cancelled_caught:
            raise await self._turned_away(contact)
        raise PeerUnreachable(f"{where} did not answer within {self._settings.attempt:g} seconds")

    async def _shake_hands(self, contact: Contact, stream: trio.abc.Stream) -> Proven:
        caller = Caller(
            self._identity,
            contact.id,
            self._network,
            instance=self._instance,
            ephemeral=self._runtime.entropy(32),
        )
        await stream.send_all(encode_frame(HANDSHAKE, 0, caller.hello()))
        reader = FrameReader()
        frame = await next_frame(stream, reader)
        if frame.command != HANDSHAKE:
            raise Malformed("frame-command")
        instance, channel = caller.read(frame.payload)
        reader.limit = MAX_PAYLOAD
        return Proven(contact.id, instance, stream, reader, channel, contact.endpoint)

    async def _turned_away(self, contact: Contact) -> KadnetError:
        """The answerer has closed on our first message, as one does that is somebody else. Ask who is there."""
        where = text(contact.endpoint)
        claimed = None
        with trio.move_on_after(self._settings.attempt / 2):
            claimed = await self._whereabouts.identify(contact.endpoint)
        if claimed is not None and claimed != contact.id:
            return PeerRefused(
                f"{where} is another node: {nodeid.encode(claimed)}",
                reason="another-node",
                hint="check the address, or leave it out and the node is looked up by its ID",
            )
        return PeerRefused(
            f"{where} closed the handshake",
            reason="handshake",
            hint="it is another node, of another network, or too busy; the call can be repeated",
        )


class _Race:
    """One call: ways in, side by side."""

    def __init__(self, dialer: Dialer, peer: bytes) -> None:
        self._dialer = dialer
        self._peer = peer
        self._settings = dialer._settings
        self._whereabouts = dialer._whereabouts
        self._won: Proven | None = None
        self._problems: list[KadnetError] = []
        self._tried: set[Endpoint] = set()
        self._nursery: trio.Nursery | None = None

    async def run(self) -> Proven:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._try(await self._hinted(), nursery)
                await self._try(self._whereabouts.known(self._peer), nursery)
                await self._search(nursery)
        except BaseException:
            if self._won is not None:
                await trio.aclose_forcefully(self._won.stream)
            raise
        finally:
            self._nursery = None
        if self._won is not None:
            return self._won
        raise self._worst()

    def met(self) -> None:
        """Try where the table has the peer now, beside what is under way."""
        if self._nursery is not None:
            self._nursery.start_soon(self._try, self._whereabouts.known(self._peer), self._nursery)

    async def _hinted(self) -> list[Contact]:
        try:
            return await self._dialer.at_hint(self._peer)
        except KadnetError as error:
            self._problems.append(error)
            return []

    async def _search(self, nursery: trio.Nursery) -> None:
        """Try each place as the walk hears of it: what is said to be there proves itself or does not.

        Where the peer has answered the walk is tried in any case: false places by the dozen must not hide it.
        """
        send, receive = trio.open_memory_channel[Contact](self._settings.ways)

        def named(contact: Contact) -> None:
            with suppress(trio.WouldBlock):
                send.send_nowait(contact)

        answered: list[Contact] = []

        async def walk() -> None:
            with send:
                try:
                    place = await self._whereabouts.search(self._peer, named)
                    answered.extend([] if place is None else [place])
                except KadnetError as error:
                    self._problems.append(error)

        nursery.start_soon(walk)
        async for contact in receive:
            await self._try([contact], nursery)
        await self._try(answered, nursery, sure=True)

    async def _try(self, contacts: Sequence[Contact], nursery: trio.Nursery, *, sure: bool = False) -> None:
        """Start the ways to where the peer may be, each with its head start before the next."""
        for contact in contacts:
            if contact.endpoint in self._tried or (len(self._tried) >= self._settings.ways and not sure):
                continue
            self._tried.add(contact.endpoint)
            for path in self._dialer._paths:
                over = trio.Event()
                nursery.start_soon(self._one_way, contact, path, nursery, over)
                with trio.move_on_after(self._settings.head_start):
                    await over.wait()

    async def _one_way(self, contact: Contact, path: Path, nursery: trio.Nursery, over: trio.Event) -> None:
        try:
            proven = await self._dialer.attempt(contact, path)
        except KadnetError as error:
            self._problems.append(error)
        else:
            if self._won is None:
                self._won = proven
                nursery.cancel_scope.cancel()
            else:
                await trio.aclose_forcefully(proven.stream)
        finally:
            over.set()

    def _worst(self) -> KadnetError:
        """What to say of all that went wrong: who was refused knows most, then who could not be reached."""
        name = nodeid.encode(self._peer)
        for kind in (PeerRefused, PeerUnreachable, NameNotFound, KadnetError):
            found = next((problem for problem in self._problems if isinstance(problem, kind)), None)
            if isinstance(found, PeerRefused):
                return PeerRefused(f"{name} was not met: {found}", reason=found.reason, hint=found.hint)
            if isinstance(found, (PeerUnreachable, NameNotFound)):
                return PeerUnreachable(f"{name} was not reached: {found}")
            if found is not None:
                return found
        return PeerUnreachable(f"{name} was not found")


async def next_frame(stream: trio.abc.Stream, reader: FrameReader) -> Frame:
    """The next whole frame. EOFError when the stream ends before it, Malformed when it is none."""
    while True:
        frame = reader.next_frame()
        if frame is not None:
            return frame
        data = await stream.receive_some(2048)
        if not data:
            raise EOFError
        reader.feed(data)
