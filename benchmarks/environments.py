"""A virtual environment for each peer we measure beside us, so that their pins never touch ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"kademlia": "kademlia==2.2.3"}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made when it is not there. SystemExit with the reason."""
    folder = ROOT / ".venv" / "peers" / peer
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {PEERS[peer]} into an environment of its own", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEERS[peer]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{PEERS[peer]} could not be installed: {done.stderr.strip().splitlines()[-1]}")
        (folder / "ready").touch()
    return python
