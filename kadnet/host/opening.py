"""Opening a node: the rooms are built, joined by passing functions, and run; nothing is decided here.

Order of a start (a contract): lock, identity, databases, ports, apps; whoever runs a control socket adds it after that.
Order of an end: the apps stop, the links say goodbye, the rooms stop, what they leave is written, the files close, the
lock goes. What the body of `open_host` raises leaves bare; only a crash of the node's own tasks is an ExceptionGroup.
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
from kadnet.errors import IdentityMissing, InputError, KadnetError
from kadnet.events import Events
from kadnet.host.databases import NAME, Databases
from kadnet.host.seam import App, Foundation, Host
from kadnet.identity.address import Address, parse_address, scope
from kadnet.identity.keys import Identity
from kadnet.links import Links, LinkSettings, Whereabouts
from kadnet.overlay import Overlay, OverlaySettings, Tuning
from kadnet.overlay import peercache as peer_schema
from kadnet.overlay import schema as record_schema
from kadnet.ports import dialable, open_ports
from kadnet.pump import Pump
from kadnet.runtime import Runtime

_SECTIONS = ("node", "overlay")


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Section [node] of config.toml. `listen`: HOST:PORT; empty for every address of the machine."""

    listen: str = ""


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
    links: LinkSettings | None = None,
    apps: Sequence[App] = (),
) -> AsyncIterator[Host]:
    """Run a node's rooms and `apps` for the length of the block.

    Without `data_dir` all of it is in memory, and `identity` (or a new one) lasts as long. `overlay` given here wins
    over the section of config.toml. Raises the KadnetErrors of what cannot be opened, each in one line.
    """
    async with AsyncExitStack() as stack:
        _check_names([app.name for app in apps])
        notes: list[str] = []
        held: DataDir | None = None
        tables: dict[str, Any] = {}
        if data_dir is not None:
            held = stack.enter_context(open_datadir(data_dir, runtime.wall()))
            notes += held.notes
            tables = _read_config(held, [*_SECTIONS, *(app.name for app in apps)])
            identity = _identity(held, runtime)
        elif identity is None:
            identity = Identity.from_seed(runtime.entropy(32))
        host_settings = config.section(tables, "node", HostSettings)
        if overlay is None:
            overlay = config.section(tables, "overlay", OverlaySettings)
        addresses = [_address(entry) for entry in (*overlay.bootstrap, *bootstrap)]
        databases = Databases(held, runtime, stack, notes)
        records = databases.open("records", record_schema.MIGRATIONS)
        peers = databases.open("peers", peer_schema.MIGRATIONS)
        ports = await open_ports(runtime.network, listen or host_settings.listen or None)
        stack.push_async_callback(ports.aclose)
        notes += ports.notes
        address = dialable(identity.public, ports.datagrams, runtime.network)
        pump = Pump(runtime.now)
        events = Events()
        room = Overlay(
            identity,
            runtime,
            pump,
            events,
            records=records,
            peers=peers,
            sockets=ports.datagrams,
            bootstrap=addresses,
            settings=overlay,
            tuning=tuning,
            own_scope=int(scope(address.host)),
        )
        connections = Links(
            identity,
            overlay.network(),
            runtime,
            pump,
            events,
            listeners=ports.listeners,
            whereabouts=Whereabouts(room.seeker.known, room.seeker.search, room.ask_id),
            paths=[lambda contact: runtime.network.connect(contact.endpoint)],
            settings=links,
        )
        host = Host(
            Foundation(
                runtime,
                identity,
                overlay.network(),
                room,
                connections,
                events,
                address,
                held,
                tables,
                databases.open_for_app,
            ),
            notes,
        )
        left: BaseException | None = None
        async with trio.open_nursery() as foundation:
            await foundation.start(pump.run)
            await databases.run_in(foundation)
            async with trio.open_nursery() as rooms:
                async with trio.open_nursery() as running:
                    try:
                        await rooms.start(room.run)
                        await rooms.start(connections.run)
                        for app in apps:
                            await _start(app, host, running)
                        yield host
                    except BaseException as error:  # noqa: BLE001  # raised again below, outside the nurseries, bare
                        left = error
                    running.cancel_scope.cancel()
                rooms.cancel_scope.cancel()
            foundation.cancel_scope.cancel()
        if left is not None:
            raise left


def _check_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in _SECTIONS:
            raise InputError(
                f"an app is named by a-z, then up to 31 of a-z 0-9 _ -, and not as a section of ours: {name!r:.60}"
            )
        if name in names[:place]:
            raise InputError(f"two apps have the name {name!r}")


async def _start(app: App, host: Host, nursery: trio.Nursery) -> None:
    """An app may fail inside a nursery of its own; why the node does not start leaves bare all the same."""
    try:
        await nursery.start(app.run, host)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, KadnetError):
            raise error from None
        raise


def _read_config(held: DataDir, sections: Sequence[str]) -> dict[str, Any]:
    try:
        text = held.config.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise InputError(f"{held.config} is not text in UTF-8", hint="save it again as UTF-8") from None
    except OSError as error:
        raise InputError(f"{held.config} cannot be read: {error.strerror}", hint="check its permissions") from None
    tables = config.parse(text, where=str(held.config))
    config.check_sections(tables, sections, where=str(held.config))
    return tables


def _identity(held: DataDir, runtime: Runtime) -> Identity:
    try:
        return load_identity(held.path)
    except IdentityMissing:
        return create_identity(held.path, runtime.entropy(32))


def _address(entry: str | Address) -> Address:
    return entry if isinstance(entry, Address) else parse_address(entry)
