"""The host: one node without apps. It builds the rooms, joins them by passing functions, runs them; decides nothing.

Order of a start (a contract): lock, identity, databases, ports; whoever runs a control socket adds it after that.
Order of an end: the rooms stop, what they leave is written, the files close, the lock goes. What the body of
`open_host` raises leaves bare; only a crash of the node's own tasks is an ExceptionGroup.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from kadnet import config
from kadnet.datadir import DataDir, create_identity, load_identity, open_datadir
from kadnet.errors import IdentityMissing, InputError, PortInUse
from kadnet.events import Events
from kadnet.identity.address import DEFAULT_PORT, Address, Endpoint, family, parse_address, parse_listen, scope
from kadnet.identity.keys import Identity
from kadnet.overlay import Overlay, OverlaySettings, Tuning
from kadnet.overlay import peercache as peer_schema
from kadnet.overlay import schema as record_schema
from kadnet.pump import Pump
from kadnet.runtime import Runtime
from kadnet.storage import Database
from kadnet.transport import Datagrams, Network


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Section [node] of config.toml. `listen`: HOST:PORT; empty for every address of the machine."""

    listen: str = ""


_SECTIONS = ("node", "overlay")


class Host:
    """What stands when a node runs. Made by `open_host`."""

    def __init__(
        self,
        runtime: Runtime,
        identity: Identity,
        overlay: Overlay,
        events: Events,
        address: Address,
        data_dir: DataDir | None,
        notes: tuple[str, ...],
    ) -> None:
        self.runtime = runtime
        self.identity = identity
        self.overlay = overlay
        self.events = events
        self.address = address
        self.data_dir = data_dir
        self.notes = notes


@asynccontextmanager
async def open_host(
    runtime: Runtime,
    *,
    data_dir: Path | None = None,
    identity: Identity | None = None,
    bootstrap: Sequence[str | Address] = (),
    listen: str | None = None,
    overlay: OverlaySettings | None = None,
    tuning: Tuning | None = None,
) -> AsyncIterator[Host]:
    """Run a node's rooms for the length of the block.

    Without `data_dir` all of it is in memory, and `identity` (or a new one) lasts as long. `overlay` given here wins
    over the section of config.toml. Raises the KadnetErrors of what cannot be opened, each in one line.
    """
    async with AsyncExitStack() as stack:
        notes: list[str] = []
        held: DataDir | None = None
        tables: dict[str, Any] = {}
        if data_dir is not None:
            held = stack.enter_context(open_datadir(data_dir, runtime.wall()))
            notes += held.notes
            tables = _read_config(held)
            identity = _identity(held, runtime)
        elif identity is None:
            identity = Identity.from_seed(runtime.entropy(32))
        host_settings = config.section(tables, "node", HostSettings)
        if overlay is None:
            overlay = config.section(tables, "overlay", OverlaySettings)
        addresses = [_address(entry) for entry in (*overlay.bootstrap, *bootstrap)]

        def database(path: Path | None, migrations: Sequence[str]) -> Database:
            opened = Database(path, migrations, offload=runtime.offload)
            stack.callback(opened.close)
            notes.extend(opened.notes)
            return opened

        records = database(held.records if held is not None else None, record_schema.MIGRATIONS)
        peers = database(held.peers if held is not None else None, peer_schema.MIGRATIONS)
        sockets = await _bind(runtime.network, listen or host_settings.listen or None, notes)
        for socket in sockets:
            stack.push_async_callback(_close, socket)
        address = _dialable(identity, sockets, runtime.network)
        pump = Pump(runtime.now)
        events = Events()
        room = Overlay(
            identity,
            runtime,
            pump,
            events,
            records=records,
            peers=peers,
            sockets=sockets,
            bootstrap=addresses,
            settings=overlay,
            tuning=tuning,
            own_scope=int(scope(address.host)),
        )
        host = Host(runtime, identity, room, events, address, held, tuple(notes))
        left: BaseException | None = None
        async with trio.open_nursery() as foundation:
            await foundation.start(pump.run)
            await foundation.start(records.run)
            await foundation.start(peers.run)
            async with trio.open_nursery() as rooms:
                try:
                    await rooms.start(room.run)
                    yield host
                except BaseException as error:  # noqa: BLE001  # raised again below, outside the nurseries, bare
                    left = error
                rooms.cancel_scope.cancel()
            foundation.cancel_scope.cancel()
        if left is not None:
            raise left


async def _close(socket: Datagrams) -> None:
    with trio.CancelScope(shield=True):
        await socket.aclose()


def _read_config(held: DataDir) -> dict[str, Any]:
    try:
        text = held.config.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise InputError(f"{held.config} is not text in UTF-8", hint="save it again as UTF-8") from None
    except OSError as error:
        raise InputError(f"{held.config} cannot be read: {error.strerror}", hint="check its permissions") from None
    tables = config.parse(text, where=str(held.config))
    config.check_sections(tables, _SECTIONS, where=str(held.config))
    return tables


def _identity(held: DataDir, runtime: Runtime) -> Identity:
    try:
        return load_identity(held.path)
    except IdentityMissing:
        return create_identity(held.path, runtime.entropy(32))


def _address(entry: str | Address) -> Address:
    return entry if isinstance(entry, Address) else parse_address(entry)


async def _bind(network: Network, listen: str | None, notes: list[str]) -> list[Datagrams]:
    """The ports of a node: exactly the one asked for; else 7420 on all addresses, or a free one when that is taken."""
    if listen is not None:
        return [await network.datagrams(parse_listen(listen))]
    try:
        first = await network.datagrams(Endpoint("0.0.0.0", DEFAULT_PORT))
    except PortInUse:
        first = await network.datagrams(Endpoint("0.0.0.0", 0))
        notes.append(f"port {DEFAULT_PORT} is taken; listening on port {first.local.port} instead")
    try:
        second = await network.datagrams(Endpoint("::", first.local.port))
    except (PortInUse, InputError):  # a machine without IPv6, or somebody else's port of that number
        return [first]
    return [first, second]


def _dialable(identity: Identity, sockets: Sequence[Datagrams], network: Network) -> Address:
    """An address that others can dial: of a wildcard port, the one this machine calls the outside from."""
    local = sockets[0].local
    host = local.host
    if host in ("0.0.0.0", "::"):
        number = family(local)
        host = network.local_address(number) or ("127.0.0.1" if number == 4 else "::1")
    return Address(identity.public, host, local.port)
