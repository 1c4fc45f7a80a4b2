"""The data directory as a whole: where it is, what lies in it, and holding it.

Mode 0700. A folder that is open to others is closed when it is plainly ours, and refused otherwise: `--data-dir /etc`
by root must break nothing. A folder of another user is refused.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import geteuid
from pathlib import Path

from kadnet.datadir.control_path import CONTROL_NAME, control_path
from kadnet.datadir.identity_file import IDENTITY_NAME
from kadnet.datadir.lock import LOCK_NAME, DirLock
from kadnet.errors import DataDirError
from kadnet.identity.text import printable

CONFIG_NAME = "config.toml"
RECORDS_NAME = "records.db"
PEERS_NAME = "peers.db"
CHAT_NAME = "chat.db"
_OURS_ALONE = frozenset({LOCK_NAME, IDENTITY_NAME})
# What may lie in a folder that is still to become a data directory: a configuration, and a fresh volume's own folder.
_FRESH = frozenset({CONFIG_NAME, RECORDS_NAME, PEERS_NAME, CHAT_NAME, CONTROL_NAME, "lost+found"})


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths of a held data directory. `path` is absolute; `notes` are lines worth logging about how it was found.

    Valid while the block of `open_datadir` that gave it runs.
    """

    path: Path
    notes: tuple[str, ...] = ()

    @property
    def lock(self) -> Path:
        return self.path / LOCK_NAME

    @property
    def identity(self) -> Path:
        return self.path / IDENTITY_NAME

    @property
    def config(self) -> Path:
        return self.path / CONFIG_NAME

    @property
    def records(self) -> Path:
        return self.path / RECORDS_NAME

    @property
    def peers(self) -> Path:
        return self.path / PEERS_NAME

    @property
    def chat(self) -> Path:
        return self.path / CHAT_NAME

    @property
    def control(self) -> Path:
        """Where to bind the control socket, as `control_path` has it (and with its errors)."""
        return control_path(self.path)


def default_data_dir(env: Mapping[str, str]) -> Path:
    """`KADNET_DATA_DIR` of `env`, else the platform's folder for user data. DataDirError when no home is known."""
    named = env.get("KADNET_DATA_DIR", "")
    if named:
        try:
            return Path(named).expanduser()
        except RuntimeError as error:
            raise DataDirError(f"KADNET_DATA_DIR '{printable(named)}': no such home folder is known") from error
    import platformdirs  # here, since most commands name their folder and need not wait for it

    path = platformdirs.user_data_path("kadnet", appauthor=False)
    if not path.is_absolute():
        raise DataDirError("no home folder is known to keep the data in", hint="name one with --data-dir")
    return path


@contextmanager
def open_datadir(path: Path, runtime_wall: float) -> Iterator[DataDir]:
    """Make `path` if it is missing, close it to others, and hold its lock for the length of the block.

    `runtime_wall` is the time in Unix seconds, written beside the PID for people. Raises DataDirInUse (with the
    holder's `pid`, None when unknown) or DataDirError.
    """
    path, notes = _prepare(path)
    with DirLock.take(path, runtime_wall):
        yield DataDir(path, notes)


def _prepare(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The absolute path of a folder that is there, ours, and closed to others; and what had to be done for it."""
    shown = printable(str(path), 300)
    try:
        path = path.resolve()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != geteuid():
            raise DataDirError(f"data directory {shown} belongs to another user (uid {found.st_uid})")
        if not found.st_mode & 0o077:
            return path, ()
        if not _may_be_closed(path, found.st_mode):
            raise DataDirError(
                f"{shown} is open to other users and holds other things than a node's",
                hint="name a folder of its own with --data-dir",
            )
        path.chmod(0o700)
        if path.stat().st_mode & 0o077:
            raise DataDirError(
                f"data directory {shown} cannot be closed to other users: its file system keeps no modes"
            )
    except FileExistsError:
        raise DataDirError(f"data directory {shown} is not a folder") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, as Path.resolve says it before 3.13
        reason = error.strerror if isinstance(error, OSError) else "a loop of links"
        raise DataDirError(f"cannot use data directory {shown}: {reason}") from error
    mode = stat.S_IMODE(found.st_mode)
    return path, (f"data directory {shown} was open to other users (mode {mode:04o}); it is 0700 now",)


def _may_be_closed(path: Path, mode: int) -> bool:
    """Whether nobody else can miss access to this folder: it is empty, or a data directory already."""
    if mode & stat.S_ISVTX:  # shared on purpose, like /tmp
        return False
    names = {entry.name for entry in path.iterdir()}
    return bool(names & _OURS_ALONE) or names <= _FRESH
