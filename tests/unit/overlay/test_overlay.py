"""The overlay as a whole, a few nodes at a time."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import trio

from kadnet.wire.keys import Key
from tests.unit.overlay.builders import CALM, Lab, in_lab, values


@in_lab
async def test_what_one_puts_another_gets(lab: Lab) -> None:
    nodes = await lab.overlay(5)
    outcome = await nodes[1].overlay.put(Key.shared("color"), b"blue")
    assert (outcome.seq, outcome.replicas) == (1, 4)
    assert values(await nodes[3].overlay.get(Key.shared("color"))) == {b"blue"}


@in_lab
async def test_a_network_is_never_thought_smaller_than_the_peers_that_live_in_our_tables(lab: Lab) -> None:
    """Its first node has walked often while there were two, and everybody was near to everything: not any more."""
    first, _ = await lab.overlay(2, tuning=CALM)
    for number in range(8):
        await first.overlay.lookup(Key.shared(f"early {number}").hash)
    assert first.overlay.network_size() == 2
    assert first.overlay._is_near(2**255, 4)
    for number in range(12):
        await lab.node(f"late{number}", f"10.1.{number}.1", first, tuning=CALM)
    await trio.sleep(5)
    peers = len(first.overlay.neighbours.living())
    assert peers > 10
    assert first.overlay.network_size() is None
    assert not first.overlay._is_near(2**255, 4)
    for number in range(12):
        await first.overlay.lookup(Key.shared(f"late {number}").hash)
        size = first.overlay.network_size()
        assert size is None or size > peers
    assert first.overlay.network_size() == 14


@in_lab
async def test_a_short_lease_of_a_live_publisher_never_lapses(lab: Lab) -> None:
    nodes = await lab.overlay(4)
    await nodes[1].overlay.put(Key.shared("service"), b"here", lease=20)
    missed = []
    for _ in range(60):
        await trio.sleep(5)
        if values(await nodes[2].overlay.get(Key.shared("service"))) != {b"here"}:
            missed.append(trio.current_time())
    assert not missed
