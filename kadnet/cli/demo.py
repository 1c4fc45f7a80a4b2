"""`demo`: an overlay of processes on this machine that stores, finds, loses some of its nodes, and still finds.

This file tells the story and gives it an exit code; `demo_fleet` runs the processes, `demo_story` puts, gets and
judges, `demo_screen` draws. It ends by itself and leaves nothing behind, also when it is interrupted.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from kadnet.cli.common import Request, say_json, verb
from kadnet.cli.demo_fleet import Fleet
from kadnet.cli.demo_screen import Screen, ring, table
from kadnet.cli.demo_story import BLOB, OWNED, SHARED, Get, Piece, Round, condemned, copies_lost, fetch, store
from kadnet.client import Client
from kadnet.identity import nodeid
from kadnet.kademlia.keyspace import position

COPIES: Final = 4  # few, so that most nodes do not hold a given record; more than are killed, so that none is lost


@dataclass(frozen=True, slots=True)
class Tale:
    """All that was done."""

    pieces: tuple[Piece, ...]
    killed: tuple[int, ...]
    before: Round
    after: Round | None
    seconds: float

    @property
    def misses(self) -> list[Get]:
        return self.before.misses + (self.after.misses if self.after is not None else [])


@verb("demo", example="kadnet demo\nkadnet demo --nodes 32 --records 100")
@click.option("--nodes", type=click.IntRange(10, 40), default=20, show_default=True, help="How many to start.")
@click.option("--records", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many to store.")
@click.option(
    "--kill", type=click.IntRange(0, COPIES - 1), default=3, show_default=True, help="How many nodes to kill."
)
def demo(request: Request, nodes: int, records: int, kill: int) -> None:
    """Watch an overlay of processes store, find, and lose some of its nodes.

    Starts nodes on this machine, each a process of its own, joins them through one address, stores records, looks
    every one up from a node that does not hold it, kills some of the nodes and looks all up again. Takes under a
    minute, ends by itself and leaves nothing behind. Exit code 1 if a single get was not answered as it must be.
    """
    screen = Screen(sys.stderr if request.as_json else sys.stdout)
    with _ended_by_signals():
        try:
            with Fleet(COPIES) as fleet:
                tale = tell(fleet, screen, nodes=nodes, records=records, kill=kill)
        except KeyboardInterrupt:
            screen.leave()
            click.echo("interrupted; every node is stopped and nothing is left behind", err=True)
            raise
        finally:
            screen.leave()
    if request.as_json:
        say_json(summary(tale, nodes))
    if tale.misses:
        raise click.exceptions.Exit(1)


def tell(fleet: Fleet, screen: Screen, *, nodes: int, records: int, kill: int) -> Tale:
    """Do all of it, in front of the screen."""
    began = time.monotonic()
    screen.title(f"kadnet demo: {nodes} nodes, {records} records, {kill} of the nodes killed, all on this machine")
    _gather(fleet, screen, nodes)
    pieces = _store(fleet, screen, records)
    before = _find(
        fleet,
        screen,
        pieces,
        "Find",
        "Each record is asked for at a node that neither published nor holds it, so the answer has to come over the "
        "network, from strangers: the asker walks towards the key and checks the signature (or the hash) of what it "
        "is given.",
    )
    killed: tuple[int, ...] = ()
    after = None
    if kill:
        killed = _kill(fleet, screen, pieces, kill)
        after = _find(
            fleet,
            screen,
            pieces,
            "Find again",
            "The survivors do not know yet who is dead: they find out by asking in vain, and go on to the next node.",
        )
    tale = Tale(pieces, killed, before, after, time.monotonic() - began)
    screen.phase(
        "What was done",
        "The middle value of all gets, and in brackets the largest. (In an overlay this small a node knows nearly all "
        "others, so one hop is often enough; a get that met a dead node waited for it in vain.)",
    )
    screen.lines(table(before, after))
    for miss in tale.misses[:10]:
        screen.result(f"miss: {miss.key} asked of node {miss.asker:02}: {miss.miss}", good=False)
    if tale.misses:
        screen.result(f"{len(tale.misses)} gets were not answered as they must be", good=False)
    else:
        lasting = f", also with {len(killed)} of {nodes} nodes dead" if killed else ""
        screen.result(f"Every record was found{lasting}. {tale.seconds:.0f} s in all.")
    return tale


def summary(tale: Tale, nodes: int) -> dict[str, object]:
    """The demo as JSON."""

    def of(done: Round) -> dict[str, object]:
        figures: dict[str, object] = {
            name: {"median": round(middle, 3), "most": most} for name, (middle, most) in done.figures().items()
        }
        return {"gets": len(done.gets), "from_network": done.answered, **figures}

    return {
        "nodes": nodes,
        "records": len(tale.pieces),
        "copies": COPIES,
        "killed": list(tale.killed),
        "before": of(tale.before),
        "after": None if tale.after is None else of(tale.after),
        "misses": [{"key": miss.key, "asker": miss.asker, "why": miss.miss} for miss in tale.misses],
        "seconds": round(tale.seconds, 3),
    }


# ----------------------------------------------------------------------------------------------------------- phases


def _gather(fleet: Fleet, screen: Screen, nodes: int) -> None:
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
    screen.result(f"{nodes} nodes run and have joined; each knows {_span(known)} others ({_since(began)})")


def _store(fleet: Fleet, screen: Screen, records: int) -> tuple[Piece, ...]:
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
        f"{records} records stored through {through} nodes ({kinds}), {_span(copies)} copies of each ({_since(began)})"
    )
    screen.lines(_picture(fleet, pieces[0], (), "who holds"))
    return tuple(pieces)


def _find(fleet: Fleet, screen: Screen, pieces: Sequence[Piece], name: str, sentence: str) -> Round:
    began = time.monotonic()
    screen.phase(name, sentence)
    gets: list[Get] = []
    for get in fetch(pieces, fleet.alive):
        gets.append(get)
        screen.progress(len(gets), len(pieces), "records looked up")
    done = Round(tuple(gets))
    screen.result(
        f"{done.answered} of {len(gets)} found, from {len({get.asker for get in gets})} nodes ({_since(began)})",
        good=not done.misses,
    )
    return done


def _kill(fleet: Fleet, screen: Screen, pieces: Sequence[Piece], count: int) -> tuple[int, ...]:
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
    order = sorted(fleet.members, key=lambda member: position(nodeid.decode(member.id)))
    shown = piece.key if len(piece.key) < 24 else f"{piece.key[:14]}...{piece.key[-9:]}"
    legend = ["[ ] holds it"] if not killed else ["[ ] holds it", "x x killed"]
    inside = [heading, shown, "", *legend]
    return ring([member.number for member in order], piece.holders, killed, inside)


def _held(client: Client) -> int:
    return client.status().records


def _span(numbers: Sequence[int]) -> str:
    low, high = numbers[0], numbers[-1]
    return str(low) if low == high else f"{low} to {high}"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let also SIGTERM and a closed terminal end the demo in order, as Ctrl-C does: no process may stay behind."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    held = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
