"""`run`: a node as a process. The only command that imports the node."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from kadnet.cli.common import Request, let_go, say, say_json, verb
from kadnet.errors import KadnetError
from kadnet.identity.address import parse_address, parse_listen

if TYPE_CHECKING:
    from kadnet.daemon.log import Level
    from kadnet.shapes import Ready


@verb(
    "run",
    example="kadnet run\nkadnet run --listen 0.0.0.0:7420 --bootstrap seed.example:7420\n"
    "kadnet --data-dir ./bob run --listen 127.0.0.1:0 --bootstrap 127.0.0.1:7420",
)
@click.option("--listen", metavar="HOST:PORT", help="The IP address and port to listen on; port 0 picks a free one.")
@click.option(
    "--bootstrap",
    metavar="ADDRESS",
    multiple=True,
    help="A node to join through: host:port or kadnet://<id>@host:port. May be given several times.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="KADNET_LOG",
    show_default=True,
    help="How much to log to stderr (else KADNET_LOG).",
)
@click.option("--log-json", is_flag=True, help="Log lines as JSON.")
def run(request: Request, listen: str | None, bootstrap: tuple[str, ...], log_level: Level, log_json: bool) -> None:
    """Run a node until it is stopped (Ctrl-C or SIGTERM).

    Creates the data directory and an identity if there is none. Once the node serves it prints one line: ready, and
    the address that others can dial. The log goes to stderr.
    """
    if listen is not None:
        parse_listen(listen)  # what is mistyped is said before anything is made or bound
    for address in bootstrap:
        parse_address(address)

    import trio

    from kadnet.daemon.log import make_logger
    from kadnet.daemon.run import run_daemon

    def ready(line: Ready) -> None:
        try:
            if request.as_json:
                say_json(line)
            else:
                say(f"ready {line.address}")
        except BrokenPipeError:
            let_go(sys.stdout)
            log.warning("nobody reads the ready line")
        except OSError as error:
            let_go(sys.stdout)
            raise KadnetError(
                f"cannot write the ready line: {error.strerror or error}", hint="check where the output goes"
            ) from error

    log = make_logger(sys.stderr, log_level, as_json=log_json)

    async def live() -> int:
        return await run_daemon(request.data_dir, bootstrap=bootstrap, listen=listen, log=log, ready=ready)

    code = trio.run(live)
    try:
        sys.stderr.flush()
    except OSError:  # a log that could not be written
        let_go(sys.stderr)
    raise click.exceptions.Exit(code)
