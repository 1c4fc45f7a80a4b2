"""The node: a host with the verbs that people use. This is what `import kadnet` gives.

It translates what a person says (texts for keys and peers) into what the overlay does, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from kadnet.datadir import DataDir
from kadnet.errors import InputError, PeerUnreachable
from kadnet.events import Event, Events
from kadnet.host import Host, open_host
from kadnet.identity import nodeid
from kadnet.identity.address import Address, parse_address, text
from kadnet.kademlia.buckets import BucketView, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position_bytes
from kadnet.kademlia.lookup import LookupOutcome
from kadnet.metrics import snapshot
from kadnet.overlay import GetOutcome, OverlaySettings, PingOutcome, PutOutcome, Tuning, ValueEntry
from kadnet.runtime import Runtime, real_runtime
from kadnet.shapes import BootstrapState, Status
from kadnet.version import VERSION
from kadnet.wire.keys import Key, parse_key


class Node:
    """A running node. Made by `open_node`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.id = host.identity.public
        self.identity_text = nodeid.encode(self.id)
        self.started_at = host.runtime.wall()
        self._opened = host.runtime.now()
        self._contacts: Mapping[str, bytes] = {}

    @property
    def address(self) -> Address:
        """Where others can dial this node; its text is `kadnet://<id>@host:port`."""
        return self.host.address

    @property
    def data_dir(self) -> DataDir | None:
        return self.host.data_dir

    @property
    def events(self) -> Events:
        """What happens in this node; see `kadnet.events`."""
        return self.host.events

    async def joined(self) -> None:
        """Wait until this node has live contacts and has filled its table.

        The first node of an overlay waits here for the second one: bound the wait with `trio.fail_after`.
        """
        await self.host.overlay.joined()

    async def put(
        self, key: str | Key, value: bytes, *, ttl: int | None = None, if_seq: int | None = None
    ) -> PutOutcome:
        """Publish `value` (at most 900 bytes) under a key, `ttl` seconds long (default: as long as the kind allows).

        `key` is a Key, or a text by the rules of the command line. The record is on our own disk when this returns,
        also when nobody acknowledged it. With `if_seq`, only if the entry is at that seq (0: there is none).
        Raises InputError, Conflict, StorageFailed.
        """
        return await self.host.overlay.put(self.key(key), _bytes(value), lease=_ttl(ttl), if_seq=_seq(if_seq))

    async def put_blob(self, data: bytes, *, ttl: int | None = None) -> PutOutcome:
        """Store bytes (at most 900) under their own hash; the outcome's `key` is their address."""
        return await self.host.overlay.put_blob(_bytes(data), lease=_ttl(ttl))

    async def get(self, key: str | Key) -> list[ValueEntry]:
        """The live values under a key, ours first. [] when there are none; NotConnected when nobody could be asked."""
        return list((await self.fetch(key)).entries)

    async def fetch(self, key: str | Key) -> GetOutcome:
        """`get` with the walk that brought the values."""
        return await self.host.overlay.get(self.key(key))

    async def find(self, who: str | Address | bytes) -> Contact | None:
        """Where a node can be reached, or None when nobody knows."""
        return await self._contact(who)

    async def ping(self, who: str | Address | bytes) -> PingOutcome:
        """Ask a node whether it lives. Raises PeerUnreachable."""
        contact = await self._contact(who)
        if contact is None:
            at_address = isinstance(who, Address) or (isinstance(who, str) and ":" in who)
            raise PeerUnreachable(f"nobody answers at {_shown(who)}" if at_address else f"{_shown(who)} was not found")
        outcome = await self.host.overlay.ping(contact)
        if outcome is None:
            raise PeerUnreachable(f"{_shown(who)} does not answer at {text(contact.endpoint)}")
        return outcome

    async def lookup(self, target: str | bytes) -> LookupOutcome:
        """Walk towards a node (WHO) or a key (what is typed after `get`); 32 bytes are taken as they are."""
        if isinstance(target, str):
            target = await self._target(target)
        if not isinstance(target, bytes) or len(target) != 32:
            raise InputError(f"a target is a text or 32 bytes, not {_described(target)}")
        return await self.host.overlay.lookup(target)

    def key(self, key: str | Key) -> Key:
        """A Key from what a person typed."""
        if isinstance(key, str):
            return parse_key(key, self.id, self._contacts)
        if not isinstance(key, Key):
            raise InputError(f"a key is a text or a kadnet.Key, not {_described(key)}")
        return key

    def peers(self) -> list[EntryView]:
        """The live contacts."""
        return [entry for bucket in self.table() for entry in bucket.entries]

    def table(self) -> list[BucketView]:
        """The routing table, bucket by bucket."""
        return self.host.overlay.buckets()

    def counters(self) -> dict[str, dict[str, int | dict[str, int]]]:
        """The counters of every room by name."""
        overlay = self.host.overlay
        return {
            "rpc": snapshot(overlay.rpc_counters),
            "store": snapshot(overlay.store_counters),
            "overlay": snapshot(overlay.counters),
            "neighbours": snapshot(overlay.neighbours.counters),
            "housekeeping": snapshot(overlay.housekeeping.counters),
        }

    def status(self) -> Status:
        """How this node fares."""
        overlay = self.host.overlay
        records, published = overlay.record_counts()
        settings = overlay.settings
        return Status(
            id=self.identity_text,
            address=str(self.address),
            version=VERSION,
            uptime=round(self.host.runtime.now() - self._opened, 3),
            peers=len(overlay.neighbours.living()),
            links=0,
            records=records,
            published=published,
            serves=settings.serves,
            joined=overlay.is_joined and not overlay.neighbours.is_alone(),
            replicas=settings.replicas,
            network="private" if settings.network_key else "public",
            bootstrap=tuple(
                BootstrapState(str(s.address), s.answered, s.problem, s.attempts) for s in overlay.bootstrap_states()
            ),
            notes=self.host.notes,
            counters=self.counters(),
        )

    async def _target(self, typed: str) -> bytes:
        """WHO first, then a key: an ID or an address means a node."""
        if typed.startswith("kadnet://"):
            address = parse_address(typed, need_id=True)
            assert address.id is not None
            return position_bytes(address.id)
        if _looks_like_an_id(typed):
            return position_bytes(nodeid.decode(typed))
        if _ENDPOINT.fullmatch(typed):
            contact = await self._contact(typed)
            if contact is None:
                raise PeerUnreachable(f"nobody answers at {typed}")
            return position_bytes(contact.id)
        return self.key(typed).hash

    async def _contact(self, who: str | Address | bytes) -> Contact | None:
        if isinstance(who, str):
            if _looks_like_an_id(who) or _SHORT_ID.fullmatch(who):
                who = nodeid.decode(who)
            elif ":" not in who and "." not in who:
                raise InputError(
                    f"{who!r} is neither a node ID nor an address",
                    hint="give a 56-character node ID, kadnet://<id>@host:port, or host:port",
                )
            else:
                who = parse_address(who)
        overlay = self.host.overlay
        if isinstance(who, bytes):
            if not nodeid.is_valid(who):
                raise InputError(f"{_described(who)} are no node ID")
            if who == self.id:
                raise InputError("that is this node itself")
            return await overlay.find(who)
        for endpoint in await self.host.runtime.network.resolve(who.host, who.port):
            id = who.id if who.id is not None else await overlay.ask_id(endpoint)
            if id is not None:
                return Contact(id, endpoint)
        return None


_ENDPOINT = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}")
_SHORT_ID = re.compile(r"[a-z2-7]{8}")


def _bytes(value: object) -> bytes:
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, bytes):
        raise InputError(f"a value is bytes, not {_described(value)}", hint="encode a text first: text.encode()")
    return value


def _ttl(ttl: object) -> int | None:
    if ttl is not None and type(ttl) is not int:
        raise InputError(f"ttl is whole seconds, not {ttl!r}")
    return ttl


def _seq(if_seq: object) -> int | None:
    if if_seq is not None and (type(if_seq) is not int or if_seq < 0):
        raise InputError(f"if_seq is a whole number from 0, not {if_seq!r}")
    return if_seq


def _described(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else f"{type(value).__name__} {value!r:.40}"


def _looks_like_an_id(text: str) -> bool:
    return len(text) >= 40 and text.isalnum()


def _shown(who: str | Address | bytes) -> str:
    return nodeid.encode(who) if isinstance(who, bytes) else str(who)


@asynccontextmanager
async def open_node(
    data_dir: str | Path | None = None,
    *,
    bootstrap: str | Address | Sequence[str | Address] = (),
    listen: str | None = None,
    overlay: OverlaySettings | None = None,
    tuning: Tuning | None = None,
    runtime: Runtime | None = None,
    log: structlog.typing.FilteringBoundLogger | None = None,
) -> AsyncIterator[Node]:
    """Run a node for the length of the block.

    `data_dir` is created when it is not there, and with it an identity; None keeps everything in memory. `bootstrap`:
    addresses to join through, each `host:port` or `kadnet://<id>@host:port`. `listen`: HOST:PORT with an IP address,
    port 0 for any free one; by default port 7420 on all addresses, or a free port when that is taken.
    Raises DataDirInUse, IdentityDamaged, PortInUse, InputError, … : see `kadnet.errors`.
    """
    if isinstance(bootstrap, (str, Address)):
        bootstrap = [bootstrap]
    if listen is not None and not isinstance(listen, str):
        raise InputError(f"listen is a text HOST:PORT, not {_described(listen)}")
    runtime = runtime if runtime is not None else real_runtime()
    async with open_host(
        runtime,
        data_dir=None if data_dir is None else Path(data_dir),
        bootstrap=bootstrap,
        listen=listen,
        overlay=overlay,
        tuning=tuning,
    ) as host:
        if log is not None:
            for note in host.notes:
                log.warning(note)
        yield Node(host)


__all__ = ["Event", "Node", "Status", "open_node"]
