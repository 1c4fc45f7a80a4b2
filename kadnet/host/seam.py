"""The seam for apps, ours and yours alike: an app is an object with a name and a `run(host)`, and reaches the rooms
through the methods of `Host` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import trio

from kadnet import config
from kadnet.datadir import DataDir
from kadnet.errors import InputError
from kadnet.events import Event, Events
from kadnet.host.following import follow
from kadnet.identity import nodeid
from kadnet.identity.address import Address
from kadnet.identity.keys import Identity, verify
from kadnet.kademlia.contact import Contact
from kadnet.links import Links, OnNotice, OnRequest
from kadnet.metrics import Reasons
from kadnet.overlay import GetOutcome, Overlay, PutOutcome
from kadnet.runtime import Runtime
from kadnet.storage import Database
from kadnet.wire import labels, sealing
from kadnet.wire.keys import Key

T = TypeVar("T")
_ROOMS = frozenset({"rpc", "store", "overlay", "neighbours", "housekeeping", "links", "services"})


class App(Protocol):
    """What runs on a host. `name`: of its section in config.toml, its database and its counters."""

    @property
    def name(self) -> str: ...

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; `task_status.started()` when it serves. A KadnetError before that ends the start."""
        ...


@dataclass(frozen=True, slots=True)
class Foundation:
    """What a host stands on, made by `open_host`: the parts, and how to open one database more."""

    runtime: Runtime
    identity: Identity
    network_key: bytes
    overlay: Overlay
    links: Links
    events: Events
    address: Address
    data_dir: DataDir | None
    tables: Mapping[str, Any]
    open_database: Callable[[str, Sequence[str], bool], Database]


class Host:
    """What stands when a node runs, and what an app has of it. Made by `open_host`."""

    def __init__(self, foundation: Foundation, notes: Sequence[str]) -> None:
        self.runtime = foundation.runtime
        self.identity = foundation.identity
        self.id = foundation.identity.public
        self.overlay = foundation.overlay
        self.links = foundation.links
        self.address = foundation.address
        self.data_dir = foundation.data_dir
        self.notes = notes
        self.app_counters: dict[str, Reasons] = {}
        self._foundation = foundation

    # --- messages

    def handle(
        self,
        protocol: str,
        on_request: OnRequest | None = None,
        on_notice: OnNotice | None = None,
        *,
        concurrent: int = 16,
        max_body: int = 65_536,
    ) -> None:
        """Offer a protocol to all nodes; see `Links.handle`."""
        self.links.handle(protocol, on_request, on_notice, concurrent=concurrent, max_body=max_body)

    async def request(self, who: bytes | Address, protocol: str, body: bytes) -> bytes:
        """Ask a node, by ID or by an address with one (which is tried first), and wait; see `Links.request`."""
        return await self.links.request(self._peer(who), protocol, body)

    async def notify(self, who: bytes | Address, protocol: str, body: bytes) -> None:
        """Tell a node something that arrives at most once; see `Links.notify`."""
        await self.links.notify(self._peer(who), protocol, body)

    # --- records and nodes

    async def put(
        self, key: Key, value: bytes | None, *, lease: int | None = None, if_seq: int | None = None
    ) -> PutOutcome:
        """See `Archive.put`."""
        return await self.overlay.put(key, value, lease=lease, if_seq=if_seq)

    async def get(self, key: Key) -> GetOutcome:
        """See `Archive.get`."""
        return await self.overlay.get(key)

    async def find(self, node_id: bytes, *, paths: int = 1) -> Contact | None:
        """Where a node can be reached, or None. `paths`: as in `Node.lookup`."""
        return await self.overlay.find(node_id, paths=paths)

    def watch_for(self, node_id: bytes) -> None:
        """Say `PeerBack` (`kadnet.events`) once, when this node next answers one of ours over UDP.

        For who could not reach it and would try again sooner than planned. At most 1,024 are waited for.
        """
        self.overlay.neighbours.watch_for(node_id)

    # --- what happens

    def events(self, *kinds: type[Event], size: int = 256) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """What happens from now on: `async with host.events() as stream: async for event in stream`.

        `kinds`: of event (`kadnet.events`) that are wanted; all without them. A reader more than `size` events behind
        loses the oldest. RuntimeError past 64 readers.
        """
        return follow(self._foundation.events, *kinds, size=size)

    # --- keys

    def sign(self, purpose: str, data: bytes) -> bytes:
        """This node's signature (64 bytes) over `data` for one purpose on this network; it is good for no other.

        `purpose` is a protocol's name, or that of a standard statement (`kadnet.wire.labels`). InputError otherwise.
        """
        return self.identity.sign(labels.statement(purpose, self._foundation.network_key, data))

    def verify(self, signer: bytes, purpose: str, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is what `signer` signed by `sign` with the same purpose and data on this network."""
        return verify(signer, labels.statement(purpose, self._foundation.network_key, data), signature)

    def seal(self, to: bytes, purpose: str, data: bytes) -> bytes:
        """`data` so that only the node `to` can read it, with 48 bytes more; it does not say who sealed it.

        InputError when no node can have that ID.
        """
        if not nodeid.is_valid(to):
            raise InputError("what was given to seal for is no node ID")
        secret = self.runtime.entropy(32)
        return sealing.seal(to, labels.label(purpose), self._foundation.network_key, data, one_time_secret=secret)

    def unseal(self, purpose: str, sealed: bytes) -> bytes:
        """What was sealed for this node, purpose and network; Malformed for anything else."""
        return sealing.unseal(self.identity, labels.label(purpose), self._foundation.network_key, sealed)

    # --- what an app keeps

    def database(self, name: str, migrations: Sequence[str], *, precious: bool = False) -> Database:
        """The app's SQLite database, open and with its writer running: the file `<name>.db` of the data directory, or
        one in memory. `precious`: what cannot be had again, so each write waits for the disk, and a damaged file is
        refused (DataDirError) instead of begun anew."""
        return self._foundation.open_database(name, migrations, precious)

    def settings(self, name: str, cls: type[T]) -> T:
        """Section [name] of config.toml as a frozen dataclass. InputError for what does not fit."""
        return config.section(self._foundation.tables, name, cls)

    def counters(self, name: str) -> Reasons:
        """Numbers by name, shown in `status` under `name`. InputError for a name that a room has."""
        if name in _ROOMS:
            raise InputError(f"the counters of {name!r} are the node's own", hint="name them after your app")
        return self.app_counters.setdefault(name, Reasons())

    def _peer(self, who: bytes | Address) -> bytes:
        peer = who.id if isinstance(who, Address) else who
        if not isinstance(peer, bytes) or len(peer) != 32:
            raise InputError("a node is named by its ID (32 bytes) or by an address with one")
        if peer == self.id:
            raise InputError("that is this node itself", hint="name another node")
        if isinstance(who, Address):
            self.links.hint(peer, who)
        return peer
