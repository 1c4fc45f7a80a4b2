"""Ten thousand nodes and more: lookups on a heap, without codecs or crypto, in a world that a seed decides.

    report = Simulation(Plan(nodes=1000, loss=0.01, stale=0.1), "kadnet").run(lambda phase, done, total: None)
    print(summary(report)["first_p95_rtt"])

What decides is what ships: the table, its revalidation, the timers and the lookup of `kadnet.kademlia`, with the
settings of `kadnet.overlay`. Controls in the same world show what is gained.
"""

from __future__ import annotations

from kadnet.lab.model.plan import Plan
from kadnet.lab.model.putting import PutSample
from kadnet.lab.model.report import Report, Sample, mean, quantile, summary
from kadnet.lab.model.simulation import STRATEGIES, Simulation, bytes_needed

__all__ = [
    "STRATEGIES",
    "Plan",
    "PutSample",
    "Report",
    "Sample",
    "Simulation",
    "bytes_needed",
    "mean",
    "quantile",
    "summary",
]
