"""Pages of a shared key: what a walk waits for and keeps when holders mean it ill."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from collections.abc import Callable

import pytest
import trio

from kadnet.kademlia.contact import Contact
from kadnet.overlay import Tuning
from kadnet.overlay.walk import Walk
from kadnet.wire.keys import Key
from kadnet.wire.messages import MORE, SERVES, FindNode, FindValue, Nodes, Request, Values
from kadnet.wire.records import Record, blob
from tests.unit.overlay.builders import Lab, RawPeer, carried, entry, fill, in_lab

X = Key.shared("x")


async def holder(
    lab: Lab, number: int, page: Callable[[int], list[Record]], *, delay: float = 0.0, cached: bool = False
) -> RawPeer:
    """One whose pages, counted from 0, never end; each but the first is `delay` seconds in coming."""
    peer = await lab.raw(f"holder {number}", f"10.2.{number}.1")

    async def answer(request: FindValue, sender: Contact) -> None:
        at = int.from_bytes(request.after, "big")
        await trio.sleep(delay if at else 0.0)
        records = tuple(carried(record, cached=cached) for record in page(at))
        after = (at + 1).to_bytes(32, "big")
        peer.reply(Values(request.id, SERVES, bytes(8), MORE, after, records, bytes(38), b""), sender)

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindValue):
            lab.nursery.start_soon(answer, request, sender)
        elif isinstance(request, FindNode):
            peer.reply(Nodes(request.id, SERVES, bytes(8), b"", b""), sender)

    peer.behave = behave
    return peer


@pytest.mark.parametrize("page", [[entry("p")], [blob(b"another kind")], [entry("p", key=Key.shared("y"))]])
@pytest.mark.parametrize("delay", [0.3, 2.0])
@in_lab
async def test_pages_that_bring_nothing_new_delay_a_get_by_page_wait(
    lab: Lab, page: list[Record], delay: float
) -> None:
    tuning = Tuning()
    asker = await lab.node("asker", "10.0.0.1", tuning=tuning)
    for number in range(3):
        fill(asker, [(await holder(lab, number, lambda _at: page, delay=delay)).contact])
    started = trio.current_time()
    await asker.overlay.get(X)
    assert trio.current_time() - started <= tuning.page_wait + 0.5  # the walk itself is over in a round trip


@in_lab
async def test_pages_that_bring_something_new_each_time_end_at_page_limit(lab: Lab) -> None:
    asker = await lab.node("asker", "10.0.0.1", tuning=Tuning(page_limit=9.0))
    fill(asker, [(await holder(lab, 0, lambda at: [entry(f"p{at}")], delay=0.4)).contact])
    started = trio.current_time()
    found = await asker.overlay.get(X)
    assert 9.0 <= trio.current_time() - started <= 9.5
    assert 15 <= len(found.entries) <= 23  # all that came until then


@pytest.mark.parametrize("cached", [False, True])
@in_lab
async def test_a_get_keeps_no_more_records_than_max_entries(lab: Lab, cached: bool) -> None:
    asker = await lab.node("asker", "10.0.0.1", tuning=Tuning(max_entries=20))

    def pages_of(number: int) -> Callable[[int], list[Record]]:
        return lambda at: [entry(f"{number} {at} {n}") for n in range(3)]

    for number in range(4):
        fill(asker, [(await holder(lab, number, pages_of(number), cached=cached)).contact])
    walk = Walk(asker.overlay._means, X.hash, value_kind=X.kind)
    await walk.run()
    assert len(walk.records) + len(walk.cached_only) == 20


@in_lab
async def test_what_is_kept_may_still_grow_newer_and_ours_is_always_kept(lab: Lab) -> None:
    asker = await lab.node("asker", "10.0.0.1", tuning=Tuning(max_entries=2))
    pages = [[entry("p"), entry("q")], [entry("r")], [entry("p", seq=2)], [entry("asker")]]
    fill(asker, [(await holder(lab, 0, lambda at: pages[min(at, 3)])).contact])
    walk = Walk(asker.overlay._means, X.hash, value_kind=X.kind)
    await walk.run()
    assert sorted(fetched.parsed.seq for fetched in walk.records.values()) == [1, 1, 2]
    assert asker.identity.public in walk.records
