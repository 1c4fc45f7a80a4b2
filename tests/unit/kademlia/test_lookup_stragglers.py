"""What the silent cost a lookup: two that never answer, nearest to the target, where the neighbourhood is known."""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.lookup import Lookup, LookupSettings

RTT = 0.1
SETTINGS = LookupSettings()
SILENT = SETTINGS.parallelism - 1


def seconds(timer: float, silent: int, known: int, seed: int = 0, *, quorum: float = 1.0) -> float:
    """How long a lookup takes among 400 peers of which it knows the `known` nearest, and the `silent` nearest never
    answer. `timer`: the short timer in seconds. The second one is at most one and a half round trips."""
    rng = random.Random(seed)
    nodes = [Contact(rng.randbytes(32), Endpoint("192.0.2.1", 7420)) for _ in range(400)]
    nodes.sort(key=lambda node: node.position)
    gone = {node.id for node in nodes[:silent]}
    lookup = Lookup(
        0,
        nodes[:known],
        LookupSettings(quorum=quorum),
        own_id=bytes(32),
        timeout=lambda contact: timer,
        second=lambda contact: min(timer, 1.5 * RTT),
        now=0.0,
    )
    on_the_way: list[tuple[float, int, Contact]] = []
    serial = count()
    now = 0.0
    while True:
        asks, wake_at = lookup.advance(now)
        for ask in asks:
            if ask.contact.id not in gone:
                heapq.heappush(on_the_way, (now + RTT, next(serial), ask.contact))
        if lookup.done:
            assert not gone.intersection(contact.id for contact in lookup.closest(1000))
            assert len(lookup.closest(1000)) >= quorum * (SETTINGS.k - silent)
            return now
        assert wake_at is not None
        if on_the_way and on_the_way[0][0] <= wake_at:
            now, _, contact = heapq.heappop(on_the_way)
            lookup.on_reply(contact.id, nodes[:16], now, contact)
        else:
            now = wake_at


@pytest.mark.parametrize("timer", [1.1 * RTT, 1.5 * RTT, 2 * RTT, 5 * RTT])
@pytest.mark.parametrize("known", [16, 48])
def test_silent_peers_nearest_the_target_cost_no_more_than_the_short_timer_and_two_round_trips(
    timer: float, known: int
) -> None:
    for seed in range(5):
        assert seconds(timer, SILENT, known, seed) <= timer + 2 * RTT + 1e-9


@pytest.mark.parametrize("timer", [1.1 * RTT, 2 * RTT, 5 * RTT])
def test_with_a_quorum_the_bound_holds_however_long_the_short_timer_is(timer: float) -> None:
    for seed in range(5):
        assert seconds(timer, SILENT, 48, seed, quorum=0.75) <= timer + 2 * RTT + 1e-9


def test_without_stragglers_it_takes_less_than_the_short_timer_more() -> None:
    assert seconds(1.5 * RTT, 0, 48) <= 2 * RTT + 1e-9
