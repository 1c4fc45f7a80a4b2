"""kadnet: a Kademlia overlay in the shape of Ethereum's, for Python programs on trio.

    async with kadnet.open_node("./alice", bootstrap=["seed.example:7420"]) as node:
        await node.joined()
        await node.put("color", b"blue")

The names in `__all__` are the public API. They are imported when first used, so that `import kadnet` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("kadnet runs on Linux and macOS; Windows is not supported yet")

if TYPE_CHECKING:
    from kadnet.apps.chat import Message, Receipt
    from kadnet.client import Client
    from kadnet.errors import (
        Conflict,
        DataDirError,
        DataDirInUse,
        IdentityDamaged,
        InputError,
        KadnetError,
        LinkLost,
        NameNotFound,
        NoNode,
        NotConnected,
        PeerRefused,
        PeerUnreachable,
        PortInUse,
        StorageFailed,
    )
    from kadnet.host import App, Host
    from kadnet.identity.address import Address
    from kadnet.links import LinkSettings
    from kadnet.node import Node, open_node
    from kadnet.overlay import GetOutcome, OverlaySettings, PingOutcome, PutOutcome, ValueEntry
    from kadnet.wire.keys import Key

_HOMES = {
    "Address": "kadnet.identity.address",
    "App": "kadnet.host",
    "Client": "kadnet.client",
    "Conflict": "kadnet.errors",
    "DataDirError": "kadnet.errors",
    "DataDirInUse": "kadnet.errors",
    "GetOutcome": "kadnet.overlay",
    "Host": "kadnet.host",
    "IdentityDamaged": "kadnet.errors",
    "InputError": "kadnet.errors",
    "KadnetError": "kadnet.errors",
    "Key": "kadnet.wire.keys",
    "LinkLost": "kadnet.errors",
    "LinkSettings": "kadnet.links",
    "Message": "kadnet.apps.chat",
    "NameNotFound": "kadnet.errors",
    "NoNode": "kadnet.errors",
    "Node": "kadnet.node",
    "NotConnected": "kadnet.errors",
    "OverlaySettings": "kadnet.overlay",
    "PeerRefused": "kadnet.errors",
    "PeerUnreachable": "kadnet.errors",
    "PingOutcome": "kadnet.overlay",
    "PortInUse": "kadnet.errors",
    "PutOutcome": "kadnet.overlay",
    "Receipt": "kadnet.apps.chat",
    "StorageFailed": "kadnet.errors",
    "ValueEntry": "kadnet.overlay",
    "open_node": "kadnet.node",
}

__all__ = [
    "Address",
    "App",
    "Client",
    "Conflict",
    "DataDirError",
    "DataDirInUse",
    "GetOutcome",
    "Host",
    "IdentityDamaged",
    "InputError",
    "KadnetError",
    "Key",
    "LinkLost",
    "LinkSettings",
    "Message",
    "NameNotFound",
    "NoNode",
    "Node",
    "NotConnected",
    "OverlaySettings",
    "PeerRefused",
    "PeerUnreachable",
    "PingOutcome",
    "PortInUse",
    "PutOutcome",
    "Receipt",
    "StorageFailed",
    "ValueEntry",
    "open_node",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("kadnet.version").VERSION
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kadnet' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
