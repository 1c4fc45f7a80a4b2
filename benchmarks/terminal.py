"""What `make bench` and `make figures` share towards a person: words on stderr, one line for a wrong option, the ways
of asking for an end, and what machine this is."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from typing import NoReturn

from benchmarks.metrics import Line


def say(text: str) -> None:
    """A line on stderr: standard output is for figures."""
    print(text, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """One line for what cannot be understood; --help shows the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help shows what there is)\n")


def heed_endings() -> None:
    """A termination or a lost terminal ends us as Ctrl-C does: what was finished is printed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def machine(repeats: int, *, loopback_only: bool) -> Line:
    """The line that says where and when it was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "row": "machine",
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "loopback_only": loopback_only,
        "repeats": repeats,
    }
