"""How a node fares: the numbers of all its rooms and apps, in one place."""

from __future__ import annotations

from typing import TypeAlias

from kadnet.apps.chat import Chat
from kadnet.host import Host
from kadnet.identity import nodeid
from kadnet.metrics import snapshot
from kadnet.shapes import BootstrapState, Status
from kadnet.version import VERSION

Counters: TypeAlias = dict[str, dict[str, int | dict[str, int]]]


def counters(host: Host) -> Counters:
    """The counters of every room and app by name."""
    overlay, links = host.overlay, host.links
    services = snapshot(links.services.counters) | {"refused": dict(links.services.refused)}
    found: Counters = {
        "rpc": snapshot(overlay.rpc_counters),
        "store": snapshot(overlay.store_counters),
        "overlay": snapshot(overlay.counters),
        "neighbours": snapshot(overlay.neighbours.counters),
        "housekeeping": snapshot(overlay.housekeeping.counters),
        "links": snapshot(links.counters),
        "services": services,
    }
    for name, reasons in host.app_counters.items():
        found.setdefault(name, {}).update(reasons)
    return found


def status(host: Host, chat: Chat, *, uptime: float) -> Status:
    """A node in one shape."""
    overlay = host.overlay
    records, published = overlay.record_counts()
    settings = overlay.settings
    counts = chat.counts()
    return Status(
        id=nodeid.encode(host.id),
        address=str(host.address),
        version=VERSION,
        uptime=round(uptime, 3),
        peers=len(overlay.neighbours.living()),
        links=host.links.count_usable(),
        records=records,
        published=published,
        serves=settings.serves,
        joined=overlay.is_joined and not overlay.neighbours.is_alone(),
        replicas=settings.replicas,
        network="private" if settings.network_key else "public",
        bootstrap=tuple(
            BootstrapState(str(s.address), s.answered, s.problem, s.attempts) for s in overlay.bootstrap_states()
        ),
        notes=tuple(host.notes),
        counters=counters(host),
        messages=counts.received,
        queued=counts.queued,
        network_size=overlay.network_size(),
    )
