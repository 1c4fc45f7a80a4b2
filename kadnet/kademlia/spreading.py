"""With whom one record is stored, while the walk to its key goes on and after it, and when enough of them have it.

A put need not wait for its walk. Whoever has answered and is, by the estimated size of the network, one of the k
closest is stored with at once (libp2p's optimistic provide); at the end of the walk come those of the closest that are
left. Nor need it wait for everybody: the slowest of sixteen answers long after the twelfth, or never. `is_enough` is
told when `quorum` of the wanted copies are acknowledged, or when nothing is left to wait for; the rest goes on.

Who cannot take it (a full disk, no answer) is replaced by the next closest that answered the walk, then by others that
are known to be near.

Pure: it says with whom to store, its driver sends and reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kadnet.kademlia.contact import Contact


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """`quorum`: the part of the wanted copies with which a put returns, as `optProvReturnRatio` of go-libp2p-kad-dht.

    `early`: whether to store before the walk has ended: 0.37 s instead of 0.78 among 1,000 nodes, for less than one
    message more.
    """

    quorum: float = 0.75
    early: bool = True


class Spread:
    """One record on its way to `wanted` holders near `target`."""

    __slots__ = (
        "_early", "_is_near", "_missing", "_needed", "_others", "_spares", "_target", "_wanted", "acknowledged", "open",
        "placed", "walk_is_over",
    )  # fmt: skip

    def __init__(
        self,
        target: int,
        wanted: int,
        settings: SpreadSettings,
        *,
        is_near: Callable[[int, int], bool],
    ) -> None:
        """`is_near(distance, k)`: whether a node so far from the target is surely one of the k closest."""
        self._target = target
        self._wanted = wanted
        self._needed = math.ceil(settings.quorum * wanted)
        self._early = settings.early
        self._is_near = is_near
        self._spares: list[Contact] = []
        self._others: Callable[[], Iterable[Contact]] | None = None
        self._missing = 0
        self.placed: set[bytes] = set()
        """IDs of all that it was sent to."""
        self.open = 0
        """How many of them have not answered yet."""
        self.acknowledged = 0
        self.walk_is_over = False

    @property
    def is_enough(self) -> bool:
        """Whether whoever waits for the put may go: enough acknowledged, or nobody is left who could."""
        return self.acknowledged >= self._needed or self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.walk_is_over and not self.open

    def replied(self, contact: Contact) -> bool:
        """`contact` has answered the walk. True: store with it now."""
        if not self._early or self.walk_is_over or len(self.placed) >= self._wanted or contact.id in self.placed:
            return False
        if not self._is_near(contact.position ^ self._target, self._wanted):
            return False
        self._place(contact)
        return True

    def walked(
        self, answered: Iterable[Contact], others: Callable[[], Iterable[Contact]] | None = None
    ) -> list[Contact]:
        """The walk has ended; `answered` in any order. Store with those that are returned, nearest first.

        `others()`: who else is known near the target and may live. Called once those that answered are used up;
        it may name one twice.
        """
        self.walk_is_over = True
        self._others = others
        order = sorted(answered, key=lambda contact: contact.position ^ self._target)
        left = [contact for contact in order[: self._wanted] if contact.id not in self.placed]
        self._spares = [contact for contact in order[self._wanted :] if contact.id not in self.placed]
        for contact in left:
            self._place(contact)
        for _ in range(self._missing):
            instead = self._next()
            if instead is not None:
                left.append(instead)
        return left

    def took(self) -> None:
        """One of them has it."""
        self.open -= 1
        self.acknowledged += 1

    def refused(self, *, replace: bool) -> Contact | None:
        """One of them does not take it. Returns who is to have it instead, with `replace`: it could not, not would not.

        While the walk goes on nobody does: its end makes up for it.
        """
        self.open -= 1
        if replace and not self.walk_is_over:
            self._missing += 1
        if not replace:
            return None
        return self._next()

    def _next(self) -> Contact | None:
        """The next closest that it was not sent to, who has it from now on."""
        if not self._spares and self._others is not None:
            known = {contact.id: contact for contact in self._others() if contact.id not in self.placed}
            order = sorted(known.values(), key=lambda contact: contact.position ^ self._target)
            self._spares = order[: self._wanted]
            self._others = None
        if not self._spares:
            return None
        contact = self._spares.pop(0)
        self._place(contact)
        return contact

    def _place(self, contact: Contact) -> None:
        self.placed.add(contact.id)
        self.open += 1
