"""How well the size of a network is judged: alone by walks, by few of them, by many of one place, by lying ones."""

from __future__ import annotations

import heapq
import random

import pytest

from kadnet.identity.address import Endpoint
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.keyspace import BITS
from kadnet.kademlia.network_size import NetworkSize, NetworkSizeSettings

K = 16
SEEDS = 60


def at(position: int) -> Contact:
    contact = Contact(bytes(32), Endpoint("20.0.0.1", 7420))
    contact.position = position
    return contact


def world(nodes: int, rng: random.Random) -> list[int]:
    """The positions of all nodes but us."""
    return [rng.getrandbits(BITS) for _ in range(nodes - 1)]


def walk(size: NetworkSize, positions: list[int], target: int, k: int = K) -> None:
    closest = heapq.nsmallest(k, positions, key=target.__xor__)
    size.walked(target, [at(position) for position in closest], everybody=len(closest) < k)


def walk_unseen(size: NetworkSize, nodes: int, rng: random.Random) -> None:
    """A walk in a network too large to be drawn: the distances alone, each a step above the last."""
    target, reach, closest = rng.getrandbits(BITS), 0.0, []
    for place in range(K):
        reach += (1 - reach) * (1 - rng.random() ** (1 / (nodes - 1 - place)))
        closest.append(at(target ^ int(reach * 2**BITS)))
    size.walked(target, closest)


def judged(nodes: int, seed: int) -> float:
    rng, size = random.Random(f"size {nodes} {seed}"), NetworkSize(NetworkSizeSettings())
    positions = world(nodes, rng) if nodes <= 1000 else []
    for _ in range(16):
        if positions:
            walk(size, positions, rng.getrandbits(BITS))
        else:
            walk_unseen(size, nodes, rng)
    found = size.nodes()
    assert found is not None
    return found / nodes


@pytest.mark.parametrize("nodes", [50, 200, 1000, 10_000, 100_000])
def test_sixteen_walks_judge_the_network_within_a_fifth(nodes: int) -> None:
    """16 walks of 16 contacts err by a sixteenth (one standard deviation): a fifth is three of them."""
    found = {seed: judged(nodes, seed) for seed in range(SEEDS)}
    far = {seed: round(part, 2) for seed, part in found.items() if not 0.8 <= part <= 1.2}
    assert len(far) <= SEEDS // 30, f"of {SEEDS} seeds these are off by more than 20 %: {far}"
    assert 0.94 <= sum(found.values()) / SEEDS <= 1.06


@pytest.mark.parametrize("nodes", [2, 3, 5, 16])
def test_a_network_that_a_walk_sees_whole_is_counted(nodes: int) -> None:
    for seed in range(20):
        assert judged(nodes, seed) == pytest.approx(1.0), f"seed {seed}"


def test_before_three_walks_nothing_is_said() -> None:
    rng, size = random.Random(1), NetworkSize(NetworkSizeSettings())
    positions = world(300, rng)
    assert size.nodes() is None
    assert not size.is_among_closest(0, K)
    for _ in range(2):
        walk(size, positions, rng.getrandbits(BITS))
    size.walked(rng.getrandbits(BITS), [])
    assert size.nodes() is None
    walk(size, positions, rng.getrandbits(BITS))
    assert size.nodes() is not None


@pytest.mark.parametrize(("before", "after"), [(100, 3000), (3000, 100)])
def test_a_network_that_has_grown_or_shrunk_is_known_after_as_many_walks_as_are_remembered(
    before: int, after: int
) -> None:
    for seed in range(10):
        rng, size = random.Random(f"change {seed}"), NetworkSize(NetworkSizeSettings())
        for nodes in (before, after):
            positions = world(nodes, rng)
            for _ in range(16):
                walk(size, positions, rng.getrandbits(BITS))
        found = size.nodes()
        assert found is not None
        assert 0.75 * after <= found <= 1.3 * after, f"seed {seed}"


@pytest.mark.parametrize(("before", "after"), [(2, 41), (2, 400), (30, 3000)])
def test_walks_of_before_the_network_grew_do_not_count_beside_those_who_live_now(before: int, after: int) -> None:
    """Of the walks that are remembered most are of a network that was far smaller than our own table is now."""
    for seed in range(10):
        rng, size = random.Random(f"outgrown {seed}"), NetworkSize(NetworkSizeSettings())
        small, large = world(before, rng), world(after, rng)
        living = min(len(large), 100)
        for _ in range(12):
            walk(size, small, rng.getrandbits(BITS))
        assert size.nodes() == pytest.approx(before, rel=0.5)
        assert size.nodes(living) is None, "what is left is less than three walks"
        assert not size.is_among_closest(1, K, living)
        for _ in range(7):
            walk(size, large, rng.getrandbits(BITS))
        found = size.nodes(living)
        assert found is not None
        assert 0.6 * after <= found <= 1.7 * after, f"seed {seed}"
        assert not size.is_among_closest(int(60 / after * 2**BITS), K, living), "in a network of so few it would be"


def test_walks_that_were_outgrown_count_again_when_the_many_have_gone() -> None:
    rng, size = random.Random(5), NetworkSize(NetworkSizeSettings())
    for _ in range(6):
        walk(size, world(8, rng), rng.getrandbits(BITS))
    assert size.nodes(40) is None
    assert size.nodes(7) == pytest.approx(8.0)


def test_there_are_never_fewer_nodes_than_live_in_our_tables_and_us() -> None:
    rng, size = random.Random(6), NetworkSize(NetworkSizeSettings())
    positions = world(60, rng)
    for _ in range(16):
        walk(size, positions, rng.getrandbits(BITS))
    alone = size.nodes()
    assert alone is not None
    assert size.nodes(int(alone) + 9) == int(alone) + 10
    assert size.nodes(int(alone) - 9) == alone


@pytest.mark.parametrize("nodes", [20, 60, 100])
def test_where_all_nodes_are_known_hardly_a_walk_is_lost(nodes: int) -> None:
    """By chance half of the walks claim fewer than there are; without them three would not be had for long."""
    for seed in range(SEEDS):
        rng, size = random.Random(f"whole {nodes} {seed}"), NetworkSize(NetworkSizeSettings())
        positions = world(nodes, rng)
        for _ in range(8):
            walk(size, positions, rng.getrandbits(BITS))
        assert size.nodes(nodes - 1) is not None, f"seed {seed}"


def test_walks_to_one_place_count_once_and_make_nothing_older() -> None:
    rng, size = random.Random(2), NetworkSize(NetworkSizeSettings())
    positions = world(500, rng)
    for _ in range(16):
        walk(size, positions, rng.getrandbits(BITS))
    target = rng.getrandbits(BITS)
    walk(size, positions, target)
    before = size.nodes()
    for _ in range(100):
        walk(size, positions, target)
    assert size.nodes() == before


@pytest.mark.parametrize("reach", [2.0**-200, 2.0**-60, 1.0 - 2.0**-20])
def test_one_lying_walk_moves_little(reach: float) -> None:
    """Sixteen ground keys around the target, or sixteen peers who name only each other, all over the space."""
    for seed in range(10):
        rng, size = random.Random(f"lie {seed}"), NetworkSize(NetworkSizeSettings())
        positions = world(1000, rng)
        for _ in range(14):
            walk(size, positions, rng.getrandbits(BITS))
        honest = size.nodes()
        target = rng.getrandbits(BITS)
        size.walked(target, [at(target ^ int(reach * 2**BITS))] * K)
        found = size.nodes()
        assert honest is not None
        assert found is not None
        assert 0.85 * honest <= found <= 1.15 * honest, f"seed {seed}"


def walk_among_liars(size: NetworkSize, nodes: int, lies: int, reach: float, rng: random.Random) -> float:
    """Sixteen walks, so many of them ending among liars that stand within `reach`; the estimate by the true number."""
    lying = [True] * lies + [False] * (16 - lies)
    rng.shuffle(lying)
    for is_lie in lying:
        if is_lie:
            target = rng.getrandbits(BITS)
            size.walked(target, [at(target ^ int(reach * 2**BITS))] * K)
        else:
            walk_unseen(size, nodes, rng)
    found = size.nodes()
    assert found is not None
    return found / nodes


@pytest.mark.parametrize("reach", [2.0**-200, 0.004, 0.064, 1.0 - 2.0**-20])
@pytest.mark.parametrize("lies", [1, 2, 3, 4])
def test_who_owns_the_surroundings_of_a_quarter_of_the_targets_moves_the_estimate_by_less_than_a_half(
    lies: int, reach: float
) -> None:
    """Among 1,000 nodes, of which honest walks reach 0.016: far nearer, four times as near, as far, all the space."""
    for seed in range(40):
        rng, size = random.Random(f"liars {seed}"), NetworkSize(NetworkSizeSettings())
        assert 1 / 1.5 <= walk_among_liars(size, 1000, lies, reach, rng) <= 1.5, f"seed {seed}"


def test_ground_keys_around_half_of_the_targets_make_no_endless_network() -> None:
    for seed in range(40):
        rng, size = random.Random(f"half {seed}"), NetworkSize(NetworkSizeSettings())
        assert walk_among_liars(size, 1000, 8, 2.0**-200, rng) <= 4, f"seed {seed}"


def test_a_walk_that_ends_for_want_of_living_contacts_does_not_make_a_small_network() -> None:
    rng, size = random.Random(3), NetworkSize(NetworkSizeSettings())
    positions = world(1000, rng)
    for _ in range(6):
        target = rng.getrandbits(BITS)
        closest = heapq.nsmallest(K - 2, positions, key=target.__xor__)
        size.walked(target, [at(position) for position in closest], everybody=True)
    found = size.nodes()
    assert found is not None
    assert 700 <= found <= 1400


def test_who_is_among_the_closest_is_so_with_the_certainty_asked_for() -> None:
    """With 1,000 nodes 16 lie within 1.6 % of the space: surely those at 1 %, and surely not those at 2.5 %."""
    rng = random.Random(4)
    for certainty, lowest, highest in ((0.9, 10.6, 11.6), (0.5, 15.2, 16.1)):
        size = NetworkSize(NetworkSizeSettings(certainty=certainty))
        for _ in range(4):
            walk(size, world(1000, rng), rng.getrandbits(BITS))
        nodes = size.nodes()
        assert nodes is not None
        assert size.is_among_closest(int(lowest / nodes * 2**BITS), K)
        assert not size.is_among_closest(int(highest / nodes * 2**BITS), K)
