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

Left out: networks of more than one latency, and clocks that are wrong (set `LabNode.wall.offset` for that).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from kadnet.host import App
from kadnet.identity.address import DEFAULT_PORT, Address, Endpoint, text
from kadnet.lab.host import VirtualNetwork
from kadnet.lab.network import NetworkOptions, VirtualInternet, virtual_internet
from kadnet.lab.run import Entropy, VirtualWall, run_until, virtual_runtime
from kadnet.links import LinkSettings
from kadnet.node import Node, open_node
from kadnet.overlay import OverlaySettings, Tuning
from kadnet.runtime import Runtime

_SEEDS = 3
_FIRST_NETWORK = 20 << 24  # 20.0.0.0: public addresses, a /24 for each host, so that no quota of subnets is in the way


class LabNode:
    """A running node and its machine. `address` is what others may take as a bootstrap address."""

    def __init__(self, name: str, node: Node, host: VirtualNetwork, wall: VirtualWall) -> None:
        self.name = name
        self.node = node
        self.host = host
        self.wall = wall
        self._leave = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def address(self) -> Address:
        return self.node.address

    def __repr__(self) -> str:
        return f"<LabNode {self.name} {self.address.host}>"


class World:
    """Nodes by name on one virtual internet. Made by `open_world`."""

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
        self._addresses: dict[str, str] = {}  # by name, for restarts
        self._ids: dict[str, bytes] = {}
        self._starts: dict[str, int] = {}
        self._leaving: dict[str, LabNode] = {}
        self._grown = 0

    @property
    def trace(self) -> str:
        """The hash of everything sent so far; see `Trace`."""
        return self.internet.trace.hexdigest()

    def now(self) -> float:
        """Virtual seconds, as every node's monotonic clock counts them."""
        return self.internet.now()

    def __getitem__(self, name: str) -> LabNode:
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
        apps: Sequence[App] = (),
    ) -> LabNode:
        """Start a node and return when it serves (`node.joined()` waits for its contacts).

        A name that was stopped or killed comes back with its address and identity, and with its data where it is given
        the same `data_dir` again; without one its records are gone. `overlay` and `tuning`: instead of the world's.
        `apps` run on it beside the standard ones. Raises what `open_node` raises.
        """
        if name in self.nodes:
            raise ValueError(f"{name} is running already")
        if name in self._leaving:
            await self._leaving[name]._ended.wait()
        started: LabNode = await self._nursery.start(
            self._live,
            name,
            self.internet.host(name, [self._address_of(name, address)]),
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
        """Addresses of the first living nodes, to bootstrap from."""
        return [each.address for each in list(self.nodes.values())[:_SEEDS]]

    def kill(self, name: str) -> None:
        """A power cut: from this instant nothing of the node reaches the network, and nobody is told.

        Of its data folder everything survives that it had written, and what its writer had already queued.
        """
        leaving = self._leaving[name] = self.nodes.pop(name)
        self.internet.kill(leaving.host)
        leaving._scope.cancel()

    async def stop(self, name: str) -> None:
        """Stop a node as a person would, and wait until it has let go of everything."""
        leaving = self._leaving[name] = self.nodes.pop(name)
        leaving._leave.set()
        await leaving._ended.wait()

    def random_names(self, count: int, *, without: Sequence[str] = ()) -> list[str]:
        """`count` different living nodes by chance, which the seed decides."""
        return self.rng.sample([name for name in self.nodes if name not in without], count)

    async def _live(
        self,
        name: str,
        host: VirtualNetwork,
        bootstrap: Sequence[str | Address],
        data_dir: Path | None,
        overlay: OverlaySettings | None,
        tuning: Tuning | None,
        apps: Sequence[App],
        *,
        task_status: trio.TaskStatus[LabNode],
    ) -> None:
        """The life of one node, from its start to its stop or death."""
        wall = VirtualWall()
        runtime = self._runtime(host, name, wall)
        lab_node: LabNode | None = None
        try:
            async with open_node(
                data_dir,
                bootstrap=bootstrap,
                listen=text(Endpoint(host.addresses[0], DEFAULT_PORT)),
                overlay=overlay,
                tuning=tuning,
                links=self._links,
                apps=apps,
                runtime=runtime,
            ) as node:
                if self._ids.setdefault(name, node.id) != node.id:
                    raise ValueError(f"{name} has come back as somebody else: is its data_dir another one?")
                lab_node = self.nodes[name] = LabNode(name, node, host, wall)
                task_status.started(lab_node)
                with lab_node._scope:
                    await lab_node._leave.wait()
        except BaseException as error:
            if lab_node is not None and not isinstance(error, trio.Cancelled):
                error.add_note(f"node {name} at {trio.current_time():g} virtual seconds")
            raise
        finally:
            self._gone(name, host, lab_node)

    def _gone(self, name: str, host: VirtualNetwork, lab_node: LabNode | None) -> None:
        if host.alive:
            self.internet.kill(host)
        if lab_node is None:
            return
        self._leaving.pop(name, None)
        if self.nodes.get(name) is lab_node:
            del self.nodes[name]
        lab_node._ended.set()

    def _runtime(self, host: VirtualNetwork, name: str, wall: VirtualWall) -> Runtime:
        """A machine with chance of its own at every start: whoever drew the same nonces twice would be no honest node.

        Only the first 32 bytes are the same each time, as they become the identity where no data folder holds it.
        """
        start = self._starts[name] = self._starts.get(name, 0) + 1
        runtime = virtual_runtime(host, self.seed, name if start == 1 else f"{name} start {start}", wall=wall)
        if start == 1:
            return runtime
        return replace(runtime, entropy=_first_as_before(Entropy(self.seed, name), runtime.entropy))

    def _address_of(self, name: str, wanted: str | None) -> str:
        if wanted is not None:
            self._addresses[name] = wanted
        elif name not in self._addresses:
            number = _FIRST_NETWORK + (len(self._addresses) << 8) + 1
            self._addresses[name] = ".".join(str(octet) for octet in number.to_bytes(4, "big"))
        return self._addresses[name]


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
    not ends the world, so that a test sees it. At the end of the block all of them are gone.
    """
    left: BaseException | None = None
    async with virtual_internet(options, seed=seed) as internet:
        async with trio.open_nursery() as nursery:
            try:
                yield World(internet, nursery, seed, overlay, tuning, links or LinkSettings(raise_errors=True))
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery, bare
                left = error
            nursery.cancel_scope.cancel()
        if left is not None:
            if not isinstance(left, trio.Cancelled):
                left.add_note(f"in a world of seed {seed}, at {trio.current_time():g} virtual seconds")
            raise left
