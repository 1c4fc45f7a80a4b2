"""Worlds: nodes that start, die, stop and come back, and whose crashes are nobody's secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kadnet.errors import InputError, PeerUnreachable
from kadnet.lab import Fate, NetworkOptions, PacketEvent, Timeout, World, open_world, run, run_until
from kadnet.overlay import OverlaySettings


def test_a_world_grows_until_everybody_has_joined() -> None:
    async def main() -> None:
        async with open_world(seed=1) as world:
            grown = await world.grow(8)
            assert [each.name for each in grown] == list(world.nodes) == [f"n{number}" for number in range(8)]
            assert all(len(each.node.peers()) == 7 for each in grown)
            await world.grow(2)
            assert list(world.nodes)[-2:] == ["n8", "n9"]
            assert len({each.node.id for each in world.nodes.values()}) == 10
            assert world["n3"].address.host == world["n3"].host.addresses[0]

    run(main, seed=1)


def test_nodes_that_cannot_reach_each_other_end_in_a_timeout_that_names_the_seed() -> None:
    async def main() -> None:
        async with open_world(seed=9, options=NetworkOptions(loss=1.0)) as world:
            await world.grow(2, timeout=30)

    with pytest.raises(Timeout, match=r"everybody_has_joined\n(.*\n)*seed 9 shows it again: run\(main, seed=9"):
        run(main, seed=9)


def test_settings_of_the_world_hold_for_its_nodes_and_may_be_others_for_one() -> None:
    async def main() -> None:
        async with open_world(overlay=OverlaySettings(replicas=2)) as world:
            await world.grow(5)
            client = await world.start("client", bootstrap=world.seeds(), overlay=OverlaySettings(reach="client"))
            await client.node.joined()
            assert (await world["n1"].node.put("a", b"1")).replicas == 2
            assert not client.node.status().serves
            assert client.node.id not in {entry.contact.id for entry in world["n1"].node.peers()}

    run(main)


def heard_after(world: World, name: str) -> list[PacketEvent]:
    """What a node sends from now on."""
    heard: list[PacketEvent] = []
    source = world[name].host.addresses[0]

    def observe(event: PacketEvent) -> None:
        if event.fate is Fate.SENT and event.source.host == source:
            heard.append(event)

    world.internet.observers.append(observe)
    return heard


def test_a_killed_node_says_nothing_more() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(3)
            victim, heard = world["n1"], heard_after(world, "n1")
            world.kill("n1")
            assert "n1" not in world.nodes
            await trio.sleep(30)
            assert not heard
            with pytest.raises(PeerUnreachable):
                await world["n0"].node.ping(str(victim.address))

    run(main)


async def restart_after(world: World, how: str, folder: Path | None) -> None:
    first = await world.start("alice", bootstrap=world.seeds(), data_dir=folder)
    await first.node.joined()
    if how == "kill":
        world.kill("alice")
    else:
        await world.stop("alice")
    again = await world.start("alice", bootstrap=world.seeds(), data_dir=folder)
    await again.node.joined()
    assert again is not first
    assert world["alice"] is again
    assert again.node.id == first.node.id
    assert str(again.address) == str(first.address)
    assert first.node.host.runtime.rng.getstate() != again.node.host.runtime.rng.getstate()
    assert again.node.host.runtime.entropy(32) not in (first.node.host.runtime.entropy(32), again.node.id)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_node_comes_back_as_itself(how: str) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            await restart_after(world, how, None)

    run(main)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_node_with_a_data_folder_comes_back_with_its_data(how: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            alice = await world.start("alice", data_dir=tmp_path / "alice")
            await alice.node.put("color", b"blue")
            await world.stop("alice")
            await restart_after(world, how, tmp_path / "alice")
            assert world["alice"].node.status().published == 1

    run(main)


def test_a_node_that_comes_back_with_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_world() as world:
            for name in ("alice", "bob"):
                await world.start(name, data_dir=tmp_path / name)
                await world.stop(name)
            with pytest.raises(ValueError, match="somebody else"):
                await world.start("alice", data_dir=tmp_path / "bob")
            await world.start("alice", data_dir=tmp_path / "alice")

    run(main)


def test_two_nodes_of_one_name_do_not_run_at_once() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.start("alice")
            with pytest.raises(ValueError, match="running already"):
                await world.start("alice")

    run(main)


def test_what_hinders_a_start_is_raised_from_start_and_leaves_the_world_whole() -> None:
    async def main() -> None:
        async with open_world() as world:
            with pytest.raises(InputError):
                await world.start("alice", bootstrap=["not an address"])
            assert not world.nodes
            await world.start("alice")

    run(main)


def test_what_the_body_raises_leaves_bare_with_the_seed_noted() -> None:
    async def main() -> None:
        async with open_world(seed=5) as world:
            await world.grow(2)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        run(main, seed=5)
    assert any("world of seed 5" in note for note in caught.value.__notes__)


def test_a_crash_of_a_nodes_own_task_ends_the_world_and_names_the_node() -> None:
    def boom() -> None:
        raise ZeroDivisionError("a fault of ours")

    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            overlay = world["n1"].node.host.overlay
            overlay._pump.call_at(world.now() + 5, boom)
            await trio.sleep(100)
            raise AssertionError("the world went on")

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert caught.group_contains(ZeroDivisionError, match="a fault of ours")
    (group,) = caught.value.exceptions
    assert group.__notes__[0].startswith("node n1 at ")


def test_an_error_in_a_handler_is_named_with_its_node_on_the_outermost_group() -> None:
    async def fails(_peer: bytes, _body: bytes) -> bytes:
        raise ZeroDivisionError("a fault of mine")

    async def main() -> None:
        async with open_world(seed=3) as world:
            alice, bob = (each.node for each in await world.grow(2))
            bob.handle("double", fails)
            await alice.request(bob.id, "double", b"0")

    with pytest.raises(ExceptionGroup) as caught:
        run(main, seed=3)
    said = r"what ended it: ZeroDivisionError: a fault of mine \(node n1 at [\d.]+ virtual seconds\)"
    assert any(re.fullmatch(said, note) for note in caught.value.__notes__)


def test_a_world_of_another_seed_than_its_run_is_refused() -> None:
    async def main() -> None:
        async with open_world(seed=2):
            raise AssertionError("it was made")

    with pytest.raises(ValueError, match="seed 2 inside a run of seed 1"):
        run(main, seed=1)


def test_a_world_on_a_real_clock_is_refused() -> None:
    async def main() -> None:
        async with open_world():
            raise AssertionError("it was made")

    with pytest.raises(RuntimeError, match=r"this is the real clock: start with kadnet.lab.run"):
        trio.run(main)


async def test_a_world_on_a_virtual_clock_of_the_tests_own_may_have_any_seed(autojump_clock: MockClock) -> None:
    async with open_world(seed=2) as world:
        await world.grow(2)


def test_a_name_that_no_running_node_has_is_refused_with_the_names_there_are() -> None:
    async def main() -> None:
        async with open_world() as world:
            with pytest.raises(KeyError, match="no running node 'n0'; there are none"):
                world.kill("n0")
            await world.grow(10)
            world.kill("n1")
            for call in (world.kill, world.pause, world.resume, world.jump, world.__getitem__):
                with pytest.raises(KeyError, match=r"no running node 'nobody'; there are n0, n2, .*, n8 and 1 more"):
                    call("nobody")
            with pytest.raises(KeyError, match="no running node 'n1' any more; there are n0, n2"):
                await world.stop("n1")
            with pytest.raises(KeyError, match="no node 'nobody' was ever started; there are n0, n1"):
                world.partition(["n0"], ["n1", "nobody"])
            assert len(world.nodes) == 9

    run(main)


@pytest.mark.parametrize("count", [4, -1])
def test_more_names_than_there_are_cannot_be_picked(count: int) -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(4)
            with pytest.raises(ValueError, match=f"^{count} of 3 running nodes cannot be picked; there are n0, n1, n3"):
                world.random_names(count, without=["n2"])

    run(main)


def test_an_app_without_a_name_is_refused_and_the_world_lives_on() -> None:
    async def main() -> None:
        async with open_world() as world:
            with pytest.raises(
                InputError, match=r"an object with a `name` and `run\(host\)`: <object object .* no name"
            ):
                await world.start("alice", apps=[object()])  # type: ignore[list-item]  # that is what is refused
            await world.start("alice")

    run(main)


def test_chance_of_the_world_is_a_function_of_its_seed_and_no_nodes_chance() -> None:
    async def main(seed: int) -> list[str]:
        async with open_world(seed=seed) as world:
            await world.grow(10)
            picked = world.random_names(4, without=["n0"])
            assert "n0" not in picked
            assert len(set(picked)) == 4
            world.kill(picked[0])
            assert picked[0] not in world.random_names(9)
            return picked

    assert run(main, 3, seed=3) == run(main, 3, seed=3) != run(main, 4, seed=4)


def test_the_trace_of_a_world_grows_with_what_is_sent() -> None:
    async def main() -> list[str]:
        async with open_world() as world:
            before = world.trace
            await world.grow(2)
            return [before, world.trace]

    once = run(main)
    assert once[0] != once[1]
    assert once == run(main)


def test_wrong_clocks_can_be_set_for_one_node() -> None:
    async def main() -> None:
        async with open_world() as world:
            await world.grow(2)
            world["n1"].wall.offset = 7200.0
            wall = [world[name].node.host.runtime.wall() for name in ("n0", "n1")]
            assert wall[1] - wall[0] == 7200
            await run_until(lambda: world.now() > 10, 60)

    run(main)
