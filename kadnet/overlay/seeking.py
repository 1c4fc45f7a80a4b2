"""Where a node is: from the routing tables, or by a walk to its position.

What a walk hears of a node before the node itself has answered is hearsay. It is passed on at once to whoever can make
the node prove itself, as a link does: waiting for the end of the walk would cost a round trip or two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kadnet.errors import InputError, NotConnected
from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.disjoint import MAX_PATHS
from kadnet.kademlia.keyspace import position_bytes
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.overlay.neighbours import Neighbours
from kadnet.overlay.walk import Walk


class Seeker:
    """Finds nodes."""

    def __init__(
        self,
        neighbours: Neighbours,
        walk: Callable[..., Walk],
        *,
        first_join: Callable[[], Awaitable[None]],
        walked: Callable[[bytes, LookupOutcome, float], object],
        now: Callable[[], float],
    ) -> None:
        """`walk(target, ...)` makes a Walk; `first_join` waits for the first attempt to join; `walked(target, outcome,
        seconds)` is told of each walk."""
        self._neighbours = neighbours
        self._walk = walk
        self._first_join = first_join
        self._walked = walked
        self._now = now

    def known(self, node_id: bytes) -> list[Contact]:
        """Where the routing tables have a node."""
        found = (table.get(node_id) for table in self._neighbours.tables)
        return [contact for contact in found if contact is not None]

    async def find(self, node_id: bytes, paths: int = 1) -> Contact | None:
        """Where a node answers: from the table, else by a walk. None when nobody knows it. `paths`: see `walk_to`."""
        _check(paths)
        known = self.known(node_id)
        if known:
            return known[0]
        outcome = await self._go(position_bytes(node_id), paths=paths)
        return next((contact for contact in outcome.closest if contact.id == node_id), None)

    async def walk_to(self, target: bytes, paths: int = 1) -> LookupOutcome:
        """Walk to the 32 bytes of a position or key. NotConnected when nobody answered.

        `paths`: so many walks that share no peer, 1 to 8, against liars; InputError otherwise.
        """
        _check(paths)
        outcome = await self._go(target, paths=paths)
        if not outcome.answers:
            raise NotConnected("nobody could be asked: this node has no live peer")
        return outcome

    async def search(self, node_id: bytes, named: Callable[[Contact], object]) -> Contact | None:
        """Walk to a node and tell `named` of each place where somebody says that it is, as soon as it is said.

        That is hearsay: whoever goes there must let the node prove itself. Returns where the node has answered the walk
        itself, if it has. NotConnected when nobody answered.
        """
        told: set[Endpoint] = set()

        def heard(contact: Contact) -> None:
            if contact.id == node_id and contact.endpoint not in told:
                told.add(contact.endpoint)
                named(contact)

        outcome = await self._go(position_bytes(node_id), named=heard)
        if not outcome.answers:
            raise NotConnected("nobody could be asked: this node has no live peer")
        return next((contact for contact in outcome.closest if contact.id == node_id), None)

    async def _go(
        self, target: bytes, *, named: Callable[[Contact], object] | None = None, paths: int = 1
    ) -> LookupOutcome:
        await self._first_join()
        started = self._now()
        outcome = await self._walk(target, named=named, paths=paths).run()
        self._walked(target, outcome, self._now() - started)
        return outcome


def _check(paths: object) -> None:
    if type(paths) is not int or not 1 <= paths <= MAX_PATHS:
        raise InputError(f"paths is {paths!r:.20}: a lookup takes 1 to {MAX_PATHS} paths", hint="give 4 against liars")
