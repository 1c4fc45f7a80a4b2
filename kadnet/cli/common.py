"""What every command shares: its options, its way of printing, and its errors.

All text goes out through `say`, which lets nothing through that a terminal would obey. The only other way out is a
lone value that `get` hands on to a file or a program as it is.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from kadnet.errors import KadnetError, hint_of, meaning
from kadnet.identity.text import printable

if TYPE_CHECKING:
    from kadnet.client import Client

_LINE = 20_000  # characters: far over any line of ours, and a bound for whatever comes


@dataclass(frozen=True, slots=True)
class Request:
    """How a command was called: on which data directory (None: the default), and for a program or for a person."""

    named: Path | None
    as_json: bool

    @property
    def data_dir(self) -> Path:
        """The data directory that is meant. DataDirError when no home folder is known."""
        if self.named is not None:
            return self.named
        from kadnet.datadir import default_data_dir

        return default_data_dir(os.environ)

    def client(self) -> Client:
        """The node that runs there."""
        from kadnet.client import Client

        return Client(self.data_dir)


def verb(name: str, *, example: str, short_help: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function whose first parameter is a `Request`. Its docstring is the help."""

    def make(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        @click.pass_context
        def call(ctx: click.Context, /, *, data_dir: Path | None, as_json: bool, **arguments: Any) -> None:
            try:
                function(Request(data_dir or ctx.find_object(Path), as_json), **arguments)
            except KadnetError as error:
                if as_json:
                    say_json(_problem(error))
                raise

        told = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        command = click.command(name, epilog=told, short_help=short_help)(call)
        command.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
            # Also here, since that is where one thinks of it.
            click.Option(["--data-dir"], type=click.Path(path_type=Path), metavar="DIR", hidden=True),
        ]
        return command

    return make


def say(text: str) -> None:
    """Print one line for a person."""
    click.echo(printable(text, _LINE))


def say_json(shape: Any) -> None:
    """Print a shape, or plain JSON values, on one line."""
    from kadnet.shapes import to_json

    click.echo(json.dumps(to_json(shape)))


def report(error: KadnetError) -> None:
    """The one line on stderr. Where that cannot be written the exit code says it alone."""
    try:
        click.echo(f"kadnet: {printable(str(error), 1000)}; {printable(hint_of(error), 500)}", err=True)
    except OSError:
        let_go(sys.stderr)


def let_go(stream: TextIO) -> None:
    """Let what `stream` still holds go nowhere. It cannot be written, and the interpreter would try it once more at
    its end, and end with a code of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def fail(error: KadnetError) -> NoReturn:
    """End with the line and exit code of `error`; what there was to print is printed."""
    report(error)
    raise click.exceptions.Exit(meaning(error).exit)


def _problem(error: KadnetError) -> Any:
    from kadnet.shapes import problem_of

    return problem_of(error)


def text_argument(value: str, what: str) -> str:
    """An argument that is going to the node as text. InputError when its bytes were no UTF-8."""
    from kadnet.errors import InputError

    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"the {what} is not UTF-8 text", hint="check the encoding of the terminal") from None
    return value
