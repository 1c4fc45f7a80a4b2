"""The node: a host with the standard apps, and the verbs that people use. This is what `import kadnet` gives.

It translates what a person says (texts for keys and peers) into what the rooms do, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import structlog

from kadnet import vitals
from kadnet.apps.chat import BookEntry, Chat, Message, Outgoing, Receipt
from kadnet.complaints import Complaints
from kadnet.datadir import DataDir
from kadnet.errors import InputError, PeerUnreachable
from kadnet.events import Event
from kadnet.host import App, Host, open_host
from kadnet.identity import nodeid
from kadnet.identity.address import Address, parse_address, text
from kadnet.identity.who import Who, parse_who
from kadnet.kademlia.buckets import BucketView, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position_bytes
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.links import Linked, LinkSettings, OnNotice, OnRequest
from kadnet.overlay import GetOutcome, OverlaySettings, PingOutcome, PutOutcome, Tuning, ValueEntry
from kadnet.runtime import Runtime, real_runtime
from kadnet.shapes import Status
from kadnet.vitals import Counters
from kadnet.wire.keys import Key, parse_key


class Node:
    """A running node. Made by `open_node`."""

    def __init__(self, host: Host, chat: Chat) -> None:
        self.host = host
        self.chat = chat
        self.id = host.identity.public
        self.identity_text = nodeid.encode(self.id)
        self.started_at = host.runtime.wall()
        self._opened = host.runtime.now()

    @property
    def address(self) -> Address:
        """Where others can dial this node; its text is `kadnet://<id>@host:port`."""
        return self.host.address

    @property
    def data_dir(self) -> DataDir | None:
        return self.host.data_dir

    def events(self, *kinds: type[Event], size: int = 256) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """What happens in this node: `async with node.events() as stream`; see `Host.events`."""
        return self.host.events(*kinds, size=size)

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

    async def find(self, who: str | Address | bytes, *, paths: int = 1) -> Contact | None:
        """Where a node can be reached, or None when nobody knows. `paths`: as in `lookup`, where a walk is needed."""
        return await self._contact(who, paths)

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

    async def lookup(self, target: str | bytes, *, paths: int = 1) -> LookupOutcome:
        """Walk towards a node (WHO) or a key (what is typed after `get`); 32 bytes are taken as they are.

        `paths` (1 to 8): so many walks that share no peer, so that liars on some of them cannot hide who is there; each
        costs as much as a single one.
        """
        if isinstance(target, str):
            target = await self._target(target)
        if not isinstance(target, bytes) or len(target) != 32:
            raise InputError(f"a target is a text or 32 bytes, not {_described(target)}")
        return await self.host.overlay.lookup(target, paths=paths)

    async def send(self, who: str | Address | bytes, message: str) -> Receipt:
        """Send a text (at most 16 KiB) to a node: an ID, an address, or a contact's name.

        It is in our outbox on disk first. Returns after the first attempt with the state reached: "delivered" when the
        receiver has it on its disk and has signed for it, else "queued", and it is tried again until it arrives, once.
        Cancelling takes nothing back. Raises InputError, StorageFailed.
        """
        to, address = await self._recipient(who)
        return await self.chat.send(to, message, address=address)

    async def post(self, who: str | Address | bytes, message: str) -> Receipt:
        """`send` without waiting for an attempt: returns once the message is in our outbox on disk."""
        to, address = await self._recipient(who)
        return await self.chat.post(to, message, address=address)

    async def delivered(self, id: bytes) -> Receipt:
        """Wait until a message of ours is delivered. Raises NotFound for an ID that was never sent."""
        return await self.chat.delivered(id)

    def receipt(self, id: bytes) -> Receipt:
        """How a message of ours stands. Raises NotFound."""
        return self.chat.receipt(id)

    def messages(self, *, after: int = 0) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """The messages this node has received, oldest first, then each as it comes; a slow reader loses nothing.

        `async with node.messages() as inbox: async for message in inbox`. `after`: the number of the last one that is
        not wanted again.
        """
        return self.chat.messages(after=after)

    def inbox(self, *, after: int = 0, limit: int = 1000) -> list[Message]:
        """The first `limit` messages numbered above `after`."""
        return self.chat.inbox(after=after, limit=limit)

    def outbox(self, *, after: int = 0, limit: int = 1000) -> list[Outgoing]:
        """The first `limit` messages of ours numbered above `after` that are not delivered yet."""
        return self.chat.outbox(after=after, limit=limit)

    def contacts(self) -> list[BookEntry]:
        """The address book by name."""
        return self.chat.book.entries()

    def name_of(self, id: bytes) -> str | None:
        """The name of a node in the address book."""
        return self.chat.book.name_of(id)

    async def add_contact(self, name: str, who: str | Address | bytes) -> BookEntry:
        """Give a node a name, which stands for it wherever WHO does. Raises InputError, PeerUnreachable."""
        id, address = await self._recipient(who)
        return await self.chat.book.add(name, id, address)

    async def remove_contact(self, name: str) -> BookEntry:
        """Forget a name. What its node has sent stays."""
        return await self.chat.book.remove(name)

    async def resolve(self, who: str | Address | bytes) -> bytes:
        """The node ID that WHO means. A bare host:port is asked; PeerUnreachable when nobody answers there."""
        return (await self._recipient(who))[0]

    def handle(
        self,
        protocol: str,
        on_request: OnRequest | None = None,
        on_notice: OnNotice | None = None,
        *,
        concurrent: int = 16,
        max_body: int = 65_536,
    ) -> None:
        """Offer a protocol of your own to all nodes; see `Links.handle`."""
        self.host.handle(protocol, on_request, on_notice, concurrent=concurrent, max_body=max_body)

    async def request(self, who: str | Address | bytes, protocol: str, body: bytes) -> bytes:
        """Ask a node in a protocol it offers, and wait for its answer; see `Links.request`."""
        return await self.host.request(await self._addressed(who), protocol, body)

    async def notify(self, who: str | Address | bytes, protocol: str, body: bytes) -> None:
        """Tell a node something that arrives at most once; see `Links.notify`."""
        await self.host.notify(await self._addressed(who), protocol, body)

    def linked(self) -> list[Linked]:
        """The peers with whom an encrypted link stands."""
        return self.host.links.linked()

    def key(self, key: str | Key) -> Key:
        """A Key from what a person typed."""
        if isinstance(key, str):
            return parse_key(key, self.id, self.chat.book.ids)
        if not isinstance(key, Key):
            raise InputError(f"a key is a text or a kadnet.Key, not {_described(key)}")
        return key

    def peers(self) -> list[EntryView]:
        """The live contacts."""
        return [entry for bucket in self.table() for entry in bucket.entries]

    def table(self) -> list[BucketView]:
        """The routing table, bucket by bucket."""
        return self.host.overlay.buckets()

    def counters(self) -> Counters:
        """The counters of every room and app by name."""
        return vitals.counters(self.host)

    def status(self) -> Status:
        """How this node fares."""
        return vitals.status(self.host, self.chat, uptime=self.host.runtime.now() - self._opened)

    async def _target(self, typed: str) -> bytes:
        """WHO first, then a key: a contact's name, an ID or an address means a node."""
        named = self.chat.book.ids.get(typed)
        if named is not None:
            return position_bytes(named)
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

    async def _contact(self, who: str | Address | bytes, paths: int = 1) -> Contact | None:
        found = self._who(who)
        overlay = self.host.overlay
        if found.id is not None and found.address is None:
            return await overlay.find(found.id, paths=paths)
        assert found.address is not None
        for endpoint in await self.host.runtime.network.resolve(found.address.host, found.address.port):
            id = found.id if found.id is not None else await overlay.ask_id(endpoint)
            if id is not None:
                return Contact(id, endpoint)
        return None

    async def _named(self, who: str | Address | bytes) -> Who:
        """WHO with an ID: a bare address is asked."""
        found = self._who(who)
        if found.id is None:
            contact = await self._contact(who)
            if contact is None:
                raise PeerUnreachable(f"nobody answers at {_shown(who)}")
            if contact.id == self.id:
                raise InputError("that is this node itself", hint="name another node")
            assert found.address is not None
            found = Who(contact.id, Address(contact.id, found.address.host, found.address.port))
        return found

    async def _recipient(self, who: str | Address | bytes) -> tuple[bytes, Address | None]:
        found = await self._named(who)
        assert found.id is not None
        return found.id, found.address

    async def _addressed(self, who: str | Address | bytes) -> bytes | Address:
        id, address = await self._recipient(who)
        return id if address is None else address

    def _who(self, who: str | Address | bytes) -> Who:
        if isinstance(who, str):
            found = parse_who(who, self.chat.book.named)
        elif isinstance(who, Address):
            found = Who(who.id, who)
        elif isinstance(who, bytes):
            if not nodeid.is_valid(who):
                raise InputError(f"{_described(who)} are no node ID")
            found = Who(who, None)
        else:
            raise InputError(f"a node is named by a text, an Address or its ID, not {_described(who)}")
        if found.id == self.id:
            raise InputError("that is this node itself", hint="name another node")
        return found


_ENDPOINT = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}")


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
    links: LinkSettings | None = None,
    apps: Sequence[App] = (),
    runtime: Runtime | None = None,
    log: structlog.typing.FilteringBoundLogger | None = None,
) -> AsyncIterator[Node]:
    """Run a node for the length of the block.

    `data_dir` is created when it is not there, and with it an identity; None keeps everything in memory. `bootstrap`:
    addresses to join through, each `host:port` or `kadnet://<id>@host:port`. `listen`: HOST:PORT with an IP address,
    port 0 for any free one; by default port 7420 on all addresses, or a free port when that is taken. `apps`: run on
    this node beside the standard ones, as `kadnet.host.App` has it.
    Raises DataDirInUse, IdentityDamaged, PortInUse, InputError, … : see `kadnet.errors`.
    """
    if isinstance(bootstrap, (str, Address)):
        bootstrap = [bootstrap]
    if listen is not None and not isinstance(listen, str):
        raise InputError(f"listen is a text HOST:PORT, not {_described(listen)}")
    # A runtime is brought by who drives the node otherwise, as the lab and the daemon do.
    standard: list[App] = [Complaints()] if runtime is None and log is None else []
    runtime = runtime if runtime is not None else real_runtime()
    chat = Chat()
    async with open_host(
        runtime,
        data_dir=None if data_dir is None else Path(data_dir),
        bootstrap=bootstrap,
        listen=listen,
        overlay=overlay,
        tuning=tuning,
        links=links,
        apps=[chat, *standard, *apps],
    ) as host:
        if log is not None:
            for note in host.notes:
                log.warning(note)
        yield Node(host, chat)


__all__ = ["Event", "Node", "Status", "open_node"]
