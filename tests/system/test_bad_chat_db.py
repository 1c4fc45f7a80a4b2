"""chat.db cannot be rebuilt: a damaged one is refused and left as it is, and what is not on the disk has no receipt."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.system.processes import Running, Town, first_line, town, until
from tests.system.talking import outbox, received, texts


@pytest.fixture(scope="module")
def folders() -> Iterator[dict[str, Path]]:
    """Data directories with messages: of a node that was stopped, and of one that was killed, whose log of writes
    (chat.db-wal) still stands beside its chat.db."""
    with town() as made:
        stopped, killed = made.overlay(2)
        for sender, recipient in ((stopped, killed), (killed, stopped)):
            for letter in "abcd":
                assert sender("send", recipient.id, letter * 8_000).code == 0
        killed.kill()
        assert stopped.end()[0] == 0
        assert (killed.data_dir / "chat.db-wal").stat().st_size > 0
        yield {"stopped": stopped.data_dir, "killed": killed.data_dir}


def scribbled(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(8_000))


def inside_destroyed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024:] = random.Random(7).randbytes(len(content) - 1024)  # all but the first page
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_program(path: Path, version: int = 0) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE bookmarks (page TEXT); INSERT INTO bookmarks VALUES ('a page')")
        database.execute(f"PRAGMA user_version = {version}")


def of_another_program_that_counts_too(path: Path) -> None:
    of_another_program(path, 1)


def kept(folder: Path) -> dict[str, bytes]:
    """What makes up chat.db: itself, and its -wal if anything is in it. The -shm only says where things are in that."""
    found = {path.name: path.read_bytes() for path in folder.glob("chat.db*") if not path.name.endswith("-shm")}
    return {name: content for name, content in found.items() if content or name == "chat.db"}


@pytest.mark.parametrize(
    ("harm", "end"),
    [
        (scribbled, "killed"),
        (inside_destroyed, "stopped"),
        (inside_destroyed, "killed"),
        (cut_in_half, "stopped"),
        (emptied, "killed"),
        (of_another_program, "stopped"),
        (of_another_program_that_counts_too, "stopped"),
    ],
)
def test_a_damaged_chat_db_is_refused_and_left_byte_for_byte(
    folders: dict[str, Path], town: Town, harm: Callable[[Path], None], end: str
) -> None:
    folder = town.root / "harmed"
    shutil.copytree(folders[end], folder, ignore=shutil.ignore_patterns("control.sock"))
    harm(folder / "chat.db")
    before = kept(folder)
    process, log = town.launch(folder, "--listen", "127.0.0.1:0")
    assert first_line(process) == "", "it does not serve"
    assert process.wait(20) == 2
    said = log.read_text()
    assert said.count("\n") == 1
    assert said.startswith("kadnet: ")
    assert str(folder / "chat.db") in said
    assert kept(folder) == before


def test_a_chat_db_that_is_whole_is_taken_up_whatever_ended_the_node(folders: dict[str, Path], town: Town) -> None:
    for name, end in folders.items():
        folder = town.root / name
        shutil.copytree(end, folder, ignore=shutil.ignore_patterns("control.sock"))
        node = town.start(folder)
        assert texts(node) == [letter * 8_000 for letter in "abcd"]


# ------------------------------------------------------------------------------------------------- a disk that is full


@contextmanager
def full_disk(node: Running) -> Iterator[None]:
    """For the length of the block no file of the node can be written."""
    pid = node.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def test_a_message_that_the_disk_did_not_take_has_no_receipt_and_comes_once_when_it_does(
    pair: tuple[Running, Running],
) -> None:
    sender, recipient = pair
    assert sender("send", recipient.id, "before").code == 0
    before = texts(recipient)
    counted = recipient.status()["counters"]["chat"]["received"]
    with full_disk(recipient):
        for number in range(2):
            done = sender("send", recipient.id, f"meanwhile {number}", "--wait", "0", "--json")
            assert (done.code, done.json["state"]) == (1, "queued")
        waiting = until(lambda: [each for each in outbox(sender) if each["problem"]])
        assert [each["text"] for each in waiting] == ["meanwhile 0", "meanwhile 1"]
        assert "storage-failed" in waiting[0]["problem"]
        assert "disk" in waiting[0]["problem"]
        assert texts(recipient) == before
        assert recipient.status()["counters"]["chat"]["received"] == counted
    until(lambda: outbox(sender) == [])
    came = received(recipient)
    assert [message["text"] for message in came] == [*before, "meanwhile 0", "meanwhile 1"]
    assert len({message["id"] for message in came}) == len(came)


def test_what_the_disk_of_the_sender_does_not_take_is_not_sent_or_else_sent_again_and_shown_once(
    pair: tuple[Running, Running],
) -> None:
    sender, recipient = pair
    assert sender("send", recipient.id, "until now").code == 0
    before = texts(recipient)
    with full_disk(sender):
        done = sender("send", recipient.id, "never sent", "--json")
        assert (done.code, done.json["code"]) == (1, "storage-failed")
        assert done.err.count("\n") == 1
        assert "chat.db" in done.err
        assert sender("contact", "add", "bert", recipient.id).code == 1
    recipient.process.send_signal(signal.SIGSTOP)
    assert sender("send", recipient.id, "after", "--wait", "0").code == 1
    with full_disk(sender):
        recipient.process.send_signal(signal.SIGCONT)
        until(lambda: recipient.status()["counters"]["chat"].get("repeated"))
        assert texts(recipient) == [*before, "after"]
        assert [each["text"] for each in outbox(sender)] == ["after"], "its receipt could not be kept"
    until(lambda: outbox(sender) == [])
    assert texts(recipient) == [*before, "after"]
    assert sender.json("contact", "list") == []
