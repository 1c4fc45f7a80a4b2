"""`contact`: names for node IDs, to be typed in their place."""

from __future__ import annotations

import time

import click

from kadnet.cli import render
from kadnet.cli.common import Request, say, say_json, text_argument, verb


@click.group(
    "contact",
    invoke_without_command=True,
    epilog="\b\nExample:\n  kadnet contact add bob kadnet://<id>@192.0.2.7:7420\n  kadnet contact list --json\n"
    "  kadnet contact remove bob",
)
@click.pass_context
def contact(ctx: click.Context) -> None:
    """Names for node IDs. A name stands for its node wherever a command takes WHO."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@verb("add", example="kadnet contact add bob kadnet://<id>@192.0.2.7:7420", short_help="Give a node a name.")
@click.argument("name")
@click.argument("who")
def add(request: Request, name: str, who: str) -> None:
    """Give WHO (a node ID or an address) the name NAME.

    A name has 1 to 32 of a-z, 0-9, - and _, and begins with a letter or a digit; me, name and blob are taken.
    """
    added = request.client().add_contact(text_argument(name, "name"), text_argument(who, "node"))
    if request.as_json:
        say_json(added)
    else:
        say(f"{added.name} is {added.id}")


@verb("list", example="kadnet contact list", short_help="The names, and whose they are.")
def list_contacts(request: Request) -> None:
    """The names, whose they are, and where each was last known to answer."""
    found = request.client().contacts()
    if request.as_json:
        say_json(found)
        return
    for line in render.contacts(found, time.time()):
        say(line)


@verb("remove", example="kadnet contact remove bob", short_help="Forget a name.")
@click.argument("name")
def remove(request: Request, name: str) -> None:
    """Forget the name NAME. Messages stay."""
    removed = request.client().remove_contact(text_argument(name, "name"))
    if request.as_json:
        say_json(removed)
    else:
        say(f"removed {removed.name}, who is {removed.id}")


contact.add_command(add)
contact.add_command(list_contacts)
contact.add_command(remove)
