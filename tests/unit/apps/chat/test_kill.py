"""kill -9 at every step of a message's way: nothing acknowledged is lost, nothing is shown twice.

A conversation is played once, and the files of both sides are copied wherever one of them may die: before and after
each transaction, in the middle of its log, with a request or its receipt on the way. Then both are started on what a
death at that step had left, and on that with the other side as it was in the end.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from kadnet.apps.chat import ChatSettings
from kadnet.identity.address import Address
from kadnet.runtime import Offload
from tests.unit.apps.fakes import FakeHost, Wire, open_chat
from tests.unit.overlay.bench import on_virtual_time

EXACT = ChatSettings(jitter=0, spread=0)
TEXTS = ["one", "two", "three"]


class Moment:
    """A step at which both may die: the copies of their files, and what alice had been promised until then."""

    def __init__(self, folder: Path, promised: list[str]) -> None:
        self.folder = folder
        self.promised = promised

    def rows(self, who: str, sql: str) -> set[Any]:
        connection = sqlite3.connect(self.folder / who / "chat.db")
        try:
            connection.execute("PRAGMA synchronous = OFF")
            return {row[0] for row in connection.execute(sql)}
        finally:
            connection.close()

    def copy(self, who: str, to: Path) -> None:
        shutil.copytree(self.folder / who, to / who)


class Camera(Wire):
    """A wire that takes a picture of both disks wherever something is on the way."""

    def __init__(self, live: Path, album: Path) -> None:
        super().__init__()
        self.live = live
        self.album = album
        self.promised: list[str] = []
        self.moments: list[Moment] = []

    def picture(self, cut: tuple[Path, int] | None = None) -> None:
        """Copy all files; of the one in `cut` only so many bytes."""
        folder = self.album / str(len(self.moments))
        for who in ("alice", "bob"):
            (folder / who).mkdir(parents=True)
            for file in (self.live / who).iterdir():
                if not file.name.endswith("-shm"):  # which no process that died takes with it
                    data = file.read_bytes()
                    (folder / who / file.name).write_bytes(data[: cut[1]] if cut and cut[0] == file else data)
        self.moments.append(Moment(folder, list(self.promised)))

    def disk_of(self, who: str) -> Offload:
        log = self.live / who / "chat.db-wal"

        async def offload(work: Callable[[], Any], /) -> Any:
            await trio.lowlevel.checkpoint()
            before = log.stat().st_size if log.exists() else 0
            self.picture()
            result = work()
            written = log.stat().st_size - before
            for share in (0.1, 0.5, 0.9):
                self.picture((log, before + int(written * share)))
            self.picture()
            return result

        return offload

    async def carry(self, sender: FakeHost, who: bytes | Address, protocol: str, body: bytes) -> bytes:
        self.picture()
        answer = await super().carry(sender, who, protocol, body)
        self.picture()
        return answer


async def conversation(live: Path, album: Path) -> Camera:
    """Three messages, one after the other; the receipt of the first gets lost once."""
    camera = Camera(live, album)
    camera.answers_lost = 1
    for who in ("alice", "bob"):
        (live / who).mkdir(parents=True)
    async with (
        open_chat(camera, "alice", folder=live / "alice", settings=EXACT, offload=camera.disk_of("alice")) as alice,
        open_chat(camera, "bob", folder=live / "bob", settings=EXACT, offload=camera.disk_of("bob")) as bob,
    ):
        for text in TEXTS:
            await alice.chat.post(bob.id, text)
            camera.promised.append(text)
            await trio.sleep(0.4)
        await trio.sleep(10)
        assert bob.texts() == TEXTS
        assert alice.waiting() == []
        camera.picture()
    return camera


async def afterwards(folder: Path, promised: list[str]) -> None:
    """Start both on these files: what was promised is there or comes, once and in its order, and nobody is stuck."""
    wire = Wire()
    async with open_chat(wire, "bob", folder=folder / "bob", settings=EXACT, restarts=1) as bob:
        async with open_chat(wire, "alice", folder=folder / "alice", settings=EXACT, restarts=1) as alice:
            await trio.sleep(5)
            texts = bob.texts()
            assert texts == TEXTS[: len(texts)]
            assert texts[: len(promised)] == promised
            assert alice.waiting() == []
            await alice.chat.send(bob.id, "after all")
            assert bob.texts() == [*texts, "after all"]
            numbers = [message.number for message in bob.chat.inbox()]
            assert numbers == sorted(set(numbers))


@on_virtual_time
async def test_whoever_dies_at_whatever_step_no_message_is_lost_and_none_is_shown_twice(tmp_path: Path) -> None:
    camera = await conversation(tmp_path / "live", tmp_path / "album")
    end = camera.moments[-1]
    assert len(camera.moments) > 50
    for number, moment in enumerate(camera.moments):
        for name, others in (("both", moment), ("alice", end)):  # bob as he is by then, or long after alice's death
            folder = tmp_path / "again" / f"{number} {name}"
            moment.copy("alice", folder)
            others.copy("bob", folder)
            await afterwards(folder, moment.promised)
            shutil.rmtree(folder)
        acknowledged = moment.rows("alice", "SELECT id FROM outbox WHERE state = 'delivered'")
        assert acknowledged <= moment.rows("bob", "SELECT id FROM messages")


@on_virtual_time
async def test_every_step_of_a_message_has_its_picture(tmp_path: Path) -> None:
    """What the test above plays are indeed all the states there are between a post and its receipt."""
    camera = await conversation(tmp_path / "live", tmp_path / "album")
    states = set()
    for moment in camera.moments:
        outbox = len(moment.rows("alice", "SELECT id FROM outbox"))
        inbox = len(moment.rows("bob", "SELECT id FROM messages"))
        delivered = len(moment.rows("alice", "SELECT id FROM outbox WHERE state = 'delivered'"))
        states.add((outbox, inbox, delivered))
    first = {(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0), (2, 1, 1)}  # its receipt comes after the second was posted
    assert states == first | {(2, 2, 1), (2, 2, 2), (3, 2, 2), (3, 3, 2), (3, 3, 3)}


@pytest.mark.parametrize("dies", ["alice", "bob"])
def test_one_who_dies_while_the_other_lives_on_takes_up_where_it_was(dies: str, tmp_path: Path) -> None:
    @on_virtual_time
    async def play() -> None:
        for step in range(2, 40, 3):
            folder = tmp_path / str(step)
            wire = Wire(delay=0.05)
            lives = "bob" if dies == "alice" else "alice"
            async with open_chat(wire, lives, folder=_made(folder / lives), settings=EXACT) as survivor:
                promised: list[str] = []
                for restart in range(3):
                    async with open_chat(
                        wire, dies, folder=_made(folder / dies), settings=EXACT, restarts=restart
                    ) as mortal:
                        alice, bob = (mortal, survivor) if dies == "alice" else (survivor, mortal)
                        for number in range(3):
                            promised.append(f"{restart} {number}")
                            await alice.chat.post(bob.id, promised[-1])
                        await trio.sleep(0.01 * step)
                async with open_chat(wire, dies, folder=folder / dies, settings=EXACT, restarts=9) as mortal:
                    alice, bob = (mortal, survivor) if dies == "alice" else (survivor, mortal)
                    await trio.sleep(60)
                    assert bob.texts() == promised
                    assert alice.waiting() == []

    play()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
