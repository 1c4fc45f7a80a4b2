"""A node that answers from what a test put into it, and its control socket served for real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from kadnet.daemon.app import AppSettings, make_app
from kadnet.daemon.control import ControlSettings, control_socket
from kadnet.daemon.verbs import Verbs
from kadnet.datadir import control_path
from kadnet.errors import KadnetError
from kadnet.identity.address import Address, Endpoint
from kadnet.identity.keys import Identity
from kadnet.kademlia.buckets import BucketView, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.outcome import LookupOutcome, QueryTrace
from kadnet.links import Linked
from kadnet.overlay import GetOutcome, PingOutcome, PutOutcome, ValueEntry
from kadnet.shapes import BootstrapState, Status
from kadnet.wire.keys import Key, parse_key
from tests.unit.daemon.fake_chat import FakeChat

ME = Identity.from_seed(bytes(32))
PEER = Identity.from_seed(bytes([1]) * 32)
AT = Endpoint("192.0.2.7", 7420)
CONTACT = Contact(PEER.public, AT)
NOW = 1_000.0
WALL = 1_700_000_000.0
ENTRY = EntryView(CONTACT, added_at=NOW - 200, last_answer_at=NOW - 5, rtt=0.0123, checks=3, fast=False)
WALK = LookupOutcome(
    target=5,
    closest=(CONTACT,),
    queries=2,
    answers=1,
    hops=1,
    reason="the closest have all answered",
    trace=(
        QueryTrace(CONTACT, 1, 1, 0.0, 0.0123, "answered", 4, None),
        QueryTrace(Contact(ME.public, Endpoint("192.0.2.8", 1)), 2, 2, 0.01, None, "failed", 0, CONTACT.id),
    ),
)


class FakeNode(FakeChat):
    """Keeps one value a key. `raises` is raised by the next verb; `hangs` makes every verb wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[ValueEntry]] = {}
        self.replicas = 4
        self.raises: KadnetError | None = None
        self.breaks = False
        self.hangs = False
        self.called = trio.Event()
        self.puts: list[tuple[int | None, int | None]] = []
        self.paths: list[int] = []
        self.sent = 0
        self.network_size: int | None = None
        self.notes: tuple[str, ...] = ()
        self.links: list[Linked] = []

    async def _begin(self) -> None:
        self.called.set()
        if self.hangs:
            await trio.sleep_forever()
        if self.breaks:
            raise RuntimeError("a fault of our own")
        if self.raises is not None:
            raise self.raises

    async def put(
        self, key: str | Key, value: bytes, *, ttl: int | None = None, if_seq: int | None = None
    ) -> PutOutcome:
        await self._begin()
        self.puts.append((ttl, if_seq))
        parsed = parse_key(key, ME.public, {}) if isinstance(key, str) else key
        self.values[str(parsed)] = [ValueEntry(value, ME.public, 7, 1_700_086_400)]
        return PutOutcome(parsed, 7, self.replicas, 16)

    async def put_blob(self, data: bytes, *, ttl: int | None = None) -> PutOutcome:
        await self._begin()
        key = Key.blob_of(data)
        self.values[str(key)] = [ValueEntry(data, None, None, None)]
        return PutOutcome(key, 0, self.replicas, 16)

    async def fetch(self, key: str | Key) -> GetOutcome:
        await self._begin()
        self.sent += 3
        parsed = parse_key(key, ME.public, {}) if isinstance(key, str) else key
        walk = None if parsed.name == "here" else WALK
        return GetOutcome(parsed, tuple(self.values.get(str(parsed), ())), walk, 0.25)

    async def ping(self, who: str | Address | bytes) -> PingOutcome:
        await self._begin()
        return PingOutcome(PEER.public, AT, 0.0123)

    async def lookup(self, target: str | bytes, *, paths: int = 1) -> LookupOutcome:
        await self._begin()
        self.paths.append(paths)
        if paths == 1:
            return WALK
        return replace(WALK, trace=tuple(replace(query, path=number) for number, query in enumerate(WALK.trace, 1)))

    def status(self) -> Status:
        if self.raises is not None:
            raise self.raises
        return Status(
            id="me",
            address="kadnet://me@192.0.2.1:7420",
            version="0.1.0",
            uptime=192.4,
            peers=1,
            links=0,
            records=12,
            published=3,
            serves=True,
            joined=True,
            replicas=16,
            network="public",
            bootstrap=(
                BootstrapState("seed.example:7420", False, "does not answer", 3),
                BootstrapState("192.0.2.9:7420", True, None, 1),
            ),
            notes=self.notes,
            counters=self.counters(),
            messages=len(self.came),
            queued=len(self.waiting),
            network_size=self.network_size,
        )

    def peers(self) -> list[EntryView]:
        return [ENTRY]

    def linked(self) -> list[Linked]:
        return self.links

    def table(self) -> list[BucketView]:
        return [BucketView(0, (), ()), BucketView(3, (ENTRY,), (Contact(ME.public, Endpoint("192.0.2.8", 1)),))]

    def counters(self) -> dict[str, dict[str, int | dict[str, int]]]:
        return {
            "rpc": {"datagrams_in": 10, "datagrams_out": 20 + self.sent, "dropped": {"bad-seal": 2, "not-ours": 9}},
            "store": {"refused": {"full": 1}},
        }


def quiet() -> FilteringBoundLogger:
    """A log that a test can read nothing from."""
    logger: FilteringBoundLogger = structlog.wrap_logger(structlog.testing.CapturingLogger())
    return logger


@asynccontextmanager
async def served(
    data_dir: Path, node: FakeNode | None = None, app: AppSettings | None = None, control: ControlSettings | None = None
) -> AsyncIterator[FakeNode]:
    """`node` behind the control socket of `data_dir`; at the end it is told to stop, as a real one is."""
    node = node or FakeNode()
    verbs = Verbs(node, now=lambda: NOW, wall=lambda: WALL)
    stopping = trio.Event()
    async with control_socket(make_app(verbs, app, stopping), control_path(data_dir), quiet(), control):
        try:
            yield node
        finally:
            stopping.set()
