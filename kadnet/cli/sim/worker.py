"""One strategy in a process of its own: `python -m kadnet.cli.sim.worker`, which `workers` starts and listens to.

It reads one line on stdin, `{"plan", "strategy"}`, and writes lines on stdout: `{"at": [phase, done, total]}` while it
works, and `{"report"}` at its end. SIGTERM brings the end forward: the report then has the lookups that had ended. When
nobody listens any more the next line ends it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from kadnet.cli.sim.runs import Interrupts

if TYPE_CHECKING:
    from kadnet.lab.model import Plan, Report, Simulation

_OFTEN = 0.1  # seconds between two lines about the same phase


def written(plan: Plan, strategy: str) -> str:
    """What the worker reads. The plan must be one of the command line: its latency is that of its seed."""
    assert plan.latency is None
    return json.dumps({"plan": dataclasses.asdict(plan), "strategy": strategy})


def report_of(plan: Plan, found: dict[str, Any]) -> Report:
    """The report that a worker wrote, to the last digit."""
    from kadnet.lab.model import PutSample, Report, Sample

    samples = tuple(Sample(*row) for row in found.pop("samples"))
    puts = tuple(PutSample(*row) for row in found.pop("puts"))
    return Report(plan=plan, samples=samples, puts=puts, size_estimates=tuple(found.pop("size_estimates")), **found)


def _shown(report: Report) -> dict[str, Any]:
    return {
        "strategy": report.strategy,
        "median_rtt": report.median_rtt,
        "samples": [dataclasses.astuple(sample) for sample in report.samples],
        "joins": report.joins,
        "build_messages": report.build_messages,
        "complete": report.complete,
        "puts": [dataclasses.astuple(put) for put in report.puts],
        "size_estimates": report.size_estimates,
        "k": report.k,
    }


class _Reporter:
    """Says how far it is: each new phase, and now and then in between."""

    def __init__(self) -> None:
        self._phase = ""
        self._next = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase != self._phase or now >= self._next:
            self._phase, self._next = phase, now + _OFTEN
            _say({"at": [phase, done, total]})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The worker, from its one line of input to its report."""
    begun: list[Simulation] = []
    with Interrupts(signal.SIGTERM) as interrupts:
        task = json.loads(sys.stdin.readline())

        def work() -> None:
            from kadnet.lab.model import Plan, Simulation

            begun.append(Simulation(Plan(**task["plan"]), task["strategy"]))
            begun[0].run(interrupts.heeding(_Reporter()))

        try:
            interrupts.stoppable(work)
            for simulation in begun:
                _say({"report": _shown(simulation.report())})
            os._exit(0)  # all is said, and taking a world apart node by node takes seconds
        except BrokenPipeError:
            os._exit(1)  # nobody is there to tell


if __name__ == "__main__":
    main()
