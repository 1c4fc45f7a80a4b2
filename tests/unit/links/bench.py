"""The room of links by itself, on the virtual internet or on this machine."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import trio

from kadnet.events import Event, Events, Subscription
from kadnet.identity.address import Endpoint
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.lab import (
    NetworkOptions,
    VirtualInternet,
    VirtualNetwork,
    run,
    run_until,
    virtual_internet,
    virtual_runtime,
)
from kadnet.links import Links, LinkSettings, Whereabouts
from kadnet.links.dial import Path
from kadnet.pump import Pump
from kadnet.runtime import Runtime, real_runtime
from kadnet.transport import Network

P = ParamSpec("P")
E = TypeVar("E", bound=Event)

PORT = 7420
PUBLIC = bytes(32)
LOUD = LinkSettings(raise_errors=True)
"""As nodes have it, but that a handler's fault ends the test."""


def identity(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


def ids(first: str, second: str) -> tuple[str, str]:
    """Two names, that of the larger ID in front."""
    return (first, second) if identity(first).public > identity(second).public else (second, first)


@dataclass
class Directory:
    """Who is where, as far as the dialers of a bench are told."""

    known: dict[bytes, list[Contact]] = field(default_factory=dict)
    hearsay: dict[bytes, list[tuple[float, Contact]]] = field(default_factory=dict)
    """Seconds into a search, and what is said then."""
    answers: dict[bytes, Contact] = field(default_factory=dict)
    """Where a peer answers a search itself."""
    claims: dict[Endpoint, bytes] = field(default_factory=dict)
    searches: int = 0

    async def search(self, peer: bytes, named: Callable[[Contact], object]) -> Contact | None:
        self.searches += 1
        for seconds, contact in self.hearsay.get(peer, []):
            await trio.sleep(seconds)
            named(contact)
        return self.answers.get(peer)

    async def identify(self, endpoint: Endpoint) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.claims.get(endpoint)

    @property
    def whereabouts(self) -> Whereabouts:
        return Whereabouts(lambda peer: self.known.get(peer, []), self.search, self.identify)


class Room:
    """The links of one node."""

    def __init__(self, name: str, links: Links, at: Endpoint, events: Events, machine: VirtualNetwork | None) -> None:
        self.name = name
        self.links = links
        self.at = at
        self.machine = machine
        self.id = identity(name).public
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.bus = events
        self._subscription: Subscription = events.subscribe(size=100_000)
        self._events: list[Event] = []

    @property
    def contact(self) -> Contact:
        return Contact(self.id, self.at)

    def events(self, kind: type[E]) -> list[E]:
        while (event := self._subscription.take()) is not None:
            self._events.append(event)
        return [event for event in self._events if isinstance(event, kind)]

    @property
    def refused(self) -> dict[str, int]:
        return self.links.counters.refused

    @property
    def pairs(self) -> int:
        return len(self.links._pairs)

    @property
    def pending(self) -> int:
        return len(self.links._gate)

    def standing(self, other: Room) -> int:
        """Links with `other` that stand and are not closing."""
        return sum(each.links for each in self.links.linked() if each.id == other.id)

    def echo(self, protocol: str = "echo", **options: Any) -> None:
        async def answer(_peer: bytes, body: bytes) -> bytes:
            return body

        self.links.handle(protocol, answer, **options)

    def collect(self, protocol: str = "note", **options: Any) -> list[bytes]:
        """Take notices; the list fills."""
        found: list[bytes] = []

        async def take(_peer: bytes, body: bytes) -> None:
            found.append(body)

        self.links.handle(protocol, None, take, **options)
        return found

    async def stop(self) -> None:
        """As a person stops a node."""
        self.scope.cancel()
        await self.ended.wait()


class Bench:
    """Rooms that all know of each other."""

    def __init__(self, nursery: trio.Nursery, internet: VirtualInternet | None) -> None:
        self.nursery = nursery
        self.directory = Directory()
        self.real = internet is None
        self._internet = internet
        self._starts = 0

    @property
    def internet(self) -> VirtualInternet:
        assert self._internet is not None
        return self._internet

    def machine(self, name: str, ip: str) -> VirtualNetwork:
        return self.internet.host(name, [ip])

    async def room(
        self,
        name: str,
        ip: str = "",
        *,
        settings: LinkSettings = LOUD,
        network: bytes = PUBLIC,
        paths: Callable[[Network], list[Path]] | None = None,
        directory: Directory | None = None,
    ) -> Room:
        """Start a room. On the virtual internet it has an address of its own."""
        self._starts += 1
        machine = None if self.real else self.machine(name, ip)
        runtime = self._runtime(machine, name)
        listener = await runtime.network.listen(Endpoint(ip, PORT) if machine else Endpoint("127.0.0.1", 0))
        pump, events = Pump(runtime.now), Events()
        links = Links(
            identity(name),
            network,
            runtime,
            pump,
            events,
            listeners=[listener],
            whereabouts=(directory or self.directory).whereabouts,
            paths=paths(runtime.network) if paths else [lambda contact: runtime.network.connect(contact.endpoint)],
            settings=settings,
        )
        room = Room(name, links, listener.local, events, machine)
        self.directory.known[room.id] = [room.contact]
        self.directory.claims[room.at] = room.id

        async def live(task_status: trio.TaskStatus[None]) -> None:
            try:
                async with trio.open_nursery() as foundation:
                    await foundation.start(pump.run)
                    with room.scope:
                        await links.run(task_status=task_status)
                    foundation.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await listener.aclose()
                room.ended.set()

        await self.nursery.start(live)
        return room

    async def two(self, *, settings: LinkSettings = LOUD) -> tuple[Room, Room]:
        """Alice and Bob."""
        return await self.room("alice", "10.0.1.1", settings=settings), await self.room(
            "bob", "10.0.2.1", settings=settings
        )

    async def kill(self, room: Room) -> None:
        """A power cut."""
        assert room.machine is not None
        self.internet.kill(room.machine)
        await room.stop()

    def _runtime(self, machine: VirtualNetwork | None, name: str) -> Runtime:
        if machine is None:
            return real_runtime()
        return virtual_runtime(machine, self._starts, name)


@asynccontextmanager
async def open_bench(
    *, real: bool = False, options: NetworkOptions | None = None, seed: int = 1
) -> AsyncIterator[Bench]:
    """What the body raises leaves bare."""
    left: BaseException | None = None
    if real:
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(30):
                    yield Bench(nursery, None)
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                left = error
            nursery.cancel_scope.cancel()
    else:
        async with virtual_internet(options, seed=seed) as internet, trio.open_nursery() as nursery:
            try:
                yield Bench(nursery, internet)
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                left = error
            nursery.cancel_scope.cancel()
    if left is not None:
        raise left


def on_bench(test: Callable[Concatenate[Bench, P], Awaitable[None]]) -> Callable[P, None]:
    """Make a test of a coroutine that takes a `Bench` first; it runs on virtual time, repeatably."""
    return _made(test, real=False)


def on_sockets(test: Callable[Concatenate[Bench, P], Awaitable[None]]) -> Callable[P, None]:
    """The same over TCP on this machine's loopback, in real time."""
    return _made(test, real=True)


def _made(test: Callable[Concatenate[Bench, P], Awaitable[None]], *, real: bool) -> Callable[P, None]:
    @wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            async with open_bench(real=real) as bench:
                await test(bench, *args, **kwargs)

        if real:
            trio.run(main)
        else:
            run(main, seed=1)

    signature = inspect.signature(test)
    del wrapper.__wrapped__  # or pytest would look for a fixture called bench
    without_bench = list(signature.parameters.values())[1:]
    wrapper.__signature__ = signature.replace(parameters=without_bench)  # type: ignore[attr-defined]  # for inspect
    return wrapper


async def soon(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until it is true, on either clock."""
    await run_until(condition, seconds)
