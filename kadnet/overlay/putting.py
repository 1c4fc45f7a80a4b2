"""One put of ours, from its signature to the last answer: what is done while somebody waits, and what is done after.

The entry is signed and on our own disk before the walk to its key begins, so that those who answer the walk and stand
near enough get it at once. When enough have acknowledged it, whoever waits may go, and a task of the node's own nursery
does the rest. What turns up late is dealt with as what turns up in time: above a newer entry of ours, signed elsewhere
with our key, the value is signed once more. Only what this node itself has put since then ends the older put.

A put that is cancelled ends its task. A node that ends has noted how many hold the record, and renews it later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from kadnet.errors import Conflict, KadnetError, ProtocolError
from kadnet.kademlia.contact import Contact
from kadnet.overlay.published import Publication, Published
from kadnet.overlay.storing import Spreading
from kadnet.overlay.walk import Walk, newest


class Tails:
    """The tasks of puts under way, in the nursery of the node. `begin` before use, `end` after."""

    def __init__(self, most: int, at_once: int) -> None:
        """`most` tasks; `at_once`: how many puts walk at the same time, in such a task or not. The others wait."""
        self._most = most
        self.turn = trio.Semaphore(at_once)
        self._nursery: trio.Nursery | None = None
        self.running = 0

    def begin(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def end(self) -> None:
        """Begin nothing more."""
        self._nursery = None

    def spawn(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work` as a task of the node. False where it does not run, or has too many of them already."""
        if self._nursery is None or self.running >= self._most:
            return False
        self.running += 1
        self._nursery.start_soon(self._run, work)
        return True

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self.running -= 1


@dataclass(frozen=True, slots=True)
class PutMeans:
    """What a put works with. `spread(publication)` begins to store it; `note(publication, replicas, met)` writes down
    how many have it, and whether anybody was met; `own_id`: whose entries these are."""

    published: Published
    spread: Callable[[Publication], Spreading]
    note: Callable[[Publication, int, bool], Awaitable[None]]
    tails: Tails
    own_id: bytes


class ToKey(Protocol):
    """Makes the walk to the key; `replied(contact)` is told of each that has answered it."""

    def __call__(self, *, replied: Callable[[Contact], object]) -> Walk: ...


class Putting:
    """One put: `await run()` once. Then `publication` is what was stored, and `replicas` how many have it."""

    def __init__(
        self,
        means: PutMeans,
        publication: Publication,
        to_key: ToKey,
        again: Callable[[int, int], Awaitable[Publication]] | None,
    ) -> None:
        """`again(seq, after)` signs the value anew, above `seq`: Conflict when we have put another since `after`.

        None for what has no seq.
        """
        self._means = means
        self.publication = publication
        self._again = again
        self._spreading = means.spread(publication)
        self._walk = to_key(replied=self._replied)
        self._met_any = False
        self._error: KadnetError | ProtocolError | None = None
        self._noted = trio.Event()
        self._noted_as: tuple[Publication, int] | None = None
        self._scope = trio.CancelScope()

    @property
    def replicas(self) -> int:
        return self._spreading.acknowledged

    async def run(self) -> None:
        """Return when enough have acknowledged. Raises what the put came to: StorageFailed, Conflict."""
        in_background = self._means.tails.spawn(self._finish)
        try:
            if not in_background:
                await self._work()
            while not self._spreading.enough.is_set():  # another one takes its place when the value is signed anew
                await self._spreading.enough.wait()
            if self._error is not None:
                raise self._error
            self._noted_as = self.publication, self.replicas
            await self._means.note(self.publication, self.replicas, self._met_any)
        except BaseException:
            self._scope.cancel()
            self._spreading.stop()
            raise
        finally:
            self._noted.set()

    async def _finish(self) -> None:
        """All of it, as a task of the node."""
        with self._scope:
            await self._work()
            await self._noted.wait()
            if self._error is None and self._noted_as != (self.publication, self.replicas):
                try:
                    await self._means.note(self.publication, self.replicas, self._met_any)
                except KadnetError:
                    return  # it stays noted as it was, and is renewed no later for that

    async def _work(self) -> None:
        try:
            await self._store()
        except (KadnetError, ProtocolError) as error:  # the latter from a row that the disk has changed
            self._error = error
        finally:
            self._spreading.enough.set()

    async def _store(self) -> None:
        async with self._means.tails.turn:
            outcome = await self._walk.run()
        self._met_any = bool(outcome.closest)
        answered = [query.contact for query in outcome.trace if query.rtt is not None]
        asked = {query.contact.id for query in outcome.trace}

        def others() -> list[Contact]:
            return [contact for contact in self._walk.known() if contact.id not in asked]

        met = self._met()
        if met is not None and self._is_latest():
            await self._sign_above(met)
        self._spreading.walked(answered, others)
        stored = await self._spreading.outcome()
        if stored.claimed is not None and self._again is not None and self._is_latest():
            await self._sign_above(stored.claimed)  # a holder knows a newer one than the walk met: above it, once
            self._spreading.walked(answered, others)
            await self._spreading.outcome()

    def _replied(self, contact: Contact) -> None:
        if self._met() is None:
            self._spreading.replied(contact)

    def _met(self) -> int | None:
        """The seq of an entry of ours that the walk has met and that does not stand below this put's.

        Asked on the packet's path: it reads no disk.
        """
        mine = newest((self._walk.records, self._walk.cached_only)).get(self._means.own_id)
        ours = self.publication.parsed
        if mine is None or self._again is None or mine.parsed.seq < ours.seq or mine.parsed.record == ours.record:
            return None
        return mine.parsed.seq

    def _is_latest(self) -> bool:
        """Whether this node has put nothing under the key since."""
        latest = self._means.published.get(self.publication.parsed.key)
        return latest is not None and latest.parsed.seq == self.publication.parsed.seq

    async def _sign_above(self, seq: int) -> None:
        assert self._again is not None
        before = self._spreading
        try:
            self.publication = await self._again(seq, self.publication.parsed.seq)
        except Conflict:
            if self._is_latest():
                raise
            return  # overtaken while it waited for the disk
        before.stop()
        self._spreading = self._means.spread(self.publication)
        before.enough.set()  # whoever waits for it looks again
