"""`sim`: a model of a whole overlay, run with our lookup and with textbook ones beside it, and what came of each.

This file is the command from its options to its exit code. `options` checks what was typed, `memory` knows what
the machine has, `runs` and `workers` run the simulations, one after another or beside each other, and hear
Ctrl-C, `screen` shows how far they are, `table` and `plot` show what they found. It needs no node and no
data directory; the simulation is `kadnet.lab.model`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from kadnet.cli.common import Request, say, say_json, verb
from kadnet.cli.page import page_of
from kadnet.cli.sim import style
from kadnet.cli.sim.memory import available
from kadnet.cli.sim.options import (
    MINUTES,
    MOST_LOOKUPS,
    MOST_NODES,
    MOST_SEED,
    PER_CENT,
    Typed,
    Whole,
    check_memory,
    chosen,
    plan_of,
)
from kadnet.cli.sim.plot import draw
from kadnet.cli.sim.runs import Interrupts, run_all
from kadnet.cli.sim.screen import Progress
from kadnet.cli.sim.table import as_json, table
from kadnet.cli.sim.workers import at_once, processors, run_beside

_INTERRUPTED = 130


@verb("sim", example="kadnet sim --nodes 1000 --loss 1 --stale 10\nkadnet sim --churn 60 --plot sim.svg")
@click.option("--nodes", type=Whole(2, MOST_NODES), default=1000, show_default=True, help="How many join.")
@click.option("--loss", type=PER_CENT, metavar="PERCENT", default=0, show_default=True, help="Datagrams lost.")
@click.option(
    "--stale",
    type=PER_CENT,
    metavar="PERCENT",
    default=0,
    show_default=True,
    help="Nodes that die unnoticed before the lookups.",
)
@click.option("--churn", type=MINUTES, metavar="MINUTES", help="Nodes come and go; their median session.")
@click.option(
    "--sessions",
    type=click.Choice(["exponential", "weibull"]),
    help="How the lengths of sessions are spread.  [default: exponential]",
)
@click.option(
    "--strategy",
    "names",
    metavar="NAME",
    multiple=True,
    help="kadnet, k8-a3-2s, k20-a3-5s or k20-a10-10s; may be repeated.  [default: all]",
)
@click.option("--seed", type=Whole(0, MOST_SEED), default=1, show_default=True, help="One seed, one result.")
@click.option("--lookups", type=Whole(1, MOST_LOOKUPS), default=500, show_default=True, help="How many to measure.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves: an .svg or .png.")
def sim(
    request: Request,
    nodes: int,
    loss: float,
    stale: float,
    churn: float | None,
    sessions: Literal["exponential", "weibull"] | None,
    names: tuple[str, ...],
    seed: int,
    lookups: int,
    plot: Path | None,
) -> None:
    """Simulate an overlay, and compare how lookups fare in it.

    Nodes join one after another over a model of the internet, then values are looked up: by kadnet as it ships, and in
    the same world by textbook Kademlia, which asks in rounds and waits for each. k20-a3-5s means k = 20, 3 asked at a
    time, 5 seconds for an answer.

    Ctrl-C shows what was finished; a second one ends at once.
    """
    with Interrupts() as interrupts:
        if plot is not None:
            style.check(plot)
        plan = plan_of(Typed(nodes, lookups, loss, stale, churn, sessions, seed))
        strategies = chosen(names)
        memory = available()
        check_memory(plan, strategies, memory)

        from kadnet.lab.model import Simulation, bytes_needed

        needed = [bytes_needed(plan, strategy) for strategy in strategies]
        count = at_once(needed, memory, processors())
        progress = Progress(sys.stderr, plan, strategies, at_once=count)
        try:
            if count > 1:
                reports = run_beside(plan, strategies, progress, interrupts, count)
            else:
                reports = run_all(plan, strategies, progress, interrupts, Simulation)
        finally:
            progress.leave()
        if interrupts.failed is not None and not reports:
            raise interrupts.failed
        stopped = interrupts.ending
        missing = [name for name in strategies if name not in [report.strategy for report in reports]]
        if request.as_json:
            say_json(as_json(plan, strategies, reports, interrupted=stopped))
        else:
            for line in table(plan, reports, missing, interrupted=stopped, page=page_of(sys.stdout)):
                say(line)
        if plot is not None:
            with progress.drawing():
                drawn = draw(reports, plot, missing, interrupted=stopped)
            click.echo(f"the curves are in {plot}" if drawn else "no lookup was finished: nothing to draw", err=True)
        if interrupts.failed is not None:
            raise interrupts.failed
        if interrupts.asked:
            raise click.exceptions.Exit(_INTERRUPTED)
