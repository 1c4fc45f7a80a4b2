"""A world of nodes on the virtual internet: whole overlays in one process, and whatever is built on them.

Testing your own app:

    async def main() -> None:
        async with open_world(seed=7) as world:
            await world.grow(20)                                         # an overlay to live in
            alice = await world.start("alice", bootstrap=world.seeds())  # your app goes around alice.node
            await alice.node.joined()
            await alice.node.put("color", b"blue")
            for name in world.random_names(4, without=["n0"]):
                world.kill(name)                                         # a power cut: nobody is told
            assert [entry.value for entry in await world["n0"].node.get("color")] == [b"blue"]

    run(main, seed=7)

The nodes are those that ship, opened by `open_node`; only the machine under them is virtual. A crash of a node's own
tasks ends the world with an ExceptionGroup that names the node; what the body raises leaves bare, with the seed noted.

Machines go wrong too: `world.jump` moves their clocks, `LabNode.disk` fills up or breaks, `world.pause` stops them.

Left out: the network and its faults (`world.internet`), and clocks that run fast or slow.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from kadnet.errors import InputError
from kadnet.host import App
from kadnet.identity.address import DEFAULT_PORT, Address, Endpoint, text
from kadnet.lab.host import VirtualNetwork
from kadnet.lab.labnode import LabNode, Machine, listed
from kadnet.lab.nat import NatBox
from kadnet.lab.network import VirtualInternet, virtual_internet
from kadnet.lab.options import NetworkOptions
from kadnet.lab.run import Entropy, check_inside_run, run_until, virtual_runtime
from kadnet.links import LinkSettings
from kadnet.node import open_node
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.runtime import Runtime

_SEEDS = 3
_FIRST_NETWORK = (20 << 24) + 1  # public addresses, a /24 for each host, so that no quota of subnets is in the way
_FIRST_PRIVATE = (10 << 24) + 2  # behind a NAT box one after the other: a home network


class World:
    """Nodes by name on one virtual internet. Made by `open_world`.

    What takes the name of a running node raises KeyError, with the names there are, when there is none.
    """

    def __init__(
        self,
        internet: VirtualInternet,
        nursery: trio.Nursery,
        seed: int,
        overlay: OverlaySettings | None,
        tuning: Tuning | None,
        links: LinkSettings,
    ) -> None:
        self.internet = internet
        self.seed = seed
        self.nodes: dict[str, LabNode] = {}
        """The living ones, in the order in which they were started."""
        self.rng = random.Random(f"kadnet lab world {seed}")
        """Chance for the test's own choices; no node draws from it."""
        self._nursery = nursery
        self._overlay = overlay
        self._tuning = tuning
        self._links = links
        self._given: Counter[NatBox | None] = Counter()  # addresses, by where they are
        self._ids: dict[str, bytes] = {}
        self._starts: dict[str, int] = {}
        self._machines: dict[str, Machine] = {}  # as they were when their node was started last
        self._leaving: dict[str, LabNode] = {}
        self._grown = 0

    @property
    def trace(self) -> str:
        """The hash of everything sent so far; see `Trace`."""
        return self.internet.trace.hexdigest()

    def now(self) -> float:
        """Virtual seconds, as the monotonic clock of every node counts them that was not moved."""
        return self.internet.now()

    def __getitem__(self, name: str) -> LabNode:
        if name not in self.nodes:
            ended = " any more" if name in self._machines else ""
            raise KeyError(f"there is no running node {name!r}{ended}; there are {listed(self.nodes)}")
        return self.nodes[name]

    async def start(
        self,
        name: str,
        *,
        bootstrap: Sequence[str | Address] = (),
        data_dir: Path | None = None,
        overlay: OverlaySettings | None = None,
        tuning: Tuning | None = None,
        address: str | None = None,
        behind: NatBox | None = None,
        apps: Sequence[App] = (),
    ) -> LabNode:
        """Start a node and return when it serves (`node.joined()` waits for its contacts).

        A name that was stopped or killed comes back with its address, identity and wall clock, and with its data and
        disk where it is given the same `data_dir` again; without one its records are gone, and its disk is well.
        `overlay` and `tuning`: instead of the world's. `apps` run on it beside the standard ones. `behind`: a box of
        `internet.nat`, and it stays there; its own address is then a private one. Raises what `open_node` raises.
        """
        if name in self.nodes:
            raise ValueError(f"{name} is running already")
        for app in apps:
            if not hasattr(app, "name"):
                raise InputError(f"an app is an object with a `name` and `run(host)`: {app!r:.60} has no name")
        if name in self._leaving:
            await self._leaving[name]._ended.wait()
        started: LabNode = await self._nursery.start(
            self._live,
            name,
            self._machine(name, address, behind, data_dir),
            bootstrap,
            data_dir,
            overlay if overlay is not None else self._overlay,
            tuning if tuning is not None else self._tuning,
            apps,
        )
        return started

    async def grow(
        self, count: int, *, data_dirs: Path | None = None, pace: float = 0.25, timeout: float = 120.0
    ) -> list[LabNode]:
        """Start `count` nodes more and wait until all of them have joined, through the first nodes of the world.

        They are called n0, n1, … and start `pace` virtual seconds apart. With `data_dirs` each has a folder of its
        name in there. Raises `Timeout` when they have not joined `timeout` virtual seconds after the last start.
        """
        grown: list[LabNode] = []
        for _ in range(count):
            name = f"n{self._grown}"
            self._grown += 1
            folder = None if data_dirs is None else data_dirs / name
            grown.append(await self.start(name, bootstrap=self.seeds(), data_dir=folder))
            await trio.sleep(pace)
        if len(self.nodes) > 1:
            await self.all_joined(timeout)
        return grown

    async def all_joined(self, timeout: float = 120.0) -> float:
        """Wait until every living node has joined; returns the virtual seconds it took. Raises `Timeout`."""

        def everybody_has_joined() -> bool:
            return all(each.node.host.overlay.is_joined for each in self.nodes.values())

        return await run_until(everybody_has_joined, timeout)

    def seeds(self) -> list[Address]:
        """Addresses of the first living nodes that stand behind no NAT box, to bootstrap from."""
        return [each.address for each in self.nodes.values() if each.host.box is None][:_SEEDS]

    def kill(self, name: str) -> None:
        """A power cut: from this instant nothing of the node reaches the network, and nobody is told.

        Of its data folder everything survives that it had written, and what its writer had already queued.
        """
        leaving = self._leaving[name] = self[name]
        del self.nodes[name]
        self.internet.kill(leaving.host)
        leaving._scope.cancel()

    async def stop(self, name: str) -> None:
        """Stop a node as a person would, and wait until it has let go of everything. A paused one is resumed for it."""
        self.resume(name)
        leaving = self._leaving[name] = self.nodes.pop(name)
        leaving._leave.set()
        await leaving._ended.wait()

    def pause(self, name: str) -> None:
        """Stop the node's process for a while: it sends nothing, hears nothing, and sees no time pass.

        What comes in the meantime waits as its system keeps it. A task of a test or an app that waits in trio itself
        goes on.
        """
        lab_node = self[name]
        self.internet.pause(lab_node.host)
        lab_node.clock.freeze()

    def resume(self, name: str) -> None:
        """Let it go on: all the time it was away has passed at once. Nothing for a node that was not paused."""
        lab_node = self[name]
        self.internet.resume(lab_node.host)
        lab_node.clock.thaw()

    def partition(self, names: Sequence[str], others: Sequence[str], *, one_way: bool = False) -> None:
        """Let nothing get from `names` to `others`, nor back unless `one_way`, until `heal`; restarts do not mend it.

        Names of nodes that are down now may be among them; KeyError for one that was never started.
        """
        for name in (*names, *others):
            if name not in self._machines:
                raise KeyError(f"no node {name!r} was ever started; there are {listed(self._machines)}")
        a, b = ([self._machines[name].host for name in side] for side in (names, others))
        self.internet.partition(a, b, one_way)

    def heal(self) -> None:
        """End all partitions and cuts."""
        self.internet.heal_all()

    def jump(self, name: str, *, wall: float = 0.0, monotonic: float = 0.0) -> None:
        """Move the clocks of a node by seconds: the wall clock either way, the monotonic one (`runtime.now`) ahead.

        What became due by the monotonic one runs at once. ValueError for a jump back of that one.
        """
        lab_node = self[name]
        lab_node.clock.jump(monotonic)
        lab_node.wall.offset += wall

    def random_names(self, count: int, *, without: Sequence[str] = ()) -> list[str]:
        """`count` different living nodes by chance, which the seed decides. ValueError when there are fewer."""
        names = [name for name in self.nodes if name not in without]
        if not 0 <= count <= len(names):
            raise ValueError(f"{count} of {len(names)} running nodes cannot be picked; there are {listed(names)}")
        return self.rng.sample(names, count)

    async def _live(
        self,
        name: str,
        machine: Machine,
        bootstrap: Sequence[str | Address],
        data_dir: Path | None,
        overlay: OverlaySettings | None,
        tuning: Tuning | None,
        apps: Sequence[App],
        *,
        task_status: trio.TaskStatus[LabNode],
    ) -> None:
        """The life of one node, from its start to its stop or death."""
        runtime = self._runtime(machine, name)
        lab_node: LabNode | None = None
        try:
            async with open_node(
                data_dir,
                bootstrap=bootstrap,
                listen=text(Endpoint(machine.host.addresses[0], DEFAULT_PORT)),
                overlay=overlay,
                tuning=tuning,
                links=self._links,
                apps=apps,
                runtime=runtime,
            ) as node:
                if self._ids.setdefault(name, node.id) != node.id:
                    raise ValueError(f"{name} has come back as somebody else: is its data_dir another one?")
                lab_node = self.nodes[name] = LabNode(name, node, machine)
                task_status.started(lab_node)
                with lab_node._scope:
                    await lab_node._leave.wait()
        except BaseException as error:
            if lab_node is not None and not isinstance(error, trio.Cancelled):
                error.add_note(f"node {name} at {trio.current_time():g} virtual seconds")
            raise
        finally:
            self._gone(name, machine.host, lab_node)

    def _gone(self, name: str, host: VirtualNetwork, lab_node: LabNode | None) -> None:
        if host.alive:
            self.internet.kill(host)
        if lab_node is None:
            return
        self._leaving.pop(name, None)
        if self.nodes.get(name) is lab_node:
            del self.nodes[name]
        lab_node._ended.set()

    def _machine(self, name: str, address: str | None, behind: NatBox | None, data_dir: Path | None) -> Machine:
        """The machine of that name, turned on again: what time does not mend is as it was."""
        before = self._machines.get(name)
        if before is None:
            box, used = behind, None
        else:
            box, used = behind or before.host.box, before.host
        if address is None:
            address = used.addresses[0] if used is not None and used.box is box else self._new_address(box)
        machine = Machine(self.internet.host(name, [address], behind=box))
        if before is not None:
            machine = replace(machine, wall=before.wall, disk=machine.disk if data_dir is None else before.disk)
        self._machines[name] = machine
        return machine

    def _runtime(self, machine: Machine, name: str) -> Runtime:
        """A machine with chance of its own at every start: whoever drew the same nonces twice would be no honest node.

        Only the first 32 bytes are the same each time, as they become the identity where no data folder holds it.
        """
        start = self._starts[name] = self._starts.get(name, 0) + 1
        chance = name if start == 1 else f"{name} start {start}"
        runtime = virtual_runtime(
            machine.host, self.seed, chance, wall=machine.wall, clock=machine.clock, disk=machine.disk
        )
        if start == 1:
            return runtime
        return replace(runtime, entropy=_first_as_before(Entropy(self.seed, name), runtime.entropy))

    def _new_address(self, box: NatBox | None) -> str:
        """The next one outside, or behind that box: several boxes use the same private addresses, as at home."""
        number = self._given[box]
        self._given[box] += 1
        first, step = (_FIRST_NETWORK, 256) if box is None else (_FIRST_PRIVATE, 1)
        return ".".join(str(octet) for octet in (first + number * step).to_bytes(4, "big"))


def _first_as_before(before: Callable[[int], bytes], after: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Entropy whose first draw is the first draw of `before`."""
    first = True

    def draw(size: int) -> bytes:
        nonlocal first
        if first:
            first = False
            return before(size)
        return after(size)

    return draw


@asynccontextmanager
async def open_world(
    *,
    seed: int = 0,
    options: NetworkOptions | None = None,
    overlay: OverlaySettings | None = None,
    tuning: Tuning | None = None,
    links: LinkSettings | None = None,
) -> AsyncIterator[World]:
    """A world without nodes, on virtual time; call it inside `kadnet.lab.run` with the same seed.

    `overlay`, `tuning` and `links` are what its nodes are opened with; by default a handler that raises what it should
    not ends the world, so that a test sees it. At the end of the block all of them are gone. Raises RuntimeError on a
    real clock, and ValueError inside a `run` of another seed.
    """
    check_inside_run(seed)
    left: BaseException | None = None
    async with virtual_internet(options, seed=seed) as internet:
        try:
            async with trio.open_nursery() as nursery:
                try:
                    yield World(internet, nursery, seed, overlay, tuning, links or LinkSettings(raise_errors=True))
                except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                    left = error
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:  # nodes that broke, some of them only at the end
            group.add_note(_where(seed))
            if left is None or isinstance(left, trio.Cancelled):
                raise
            left.add_note("and nodes broke at the end of the world: see its cause, above")
            left.add_note(_where(seed))
            raise left from group
        if left is not None:
            if not isinstance(left, trio.Cancelled):
                left.add_note(_where(seed))
            raise left


def _where(seed: int) -> str:
    return f"in a world of seed {seed}, at {trio.current_time():g} virtual seconds"
