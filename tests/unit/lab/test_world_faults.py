"""What goes wrong in a world: clocks jump, disks fill up or break, processes stand still, the network splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import trio

from kadnet.errors import InputError, PeerUnreachable, StorageFailed
from kadnet.lab import Fate, LabNode, PacketEvent, World, open_world, run, run_until

HOUR = 3600.0


def count_sent(world: World) -> Counter[str]:
    """How many datagrams each host has sent from now on."""
    sent: Counter[str] = Counter()

    def observe(event: PacketEvent) -> None:
        if event.fate is Fate.SENT and event.kind == "datagram":
            sent[event.source.host] += 1

    world.internet.observers.append(observe)
    return sent


def test_the_clocks_of_one_node_jump_apart() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            world.jump("n1", wall=-120, monotonic=HOUR)
            world.jump("n1", wall=20)
            ours, others = (world[name].node.host.runtime for name in ("n1", "n0"))
            assert ours.wall() - others.wall() == -100
            assert ours.now() - others.now() == HOUR
            with pytest.raises(ValueError, match="jumps ahead"):
                world.jump("n1", wall=5, monotonic=-1)
            assert ours.wall() - others.wall() == -100
            with pytest.raises(KeyError):
                world.jump("nobody", wall=1)

    run(main)


@pytest.mark.parametrize("who", ["one", "all"])
def test_a_jump_of_an_hour_brings_no_hours_worth_of_work_and_nobody_is_forgotten(who: str) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(12)
            await trio.sleep(60)
            assert (await world["n1"].node.put("color", b"blue")).replicas == 11
            sent, source = count_sent(world), world["n3"].host.addresses[0]
            for name in list(world.nodes) if who == "all" else ["n3"]:
                world.jump(name, wall=HOUR, monotonic=HOUR)
            await trio.sleep(30)
            # What a calm hour has of walks and checks, some 1,500 packets, is not made up for.
            assert 15 <= sent[source] < 150
            for each in world.nodes.values():
                assert len(each.node.peers()) == 11
                assert [entry.value for entry in await each.node.get("color")] == [b"blue"]
            assert (await world["n3"].node.put("taste", b"sweet")).replicas == 11

    run(main)


def test_a_jump_runs_at_once_what_it_makes_due() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(3)
            await trio.sleep(60)
            sent, source = count_sent(world), world["n1"].host.addresses[0]
            world.jump("n1", monotonic=HOUR)
            await trio.testing.wait_all_tasks_blocked()
            assert sent[source] > 0

    run(main)


def test_messages_pass_after_a_jump_of_either_end() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(3)
            alice, bob = world["n1"].node, world["n2"].node
            assert (await alice.send(bob.id, "before")).state == "delivered"
            for name in ("n1", "n2"):
                world.jump(name, wall=-HOUR, monotonic=HOUR)  # the link between them has been silent for too long now
                await alice.send(bob.id, f"after {name}")
                await bob.send(alice.id, f"back after {name}")
                await run_until(lambda: alice.status().queued == bob.status().queued == 0, 10)
            assert (alice.status().messages, bob.status().messages) == (2, 3)

    run(main)


def place(tmp_path: Path, kind: str) -> Path | None:
    return None if kind == "memory" else tmp_path


async def three_with_a_record(world: World, folder: Path | None) -> LabNode:
    await world.grow(3, data_dirs=folder)
    assert (await world["n0"].node.put("color", b"blue")).replicas == 2
    return world["n1"]


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_node_whose_disk_is_full_holds_what_it_has_and_takes_nothing(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with open_world() as world:
            n1 = await three_with_a_record(world, place(tmp_path, kind))
            n1.disk.fill()
            assert n1.holds("color")
            assert (await world["n0"].node.put("taste", b"sweet")).replicas == 1
            assert not n1.holds("taste")
            with pytest.raises(StorageFailed, match="full"):
                await n1.node.put("smell", b"none")
            receipt = await world["n0"].node.send(n1.node.id, "hello")
            assert receipt.state == "queued"
            assert "disk" in (receipt.problem or "")
            await trio.sleep(600)
            n1.disk.mend()
            assert (await n1.node.put("smell", b"none")).replicas == 2
            await run_until(lambda: n1.holds("taste"), 2 * HOUR, step=60)
            await run_until(lambda: not world["n0"].node.status().queued, 2 * HOUR, step=60)

    run(main)


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_node_whose_disk_is_broken_lives_on_and_has_everything_again_when_it_is_mended(
    tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        async with open_world() as world:
            n1 = await three_with_a_record(world, place(tmp_path, kind))
            n1.disk.fail()
            with pytest.raises(StorageFailed, match="disk I/O error"):
                await n1.node.put("smell", b"none")
            assert (await world["n0"].node.put("taste", b"sweet")).replicas == 1
            await trio.sleep(1200)
            assert len(n1.node.peers()) == 2
            assert [entry.value for entry in await world["n2"].node.get("color")] == [b"blue"]
            # What it cannot read itself others have; what nobody has may lie on its own disk, so it says which it is.
            assert [entry.value for entry in await n1.node.get("color")] == [b"blue"]
            with pytest.raises(StorageFailed, match="disk I/O error"):
                await n1.node.get("nothing")
            n1.disk.mend()
            assert n1.holds("color")

    run(main)


def test_a_clock_and_a_disk_are_after_a_restart_as_they_were_and_a_disk_goes_with_its_folder(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            alice = await world.start("alice", data_dir=tmp_path, bootstrap=world.seeds())
            alice.wall.offset = 60.0
            alice.disk.fill()
            world.kill("alice")
            alice = await world.start("alice", data_dir=tmp_path, bootstrap=world.seeds())
            assert alice.wall.offset == 60.0
            with pytest.raises(StorageFailed, match="full"):
                await alice.node.put("color", b"blue")
            world.kill("alice")
            alice = await world.start("alice", bootstrap=world.seeds())
            assert alice.wall.offset == 60.0
            assert (await alice.node.put("color", b"blue")).replicas == 2

    run(main)


def test_holds_says_who_has_a_copy() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(4)
            alice = world["n1"].node
            assert not any(each.holds("color") for each in world.nodes.values())
            outcome = await alice.put("color", b"blue")
            holders = [each.name for each in world.nodes.values() if each.holds(outcome.key)]
            assert len(holders) >= outcome.replicas == 3

    run(main)


@pytest.mark.parametrize("links", ["with a link", "without"])
def test_a_paused_node_forgets_nobody_and_is_there_again_when_it_is_resumed(links: str) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(8)
            await trio.sleep(60)
            n3, n0 = world["n3"].node, world["n0"].node
            if links == "with a link":
                await n0.send(n3.id, "before")
            world.pause("n3")
            sent, stood_at = count_sent(world), n3.host.runtime.now()
            with pytest.raises(PeerUnreachable):
                await n0.ping(n3.id)
            await n0.send(n3.id, "to one who is away")
            await trio.sleep(600)
            assert sent[world["n3"].host.addresses[0]] == 0
            assert n3.host.runtime.now() == stood_at
            assert len(n3.peers()) == 7
            world.resume("n3")
            assert n3.host.runtime.now() == world.now()
            await run_until(lambda: n0.status().queued == 0, 60)
            await n0.ping(n3.id)
            assert (await n3.put("color", b"blue")).replicas == 7
            assert len(n3.peers()) == 7
            assert sent[world["n3"].host.addresses[0]] < 150

    run(main)


@pytest.mark.parametrize("how", ["stop", "kill", "end of the world"])
def test_a_paused_node_can_be_ended(how: str) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(3)
            await world["n0"].node.send(world["n1"].node.id, "hello")
            world.pause("n1")
            await trio.sleep(5)
            if how == "stop":
                with trio.fail_after(2):
                    await world.stop("n1")
            elif how == "kill":
                world.kill("n1")
            if how != "end of the world":
                again = await world.start("n1", bootstrap=world.seeds())
                await again.node.joined()

    run(main, virtual_limit=120)


async def reaches(world: World, name: str, other: str) -> bool:
    try:
        await world[name].node.ping(str(world[other].address))
    except PeerUnreachable:
        return False
    return True


def test_a_partition_parts_two_groups_until_it_is_healed_and_outlasts_restarts() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(4)
            world.kill("n3")
            world.partition(["n0", "n1"], ["n2", "n3"])
            await world.start("n3", bootstrap=[world["n2"].address])
            assert not await reaches(world, "n0", "n2")
            assert not await reaches(world, "n3", "n1")
            assert await reaches(world, "n0", "n1")
            assert await reaches(world, "n2", "n3")
            world.heal()
            assert await reaches(world, "n0", "n2")
            assert await reaches(world, "n3", "n1")
            with pytest.raises(KeyError):
                world.partition(["n0"], ["nobody"])

    run(main)


def test_a_partition_may_be_one_way() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            arrived: list[str] = []

            def observe(event: PacketEvent) -> None:
                if event.fate is Fate.DELIVERED and event.kind == "datagram":
                    arrived.append(event.target.host)

            world.partition(["n0"], ["n1"], one_way=True)
            await trio.sleep(1)
            world.internet.observers.append(observe)
            assert not await reaches(world, "n1", "n0")
            assert set(arrived) == {world["n0"].host.addresses[0]}

    run(main)


def test_nodes_behind_a_box_are_in_the_overlay_and_stay_behind_it() -> None:
    async def main() -> None:
        async with open_world() as world:
            home = world.internet.nat("home", "30.0.0.1", "endpoint-independent")
            office = world.internet.nat("office", "30.0.1.1", "symmetric")
            await world.grow(8)
            outside = len(world.nodes)
            for name, box in (("alice", home), ("bob", office), ("carol", home)):
                each = await world.start(name, bootstrap=world.seeds(), behind=box)
                await each.node.joined()
                assert each.host.box is box
            addresses = [world[name].host.addresses[0] for name in ("alice", "bob", "carol")]
            assert addresses == ["10.0.0.2", "10.0.0.2", "10.0.0.3"], "as in any home"
            assert (await world["alice"].node.put("color", b"blue")).replicas >= outside
            assert [entry.value for entry in await world["bob"].node.get("color")] == [b"blue"]
            world.kill("alice")
            again = await world.start("alice", bootstrap=world.seeds())
            assert (again.host.box, again.host.addresses) == (home, ("10.0.0.2",))
            for name in ("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"):
                world.kill(name)
            assert world.seeds() == []

    run(main)


def test_a_node_may_move_out_from_behind_its_box() -> None:
    async def main() -> None:
        async with open_world() as world:
            boxes = [world.internet.nat(f"box {n}", f"30.0.{n}.1") for n in range(2)]
            alice = await world.start("alice", behind=boxes[0])
            await world.stop("alice")
            alice = await world.start("alice", behind=boxes[1])
            assert alice.host.box is boxes[1]
            await world.start("bob", behind=boxes[1])
            await world.stop("alice")
            await world.start("alice", behind=boxes[0])
            with pytest.raises(InputError, match="private"):
                await world.start("carol", behind=boxes[0], address="8.8.8.8")

    run(main)
