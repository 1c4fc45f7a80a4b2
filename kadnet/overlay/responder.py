"""What we answer. Every request comes here opened, decoded and with its asker known; nothing else of a peer does.

An answer to an asker that has proved no address is never larger than its request: contacts are dropped first, then
records, and the flag SHORT says so; the token that every answer carries lets it ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from kadnet.identity.address import Endpoint, family, pack, prefix, scope
from kadnet.kademlia.contact import Contact
from kadnet.overlay.calls import Asker
from kadnet.overlay.store import Held, RecordStore
from kadnet.wire import messages
from kadnet.wire.messages import Carried, FindNode, FindValue, Nodes, Ping, Pong, Request, Status, Store, Stored, Values
from kadnet.wire.packets import MAX_MESSAGE
from kadnet.wire.records import Parsed, UnknownKind, is_authentic, is_current, parse, remaining_at_most

VERSIONS = bytes((1,))
FEATURES = 0

_WANTS = ((4, messages.WANT_V4), (6, messages.WANT_V6))
_VALUES_BASE = 76  # bytes of a VALUES message around its records and contacts, the largest forms of its numbers
_RECORD_BASE = 16  # bytes around the payload and signature of one carried record, likewise
_LARGEST = MAX_MESSAGE - _VALUES_BASE  # a record that is larger fits no VALUES
_NODES_BASE = 32


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the responder may ask of the overlay. `closest(family, target, count)`: live contacts, nearest first.

    `is_far(key, count)`: it knows `count` live contacts closer to a key than we are. `waived(scope)`: whether
    storing quotas do not apply to an address of this scope.
    """

    closest: Callable[[int, int, int], list[Contact]]
    is_far: Callable[[int, int], bool]
    waived: Callable[[int], bool]
    wall: Callable[[], float]
    stored: Callable[[Parsed], object]


class Responder:
    """Answers requests from the table and the store."""

    def __init__(
        self, store: RecordStore, around: Surroundings, *, network: bytes, serves: bool, far_count: int
    ) -> None:
        """`far_count`: so many closer live contacts make a record too far from us to keep (2k)."""
        self._store = store
        self._around = around
        self._network = network
        self._serves = serves
        self._flags = messages.SERVES if serves else 0
        self._far_count = far_count

    def serve(self, request: Request, asker: Asker, now: float) -> None:
        """Answer one request, at once or when the disk has it."""
        if isinstance(request, FindValue):
            if self._serves:
                self._find_value(request, asker, now)
        elif isinstance(request, FindNode):
            if self._serves:
                self._find_node(request, asker)
        elif isinstance(request, Ping):
            asker.reply(Pong(request.id, self._flags, asker.token, pack(asker.source), VERSIONS, FEATURES))
        elif isinstance(request, Store):
            self._store_record(request, asker)
        else:
            assert_never(request)

    def _find_node(self, request: FindNode, asker: Asker) -> None:
        room = asker.room - _NODES_BASE
        contacts4, contacts6, short = self._contacts(request.target, request.flags, asker, room)
        flags = self._flags | (messages.SHORT if short else 0)
        asker.reply(Nodes(request.id, flags, asker.token, contacts4, contacts6))

    def _find_value(self, request: FindValue, asker: Asker, now: float) -> None:
        room = asker.room - _VALUES_BASE
        held = self._store.get(request.key)
        carried: list[Carried] = []
        status, after, short = messages.COMPLETE, b"", False
        last = bytes(32)  # before every publisher: where the second page begins when the first holds the asker's own
        for record in self._in_order(held, request, asker.peer.id):
            size = len(record.payload) + len(record.signature) + _RECORD_BASE
            if size > _LARGEST:  # left out: whoever wrote it must not hide those that come after it
                status = messages.TOO_LARGE
                continue
            if size > room or len(carried) >= messages.MAX_RECORDS:
                short = not asker.proven and asker.room < messages.PADDED - 82
                if carried:
                    status, after = messages.MORE, last
                break
            if record.publisher != asker.peer.id:
                last = record.publisher
            room -= size
            remaining = int(record.lapses - now)
            carried.append(Carried(record.kind, record.payload, record.signature, remaining, bool(record.cached)))
        contacts4, contacts6, dropped = self._contacts(request.key, request.flags, asker, room)
        flags = self._flags | (messages.SHORT if short or (dropped and not carried) else 0)
        asker.reply(Values(request.id, flags, asker.token, status, after, tuple(carried), contacts4, contacts6))

    def _in_order(self, held: list[Held], request: FindValue, asker: bytes) -> list[Held]:
        """The records to send: the asker's own first, then by publisher, from `after` on, none it has already.

        The asker's own comes first on the first page so that a publisher learns its seq from one answer.
        """
        wanted = [record for record in held if not record.publisher or record.seq > request.own_seq]
        if len(wanted) < 2:
            return wanted if not request.after else [r for r in wanted if r.publisher > request.after]
        if request.after:
            return [record for record in wanted if record.publisher > request.after and record.publisher != asker]
        return [r for r in wanted if r.publisher == asker] + [r for r in wanted if r.publisher != asker]

    def _contacts(self, target: bytes, flags: int, asker: Asker, room: int) -> tuple[bytes, bytes, bool]:
        """Both bins of contacts, at most 16 together, and whether fewer fit than were wanted for want of proof."""
        wanted = [number for number, flag in _WANTS if flags & flag] or [family(asker.source)]
        position = int.from_bytes(target, "big")
        asker_scope = scope(asker.source.host)
        found: dict[int, list[bytes]] = {4: [], 6: []}
        for number in wanted:
            # Some may be too local to hand on: then the next ones serve in their place.
            count = messages.MAX_CONTACTS * (1 if asker_scope == 0 else 2)
            contacts = self._around.closest(number, position, count)
            found[number] = [c.packed for c in contacts if c.id != asker.peer.id and c.scope >= asker_scope][
                : messages.MAX_CONTACTS
            ]
        # Half for each family; what one of them leaves free goes to the other.
        half = messages.MAX_CONTACTS // len(wanted)
        bins: dict[int, bytes] = {}
        dropped = False
        for number, other, size in ((4, 6, 38), (6, 4, 50)):
            share = max(half, messages.MAX_CONTACTS - len(found[other]))
            pieces = found[number][: share if len(wanted) > 1 else messages.MAX_CONTACTS]
            fits = max(0, room) // size
            dropped = dropped or (len(pieces) > fits and not asker.proven)
            bins[number] = b"".join(pieces[:fits])
            room -= len(bins[number])
        return bins[4], bins[6], dropped

    def _store_record(self, request: Store, asker: Asker) -> None:
        def answer(status: Status, seq: int = 0) -> None:
            asker.reply(Stored(request.id, self._flags, status, seq))

        if not self._serves:
            answer(Status.NOT_SERVING)
            return
        if not asker.proven:
            answer(Status.BAD_TOKEN)
            return
        try:
            parsed = parse(request.carried.record)
        except UnknownKind:
            answer(Status.UNKNOWN_KIND)
            return
        wall = self._around.wall()
        if not is_current(parsed, wall) or not is_authentic(parsed, self._network):
            answer(Status.INVALID)
            return
        if self._around.is_far(int.from_bytes(parsed.key, "big"), self._far_count):
            answer(Status.FAR)
            return
        remaining = remaining_at_most(parsed, request.carried.remaining, wall)
        if remaining < 1:
            answer(Status.INVALID)
            return

        def stored(status: Status, seq: int) -> None:
            if status is Status.OK:
                self._around.stored(parsed)
            answer(status, seq)

        storing_prefix = self.storing_prefix(asker.source)
        by_publisher = asker.peer.id == parsed.publisher
        cached = request.carried.cached
        if not self._store.put(parsed, remaining, storing_prefix, cached, stored, by_publisher=by_publisher):
            answer(Status.FAILED)

    def storing_prefix(self, source: Endpoint) -> bytes:
        """The subnet that a record from `source` counts under; empty where quotas are waived."""
        return b"" if self._around.waived(scope(source.host)) else prefix(source.host)
