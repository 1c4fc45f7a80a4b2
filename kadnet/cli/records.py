"""`put` and `get`: values into the overlay and out of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kadnet.cli.common import Request, fail, say, say_json, text_argument, verb
from kadnet.cli.render import counted
from kadnet.errors import InputError, NotFound, NotStored
from kadnet.identity.text import printable
from kadnet.shapes import Found
from kadnet.wire.kinds import MAX_VALUE


@verb(
    "put",
    example="kadnet put color blue\nkadnet put me/homepage https://example.org --ttl 86400\nkadnet put blob: --file n",
)
@click.argument("address")
@click.argument("value", required=False)
@click.option("--file", "file", metavar="F", help="Store the bytes of this file (- is standard input).")
@click.option(
    "--ttl",
    type=click.IntRange(min=1),
    metavar="S",
    help="Seconds it lives after this node ends: while it runs it renews (default: the most).",
)
@click.option(
    "--if-seq", type=click.IntRange(min=0), metavar="N", help="Only if your entry is at this seq (0: there is none)."
)
def put(
    request: Request, address: str, value: str | None, file: str | None, ttl: int | None, if_seq: int | None
) -> None:
    """Store VALUE (at most 900 bytes) at ADDRESS.

    ADDRESS is a NAME that everybody shares, me/NAME for an entry that only this node can write, or blob: for bytes
    under their own hash, which is computed and printed.
    """
    text_argument(address, "address")
    data = _value(value, file)
    stored = request.client().put(address, data, ttl=ttl, if_seq=if_seq)
    if request.as_json:
        say_json(stored)
    elif address.startswith("blob:"):
        say(stored.key)
    elif stored.replicas:
        say(f"stored {stored.key} with {stored.replicas} of {stored.wanted} nodes, seq {stored.seq}")
    if not stored.replicas:
        fail(NotStored(f"no other node has acknowledged {stored.key}"))


@verb(
    "get",
    example="kadnet get color\nkadnet get blob:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 > n",
)
@click.argument("address")
@click.option("--stats", is_flag=True, help="Also say what it took (in the JSON, or on stderr).")
def get(request: Request, address: str, stats: bool) -> None:
    """Print the value at ADDRESS: a shared NAME, me/NAME or ID/NAME, or blob:HEX.

    A lone value is printed as it is. Where several nodes wrote under a shared name, each value is a line, this
    node's first.
    """
    found = request.client().get(text_argument(address, "address"), stats=stats)
    if request.as_json:
        say_json(found)
    else:
        _print_values([value.data for value in found.values])
        if stats:
            _print_stats(found)
    if not found.values:
        fail(NotFound(f"nobody has a value for {found.key}"))


def _value(value: str | None, file: str | None) -> bytes:
    """The bytes to store, from the argument or the file. InputError when neither, both, or too many."""
    if (value is None) == (file is None):
        raise InputError(
            "put needs a VALUE or a --file" if file is None else "put takes a VALUE or a --file, not both",
            hint="see: kadnet put --help",
        )
    if file is not None:
        return _small_enough(_read(file))
    assert value is not None
    try:
        return _small_enough(value.encode())
    except UnicodeEncodeError:
        raise InputError("the value is not UTF-8 text", hint="give bytes with --file F") from None


def _read(file: str) -> bytes:
    """One byte more than may be: enough to know that there are too many."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_VALUE + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MAX_VALUE + 1)
    except OSError as error:
        raise InputError(f"cannot read {printable(file)}: {error.strerror}", hint="check the path") from None


def _small_enough(data: bytes) -> bytes:
    if len(data) > MAX_VALUE:
        raise InputError(
            f"the value is too large: the limit is {MAX_VALUE} bytes", hint="store parts of it, or only its address"
        )
    return data


def _print_values(values: list[bytes]) -> None:
    if len(values) != 1:
        for value in values:
            say(value.decode(errors="backslashreplace"))
    elif sys.stdout.isatty():
        for line in values[0].decode(errors="backslashreplace").split("\n"):
            say(line)
    else:
        click.echo(values[0], nl=False)


def _print_stats(found: Found) -> None:
    took = found.lookup
    if took is not None:
        walk = f"{counted(took.queries, 'message')}, {counted(took.hops, 'hop')}"
        text = f"answered by {took.answered_by}: {walk}, {took.ms:.1f} ms"
        if took.datagrams_out is not None:
            text += f", {counted(took.datagrams_out, 'datagram')} out and {took.datagrams_in} in"
        click.echo(printable(text), err=True)
