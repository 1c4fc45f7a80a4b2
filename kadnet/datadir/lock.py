"""`node.lock`: one process at a time on a data directory.

The lock is flock's, so the kernel drops it with the process, however that ends: a crash never blocks the next start.
The file is never unlinked, for then two processes could hold locks on two files of one name. What stands in it (the
process and when it started) is for people and for the message of who is refused; nothing trusts it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType

from kadnet.errors import DataDirError, DataDirInUse
from kadnet.identity.text import printable

LOCK_NAME = "node.lock"
_READ_LIMIT = 256


def named_holder(data_dir: Path) -> int | None:
    """The living process that `node.lock` names, for a message to people; None when there is none.

    Only asking for the lock would prove anything, and could be in the way of a node that starts at this moment.
    """
    try:
        fd = os.open(data_dir / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        pid = _read_pid(fd)
        if pid is None or pid <= 0:
            return None
        os.kill(pid, 0)
    except PermissionError:  # somebody else's process: alive, and not ours
        return None
    except (OSError, OverflowError):
        return None
    finally:
        os.close(fd)
    return pid


class DirLock:
    """A held lock. Made by `take`; `release` (or leaving the `with` block) gives it back, once."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @classmethod
    def take(cls, data_dir: Path, started: float) -> DirLock:
        """Lock `data_dir`, which must exist; `started` is Unix seconds, for people.

        Raises DataDirInUse when another holder lives (in this process, too), DataDirError when the file cannot be
        opened or the file system knows no locks.
        """
        path = data_dir / LOCK_NAME
        try:
            # Python's descriptors are not inheritable: no child keeps the lock alive after us (PEP 446).
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise DataDirError(f"cannot open {printable(str(path), 300)}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(fd, started)
        except OSError as error:
            holder = _read_pid(fd) if error.errno in (errno.EAGAIN, errno.EACCES) else None
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise DataDirInUse(printable(str(data_dir), 300), holder) from None
            raise DataDirError(f"cannot lock {printable(str(path), 300)}: {error.strerror}") from error
        return cls(fd)

    def release(self) -> None:
        """Give the lock back. A second call does nothing."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            os.ftruncate(fd, 0)  # a PID that stays behind would mislead
            fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may share the descriptor: closing ours alone would not do
        finally:
            os.close(fd)

    def __enter__(self) -> DirLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _write(fd: int, started: float) -> None:
    # Written over the old text before the rest is cut, so a reader never meets an empty file in between; the line
    # feed ends what counts.
    line = json.dumps({"pid": os.getpid(), "started": int(started)}).encode() + b"\n"
    os.pwrite(fd, line, 0)
    os.ftruncate(fd, len(line))


def _read_pid(fd: int) -> int | None:
    """The PID in the lock file, None when it cannot be made out."""
    try:
        said = json.loads(os.pread(fd, _READ_LIMIT, 0).partition(b"\n")[0])
    except (OSError, ValueError):
        return None
    pid = said.get("pid") if isinstance(said, dict) else None
    return pid if type(pid) is int and pid > 0 else None
