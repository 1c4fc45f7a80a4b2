"""The gate: connections that come in, until they have proved who they are.

A connection has a few seconds for its handshake and its first sealed frame, one of few places meanwhile, and 1 KiB a
frame. The first handshake message can be a recording, so nobody counts as here before a sealed frame of theirs has
opened. Whoever gets something wrong is closed without a word and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from kadnet.errors import Malformed
from kadnet.events import Events, LinkRefused
from kadnet.identity.address import Endpoint, Scope, prefix, scope, text
from kadnet.identity.keys import Identity
from kadnet.kademlia.limits import PrefixBudgets
from kadnet.links.dial import Proven, next_frame
from kadnet.links.means import LinkCounters
from kadnet.links.pending import Pending, PendingSettings
from kadnet.runtime import Runtime
from kadnet.transport import Listener
from kadnet.wire.envelopes import FULL, Close, encode_control
from kadnet.wire.frames import HANDSHAKE, MAX_PAYLOAD, MORE, FrameReader, encode_frame
from kadnet.wire.handshake import PEER, Answerer


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the gate does with a connection: `admit(proven, first part)` takes it in; `full(peer)` says there is no
    room for a link with this peer."""

    admit: Callable[[Proven, tuple[bytes, bool]], object]
    full: Callable[[bytes], bool]


class Gate:
    """Answers those who call."""

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        runtime: Runtime,
        events: Events,
        welcome: Welcome,
        *,
        instance: bytes,
        counters: LinkCounters,
        settings: PendingSettings,
    ) -> None:
        self._identity = identity
        self._network = network
        self._runtime = runtime
        self._events = events
        self._welcome = welcome
        self._instance = instance
        self._counters = counters
        self._settings = settings
        self._pending = Pending(settings)
        self._budgets = PrefixBudgets(
            settings.rate, settings.burst, settings.node_rate, settings.node_burst, settings.prefixes
        )
        self._scopes: dict[int, trio.CancelScope] = {}
        self._displaced: set[int] = set()  # until their tasks have noticed
        self._last_number = 0

    def __len__(self) -> int:
        """How many have not proved themselves yet."""
        return len(self._pending)

    async def accept_all(self, listener: Listener) -> None:
        """Answer whoever comes, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                stream, remote = await listener.accept()
                self._counters.accepted += 1
                self._last_number += 1
                scope_ = self._admit(self._last_number, remote)
                nursery.start_soon(self._answer, self._last_number, stream, remote, scope_)

    def _admit(self, number: int, remote: Endpoint) -> trio.CancelScope:
        evicted = self._pending.admit(number, prefix(remote.host), exempt=scope(remote.host) == Scope.LOOPBACK)
        if evicted is not None:
            self._counters.displaced += 1
            self._displaced.add(evicted)
            self._scopes[evicted].cancel()
        self._scopes[number] = trio.CancelScope(relative_deadline=self._settings.within)
        return self._scopes[number]

    async def _answer(self, number: int, stream: trio.abc.Stream, remote: Endpoint, patience: trio.CancelScope) -> None:
        reason = "unproven-in-time"
        proven: Proven | None = None
        try:
            with patience:
                proven, first = await self._prove(stream, remote)
        except Malformed as error:
            reason = error.reason
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            reason = "gone"
        finally:
            if number in self._displaced:
                self._displaced.remove(number)
                reason = "displaced"
            self._pending.leave(number)
            del self._scopes[number]
            if proven is None:
                await trio.aclose_forcefully(stream)
        if proven is None:
            self._refuse(remote, reason)
        elif self._welcome.full(proven.peer):
            await self._send_away(proven)
            self._refuse(remote, "full")
        else:
            self._welcome.admit(proven, first)

    async def _prove(self, stream: trio.abc.Stream, remote: Endpoint) -> tuple[Proven, tuple[bytes, bool]]:
        reader = FrameReader()
        frame = await next_frame(stream, reader)
        if frame.command != HANDSHAKE:
            raise Malformed("frame-command")
        if scope(remote.host) == Scope.PUBLIC and not self._budgets.allow(prefix(remote.host), self._runtime.now()):
            raise Malformed("budget")
        answerer = Answerer(self._identity, self._network, instance=self._instance, ephemeral=self._runtime.entropy(32))
        hello = answerer.read(frame.payload)
        if hello.id == self._identity.public:
            raise Malformed("ourselves")
        if hello.purpose != PEER:
            raise Malformed("purpose")
        answer, channel = answerer.reply()
        await stream.send_all(encode_frame(HANDSHAKE, 0, answer))
        frame = await next_frame(stream, reader)
        part = channel.open(frame)
        reader.limit = MAX_PAYLOAD
        proven = Proven(hello.id, hello.instance, stream, reader, channel, remote)
        return proven, (part, bool(frame.flags & MORE))

    async def _send_away(self, proven: Proven) -> None:
        """Say that there is no room: who only saw the connection end would take it for a loss, and call again."""
        with trio.move_on_after(self._settings.send_away):
            try:
                await proven.stream.send_all(proven.channel.seal(encode_control(Close(FULL))))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        await trio.aclose_forcefully(proven.stream)

    def _refuse(self, remote: Endpoint, reason: str) -> None:
        self._counters.refused.add(reason)
        if self._events.wants(LinkRefused):
            self._events.publish(LinkRefused(self._runtime.now(), text(remote), reason))
