"""The world that every strategy lives in: who is where, who lives, and what becomes of a message.

Identities, places, deaths and the choice of who looks up what come from the seed alone, so two strategies with one seed
face the same world. A message costs a latency and may be lost; it has no bytes. Left out against the virtual internet:
codecs, keys, signatures, disks, ports, bandwidth, address translation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import Protocol

from kadnet.identity.address import DEFAULT_PORT, Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.lab.latency import Latency, Place
from kadnet.lab.model.engine import Engine

_FIRST_NETWORK = 20 << 24  # a /24 for each node, from 20.0.0.0 on: subnet quotas never bind


class Finding(Protocol):
    """What a walk has found when it ends."""

    first: float | None  # seconds until the first value
    whole: float | None  # seconds until the end of the walk
    messages: int
    hops: int | None  # of the holder of the first value

    def closest(self) -> list[Contact]:
        """The nodes that answered, nearest first, at most k."""
        ...


class Put(Protocol):
    """A put under way."""

    @property
    def messages(self) -> int:
        """Requests sent for it so far, repeated ones included."""
        ...


class Actor(Protocol):
    """One node, whatever its strategy. It is told of its death by `alive` alone: nobody does anything after it."""

    contact: Contact
    place: Place
    alive: bool
    held: set[int]  # keys of which it keeps a copy

    def join(self, doors: list[Contact], joined: Callable[[], object]) -> None:
        """Enter the overlay through some of `doors`; `joined()` when that is done."""
        ...

    def forget(self) -> None:
        """It has died: let go of what it knew, or a world with churn keeps the tables of all that ever lived."""
        ...

    def walk(self, key: int, ended: Callable[[Finding], object]) -> None:
        """Look for the value under `key`, and on to the k closest nodes; then `ended`."""
        ...

    def put(self, key: int, done: Callable[[], object]) -> Put:
        """Store a value with the closest nodes; `done()` when whoever asked for it need wait no longer."""
        ...

    def network_size(self) -> float | None:
        """How many nodes it thinks there are; None where it does not judge that."""
        ...


class World:
    """All nodes that ever were, by ID, and the road between them."""

    def __init__(self, seed: int, latency: Latency, loss: float) -> None:
        self.engine = Engine()
        self.latency = latency
        self.loss = loss
        self.seed = seed
        self.actors: dict[bytes, Actor] = {}
        self.living: list[Actor] = []
        """In the order in which they came."""
        self.messages = 0
        """Requests sent so far."""
        self.rng = Random(f"kadnet model choices {seed}")
        """For what happens in the world. No strategy draws from it, so all of them meet the same events."""
        self._luck = Random(f"kadnet model luck {seed}")

    def contact(self, number: int) -> Contact:
        """The contact of the node with this number: an ID and an address of its own."""
        id = hashlib.blake2b(f"kadnet model {self.seed} {number}".encode(), digest_size=32).digest()
        host = ".".join(str(octet) for octet in (_FIRST_NETWORK + (number << 8) + 1).to_bytes(4, "big"))
        return Contact(id, Endpoint(host, DEFAULT_PORT))

    def place(self, name: str) -> Place:
        """Where the node of this name is."""
        return self.latency.place(name)

    def add(self, actor: Actor) -> None:
        """A node has begun to live."""
        self.actors[actor.contact.id] = actor
        self.living.append(actor)

    def kill(self, actor: Actor) -> None:
        """It is gone, and nobody is told."""
        actor.alive = False
        actor.forget()
        self.living.remove(actor)

    def one_way(self, a: Actor, b: Actor) -> float:
        """Seconds from one node to another."""
        return self.latency.between(a.place, b.place)

    def is_lost(self) -> bool:
        """Whether the message that sets out now gets lost."""
        return self.loss > 0.0 and self._luck.random() < self.loss

    def nearest(self, key: int, count: int, without: Actor) -> list[int]:
        """The positions of the `count` living nodes closest to `key`, nearest first."""
        positions = [actor.contact.position for actor in self.living if actor is not without]
        positions.sort(key=key.__xor__)
        return positions[:count]
