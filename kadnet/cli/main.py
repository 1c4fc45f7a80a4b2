"""`kadnet`: which commands there are, and what becomes of their errors.

Whatever goes wrong is one line on stderr, `kadnet: what is wrong; what to do`, and an exit code of the contract:
0 done, 1 not found or not delivered, 2 usage, 3 no node runs here, 4 data dir in use, 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from kadnet.cli.common import let_go, report
from kadnet.errors import KadnetError, meaning
from kadnet.version import VERSION

INTERRUPTED: Final = 130

# Command: where it lives (module of kadnet.cli, name there), and what the list of commands says of it.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "init": ("identity", "init", "Create an identity in the data directory."),
    "id": ("identity", "show_id", "Print the ID of this data directory's node."),
    "version": ("identity", "version", "Print the version."),
    "run": ("run", "run", "Run a node until it is stopped."),
    "status": ("network", "status", "How the node fares."),
    "peers": ("network", "peers", "The live contacts of the node."),
    "table": ("network", "table", "The routing table, bucket by bucket."),
    "ping": ("network", "ping", "Ask a node whether it lives."),
    "lookup": ("network", "lookup", "Walk towards a node or a key, and show how."),
    "put": ("records", "put", "Store a value in the overlay."),
    "get": ("records", "get", "Find a value in the overlay."),
    "send": ("messages", "send", "Send a message to a node."),
    "inbox": ("messages", "inbox", "The messages that came."),
    "outbox": ("messages", "outbox", "The messages that are not delivered yet."),
    "chat": ("talk", "chat", "Talk with a node, line by line."),
    "contact": ("contacts", "contact", "Names for node IDs: add, list, remove."),
    "sim": ("sim.command", "sim", "Simulate an overlay of thousands, and compare how lookups fare in it."),
    "demo": ("demo", "demo", "Watch an overlay of processes store, find, lose nodes, and talk."),
}


# Commands with an argument that may be any text, and what it is called.
_FREE_TEXT: Final = {"put": "value", "send": "text"}


class Kadnet(click.Group):
    """The group of all commands: each is imported when it is typed, and each error ends as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"kadnet.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        typed = args[0]
        if typed not in COMMANDS and not typed.startswith("-"):
            near = difflib.get_close_matches(typed, COMMANDS, n=1, cutoff=0.5)
            guess = f", did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {typed!r}{guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, without importing the commands for their first sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, _, told) in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:  # the help of the whole is printed here
            _seen_enough()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KadnetError as error:
            report(error)
            ctx.exit(meaning(error).exit)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            _seen_enough()
        except OSError as error:
            report(KadnetError(f"cannot write the output: {error.strerror or error}", hint="check where it goes"))
            ctx.exit(1)

    def main(  # type: ignore[override]  # click overloads it by standalone_mode; this one serves both
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        try:
            code = super().main(args, prog_name or "kadnet", complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            report(_usage(error))
            code = 2
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        code = code if isinstance(code, int) else 0
        if standalone_mode:
            sys.exit(code)
        return code


def _seen_enough() -> NoReturn:
    """Whoever read our output has closed it."""
    let_go(sys.stdout)
    raise click.exceptions.Exit(0)


def _usage(error: click.ClickException) -> KadnetError:
    """A mistake in what was typed, in our form of an error."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see: {context.command_path if context else 'kadnet'} --help"
    if isinstance(error, click.NoSuchOption) and error.option_name == "--json":
        hint = "write it after the command: kadnet status --json"
    elif isinstance(error, click.NoSuchOption) and context is not None and context.command.name in _FREE_TEXT:
        hint = f"write -- before a {_FREE_TEXT[context.command.name]} that begins with a dash, or {hint}"
    return KadnetError(message[:1].lower() + message[1:], hint=hint)


@click.group(
    cls=Kadnet,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExample:\n  kadnet run --bootstrap seed.example:7420\n  kadnet put color blue\n  kadnet get color\n"
    '  kadnet send bob "see you at eight"',
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The node's data directory (else KADNET_DATA_DIR, else the platform's place for user data).",
)
@click.version_option(VERSION, prog_name="kadnet", message="%(prog)s %(version)s")
@click.pass_context
def kadnet(ctx: click.Context, data_dir: Path | None) -> None:
    """kadnet: an overlay of nodes whose addresses are keys.

    `kadnet run` starts a node; the other commands talk to the node that runs on the same data directory.
    """
    ctx.obj = data_dir
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The entry point of the `kadnet` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows fewer letters than we print is shown their escapes, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    kadnet.main()
