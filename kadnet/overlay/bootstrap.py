"""Getting in: from a list of addresses, with or without IDs, and from contacts of an earlier run.

Every address is tried by itself, at once and then with a growing pause, until it has brought a live contact; when the
node is alone again it begins anew at once. A bare address is probed for its ID first; only the sealed PING that
follows proves it. What goes wrong is kept per address, for `status`: an unreachable bootstrap is named, never fatal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import trio

from kadnet.errors import NameNotFound
from kadnet.identity.address import Address, Endpoint, scope
from kadnet.kademlia.contact import Contact
from kadnet.overlay.rpc import Rpc
from kadnet.transport import Network
from kadnet.wire.messages import Ping, Pong
from kadnet.wire.packets import COOKIE_SIZE


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """Seconds. `first_pause`, doubled up to `longest_pause` while the node is alone; `joined_pause` once it is not.

    `probe_wait`: for one probe, sent up to `probe_attempts` times. `resolve_wait`: for a name. `max_addresses`: per
    name. `max_claims`: probes under way.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    joined_pause: float = 600.0
    probe_wait: float = 0.5
    probe_attempts: int = 3
    resolve_wait: float = 5.0
    max_addresses: int = 4
    max_claims: int = 64


@dataclass(slots=True)
class BootstrapState:
    """How one address fares. `problem` None: it answered the last time it was asked, or was not asked yet."""

    address: Address
    attempts: int = 0
    answered: bool = False
    problem: str | None = None


class _Claim:
    """A probe under way: who answered its cookie."""

    __slots__ = ("endpoint", "id", "woken")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.id: bytes | None = None
        self.woken = trio.Event()


class Bootstrap:
    """The addresses a node was given, and the contacts it remembers."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        rpc: Rpc,
        network: Network,
        own_id: bytes,
        entropy: Callable[[int], bytes],
        cached: Callable[[], list[Contact]],
        alone: Callable[[], bool],
        failed: Callable[[str, str], object],
        settings: BootstrapSettings,
    ) -> None:
        """`alone()`: no live contact is known. `failed(address, why)` is told of each failed attempt."""
        self.states = [BootstrapState(address) for address in addresses]
        self._rpc = rpc
        self._network = network
        self._own_id = own_id
        self._entropy = entropy
        self._cached = cached
        self._alone = alone
        self._failed = failed
        self._settings = settings
        self._claims: dict[bytes, _Claim] = {}
        self._lonely = trio.Event()
        self._seek_pause = settings.first_pause
        self._next_seek = -math.inf
        self.first_round = trio.Event()
        """Set when every address and cached contact has been tried once."""

    def seek(self, now: float) -> None:
        """The last contact does not answer: try everything again, at once the first time, then ever more seldom."""
        if now >= self._next_seek:
            self._next_seek = now + self._seek_pause
            self._seek_pause = min(2 * self._seek_pause, self._settings.longest_pause)
            self._lonely.set()
            self._lonely = trio.Event()

    def found(self) -> None:
        """A contact has come: the next time the node is alone begins anew."""
        self._seek_pause = self._settings.first_pause
        self._next_seek = -math.inf

    def claimed(self, cookie: bytes, id: bytes, source: Endpoint) -> None:
        """A probe was answered. Only the one we sent there, with its cookie, counts."""
        claim = self._claims.get(cookie)
        if claim is not None and claim.endpoint == source and claim.id is None:
            claim.id = id
            claim.woken.set()

    async def run(self) -> None:
        """Try until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._first_round)
            nursery.start_soon(self._recall_again)
            for state in self.states:
                nursery.start_soon(self._keep_trying, state)

    async def _first_round(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.recall)
            for state in self.states:
                nursery.start_soon(self._attempt, state)
        self.first_round.set()

    async def _recall_again(self) -> None:
        """Cached contacts too are tried again while the node is alone."""
        await self.first_round.wait()
        pause = self._settings.first_pause
        while True:
            if await self._worth_another_try(pause if self._alone() else math.inf):
                pause = self._settings.first_pause
            await self.recall()
            pause = min(pause * 2, self._settings.longest_pause)

    async def recall(self) -> None:
        """Ask the contacts of an earlier run, all at once."""
        async with trio.open_nursery() as nursery:
            for contact in self._cached():
                nursery.start_soon(self._ping, contact)

    async def look_round(self, forgotten: Sequence[Contact]) -> None:
        """Ask the bootstrap addresses and some who are forgotten whether they live, although we are not alone.

        A network that was split for so long that both sides forgot each other would else stay two for ever.
        """
        async with trio.open_nursery() as nursery:
            for contact in forgotten:
                nursery.start_soon(self._ping, contact)
            for state in self.states:
                nursery.start_soon(self._attempt, state)

    async def _keep_trying(self, state: BootstrapState) -> None:
        await self.first_round.wait()
        settings = self._settings
        pause = settings.first_pause
        while True:
            if self._alone():
                wait = pause
            else:
                wait = math.inf if state.answered else settings.joined_pause
            if await self._worth_another_try(wait):
                pause = settings.first_pause
            await self._attempt(state)
            pause = min(pause * 2, settings.longest_pause)

    async def _worth_another_try(self, wait: float) -> bool:
        """Wait `wait` seconds, or until the node finds itself alone: True then."""
        with trio.move_on_after(wait):
            await self._lonely.wait()
            return True
        return False

    async def _attempt(self, state: BootstrapState) -> None:
        state.attempts += 1
        problem = await self._try(state.address)
        state.problem = problem
        state.answered = problem is None
        if problem is not None:
            self._failed(str(state.address), problem)

    async def _try(self, address: Address) -> str | None:
        """One attempt: None when somebody there is a live contact now, else what went wrong."""
        endpoints: list[Endpoint] = []
        with trio.move_on_after(self._settings.resolve_wait):
            try:
                endpoints = await self._network.resolve(address.host, address.port)
            except NameNotFound as error:
                return str(error)
        if not endpoints:
            return f"the name {address.host} was not resolved in {self._settings.resolve_wait:g} s"
        problem = f"no answer from {address.host} port {address.port}"
        for endpoint in endpoints[: self._settings.max_addresses]:
            if scope(endpoint.host) < 0 or not endpoint.port:
                problem = f"{endpoint.host} port {endpoint.port} is nobody's address"
                continue
            id = address.id if address.id is not None else await self.ask_id(endpoint)
            if id == self._own_id:
                problem = "that is this node itself"
            elif id is not None and await self._ping(Contact(id, endpoint)):
                return None
        return problem

    async def ask_id(self, endpoint: Endpoint) -> bytes | None:
        """Probe an endpoint for the ID it claims."""
        if len(self._claims) >= self._settings.max_claims:
            return None
        cookie = self._entropy(COOKIE_SIZE)
        claim = self._claims[cookie] = _Claim(endpoint)
        try:
            for _ in range(self._settings.probe_attempts):
                self._rpc.probe(endpoint, cookie)
                with trio.move_on_after(self._settings.probe_wait):
                    await claim.woken.wait()
                    return claim.id
        finally:
            del self._claims[cookie]
        return None

    async def _ping(self, contact: Contact) -> bool:
        """A sealed PING; its answer puts the contact into the table on the way."""
        return await ping(self._rpc, contact) is not None


class PingOutcome(NamedTuple):
    """Who answered a ping, where, and in how many seconds."""

    id: bytes
    endpoint: Endpoint
    rtt: float


async def ping(rpc: Rpc, contact: Contact, attempts: int = 3) -> tuple[Pong, float] | None:
    """Ask a contact for a PONG: the answer and its round trip in seconds, or None."""
    done = trio.Event()
    answers: list[tuple[Pong, float]] = []

    def answered(answer: Pong, rtt: float, _now: float) -> None:
        answers.append((answer, rtt))
        done.set()

    def failed(_reason: str) -> None:
        done.set()

    rpc.ask(contact, Ping, (), answered, failed, attempts=attempts)
    await done.wait()
    return answers[0] if answers else None
