"""`send`, `inbox`, `outbox`: messages to a node ID, those that came, and those that are on their way."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import click

from kadnet.cli import render
from kadnet.cli.common import Request, fail, say, say_json, text_argument, verb
from kadnet.errors import KadnetError, PeerUnreachable
from kadnet.shapes import Message

if TYPE_CHECKING:
    from kadnet.client import Client


def _time(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if math.isnan(value):  # lies in every range of click's
        raise click.BadParameter("nan is no number of seconds")
    return value


@verb("send", example='kadnet send bob "see you at eight"\nkadnet send kadnet://<id>@192.0.2.7:7420 hello --wait 60')
@click.argument("who")
@click.argument("text")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    metavar="S",
    callback=_time,
    help="Seconds to wait for the delivery.",
)
def send(request: Request, who: str, text: str, wait: float) -> None:
    """Send TEXT to WHO: a contact's name, a node ID, or kadnet://<id>@host:port.

    The message is kept on this node's disk first. If it is not delivered in time the exit code is 1, and the node goes
    on: it is delivered, once, when the recipient can be reached.
    """
    client = request.client()
    sent = client.send(text_argument(who, "recipient"), text_argument(text, "message"), wait=wait)
    if request.as_json:
        say_json(sent)
    if sent.state == "queued":
        why = "the recipient has not answered so far" if not sent.problem else _named(client, sent.problem)
        fail(PeerUnreachable(f"not delivered yet: {why}", hint="it is kept, and sent when the recipient is heard"))
    if not request.as_json:
        say(sent.state)


@verb("inbox", example="kadnet inbox\nkadnet inbox --follow\nkadnet inbox --after 41 --json")
@click.option("--follow", is_flag=True, help="Go on with each new message as it comes, until Ctrl-C.")
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="N", help="Only those with a higher number.")
def inbox(request: Request, follow: bool, after: int) -> None:
    """The messages that came, oldest first, one a line: when, from whom, and the text.

    Nothing is consumed: they are there the next time too. With --json each line is an object.
    """
    client = request.client()
    if follow:
        for message in client.follow(after):
            _show(request, message)
        return
    last = after
    while page := client.inbox(last):
        for message in page:
            _show(request, message)
        last = page[-1].number
    if last == after and not request.as_json:
        say("no messages")


@verb("outbox", example="kadnet outbox")
def outbox(request: Request) -> None:
    """The messages that are not delivered yet: to whom, how often each was tried and why in vain, when again."""
    found = request.client().outbox()
    if request.as_json:
        say_json(found)
        return
    for line in render.outbox(found, time.time()):
        say(line)


def _named(client: Client, why: str) -> str:
    """A reason in which who is a contact has the contact's name."""
    try:
        known = client.contacts()
    except KadnetError:  # the node has ended: that the message is kept is what has to be said
        return why
    for entry in known:
        why = render.problem(why, entry.name, entry.id)
    return why


def _show(request: Request, message: Message) -> None:
    if request.as_json:
        say_json(message)
    else:
        say(render.message(message))
