"""`demo`: an overlay of processes on this machine that stores, finds, loses some of its nodes, still finds, and talks.

This file tells the whole and gives it an exit code. `demo_fleet` runs the processes, `demo_screen` draws;
`demo_records` shows the records, which `demo_story` puts, gets and judges, and `demo_messages` the messages, which
`demo_talk` writes, awaits and judges. It ends by itself and leaves nothing behind, also when it is interrupted.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from kadnet.cli.common import Request, say_json, verb
from kadnet.cli.demo_fleet import Fleet
from kadnet.cli.demo_messages import talk_through
from kadnet.cli.demo_records import COPIES, gather, kill_some, look_up, publish
from kadnet.cli.demo_screen import Screen, table, talk_table
from kadnet.cli.demo_story import Get, Piece, Round
from kadnet.cli.demo_talk import AT_ONCE, BOTH_DIED, CAME_BACK, Talk
from kadnet.errors import NoNode


@dataclass(frozen=True, slots=True)
class Tale:
    """All that was done."""

    pieces: tuple[Piece, ...]
    killed: tuple[int, ...]
    before: Round
    after: Round | None
    talk: Talk
    seconds: float

    @property
    def misses(self) -> list[Get]:
        """Gets that were not answered as they must be; those of messages are the talk's."""
        return self.before.misses + (self.after.misses if self.after is not None else [])


@verb("demo", example="kadnet demo\nkadnet demo --nodes 32 --records 100")
@click.option("--nodes", type=click.IntRange(10, 40), default=20, show_default=True, help="How many to start.")
@click.option("--records", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many to store.")
@click.option(
    "--kill", type=click.IntRange(0, COPIES - 1), default=3, show_default=True, help="How many nodes to kill."
)
@click.option(
    "--messages", type=click.IntRange(1, 50), default=3, show_default=True, help="How many to write one way at a time."
)
def demo(request: Request, nodes: int, records: int, kill: int, messages: int) -> None:
    """Watch an overlay of processes store, find, lose some of its nodes, and talk.

    Starts nodes on this machine, each a process of its own, joins them through one address, stores records, looks
    every one up from a node that does not hold it, kills some of the nodes and looks all up again. Then two of those
    left write to each other by ID: while both live, while the receiver is dead, and with the sender killed too.

    Takes under a minute, ends by itself and leaves nothing behind. Exit code 1 if a single get was not answered as it
    must be, or a single message did not come, once and in order.
    """
    screen = Screen(sys.stderr if request.as_json else sys.stdout)
    with _ended_by_signals():
        try:
            with Fleet(COPIES) as fleet:
                try:
                    tale = tell(fleet, screen, nodes=nodes, records=records, kill=kill, messages=messages)
                except NoNode:
                    fleet.check()
                    raise
        except KeyboardInterrupt:
            screen.leave()
            click.echo("interrupted; every node is stopped and nothing is left behind", err=True)
            raise
        finally:
            screen.leave()
    if request.as_json:
        say_json(summary(tale, nodes))
    if tale.misses or tale.talk.misses:
        raise click.exceptions.Exit(1)


def tell(fleet: Fleet, screen: Screen, *, nodes: int, records: int, kill: int, messages: int) -> Tale:
    """Do all of it, in front of the screen."""
    began = time.monotonic()
    screen.title(f"kadnet demo: {nodes} nodes, {records} records, {kill} of the nodes killed, all on this machine")
    gather(fleet, screen, nodes)
    pieces = publish(fleet, screen, records)
    before = look_up(
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
        killed = kill_some(fleet, screen, pieces, kill)
        after = look_up(
            fleet,
            screen,
            pieces,
            "Find again",
            "The survivors do not know yet who is dead: they find out by asking in vain, and go on to the next node.",
        )
    talk = Talk()
    talk_through(fleet, screen, talk, messages, killed)
    tale = Tale(pieces, killed, before, after, talk, time.monotonic() - began)
    screen.phase(
        "What was done",
        "The middle value of all, and in brackets the largest. (In an overlay this small a node knows nearly all "
        "others, so one hop is often enough; a get that met a dead node waited for it in vain.)",
    )
    screen.lines([*table(before, after), "", *talk_table(talk)])
    conclude(tale, screen, nodes)
    return tale


def conclude(tale: Tale, screen: Screen, nodes: int) -> None:
    """Say whether all was as it must be, and what was not."""
    for miss in tale.misses[:10]:
        screen.result(f"miss: {miss.key} asked of node {miss.asker:02}: {miss.miss}", good=False)
    for line in tale.talk.misses[:10]:
        screen.result(f"miss: {line}", good=False)
    seconds = f"{tale.seconds:.0f} s in all."
    if tale.misses:
        screen.result(f"{len(tale.misses)} gets were not answered as they must be. {seconds}", good=False)
    else:
        lasting = f", also with {len(tale.killed)} of {nodes} nodes dead" if tale.killed else ""
        screen.result(f"Every record was found{lasting}.")
    if tale.talk.misses:
        screen.result(
            f"With the messages {len(tale.talk.misses)} things were not as they must be. {seconds}", good=False
        )
    else:
        screen.result(f"Every message came, once and in order. {seconds}")


def summary(tale: Tale, nodes: int) -> dict[str, object]:
    """The demo as JSON."""

    def of(done: Round) -> dict[str, object]:
        figures: dict[str, object] = {
            name: {"median": round(middle, 3), "most": most} for name, (middle, most) in done.figures().items()
        }
        return {"gets": len(done.gets), "from_network": done.answered, **figures}

    talk = tale.talk
    receipts, returns = talk.receipts(), talk.returns()
    return {
        "nodes": nodes,
        "records": len(tale.pieces),
        "copies": COPIES,
        "killed": list(tale.killed),
        "before": of(tale.before),
        "after": None if tale.after is None else of(tale.after),
        "misses": [{"key": miss.key, "asker": miss.asker, "why": miss.miss} for miss in tale.misses],
        "messages": {
            "sent": len(talk.letters),
            "delivered": {
                kind: sum(letter.delivered for letter in talk.of(kind)) for kind in (AT_ONCE, CAME_BACK, BOTH_DIED)
            },
            "twice": talk.twice,
            "receipt_ms": _figure(receipts),
            "return_seconds": _figure(returns),
            "misses": talk.misses,
        },
        "seconds": round(tale.seconds, 3),
    }


def _figure(found: tuple[float, float] | None) -> dict[str, float] | None:
    return None if found is None else {"median": round(found[0], 3), "most": round(found[1], 3)}


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
