"""Where each peer lives: an environment of its own in `.venv/peers/`, so that its requirements never touch ours.

Environments are made before anything is measured, and outside the network namespace: they need the registries.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_DRIVERS = ROOT / "benchmarks" / "peers"
_ENVIRONMENTS = ROOT / ".venv" / "peers"
_DEBIANS = "/usr/bin/python3"  # the only interpreter that Debian's python3-opendht is built for


class NotInstalled(Exception):
    """A peer that cannot be had here; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Driver:
    """How to run the driver of a peer: the command, before the verb, and what to add to the environment."""

    peer: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


LABELS = {
    "kadnet": "kadnet",
    "kademlia": "kademlia",
    "libtorrent": "libtorrent",
    "pylibp2p": "py-libp2p",
    "opendht": "OpenDHT",
    "hyperdht": "HyperDHT",
    "bare": "bare trio sockets",
}
"""What people call each peer, in the order of the tables."""


def driver(peer: str, say: Callable[[str], None]) -> Driver:
    """The driver of a peer, its environment made when it is not there. Raises NotInstalled."""
    return _MAKERS[peer](say)


def _ours(module: str) -> Callable[[Callable[[str], None]], Driver]:
    def make(_say: Callable[[str], None]) -> Driver:
        return Driver(module, (sys.executable, "-m", f"benchmarks.peers.peer_{module}"))

    return make


def _pip(peer: str, requirement: str) -> Callable[[Callable[[str], None]], Driver]:
    def make(say: Callable[[str], None]) -> Driver:
        folder = _ENVIRONMENTS / peer
        python = folder / "bin" / "python"
        stamp = folder / "ready"
        if not stamp.exists() or stamp.read_text() != requirement:
            say(f"installing {requirement} into an environment of its own")
            venv.create(folder, with_pip=True, clear=True)
            _install([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement], folder)
            stamp.write_text(requirement)
        return Driver(peer, (str(python), _script(f"peer_{peer}.py")))

    return make


def _npm(peer: str, requirement: str) -> Callable[[Callable[[str], None]], Driver]:
    def make(say: Callable[[str], None]) -> Driver:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise NotInstalled("it needs Node.js and npm: apt-get install nodejs npm")
        folder = _ENVIRONMENTS / peer
        stamp = folder / "ready"
        if not stamp.exists() or stamp.read_text() != requirement:
            say(f"installing {requirement} into an environment of its own")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _install([npm, "install", "--silent", "--no-fund", "--prefix", str(folder), requirement], folder)
            stamp.write_text(requirement)
        return Driver(peer, (node, _script(f"peer_{peer}.cjs")), {"NODE_PATH": str(folder / "node_modules")})

    return make


def _debian(peer: str, module: str, package: str) -> Callable[[Callable[[str], None]], Driver]:
    def make(_say: Callable[[str], None]) -> Driver:
        try:
            done = subprocess.run([_DEBIANS, "-c", f"import {module}"], capture_output=True, check=False)
        except FileNotFoundError:
            raise NotInstalled(f"there is no {_DEBIANS}") from None
        if done.returncode:
            raise NotInstalled(f"not installed: apt-get install {package}")
        return Driver(peer, (_DEBIANS, _script(f"peer_{peer}.py")))

    return make


def _script(name: str) -> str:
    return str(_DRIVERS / name)


def _install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise NotInstalled(f"could not be installed: {lines[-1] if lines else f'exit code {done.returncode}'}")


_MAKERS: dict[str, Callable[[Callable[[str], None]], Driver]] = {
    "kadnet": _ours("kadnet"),
    "bare": _ours("bare"),
    "kademlia": _pip("kademlia", "kademlia==2.2.3"),
    "libtorrent": _pip("libtorrent", "libtorrent==2.1.1"),
    "pylibp2p": _pip("pylibp2p", "libp2p==0.8.1"),
    "opendht": _debian("opendht", "opendht", "python3-opendht"),
    "hyperdht": _npm("hyperdht", "hyperdht@6.34.0"),
}
