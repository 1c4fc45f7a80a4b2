"""What a node at rest costs: CPU and memory of each of 16 daemons that have nothing to do but keep their overlay whole.

Memory is counted above a process that has imported the same modules and does nothing.

    python -m benchmarks.idle NODES WINDOWS SECONDS        a line for each window
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BARE = "import sys, kadnet.daemon.run, kadnet.node, kadnet.cli.main; print('up', flush=True); sys.stdin.read()"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def measure(nodes: int, repeats: int, seconds: float, settle: float) -> list[dict[str, Any]]:
    """Medians over all nodes: `cpu_percent` of one core in each of `repeats` windows, and the MiB above the imports."""
    with tempfile.TemporaryDirectory(prefix="kadnet-idle-") as folder:
        bare = subprocess.Popen([sys.executable, "-c", _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert bare.stdout is not None
        bare.stdout.readline()
        processes: list[subprocess.Popen[bytes]] = []
        try:
            door: list[str] = []
            for number in range(nodes):
                command = [sys.executable, "-m", "kadnet", "--data-dir", f"{folder}/{number}", "run", "--json"]
                command += ["--listen", "127.0.0.1:0", *door]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                processes.append(process)
                assert process.stdout is not None
                address = json.loads(process.stdout.readline())["address"]
                door = door or ["--bootstrap", address]
            time.sleep(settle)
            windows = []
            for _ in range(repeats):
                before = [_cpu(process.pid) for process in processes]
                time.sleep(seconds)
                after = [_cpu(process.pid) for process in processes]
                windows.append(100 * median(b - a for a, b in zip(before, after, strict=True)) / seconds)
            floor = _resident(bare.pid)
            resident = median(_resident(process.pid) for process in processes)
        finally:
            for process in [*processes, bare]:
                process.terminate()
            for process in [*processes, bare]:
                process.wait()
    mib = resident - floor
    own = {"row": "idle", "peer": "kadnet", "mib_above_imports": mib}
    return [{**own, "repeat": number, "cpu_percent": window} for number, window in enumerate(windows)]


if __name__ == "__main__":
    for line in measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), settle=10):
        print(json.dumps(line))
