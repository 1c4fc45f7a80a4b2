"""Put and get: records into the overlay and out of it again.

A put signs the next entry, keeps it on our own disk, walks to its key and stores it with the closest nodes; holders
that know a newer one say so, and then it is signed once more above theirs (`putting`). A get walks to the key and
returns what verifies. What both rest on (walks, storing, our own records) lives in the neighbouring files.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from kadnet.errors import Conflict, InputError, Malformed, NotConnected, StorageFailed
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.overlay.nearest import Nearest
from kadnet.overlay.published import Publication, Published, longest_lease
from kadnet.overlay.putting import PutMeans, Putting, Tails
from kadnet.overlay.store import RecordStore
from kadnet.overlay.storing import Spreading, StoreOutcome, Storing
from kadnet.overlay.walk import Fetched, Walk, newest
from kadnet.wire.keys import Key
from kadnet.wire.kinds import BLOB, KINDS
from kadnet.wire.messages import Status
from kadnet.wire.records import Parsed, Record, is_authentic, parse


@dataclass(frozen=True, slots=True)
class ValueEntry:
    """One value under a key. `publisher` and `seq` are None for a blob; `expires` is Unix seconds, None for a blob."""

    value: bytes
    publisher: bytes | None
    seq: int | None
    expires: int | None


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """What a put came to: `replicas` other nodes acknowledged it of `wanted`; `key` is where it lies."""

    key: Key
    seq: int
    replicas: int
    wanted: int


@dataclass(frozen=True, slots=True)
class GetOutcome:
    """The values under a key, ours first, and the walk that brought them (None: it was all here).

    `held`: this node itself had a record under the key before it asked.
    """

    key: Key
    entries: tuple[ValueEntry, ...]
    walk: LookupOutcome | None
    seconds: float
    held: bool = False


class Archive:
    """The records of the overlay, as one node reaches them."""

    def __init__(
        self,
        walk: Callable[..., Walk],
        nearest: Callable[[bytes], Nearest],
        storing: Storing,
        store: RecordStore,
        published: Published,
        *,
        own_id: bytes,
        network: bytes,
        replicas: int,
        get_quorum: float,
        serves: bool,
        is_far: Callable[[int, int], bool],
        now: Callable[[], float],
        wall: Callable[[], float],
        tails: Tails,
    ) -> None:
        """`tails` runs what is left of a put as a task of the node."""
        self._walk = walk
        self._nearest = nearest
        self._storing = storing
        self._store = store
        self._published = published
        self._own_id = own_id
        self._network = network
        self._replicas = replicas
        self._get_quorum = get_quorum
        self._serves = serves
        self._is_far = is_far
        self._now = now
        self._wall = wall
        self._puts = PutMeans(published, self._spread, self._note, tails, own_id)

    async def get(self, key: Key) -> GetOutcome:
        """Everything live under `key`. NotConnected when nobody could be asked and nothing is here."""
        started = self._now()
        try:
            own, unread = self._own_records(key), None
        except StorageFailed as error:  # others may hold it all the same
            own, unread = {}, error
        if key.kind == BLOB and own:
            return GetOutcome(key, _entries(own, self._own_id), None, self._now() - started, held=True)
        if key.kind == BLOB:
            nearest = self._nearest(key.hash)
            asked = await nearest.run()
            if asked is not None and nearest.fetched is not None:
                blob = _entries({b"": nearest.fetched}, self._own_id)
                return GetOutcome(key, blob, asked, self._now() - started)
        walk = self._walk(key.hash, value_kind=key.kind, k=self._replicas, quorum=self._get_quorum)
        outcome = await walk.run()
        found = newest((own, walk.records, walk.cached_only))
        if not found and unread is not None:
            raise unread
        if not found and not outcome.answers:
            raise NotConnected("nobody could be asked: this node has no live peer")
        return GetOutcome(key, _entries(found, self._own_id), outcome, self._now() - started, held=bool(own))

    async def put(
        self, key: Key, value: bytes | None, *, lease: int | None = None, if_seq: int | None = None
    ) -> PutOutcome:
        """Publish `value` (None: a tombstone) under a shared key or an owned one of ours.

        `lease` seconds, at most what the kind allows. Raises InputError, Conflict (`if_seq`), StorageFailed.
        """
        if key.kind == BLOB:
            raise InputError("a blob's address is made from its bytes: use put_blob")
        if key.publisher not in (None, self._own_id):
            raise InputError(f"{key} belongs to another node; only it can write there")
        rules = KINDS[key.kind]
        if value is not None and len(value) > rules.max_value:
            raise _too_large(len(value), rules.max_value)
        lease = _lease(lease, rules.max_tombstone if value is None else longest_lease(key.kind))
        if if_seq is not None:
            return await self._put_if(key, value, lease, if_seq)

        async def again(seq: int, after: int) -> Publication:
            return await self._published.put_entry(key, value, lease, seq, None, after)

        publication = await self._published.put_entry(key, value, lease, None, None)
        to_key = partial(self._walk, key.hash, value_kind=key.kind, k=self._replicas)
        putting = Putting(self._puts, publication, to_key, again)
        await putting.run()
        return PutOutcome(key, putting.publication.parsed.seq, putting.replicas, self._replicas)

    async def _put_if(self, key: Key, value: bytes | None, lease: int, if_seq: int) -> PutOutcome:
        """A put on a condition: whether it holds, only the whole walk and the answer of each holder can show."""
        walk = self._walk(key.hash, value_kind=key.kind, k=self._replicas)
        outcome = await walk.run()
        mine = newest((walk.records, walk.cached_only)).get(self._own_id)
        met = None if mine is None else mine.parsed.seq
        publication = await self._published.put_entry(key, value, lease, met, if_seq)
        stored = await self._store_with(outcome.closest, publication)
        if stored.claimed is not None:
            raise Conflict(f"{key} is at seq {stored.claimed}, not at seq {if_seq}", seq=stored.claimed)
        await self._note(publication, stored.acknowledged, bool(outcome.closest))
        return PutOutcome(key, publication.parsed.seq, stored.acknowledged, self._replicas)

    async def put_blob(self, data: bytes, *, lease: int | None = None) -> PutOutcome:
        """Store bytes under their own hash. Raises InputError when they are too many."""
        rules = KINDS[BLOB]
        if len(data) > rules.max_value:
            raise _too_large(len(data), rules.max_value)
        lease = _lease(lease, longest_lease(BLOB))
        key = Key.blob_of(data)
        publication = await self._published.put_blob(data, lease)
        putting = Putting(self._puts, publication, partial(self._walk, key.hash, k=self._replicas), None)
        await putting.run()
        return PutOutcome(key, 0, putting.replicas, self._replicas)

    async def renew(self, key: bytes) -> bool:
        """Sign our record under `key` again where it is an entry, and store it with whoever is closest now.

        Whether anybody took it; also when there was nothing to renew.
        """
        publication = await self._published.renew(key)
        return publication is None or await self._publish(publication) > 0

    async def replicate(self, key: bytes) -> None:
        """Offer what we hold under `key` to the closest nodes, as a holder: same bytes, what remains of its life."""
        outcome = await self._walk(key, k=self._replicas).run()
        for held in self._store.get(key):
            parsed = self._sound(held.record, key)
            if parsed is None:
                await self._store.drop_damaged(key, held.publisher)
            elif not held.cached and held.lapses - self._now() >= 1:
                await self._storing.store(outcome.closest, parsed, int(held.lapses - self._now()))
        await self._store.replicated(key)

    async def _store_with(self, closest: tuple[Contact, ...], publication: Publication) -> StoreOutcome:
        """Store one of our records with each of `closest`, and here when we are among them. Waits for all answers."""
        spreading = self._spread(publication)
        spreading.walked(closest)
        return await spreading.outcome()

    def _spread(self, publication: Publication) -> Spreading:
        """Begin to store one of our records, and keep it here when we are among the closest to it."""
        remaining = publication.remaining(self._wall())
        position = int.from_bytes(publication.parsed.key, "big")
        if self._serves and not self._is_far(position, self._replicas):
            # We are among the closest ourselves: whoever walks here will ask us.
            self._store.put(publication.parsed, remaining, b"", False, _ignore, by_publisher=True)
        return self._storing.begin(publication.parsed, remaining, self._replicas)

    async def _publish(self, publication: Publication) -> int:
        outcome = await self._walk(publication.parsed.key, k=self._replicas).run()
        stored = await self._store_with(outcome.closest, publication)
        if stored.newer is not None:
            await self._published.superseded(publication.parsed.key, publication.parsed.seq)
        else:
            await self._note(publication, stored.acknowledged, bool(outcome.closest))
        return stored.acknowledged

    async def _note(self, publication: Publication, replicas: int, met: bool) -> None:
        # At half its lease, when holders still have it. Where all who were met refused, soon; where nobody was met, at
        # the next look, which costs nothing while nobody is there and is the first thing done after joining.
        again = publication.lease / 2 if replicas else 60.0 if met else 0.0
        await self._published.stored(publication.parsed.key, publication.parsed.seq, replicas, again)

    def _sound(self, record: Record, key: bytes) -> Parsed | None:
        """A record from our own disk, proved like one from a peer: what the disk has changed is none."""
        with suppress(Malformed):
            parsed = parse(record)
            if parsed.key == key and is_authentic(parsed, self._network):
                return parsed
        return None

    def _own_records(self, key: Key) -> dict[bytes, Fetched]:
        """What is here: our own publication and what we hold for others."""
        now = self._now()
        held: dict[bytes, Fetched] = {}
        for one in self._store.get(key.hash):
            parsed = self._sound(one.record, key.hash)
            if parsed is not None:
                held[one.publisher] = Fetched(parsed, int(one.lapses - now))
        own: dict[bytes, Fetched] = {}
        publication = self._published.get(key.hash)
        if publication is not None and self._sound(publication.parsed.record, key.hash) is not None:
            own[publication.parsed.publisher] = Fetched(publication.parsed, publication.remaining(self._wall()))
        return newest((held, own))


def _ignore(_status: Status, _seq: int) -> None:
    """What becomes of our own copy of a publication decides nothing."""


def _entries(found: dict[bytes, Fetched], own_id: bytes) -> tuple[ValueEntry, ...]:
    """Live values, ours first, then by publisher. Tombstones are not values."""
    entries = []
    for publisher, fetched in sorted(found.items(), key=lambda item: (item[0] != own_id, item[0])):
        value = fetched.parsed.value
        if value is None:
            continue
        entry = fetched.parsed.entry
        if entry is None:
            entries.append(ValueEntry(value, None, None, None))
        else:
            entries.append(ValueEntry(value, publisher, entry.seq, entry.expires))
    return tuple(entries)


def _lease(asked: int | None, most: int) -> int:
    if asked is None:
        return most
    if not 1 <= asked <= most:
        raise InputError(f"a record of this kind lives 1 to {most} seconds, not {asked}")
    return asked


def _too_large(size: int, limit: int) -> InputError:
    hint = f"store at most {limit} bytes under a key"
    return InputError(f"the value has {size} bytes; at most {limit} fit", hint=hint)
