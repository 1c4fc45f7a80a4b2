"""Links: the face of this room. Encrypted connections between node IDs, and requests and notices over them.

One pair for each peer that there is anything with; a pair finds its links by itself. Nothing here knows what the
messages are about: protocols are handlers that others bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from kadnet.errors import InputError, NotConnected, PeerUnreachable
from kadnet.events import ContactAdded, Events, HandlerFailed, Subscription
from kadnet.identity import nodeid
from kadnet.identity.address import Address, Endpoint
from kadnet.identity.keys import Identity
from kadnet.links.dial import Dialer, Path, Proven, Whereabouts
from kadnet.links.gate import Gate, Welcome
from kadnet.links.link import Budget
from kadnet.links.means import LinkCounters, Means
from kadnet.links.pair import Pair
from kadnet.links.services import OnNotice, OnRequest, Service, Services
from kadnet.links.settings import LinkSettings
from kadnet.pump import Pump
from kadnet.runtime import Runtime
from kadnet.transport import Listener
from kadnet.wire.envelopes import IDLE, LINK, is_protocol


@dataclass(frozen=True, slots=True)
class Linked:
    """A peer that we are linked to. `endpoint`: where its connection comes from or goes to; `since`, `heard_at`:
    monotonic seconds; `rtt` seconds, None while unmeasured."""

    id: bytes
    endpoint: Endpoint
    links: int
    since: float
    heard_at: float
    rtt: float | None


class Links:
    """The links of one node."""

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        runtime: Runtime,
        pump: Pump,
        events: Events,
        *,
        listeners: Sequence[Listener],
        whereabouts: Whereabouts,
        paths: Sequence[Path],
        settings: LinkSettings | None = None,
    ) -> None:
        """`network`: the 32-byte network key. `paths`: how a contact is connected to, in the order to be tried."""
        self.settings = settings = settings if settings is not None else LinkSettings()
        self.counters = LinkCounters()
        self.services = Services(settings.services, failed=self._failed, raise_errors=settings.raise_errors)
        self._identity = identity
        self._runtime = runtime
        self._pump = pump
        self._events = events
        self._listeners = listeners
        self._instance = runtime.entropy(8)
        self._pairs: dict[bytes, Pair] = {}
        self._last_number = 0
        self._means: Means | None = None
        self._all_over: trio.Event | None = None
        self._budget = Budget(settings.assembling)
        self._dialer = Dialer(
            identity,
            network,
            runtime,
            whereabouts,
            paths=paths,
            instance=self._instance,
            settings=settings.dial,
        )
        self._gate = Gate(
            identity,
            network,
            runtime,
            events,
            Welcome(self._admit, self._full),
            instance=self._instance,
            counters=self.counters,
            settings=settings.pending,
        )

    # --- what apps ask

    def handle(
        self,
        protocol: str,
        on_request: OnRequest | None = None,
        on_notice: OnNotice | None = None,
        *,
        concurrent: int = 16,
        max_body: int = 65_536,
    ) -> None:
        """Offer a protocol: `on_request(peer, body)` returns the answer's bytes, `on_notice(peer, body)` nothing.

        Handlers start in the order in which a link brings them, at most `concurrent` at once. A ProtocolError they
        raise is answered by its reason, a KadnetError by its code. InputError for a name or numbers that cannot be.
        """
        if not isinstance(protocol, str) or not is_protocol(protocol) or protocol == LINK:
            raise InputError(f"{protocol!r} cannot name a protocol: 1 to 32 of a-z 0-9 - . / and not {LINK!r}")
        if not 1 <= concurrent <= 1024:
            raise InputError(f"concurrent must be 1 to 1024, not {concurrent}")
        if not 0 <= max_body <= self.settings.max_message:
            raise InputError(f"max_body must be 0 to {self.settings.max_message} bytes, not {max_body}")
        try:
            self.services.add(Service(protocol, on_request, on_notice, concurrent=concurrent, max_body=max_body))
        except ValueError as error:
            raise InputError(str(error)) from None

    async def request(self, peer: bytes, protocol: str, body: bytes) -> bytes:
        """Ask `peer` and wait for its answer, linking to it first when need be. No bound in time: cancel it.

        Raises PeerUnreachable (LinkLost when the link broke before the answer: it may have been done), PeerRefused
        with the peer's code as `reason`, NotConnected.
        """
        return await self._pair(peer).request(protocol, self._checked(protocol, body))

    async def notify(self, peer: bytes, protocol: str, body: bytes) -> None:
        """Send a notice: it arrives at most once. Returns when a link has taken it. Raises as `request` does."""
        await self._pair(peer).notify(protocol, self._checked(protocol, body))

    def hint(self, peer: bytes, address: Address) -> None:
        """Somebody said where this peer is: tried first when it is called."""
        self._dialer.hint(peer, address)

    def linked(self) -> list[Linked]:
        """The peers with whom a link stands."""
        found = []
        for peer, pair in self._pairs.items():
            usable = pair.usable()
            if usable:
                first = usable[0]
                found.append(Linked(peer, first.remote, len(usable), first.since, pair.heard_at, pair.machine.rtt))
        return found

    def count_usable(self) -> int:
        """Links that stand and are not closing."""
        return sum(pair.machine.usable for pair in self._pairs.values())

    def count(self) -> int:
        """Connections that have proved themselves, those that are closing among them."""
        return sum(len(pair.links) for pair in self._pairs.values())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer and call until cancelled; then send what is queued and close in good order, within a bound."""
        over = trio.Event()
        async with trio.open_nursery() as around:
            nursery: trio.Nursery = await around.start(_shielded, over)
            self._means = Means(
                own_id=self._identity.public,
                runtime=self._runtime,
                pump=self._pump,
                events=self._events,
                services=self.services,
                settings=self.settings,
                counters=self.counters,
                budget=self._budget,
                dial=self._dial,
                nursery=nursery,
                next_number=self._next_number,
            )
            self.services.work_in(nursery)
            overheard = self._events.subscribe(ContactAdded)
            overheard.wake = lambda: self._overheard(overheard)
            try:
                async with trio.open_nursery() as gates:
                    for listener in self._listeners:
                        gates.start_soon(self._gate.accept_all, listener)
                    task_status.started()
                    await trio.sleep_forever()
            finally:
                self._events.unsubscribe(overheard)
                with trio.move_on_after(self.settings.goodbye, shield=True):
                    await self._goodbye()
                over.set()

    # --- its parts

    def _pair(self, peer: bytes) -> Pair:
        pair = self._pairs.get(peer) if isinstance(peer, bytes) else None
        if pair is None:
            _check_id(peer)
            if self._means is None:
                raise RuntimeError("links are not running yet")
            if self._all_over is not None:
                raise NotConnected("this node has ended")
            pair = self._pairs[peer] = Pair(self._means, peer, self._over)
        return pair

    def _overheard(self, window: Subscription) -> None:
        """A peer that has come back is called at once, not when its next redial is due."""
        while (event := window.take()) is not None:
            if isinstance(event, ContactAdded):
                self._dialer.met(event.peer)
                pair = self._pairs.get(event.peer)
                if pair is not None:
                    pair.met()

    def _over(self, pair: Pair) -> None:
        if self._pairs.get(pair.peer) is pair:
            del self._pairs[pair.peer]
        if not self._pairs and self._all_over is not None:
            self._all_over.set()

    def _admit(self, proven: Proven, first: tuple[bytes, bool]) -> None:
        self._pair(proven.peer).adopt(proven, dialed=False, first=first)

    async def _dial(self, peer: bytes) -> Proven:
        if self._full(peer):
            raise PeerUnreachable("this node has as many links as it may have, and all are in use")
        return await self._dialer.dial(peer)

    def _full(self, peer: bytes) -> bool:
        """Whether there is no room for a link with `peer`; the pair that has rested longest makes some."""
        count = self.count()
        if count < self.settings.max_links:
            return False
        if count >= self.settings.max_links + self.settings.closing:
            # Who was told to close and goes on talking must not keep the others out.
            closing = [link for pair in self._pairs.values() for link in pair.closing()]
            if not closing:
                return True
            min(closing, key=lambda link: link.number).end("crowded")
        resting = [pair for pair in self._pairs.values() if pair.machine.usable and not pair.is_busy]
        resting = [pair for pair in resting if pair.peer != peer]
        if not resting:
            return True
        min(resting, key=lambda pair: (pair.serving > 0, pair.rested_at)).retire(IDLE)
        return False

    async def _goodbye(self) -> None:
        self._all_over = trio.Event()
        for pair in list(self._pairs.values()):
            pair.stop()
        if self._pairs:
            await self._all_over.wait()

    def _checked(self, protocol: str, body: object) -> bytes:
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InputError(f"a body is bytes, not {type(body).__name__}")
        if len(body) > self.settings.max_message:
            raise InputError(f"the body has {len(body)} bytes, and a link carries at most {self.settings.max_message}")
        if not isinstance(protocol, str) or not is_protocol(protocol) or protocol == LINK:
            raise InputError(f"{protocol!r} cannot name a protocol")
        return bytes(body)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _failed(self, protocol: str, error: BaseException, trace: str) -> None:
        # The last line of the trace and not str(error), which may itself raise.
        said = trace.strip().rpartition("\n")[2] or type(error).__name__
        self._events.publish(HandlerFailed(self._runtime.now(), protocol, said, trace))


def _check_id(peer: object) -> None:
    if not isinstance(peer, bytes) or not nodeid.is_valid(peer):
        raise InputError("what was given is no node ID: 32 bytes that can be a public key")


async def _shielded(over: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """A nursery that outlives the cancellation of everything around it, until `over`: for the goodbyes."""
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await over.wait()
            nursery.cancel_scope.cancel()
