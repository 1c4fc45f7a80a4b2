"""A network in which there is only 127.0.0.1, so that no program we measure can reach anybody.

    python loopback.py CMD ...     inside a fresh network namespace: raise its loopback device, then become CMD

Linux only, and only where a namespace may be made: by root, or with user namespaces by anybody.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SET_FLAGS = 0x8914  # SIOCSIFFLAGS of linux/sockios.h
_UP_AND_RUNNING = 0x41  # IFF_UP | IFF_RUNNING
_WAYS = (("unshare", "--map-root-user", "--net"), ("unshare", "--net"))
_CHECK = (
    "import socket\n"
    "names = {line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]}\n"
    "assert 'lo' in names and 'eth0' not in names\n"
    "server = socket.create_server(('127.0.0.1', 0))\n"
    "socket.create_connection(server.getsockname())\n"
)


def prefix() -> tuple[str, ...] | None:
    """What to write before a command so that it sees only 127.0.0.1, or None when this machine does not allow it."""
    for way in _WAYS:
        command = (*way, sys.executable, str(Path(__file__).resolve()))
        try:
            done = subprocess.run([*command, sys.executable, "-c", _CHECK], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return command
    return None


def raise_loopback() -> None:
    """Set the loopback device of this network namespace up. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


if __name__ == "__main__":
    raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
