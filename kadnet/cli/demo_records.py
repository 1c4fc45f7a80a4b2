"""The phases of the demo that are about records, in front of the screen: start, store, find, kill.

What is put, asked and judged is `demo_story`'s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from kadnet.cli.demo_fleet import Fleet
from kadnet.cli.demo_screen import Screen, ring, since
from kadnet.cli.demo_story import BLOB, OWNED, SHARED, Get, Piece, Round, around, condemned, copies_lost, fetch, store
from kadnet.client import Client

COPIES: Final = 4  # few, so that most nodes do not hold a given record; more than are killed, so that none is lost


def gather(fleet: Fleet, screen: Screen, nodes: int) -> None:
    began = time.monotonic()
    screen.phase(
        "Start and join",
        "Every node is a process of its own with a fresh key, and that key is its name. The others are told one "
        "address, that of node 00, and meet everybody else through it. There is no server.",
    )
    for begun, _ in enumerate(fleet.start(nodes), start=1):
        screen.progress(begun, nodes, "nodes started")
    fleet.wait_joined()
    known = sorted(fleet.each(lambda client: client.status().peers).values())
    screen.result(f"{nodes} nodes run and have joined; each knows {_span(known)} others ({since(began)})")


def publish(fleet: Fleet, screen: Screen, records: int) -> tuple[Piece, ...]:
    began = time.monotonic()
    screen.phase(
        "Store",
        f"A record has a key, a node has a place, both in the same space: the {COPIES} nodes whose places are closest "
        "to a key keep a copy each. Shared names are open to all, owned names belong to one key, blobs lie under "
        "their hash.",
    )
    pieces: list[Piece] = []
    for piece in store(fleet.members, records, lambda: fleet.each(_held), fleet.each(_held)):
        pieces.append(piece)
        screen.progress(len(pieces), records, "records stored")
    counts = Counter(piece.kind for piece in pieces)
    kinds = f"{counts[SHARED]} shared, {counts[OWNED]} owned, {counts[BLOB]} blobs"
    through = len({piece.publisher for piece in pieces})
    copies = sorted(piece.replicas for piece in pieces)
    screen.result(
        f"{records} records stored through {through} nodes ({kinds}), {_span(copies)} copies of each ({since(began)})"
    )
    screen.lines(_picture(fleet, pieces[0], (), "who holds"))
    return tuple(pieces)


def look_up(fleet: Fleet, screen: Screen, pieces: Sequence[Piece], name: str, sentence: str) -> Round:
    began = time.monotonic()
    screen.phase(name, sentence)
    gets: list[Get] = []
    for get in fetch(pieces, fleet.alive):
        gets.append(get)
        screen.progress(len(gets), len(pieces), "records looked up")
    done = Round(tuple(gets))
    screen.result(
        f"{done.answered} of {len(gets)} found, from {len({get.asker for get in gets})} nodes ({since(began)})",
        good=not done.misses,
    )
    return done


def kill_some(fleet: Fleet, screen: Screen, pieces: Sequence[Piece], count: int) -> tuple[int, ...]:
    killed = tuple(condemned(fleet.alive, pieces, count))
    others = f", and {count - 1} that hold the most records" if count > 1 else ""
    screen.phase(
        "Kill",
        f"SIGKILL, without a goodbye: node 00, through which all have joined{others}. With {COPIES} copies of each "
        f"record, losing {count} can take none away.",
    )
    for member in [member for member in fleet.alive if member.number in killed]:
        fleet.kill(member)
    lost = copies_lost(pieces, killed)
    told = ", ".join(f"{_records(lost[copies])} lost {copies}" for copies in sorted(lost, reverse=True) if copies)
    numbers = ", ".join(f"{number:02}" for number in killed)
    screen.result(f"killed {numbers}; of the {COPIES} copies that each record had, {told or 'none lost any'}")
    hit = max(pieces, key=lambda piece: len(piece.holders & set(killed)))
    screen.lines(_picture(fleet, hit, killed, "who held"))
    return killed


def _picture(fleet: Fleet, piece: Piece, killed: Sequence[int], heading: str) -> list[str]:
    """The nodes in the order of their places, and where one record lies."""
    shown = piece.key if len(piece.key) < 24 else f"{piece.key[:14]}...{piece.key[-9:]}"
    legend = ["[ ] holds it"] if not killed else ["[ ] holds it", "x x killed"]
    inside = [heading, shown, "", *legend]
    return ring([member.number for member in around(fleet.members)], piece.holders, killed, inside)


def _held(client: Client) -> int:
    return client.status().records


def _span(numbers: Sequence[int]) -> str:
    low, high = numbers[0], numbers[-1]
    return str(low) if low == high else f"{low} to {high}"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"
