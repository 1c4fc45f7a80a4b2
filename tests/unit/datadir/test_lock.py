import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kadnet.datadir.lock import LOCK_NAME, DirLock, named_holder
from kadnet.errors import DataDirError, DataDirInUse

HOLDER = """
import sys
from pathlib import Path
from kadnet.datadir.lock import LOCK_NAME, DirLock, named_holder
lock = DirLock.take(Path(sys.argv[1]), 5.0)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_is_named_while_it_lives_and_never_blocks_afterwards(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirInUse) as caught:
            DirLock.take(tmp_path, 0.0)
        assert caught.value.pid == holder.pid
        assert str(holder.pid) in str(caught.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert json.loads((tmp_path / "node.lock").read_text())["pid"] == holder.pid, "the dead one's word still stands"
    with DirLock.take(tmp_path, 7.9):
        assert json.loads((tmp_path / "node.lock").read_text()) == {"pid": os.getpid(), "started": 7}


def test_a_second_holder_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with DirLock.take(tmp_path, 0.0):
        with pytest.raises(DataDirInUse) as caught:
            DirLock.take(tmp_path, 0.0)
        assert caught.value.pid == os.getpid()


def test_the_file_stays_the_same_file_for_good(tmp_path: Path) -> None:
    with DirLock.take(tmp_path, 0.0):
        first = (tmp_path / "node.lock").stat()
    assert (tmp_path / "node.lock").read_text() == "", "no PID that would mislead"
    with DirLock.take(tmp_path, 0.0):
        second = (tmp_path / "node.lock").stat()
    assert first.st_ino == second.st_ino
    assert second.st_mode & 0o777 == 0o600


def test_a_released_lock_can_be_taken_and_a_second_release_does_nothing(tmp_path: Path) -> None:
    lock = DirLock.take(tmp_path, 0.0)
    lock.release()
    again = DirLock.take(tmp_path, 0.0)
    lock.release()
    with pytest.raises(DataDirInUse):
        DirLock.take(tmp_path, 0.0)
    again.release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"pid": "7"}',
        b'{"pid": true}',
        b'{"pid": -1}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"started": 1}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_holder_whose_words_cannot_be_read_has_no_pid(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "node.lock").write_bytes(content)
    with (tmp_path / "node.lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataDirInUse, match="in use by another process") as caught:
            DirLock.take(tmp_path, 0.0)
        assert caught.value.pid is None
    assert (tmp_path / "node.lock").read_bytes() == content, "who is refused writes nothing"


def test_a_shorter_text_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "node.lock").write_text('{"pid": 99999999999, "started": 99999999999}\n' + "x" * 100)
    with DirLock.take(tmp_path, 1.0):
        assert json.loads((tmp_path / "node.lock").read_text()) == {"pid": os.getpid(), "started": 1}


def test_no_child_inherits_the_lock(tmp_path: Path) -> None:
    lock = DirLock.take(tmp_path, 0.0)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert lock._fd is not None
        assert not os.get_inheritable(lock._fd)
        os.close(lock._fd)  # as a crash would: nothing is unlocked on the way
        lock._fd = None
        DirLock.take(tmp_path, 0.0).release()
        child.kill()


def test_a_folder_or_a_link_in_its_place_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a" / "node.lock").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "node.lock").symlink_to(tmp_path / "elsewhere")
    for folder in ("a", "b", "missing"):
        with pytest.raises(DataDirError, match=r"cannot open .*node\.lock") as caught:
            DirLock.take(tmp_path / folder, 0.0)
        assert not isinstance(caught.value, DataDirInUse)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_without_locks_is_an_error_and_not_somebody_elses_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(DataDirError, match="No locks available") as caught:
        DirLock.take(tmp_path, 0.0)
    assert not isinstance(caught.value, DataDirInUse)


def test_a_living_holder_is_named_and_a_dead_one_is_not(tmp_path: Path) -> None:
    assert named_holder(tmp_path) is None
    with DirLock.take(tmp_path, 1.0):
        assert named_holder(tmp_path) == os.getpid()
    assert named_holder(tmp_path) is None
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / LOCK_NAME).write_text(json.dumps({"pid": dead.pid, "started": 1.0}))
    assert named_holder(tmp_path) is None
