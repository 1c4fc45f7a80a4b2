"""The overlay: the face of this room. It builds the parts, passes them each other's functions, and runs them.

What a part decides it decides in its own file; here stands only who tells whom. One nursery, opened by `run`, holds
every task; cancelling it closes every socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from kadnet.errors import NotConnected
from kadnet.events import BootstrapFailed, Events, Joined, LookupEnded, RecordStored
from kadnet.identity.address import Address, Endpoint, family
from kadnet.identity.keys import Identity
from kadnet.kademlia.buckets import BucketView
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import position
from kadnet.kademlia.network_size import NetworkSize
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.kademlia.rtt import NodeRtt
from kadnet.overlay.archive import Archive, GetOutcome, PutOutcome
from kadnet.overlay.bootstrap import Bootstrap, BootstrapState, PingOutcome, ping
from kadnet.overlay.calls import Asker, Hooks, RpcCounters
from kadnet.overlay.housekeeping import Housekeeping
from kadnet.overlay.joining import Joining
from kadnet.overlay.nearest import Nearest
from kadnet.overlay.neighbours import Neighbours
from kadnet.overlay.peercache import PeerCache
from kadnet.overlay.peers import ContactBook, PeerBook
from kadnet.overlay.published import Published
from kadnet.overlay.putting import Tails
from kadnet.overlay.responder import Responder, Surroundings
from kadnet.overlay.rpc import Rpc
from kadnet.overlay.seeking import Seeker
from kadnet.overlay.settings import OverlaySettings, Tuning
from kadnet.overlay.store import RecordStore, StoreCounters
from kadnet.overlay.storing import Storing
from kadnet.overlay.walk import Means, Walk
from kadnet.pump import Pump
from kadnet.runtime import Runtime
from kadnet.storage import Database
from kadnet.transport import Datagrams
from kadnet.wire import messages
from kadnet.wire.keys import Key
from kadnet.wire.records import Parsed


@dataclass(slots=True)
class OverlayCounters:
    """`lookups`: walks, those of upkeep among them."""

    lookups: int = 0


class Overlay:
    """One node's part in the overlay."""

    def __init__(
        self,
        identity: Identity,
        runtime: Runtime,
        pump: Pump,
        events: Events,
        *,
        records: Database,
        peers: Database,
        sockets: Sequence[Datagrams],
        bootstrap: Sequence[Address],
        settings: OverlaySettings,
        tuning: Tuning | None = None,
        own_scope: int,
    ) -> None:
        """`sockets`: bound ports, at most one per family. `own_scope`: how local our listen address is, which decides
        within which addresses subnet quotas are waived."""
        self.settings = settings
        self.tuning = tuning = tuning if tuning is not None else Tuning()
        self.counters = OverlayCounters()
        self._identity = identity
        self._runtime = runtime
        self._pump = pump
        self._events = events
        self._sockets = sockets
        self._own_scope = own_scope
        now = runtime.now
        network = settings.network()

        # No quota within the scope of our own listen address, unless that is public.
        self._waive_scope = own_scope if own_scope < 2 else -1
        self.neighbours = Neighbours(
            identity.public,
            runtime,
            pump,
            events,
            PeerCache(peers, tuning.peer_cache, runtime.wall),
            families=[family(socket.local) for socket in sockets],
            settings=replace(tuning.table, waive_scope=self._waive_scope),
            contact_cache=tuning.contact_cache,
            settle=tuning.peer_cache.settle,
            max_awaited=tuning.peers.max_awaited,
            ping=self._ping,
            question=self._question,
            within_budget=lambda source, at: self.rpc.within_budget(source, at),
            met=self._meet,
            lonely=self._lonely,
        )
        self._contacts = ContactBook(identity.public, tuning.peers.per_host)
        self.rpc = Rpc(
            identity,
            network,
            pump=pump,
            now=now,
            entropy=runtime.entropy,
            peers=PeerBook(identity, network, tuning.peers),
            rtt=NodeRtt(tuning.rto),
            hooks=Hooks(
                self._serve,
                self.neighbours.answered,
                self.neighbours.failed,
                self.neighbours.requested,
                self._claimed,
            ),
            serves=settings.serves,
            settings=tuning.rpc,
            tokens=tuning.tokens,
        )
        store_settings = replace(tuning.store, max_bytes=settings.store_mib * 2**20)
        self._store = RecordStore(records, store_settings, now=now, wall=runtime.wall, rng=runtime.rng)
        self._published = Published(
            records,
            identity,
            network,
            now=now,
            wall=runtime.wall,
            max_records=tuning.max_published,
            read_cache=tuning.store.read_cache,
        )
        self._responder = Responder(
            self._store,
            Surroundings(
                self.neighbours.closest, self.neighbours.is_far, self._waived, runtime.wall, self._record_stored
            ),
            network=network,
            serves=settings.serves,
            far_count=2 * tuning.table.k,
        )
        self._size = NetworkSize(tuning.network_size)
        self._tails = Tails(tuning.max_tails, tuning.puts_at_once)
        self._means = Means(
            rpc=self.rpc,
            pump=pump,
            now=now,
            wall=runtime.wall,
            contacts=self._contacts,
            starts=self.neighbours.starts,
            near=self.neighbours.near,
            heard_of=self.neighbours.named,
            walked=self._size.ended,
            settings=tuning.lookup,
            page_wait=tuning.page_wait,
            page_limit=tuning.page_limit,
            max_entries=tuning.max_entries,
            own_id=identity.public,
            network=network,
        )
        self._archive = Archive(
            partial(Walk, self._means),
            partial(Nearest, self._means),
            Storing(self.rpc, network, tuning.spread, is_near=self._is_near),
            self._store,
            self._published,
            own_id=identity.public,
            network=network,
            replicas=settings.replicas,
            get_quorum=tuning.get_quorum,
            serves=settings.serves,
            is_far=self.neighbours.is_far,
            now=now,
            wall=runtime.wall,
            tails=self._tails,
        )
        self._bootstrap = Bootstrap(
            bootstrap,
            rpc=self.rpc,
            network=runtime.network,
            own_id=identity.public,
            entropy=runtime.entropy,
            cached=self.neighbours.seeds,
            alone=self.neighbours.is_alone,
            failed=self._bootstrap_failed,
            settings=tuning.bootstrap,
        )
        self._joining = Joining(
            self.neighbours,
            position=position(identity.public),
            walk=self._walk,
            first_round=self._bootstrap.first_round,
            tuning=tuning,
            now=now,
            rng=runtime.rng,
        )
        self.seeker = Seeker(
            self.neighbours, partial(Walk, self._means), first_join=self._to_start, walked=self._walked, now=now
        )
        self.housekeeping = Housekeeping(
            tuning.upkeep,
            pump,
            rng=runtime.rng,
            archive=self._archive,
            published=self._published,
            store=self._store,
            refresh=self._look_round,
            serves=settings.serves,
        )

    # --- what others may ask of it

    async def joined(self) -> None:
        """Wait until the node has walked to itself and was answered. The first node of all waits for a second.

        NotConnected once the node has ended.
        """
        await self._joining.wait()
        self._check_open()

    @property
    def is_joined(self) -> bool:
        return self._joining.joined

    async def put(
        self, key: Key, value: bytes | None, *, lease: int | None = None, if_seq: int | None = None
    ) -> PutOutcome:
        """See `Archive.put`."""
        await self._to_start()
        outcome = await self._archive.put(key, value, lease=lease, if_seq=if_seq)
        self.housekeeping.look_in_time()
        return outcome

    async def put_blob(self, data: bytes, *, lease: int | None = None) -> PutOutcome:
        """See `Archive.put_blob`."""
        await self._to_start()
        outcome = await self._archive.put_blob(data, lease=lease)
        self.housekeeping.look_in_time()
        return outcome

    async def get(self, key: Key) -> GetOutcome:
        """See `Archive.get`."""
        await self._to_start()
        outcome = await self._archive.get(key)
        if outcome.walk is not None:
            self._walked(key.hash, outcome.walk, outcome.seconds)
        return outcome

    async def lookup(self, target: bytes, *, paths: int = 1) -> LookupOutcome:
        """Walk to the 32 bytes of a position or key; see `Seeker.walk_to`."""
        return await self.seeker.walk_to(target, paths)

    async def find(self, node_id: bytes, *, paths: int = 1) -> Contact | None:
        """Where a node can be reached: from the table, else by a walk to its position. None when nobody knows it."""
        return await self.seeker.find(node_id, paths)

    async def ping(self, contact: Contact) -> PingOutcome | None:
        """Ask a contact whether it lives. NotConnected once the node has ended."""
        self._check_open()
        answer = await ping(self.rpc, contact)
        return None if answer is None else PingOutcome(contact.id, contact.endpoint, answer[1])

    async def ask_id(self, endpoint: Endpoint) -> bytes | None:
        """The ID that whoever listens at `endpoint` claims; only a ping proves it."""
        return await self._bootstrap.ask_id(endpoint)

    def contacts(self) -> list[Contact]:
        """The live contacts of both families."""
        return self.neighbours.contacts()

    def buckets(self) -> list[BucketView]:
        """The routing tables, family by family."""
        return self.neighbours.buckets()

    def bootstrap_states(self) -> list[BootstrapState]:
        """How each bootstrap address fares."""
        return list(self._bootstrap.states)

    def network_size(self) -> int | None:
        """About how many nodes the overlay has, judged by our own walks; None before there were enough of them."""
        nodes = self._size.nodes(self.neighbours.count())
        return None if nodes is None else round(nodes)

    def record_counts(self) -> tuple[int, int]:
        """(records held for the overlay, records of our own)."""
        return self._store.count(), self._published.count()

    @property
    def rpc_counters(self) -> RpcCounters:
        return self.rpc.counters

    @property
    def store_counters(self) -> StoreCounters:
        return self._store.counters

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled. The databases' writers and the pump run already."""
        await self._store.open()
        try:
            async with trio.open_nursery() as nursery:
                for socket in self._sockets:
                    self.rpc.attach(socket)
                    nursery.start_soon(self.rpc.receive, socket)
                nursery.start_soon(self._bootstrap.run)
                nursery.start_soon(self._join)
                self._tails.begin(nursery)
                self.housekeeping.begin(nursery)
                task_status.started()
        finally:
            self._tails.end()
            self.housekeeping.end()
            self.neighbours.close()
            self._joining.give_up()
            self.rpc.close()

    # --- joining and looking round

    async def _to_start(self) -> None:
        """What each verb does first: wait for the first attempt to join. NotConnected once the node has ended."""
        await self._joining.tried()
        self._check_open()
        self.neighbours.used()

    def _check_open(self) -> None:
        if self.rpc.closed:
            raise NotConnected("this node has ended", hint="use it inside its `async with` block")

    async def _join(self) -> None:
        await self._joining.run()
        self.neighbours.used()
        self._events.publish(Joined(self._runtime.now(), len(self.contacts())))
        self.housekeeping.joined()

    async def _look_round(self, age: float) -> None:
        """A round of refreshing: first those who are forgotten, so that a network that was split grows together."""
        await self._bootstrap.look_round(self.neighbours.forgotten(self.tuning.peer_cache.look_round))
        await self._joining.refresh(age)

    async def _walk(self, target: bytes) -> LookupOutcome:
        started = self._runtime.now()
        outcome = await Walk(self._means, target).run()
        self._walked(target, outcome, self._runtime.now() - started)
        return outcome

    def _walked(self, target: bytes, outcome: LookupOutcome, seconds: float) -> None:
        self.counters.lookups += 1
        if self._events.wants(LookupEnded):
            self._events.publish(
                LookupEnded(self._runtime.now(), target, outcome.reason, outcome.queries, outcome.hops, seconds)
            )

    # --- what the parts tell each other

    def _waived(self, storing_scope: int) -> bool:
        return storing_scope <= self._waive_scope

    def _is_near(self, distance: int, k: int) -> bool:
        return self._size.is_among_closest(distance, k, self.neighbours.count())

    def _serve(self, request: messages.Request, asker: Asker, now: float) -> None:
        self._responder.serve(request, asker, now)

    def _ping(self, contact: Contact, attempts: int) -> None:
        # The hooks `answered` and `failed` tell the table what became of it.
        self.rpc.ask(contact, messages.Ping, (), _ignore, _ignore, attempts=attempts)

    def _question(self, contact: Contact, target: int, told: Callable[[list[Contact], float], object]) -> None:
        def named(answer: messages.Nodes, _rtt: float, at: float) -> None:
            told(self._contacts.decode(answer.contacts4, answer.contacts6, contact.scope), at)

        self.rpc.ask(contact, messages.FindNode, (target.to_bytes(32, "big"),), named, _ignore, attempts=3)

    def _claimed(self, cookie: bytes, id: bytes, source: Endpoint) -> None:
        self._bootstrap.claimed(cookie, id, source)

    def _meet(self) -> None:
        self._joining.met()
        self._bootstrap.found()

    def _lonely(self) -> None:
        self._bootstrap.seek(self._runtime.now())

    def _record_stored(self, parsed: Parsed) -> None:
        if self._events.wants(RecordStored):
            self._events.publish(RecordStored(self._runtime.now(), parsed.key))

    def _bootstrap_failed(self, address: str, why: str) -> None:
        self._events.publish(BootstrapFailed(self._runtime.now(), address, why))


def _ignore(*_what: object) -> None:
    """For a request of which the hooks say all."""
