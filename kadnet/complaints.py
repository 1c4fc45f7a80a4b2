"""What a program that runs a node must not miss, said in Python's own log when the program has not named another.

The daemon writes its own log from the same events, and more of them (`kadnet.daemon.log`).
"""

from __future__ import annotations

import logging

import trio

from kadnet.events import BootstrapFailed, HandlerFailed
from kadnet.host import Host

_LOG = logging.getLogger("kadnet")


class Complaints:
    """An app that writes down faults of handlers, and bootstrap addresses that did not help."""

    name = "complaints"

    async def run(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled."""
        async with host.events(BootstrapFailed, HandlerFailed) as stream:
            task_status.started()
            async for event in stream:
                if isinstance(event, HandlerFailed):
                    _LOG.error("a handler of %s failed: %s\n%s", event.protocol, event.error, event.trace)
                elif isinstance(event, BootstrapFailed):
                    _LOG.warning("bootstrap address %s did not help: %s", event.address, event.reason)
