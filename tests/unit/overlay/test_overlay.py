"""The overlay as a whole, a few nodes at a time."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
import trio

from kadnet.wire.keys import Key
from tests.unit.overlay.builders import Lab, in_lab, values


@in_lab
async def test_what_one_puts_another_gets(lab: Lab) -> None:
    nodes = await lab.overlay(5)
    outcome = await nodes[1].overlay.put(Key.shared("color"), b"blue")
    assert (outcome.seq, outcome.replicas) == (1, 4)
    assert values(await nodes[3].overlay.get(Key.shared("color"))) == {b"blue"}


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
