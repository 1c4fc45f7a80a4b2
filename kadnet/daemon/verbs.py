"""The verbs of a node in shapes: requests in, answers out, as the control API has them.

Here the forms of `put` that only people type are settled (a blob's address, computed or checked). No HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kadnet import shapes
from kadnet.daemon.messages import ChatFace, MessageVerbs
from kadnet.errors import InputError
from kadnet.identity import nodeid
from kadnet.identity.address import Address, Endpoint
from kadnet.kademlia.buckets import BucketView, EntryView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import prefix_length
from kadnet.kademlia.outcome import LookupOutcome, QueryTrace
from kadnet.links import Linked
from kadnet.overlay import GetOutcome, PingOutcome, PutOutcome, ValueEntry
from kadnet.wire.keys import Key

_BLOB = "blob:"


class NodeFace(ChatFace, Protocol):
    """What the daemon needs of a node; `kadnet.node.Node` has it."""

    async def put(
        self, key: str | Key, value: bytes, *, ttl: int | None = None, if_seq: int | None = None
    ) -> PutOutcome: ...
    async def put_blob(self, data: bytes, *, ttl: int | None = None) -> PutOutcome: ...
    async def fetch(self, key: str | Key) -> GetOutcome: ...
    async def ping(self, who: str | Address | bytes) -> PingOutcome: ...
    async def lookup(self, target: str | bytes, *, paths: int = 1) -> LookupOutcome: ...
    def status(self) -> shapes.Status: ...
    def peers(self) -> list[EntryView]: ...
    def table(self) -> list[BucketView]: ...
    def linked(self) -> list[Linked]: ...
    def counters(self) -> dict[str, dict[str, int | dict[str, int]]]: ...


class Verbs:
    """The verbs of one node; those of its messages are in `chat`. `now` is the clock of its routing table, `wall` Unix
    seconds."""

    def __init__(self, node: NodeFace, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._node = node
        self._now = now
        self._wall = wall
        self.chat = MessageVerbs(node)

    async def status(self) -> shapes.Status:
        return self._node.status()

    async def peers(self) -> list[shapes.Peer]:
        found = self._peers(self._node.peers())
        known = {peer.id for peer in found}
        # Links reach further than the table: to nodes that do not serve, or for whom it has no place.
        return found + [peer for peer in self._linked() if peer.id not in known]

    async def table(self) -> list[shapes.Bucket]:
        return [
            shapes.Bucket(
                bucket.index,
                _family(bucket),
                tuple(self._peers(bucket.entries)),
                tuple(_place(contact) for contact in bucket.replacements),
            )
            for bucket in self._node.table()
            if bucket.entries or bucket.replacements
        ]

    async def ping(self, request: shapes.PingRequest) -> shapes.Pong:
        outcome = await self._node.ping(request.who)
        return shapes.Pong(nodeid.encode(outcome.id), _address(outcome.id, outcome.endpoint), _ms(outcome.rtt))

    async def lookup(self, request: shapes.LookupRequest) -> shapes.Walked:
        started = self._now()
        outcome = await self._node.lookup(request.target, paths=request.paths)
        return shapes.Walked(
            target=outcome.target.to_bytes(32, "big").hex(),
            closest=tuple(_place(contact) for contact in outcome.closest),
            reason=outcome.reason,
            hops=outcome.hops,
            queries=outcome.queries,
            answers=outcome.answers,
            ms=_ms(self._now() - started),
            trace=tuple(_query(query, outcome.target) for query in outcome.trace),
        )

    async def put(self, request: shapes.PutRequest) -> shapes.Stored:
        value = shapes.decode_value(request.value, request.encoding)
        if request.key.startswith(_BLOB):
            outcome = await self._put_blob(request, value)
        else:
            outcome = await self._node.put(request.key, value, ttl=request.ttl, if_seq=request.if_seq)
        return shapes.Stored(str(outcome.key), outcome.seq, outcome.replicas, outcome.wanted)

    async def _put_blob(self, request: shapes.PutRequest, value: bytes) -> PutOutcome:
        if request.if_seq is not None:
            raise InputError("a blob has no seq: what is stored under its hash never changes")
        address = str(Key.blob_of(value))
        if request.key not in (_BLOB, address):
            raise InputError(
                f"these bytes have another address: {address}", hint="write 'blob:' alone and it is computed"
            )
        return await self._node.put_blob(value, ttl=request.ttl)

    async def get(self, request: shapes.GetRequest) -> shapes.Found:
        before = self._datagrams()
        outcome = await self._node.fetch(request.key)
        stats = _stats(outcome, before, self._datagrams()) if request.stats else None
        return shapes.Found(str(outcome.key), tuple(_value(entry) for entry in outcome.entries), stats)

    def _datagrams(self) -> tuple[int, int]:
        rpc = self._node.counters()["rpc"]
        came, went = rpc["datagrams_in"], rpc["datagrams_out"]
        assert isinstance(came, int)
        assert isinstance(went, int)
        return came, went

    def _linked(self) -> list[shapes.Peer]:
        ago = self._wall() - self._now()
        return [
            shapes.Peer(
                id=nodeid.encode(linked.id),
                address=_address(linked.id, linked.endpoint),
                rtt_ms=None if linked.rtt is None else _ms(linked.rtt),
                added_at=round(linked.since + ago, 3),
                answered_at=round(linked.heard_at + ago, 3),
                checks=0,
                fast=False,
                links=linked.links,
            )
            for linked in self._node.linked()
        ]

    def _peers(self, entries: Sequence[EntryView]) -> list[shapes.Peer]:
        ago = self._wall() - self._now()  # what turns the table's clock into Unix seconds
        links = {linked.id: linked.links for linked in self._node.linked()}
        return [
            shapes.Peer(
                id=nodeid.encode(entry.contact.id),
                address=_address(entry.contact.id, entry.contact.endpoint),
                rtt_ms=None if entry.rtt is None else _ms(entry.rtt),
                added_at=round(entry.added_at + ago, 3),
                answered_at=round(entry.last_answer_at + ago, 3),
                checks=entry.checks,
                fast=entry.fast,
                links=links.get(entry.contact.id, 0),
            )
            for entry in entries
        ]


def _stats(outcome: GetOutcome, before: tuple[int, int], after: tuple[int, int]) -> shapes.GetStats:
    walk = outcome.walk
    asked = walk is not None and walk.answers > 0 and not outcome.held
    return shapes.GetStats(
        answered_by="network" if asked else "self",
        queries=0 if walk is None else walk.queries,
        hops=0 if walk is None else walk.hops,
        ms=_ms(outcome.seconds),
        datagrams_in=after[0] - before[0],
        datagrams_out=after[1] - before[1],
    )


def _value(entry: ValueEntry) -> shapes.Value:
    text, encoding = shapes.encode_value(entry.value)
    publisher = None if entry.publisher is None else nodeid.encode(entry.publisher)
    return shapes.Value(text, encoding, publisher, entry.seq, entry.expires)


def _query(query: QueryTrace, target: int) -> shapes.Query:
    return shapes.Query(
        hop=query.hop,
        id=nodeid.encode(query.contact.id),
        address=_address(query.contact.id, query.contact.endpoint),
        attempts=query.attempts,
        # An ID whose other address was not asked any more has no start.
        started_ms=_ms(query.started) if query.started == query.started else 0.0,
        rtt_ms=None if query.rtt is None else _ms(query.rtt),
        state=query.state,
        brought=query.brought,
        via=None if query.via is None else nodeid.encode(query.via),
        shared_bits=prefix_length(query.contact.position, target),
        path=query.path,
    )


def _family(bucket: BucketView) -> int:
    first: Contact = bucket.entries[0].contact if bucket.entries else bucket.replacements[0]
    return first.family


def _place(contact: Contact) -> shapes.Place:
    return shapes.Place(nodeid.encode(contact.id), _address(contact.id, contact.endpoint))


def _address(id: bytes, endpoint: Endpoint) -> str:
    return str(Address(id, endpoint.host, endpoint.port))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
