"""Joining: from the first live contact to a filled table, and the same walks again whenever tables want refreshing.

A node has joined when somebody answered its walk home: to have met somebody is not enough, as it may be dead a moment
later. Whoever waits to put or get is let go on after the first attempt, whatever became of it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from kadnet.kademlia.keyspace import random_in_bucket
from kadnet.kademlia.outcome import LookupOutcome
from kadnet.overlay.neighbours import Neighbours
from kadnet.overlay.settings import Tuning


class Joining:
    """How far a node has come with joining."""

    def __init__(
        self,
        neighbours: Neighbours,
        *,
        position: int,
        walk: Callable[[bytes], Awaitable[LookupOutcome]],
        first_round: trio.Event,
        tuning: Tuning,
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        """`position`: our own. `first_round`: every address that we were given has been tried once."""
        self._neighbours = neighbours
        self._position = position
        self._walk = walk
        self._first_round = first_round
        self._tuning = tuning
        self._now = now
        self._rng = rng
        self._met = trio.Event()
        self._met_again = trio.Event()
        self._tried = trio.Event()
        self._over = trio.Event()
        self.joined = False

    def met(self) -> None:
        """A contact has come, or the last, silent one is back."""
        self._met.set()
        self._met_again.set()

    def give_up(self) -> None:
        """The node ends: nobody need wait for anything."""
        self._tried.set()
        self._over.set()

    async def wait(self) -> None:
        """Wait until the node has joined, or has ended without."""
        await self._over.wait()

    async def tried(self) -> None:
        """Wait until the first attempt is over, and not for longer than `first_join` seconds."""
        with trio.move_on_after(self._tuning.first_join):
            await self._tried.wait()

    async def run(self) -> None:
        """Join: a walk to ourselves, then one into each bucket on the way; again while nobody answers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._let_go_on)
            await self._met.wait()
            await trio.sleep(self._tuning.join_pause)
            while True:
                self._met_again = trio.Event()  # before the walk: who is met during it may be the one that it lacked
                if await self.refresh(0.0):
                    break
                # Whom we met was gone before it named anybody. Once more when somebody comes or is back.
                self._tried.set()
                with trio.move_on_after(self._tuning.join_again):
                    await self._met_again.wait()
            nursery.cancel_scope.cancel()
        self._tried.set()
        self.joined = True
        self._over.set()

    async def refresh(self, age: float) -> bool:
        """Walk to ourselves, then to a chance place in every bucket that has been quiet for `age` seconds.

        False when nobody answered the first walk, which makes the others idle.
        """
        outcome = await self._walk(self._position.to_bytes(32, "big"))
        if not outcome.answers:
            return False
        now = self._now()
        async with trio.open_nursery() as nursery:
            for table in self._neighbours.tables:
                for index in table.stale_buckets(now, age):
                    table.touch(index, now)
                    target = random_in_bucket(self._position, index, self._rng)
                    nursery.start_soon(self._walk, target.to_bytes(32, "big"))
        return True

    async def _let_go_on(self) -> None:
        """Nobody was met in the first round: whoever waits for it is let go on, to be told so."""
        await self._first_round.wait()
        if not self._met.is_set():
            self._tried.set()
