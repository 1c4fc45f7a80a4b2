"""Shapes as text for a person: aligned columns, short IDs, ages in words. Lines out, nothing printed.

A short ID is for the eye only; `peers --full` and every `--json` give what can be typed, `peers` into a pipe too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from kadnet.cli.page import Page, columns, fitted, missing
from kadnet.identity.text import printable
from kadnet.shapes import BookEntry, BootstrapState, Message, Outgoing, Peer, Status, Walked

SHORT = 8  # characters of an ID, as identity.nodeid.short gives them
_PEERS_RIGHT: Final = "llrrrl"


def age(seconds: float) -> str:
    """A duration in at most two units: 4s, 3m12s, 5h02m, 8d4h."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def rtt(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:.1f} ms"


def place(address: str) -> str:
    """host:port of an address."""
    return address.rpartition("@")[2]


def status(found: Status) -> list[str]:
    """Name and value, a line each; a name that repeats is written once."""
    rows = [
        ("id", found.id),
        ("address", found.address),
        ("version", f"{found.version}, up for {age(found.uptime)}"),
        ("network", f"{found.network}; {'serves others' if found.serves else 'client only: asks and keeps nothing'}"),
        ("size", network_size(found.network_size)),
        ("joined", f"{'yes' if found.joined else 'not yet'}, {counted(found.peers, 'peer')}"),
        ("records", f"{found.records} held, {found.published} of its own, {found.replicas} copies wanted of each"),
    ]
    if found.links:
        rows.append(("links", str(found.links)))
    rows.append(("messages", f"{found.messages} received, {found.queued} waiting to be delivered"))
    states = [_bootstrap(state) for state in found.bootstrap]
    rows += _under("bootstrap", states or ["none given"])
    rpc = found.counters.get("rpc", {})
    rows.append(("datagrams", f"{rpc.get('datagrams_in', 0)} in, {rpc.get('datagrams_out', 0)} out"))
    rows.append(("dropped", _reasons(rpc.get("dropped", {})) or "none"))
    for room, counters in found.counters.items():
        for name, value in counters.items() if isinstance(counters, dict) else ():
            if isinstance(value, dict) and value and (room, name) != ("rpc", "dropped"):
                rows.append((name.replace("_", " "), _reasons(value)))
    rows += _under("note", list(found.notes))
    return columns(rows)


def network_size(nodes: int | None) -> str:
    """An estimate as one says it: two figures of it mean something."""
    if nodes is None:
        return "not known yet"
    unit = 10 ** max(0, len(str(nodes)) - 2)
    return f"about {counted(round(nodes / unit) * unit, 'node')}"


def _bootstrap(state: BootstrapState) -> str:
    if state.problem is not None:
        return f"{state.address}: {state.problem} ({counted(state.attempts, 'attempt')})"
    return f"{state.address}: {'answered' if state.answered else 'not asked yet'}"


def _under(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [("" if number else name, value) for number, value in enumerate(values)]


def _reasons(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count}" for reason, count in ordered)


def counted(number: int, thing: str) -> str:
    """1 node, 2 nodes."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def peers(found: Sequence[Peer], wall: float, page: Page, *, full: bool) -> list[str]:
    """A line for each live contact. `wall`: now, Unix seconds. IDs are whole where they fit, or with `full`."""
    if not found:
        return ["no live peers"]
    rows: list[tuple[str, ...]] = [("id", "address", "known", "answered", "rtt", "linked")]
    rows += [
        (
            peer.id,
            peer.address if full else place(peer.address),
            age(wall - peer.added_at),
            f"{age(wall - peer.answered_at)} ago",
            rtt(peer.rtt_ms),
            "yes" if peer.links else "-",
        )
        for peer in found
    ]
    if full:
        return columns(rows, _PEERS_RIGHT)
    if missing(rows, page):
        rows = [rows[0], *((id[:SHORT], *rest) for id, *rest in rows[1:])]
    return fitted(rows, _PEERS_RIGHT, page, addresses=1)


def walk(walked: Walked) -> list[str]:
    """Why it ended, and the closest."""
    lines = [ended(walked), f"closest to {walked.target[:16]}...: {counted(len(walked.closest), 'node')}"]
    return lines + columns([("", node.id[:SHORT], place(node.address)) for node in walked.closest])


def ended(walked: Walked) -> str:
    """Why a walk ended, and what it took."""
    return (
        f"ended: {walked.reason}; {counted(walked.hops, 'hop')}, {counted(walked.queries, 'message')}, "
        f"{walked.ms:.1f} ms"
    )


def person(name: str | None, id: str) -> str:
    """A contact's name, or the start of an ID. The dots cannot stand in a name: an ID can be made to begin like one."""
    return name if name is not None else f"{id[:SHORT]}..."


def moment(seconds: int) -> str:
    """Unix seconds as local date and time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # no calendar goes there
        return f"at {seconds}"


def message(found: Message) -> str:
    """When it came by our own clock, from whom, and the text, which the printing escapes."""
    return f"{moment(found.received_at)}  {person(found.name, found.sender)}  {found.text}"


def problem(text: str, name: str | None, id: str) -> str:
    """Why a message has not reached somebody, who is named as a person knows them."""
    return printable(text.replace(id, person(name, id)))


def outbox(found: Sequence[Outgoing], wall: float) -> list[str]:
    """A line for each message that waits. `wall`: now, Unix seconds."""
    if not found:
        return ["nothing waits to be delivered"]
    rows = [("to", "waits for", "tried", "again", "text", "problem")]
    rows += [
        (
            person(item.name, item.recipient),
            age(wall - item.sent_at),
            f"{item.attempts} times" if item.attempts != 1 else "once",
            "now" if item.next_at is None or item.next_at <= wall else f"in {age(item.next_at - wall)}",
            printable(item.text, 40),
            problem(item.problem or "-", item.name, item.recipient),
        )
        for item in found
    ]
    return columns(rows, "lrrrll")


def contacts(found: Sequence[BookEntry], wall: float) -> list[str]:
    """A line for each name."""
    if not found:
        return ["no contacts; add one with: kadnet contact add NAME WHO"]
    rows = [("name", "id", "address", "added")]
    rows += [
        (
            entry.name,
            entry.id,
            "-" if entry.address is None else place(entry.address),
            f"{age(wall - entry.added_at)} ago",
        )
        for entry in found
    ]
    return columns(rows, "lllr")
