"""How much memory this process may still take: of the machine, and of the control group it was put into.

Read from files that Linux shows, and on macOS from what `vm_stat` prints. Where a system says nothing, nothing is known
(None), and nobody is held up by a guess. Left out: swap, which makes a simulation as slow as none at all.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_VM_STAT: Final = "/usr/bin/vm_stat"
_REUSABLE: Final = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping; None when the system does not say. `root`: where /proc and /sys are."""
    known = [found for found in (_machine(root), *_groups(root)) if found is not None]
    return max(0, min(known)) if known else None


def _machine(root: Path) -> int | None:
    if sys.platform == "darwin":
        return of_vm_stat(_said_by_vm_stat())
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    return None if found is None else int(found[1]) * 1024


def of_vm_stat(said: str) -> int | None:
    """Bytes that macOS can give away at once. None when `said` is not what vm_stat prints."""
    page = re.search(r"page size of (\d+) bytes", said)
    counts = dict(re.findall(r"^([\w ]+):\s+(\d+)\.$", said, re.MULTILINE))
    if page is None or "Pages free" not in counts:
        return None
    return int(page[1]) * sum(int(counts.get(name, 0)) for name in _REUSABLE)


def _said_by_vm_stat() -> str:
    try:
        return subprocess.run([_VM_STAT], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _groups(root: Path) -> Iterator[int | None]:
    """What each control group above this process has left: version 2 (hierarchy 0), and version 1 for `memory`."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts: tuple[str, ...]
        if number == "0":
            mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
            names = ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mounts = ("sys/fs/cgroup/memory",)
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # A limit above binds too. Inside a container only the top of what it may see is there: the loop ends with it.
        inside = PurePosixPath(path.lstrip("/"))
        for mount in mounts:
            for group in (inside, *inside.parents):
                yield _left(root / mount / group, *names)


def _left(group: Path, limit_file: str, used_file: str, cache: str) -> int | None:
    """Bytes below the limit of one group, its droppable cache counted as free. None without a limit."""
    limit, used = _read(group / limit_file).strip(), _read(group / used_file).strip()
    if not (limit.isdigit() and used.isdigit()):  # there is no such group, or its limit is "max"
        return None
    droppable = re.search(rf"^{cache} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return int(limit) - int(used) + (int(droppable[1]) if droppable else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
