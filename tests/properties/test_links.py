"""The machines of both ends of a pair, joined by a scheduler that delays, reorders across links, cuts and restarts."""

from __future__ import annotations

from hypothesis import given, note, settings
from hypothesis import strategies as st

from kadnet.links.states import StateSettings
from kadnet.wire.envelopes import FULL, IDLE
from tests.properties.pairworld import World

SETTINGS = StateSettings(batch_items=3, batch_bytes=2_000)  # so that a few messages are several batches
INTERLEAVINGS = 10_000
FAULTS_END = 50.0  # seconds: the longest silence, a row of redials, and some more
SETTLED = 15.0
SIZES = ((1,), (10,), (1,), (5000,), (1, 1, 1, 1, 1), (900, 900, 900))
PAUSES = (0.0005, 0.0015, 0.01, 0.1, 0.5, 1.0, 3.0, 20.0)

# What a byte of a tape means, by how often it is to happen. Zero, to which hypothesis shrinks, does no harm.
CHOICES = (
    ["happen"] * 122 + ["pause"] * 40 + ["submit"] * 26 + ["call each other"] * 10 + ["ask"] * 6 + ["cancel"] * 6
    + ["retire"] * 6 + ["refuse"] * 8 + ["cut"] * 16 + ["restart"] * 8 + ["stop"] * 8
)  # fmt: skip
assert len(CHOICES) == 256
CALM = frozenset({"happen", "pause", "submit", "call each other", "ask", "cancel", "retire"})
weathers = st.sampled_from(
    [CALM, CALM | {"stop", "refuse"}, CALM | {"cut"}, CALM | {"restart", "refuse"}, frozenset(CHOICES)]
)
tapes = st.binary(min_size=40, max_size=90)


def play(world: World, weather: frozenset[str], tape: bytes) -> None:
    """Let happen what the tape says and the weather allows."""
    for place, byte in enumerate(tape):
        node = world.nodes[(byte ^ place) & 1]
        choice = CHOICES[byte]
        match choice if choice in weather else "happen":
            case "happen":
                world.happen(byte)
            case "pause":
                world.pass_time(PAUSES[byte % len(PAUSES)])
            case "submit":
                for size in SIZES[byte % len(SIZES)]:
                    world.submit(node, size)
            case "call each other":
                for each in world.nodes:
                    world.submit(each, 1)
            case "cancel" if world.items:
                item = world.items[-1 - byte % min(3, len(world.items))]
                if item.answers is None:  # nobody would miss it but who asked
                    world.cancel(world.nodes[item.side], item)
            case "ask":
                world.submit(node, 1, asks=True)
            case "retire":
                world.log(node, "RETIRES")
                node.machine.retire(FULL if byte % 3 else IDLE, world.now)
                world.kick(node)
            case "refuse" if world.calls:
                world.refuse(world.calls[byte % len(world.calls)])
            case "cut":
                standing = [link for link in world.links if not link.cut]
                if standing:
                    world.cut(standing[byte % len(standing)])
            case "restart":
                world.restart(node)
            case "stop" if not node.stopping:
                world.log(node, "STOPS")
                node.stopping = True
                node.machine.stop(world.now)
                world.kick(node)


def run_for(world: World, seconds: float) -> None:
    until = world.now + seconds
    while world.now < until:
        if world.rng.random() < 0.5:
            world.happen(world.rng.randrange(256))
        else:
            world.pass_time(until - world.now)


def check(world: World) -> None:
    run_for(world, FAULTS_END)
    last = len(world.items)
    for node in world.nodes:
        assert not node.stopping
        assert all(given_at > node.lost_at for given_at in node.open.values()), "a request waits for ever"
        world.submit(node, 1)
    run_for(world, SETTLED)
    a, b = (node.machine for node in world.nodes)
    assert a.usable == b.usable == 1, "two links, or none"
    assert a.usable_links == b.usable_links, "the two ends hold on to different links"
    assert a.links == b.links == 1, "a link does not end"
    for item in world.items:
        times = world.delivered.get(item, 0)
        assert times <= 1, f"{item.number} came twice"
        if times:
            assert item not in world.told, f"{item.number} came although it was told to have failed"
        elif item.number >= last:
            raise AssertionError(f"{item.number} was lost although there were no faults any more")
        elif item in world.given:
            assert world.given[item].hurt, f"{item.number} was lost on a link that nobody hurt"
        else:
            assert item in world.told or item in world.excused, f"{item.number} never left its queue"


@settings(max_examples=INTERLEAVINGS)
@given(st.integers(0, 2**32), weathers, tapes)
def test_the_pair_ends_with_one_link_and_loses_nothing_that_was_queued(
    seed: int, weather: frozenset[str], tape: bytes
) -> None:
    world = World(seed, SETTINGS)
    try:
        play(world, weather, tape)
        check(world)
    except BaseException:
        note(world.story())
        raise
