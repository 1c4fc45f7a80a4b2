"""`status`, `peers`, `table`, `ping`, `lookup`: what the node knows of the overlay."""

from __future__ import annotations

import sys
import time

import click

from kadnet.cli import buckets, hops, render
from kadnet.cli.common import Request, say, say_json, text_argument, verb
from kadnet.cli.page import page_of


@verb("status", example="kadnet status\nkadnet status --json")
def status(request: Request) -> None:
    """How the node fares: its address, its peers, each bootstrap address, what it dropped and why."""
    found = request.client().status()
    if request.as_json:
        say_json(found)
        return
    for line in render.status(found):
        say(line)


@verb("peers", example="kadnet peers\nkadnet peers --full")
@click.option("--full", is_flag=True, help="Whole IDs and addresses, fit for --bootstrap.")
def peers(request: Request, full: bool) -> None:
    """The live contacts of the node, nearest bucket last.

    On a terminal that is too narrow for whole IDs their beginnings stand there.
    """
    found = request.client().peers()
    if request.as_json:
        say_json(found)
        return
    for line in render.peers(found, time.time(), page_of(sys.stdout), full=full):
        say(line)


@verb("table", example="kadnet table")
def table(request: Request) -> None:
    """The routing table: each bucket, whose number is how many leading bits its nodes share with ours, and its nodes.

    In the bar and before a node, = is one that is checked now and then, + one that is checked often because it is new.
    Known: since when it has its place. Credit: the checks it has passed; each failure in a row leaves a third of it, at
    none it is dropped. Waiting are those who take a place when one falls free.
    """
    found = request.client().table()
    if request.as_json:
        say_json(found)
        return
    for line in buckets.table(found, time.time(), page_of(sys.stdout)):
        say(line)


@verb("ping", example="kadnet ping 192.0.2.7:7420")
@click.argument("who")
def ping(request: Request, who: str) -> None:
    """Ask a node whether it lives. WHO is a node ID, kadnet://<id>@host:port, or host:port."""
    pong = request.client().ping(text_argument(who, "node"))
    if request.as_json:
        say_json(pong)
    else:
        say(f"{pong.address} answered in {pong.rtt_ms:.1f} ms")


@verb("lookup", example="kadnet lookup color --trace")
@click.argument("target")
@click.option("--trace", is_flag=True, help="Draw who was asked, under the node that named it first.")
@click.option(
    "--paths",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Walk on so many paths, at most 8, that share no node.",
)
def lookup(request: Request, target: str, trace: bool, paths: int) -> None:
    """Walk towards TARGET and print the live nodes closest to it.

    TARGET is a node (a contact's name, an ID or kadnet://<id>@host:port) or a key (what is typed after get).

    The trace shows for each node when it was asked and how long its answer took, how many leading bits it shares with
    the target, how many new nodes it named, and its rank among the closest that were found.
    """
    walked = request.client().lookup(text_argument(target, "target"), paths=paths)
    if request.as_json:
        say_json(walked)
        return
    for line in hops.tree(walked, page_of(sys.stdout)) if trace else render.walk(walked):
        say(line)
