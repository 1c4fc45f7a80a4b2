"""Where the control socket of a data directory lies: the same answer for the node and for whoever looks for it.

It is `control.sock` in the data directory, unless that path is too long for a socket. Then it lies in
`$XDG_RUNTIME_DIR/kadnet`, else in `kadnet-<uid>` in the temporary folder, under a hash of the data directory's path.
In a folder all users share, somebody else might have put theirs first, so it is made if missing and then checked,
on both sides: once it is ours nobody can swap it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kadnet.errors import DataDirError
from kadnet.identity.text import printable

CONTROL_NAME = "control.sock"
# Linux takes 107 bytes and macOS 103: room for the few characters of the temporary name it is bound under.
SOCKET_PATH_LIMIT = 100


def control_path(data_dir: Path, env: Mapping[str, str] | None = None, temporary: Path | None = None) -> Path:
    """The absolute path of the control socket of `data_dir`, at most 100 bytes; makes the folder it needs, never more.

    `env` is the environment (this process's when None), `temporary` the temporary folder. Raises DataDirError when
    the folder belongs to somebody else, is a link, is open to others, or every path would be too long.
    """
    home = data_dir.resolve()
    beside = home / CONTROL_NAME
    if _fits(beside):
        return beside
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:32] + ".sock"
    runtime = (os.environ if env is None else env).get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_ours(Path(runtime)) and _fits(Path(runtime) / "kadnet" / name):
        return _private_folder(Path(runtime) / "kadnet") / name
    folder = (temporary or Path(tempfile.gettempdir())).resolve() / f"kadnet-{os.geteuid()}"
    if not _fits(folder / name):
        raise DataDirError(
            f"no path for the control socket of {printable(str(home), 300)} has {SOCKET_PATH_LIMIT} bytes or fewer",
            hint="name a --data-dir with a shorter path",
        )
    return _private_folder(folder) / name


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT


def _is_ours(folder: Path) -> bool:
    """As the XDG base directory specification wants it: a folder of this user that no other may write to."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _private_folder(folder: Path) -> Path:
    """Make `folder` (mode 0700) if it is missing, and see that it is a folder, ours, and closed to others."""
    shown = printable(str(folder), 300)
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise DataDirError(f"cannot make {shown} for the control socket: {error.strerror}") from error
    fault = None
    if not stat.S_ISDIR(found.st_mode):
        fault = "is not a folder"
    elif found.st_uid != os.geteuid():
        fault = f"belongs to another user (uid {found.st_uid})"
    elif found.st_mode & 0o077:
        fault = f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o})"
    if fault is not None:
        raise DataDirError(
            f"{shown}, where the control socket belongs, {fault}", hint="remove it, or name a shorter --data-dir"
        )
    return folder
