"""`chat` as a person and a program have it: what they type comes through a real pipe or terminal."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from click.testing import Result

from kadnet.cli import render, talk
from kadnet.cli.talk import TalkSettings
from kadnet.identity import nodeid
from kadnet.runtime import real_runtime
from tests.unit.cli.runner import asked
from tests.unit.daemon.fake import FakeNode, served
from tests.unit.daemon.fake_chat import BOB, EVE, MAX_TEXT

BOB_ID = nodeid.encode(BOB.public)
SHORT = f"{BOB_ID[:8]}..."


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "TalkSettings", functools.partial(TalkSettings, patience=0.05, step=0.02))


class Typing:
    """The other end of a chat's standard input, and what became of the chat."""

    def __init__(self) -> None:
        self.source, self._end = os.pipe()
        self.done: Result | None = None
        self.ended = trio.Event()

    def type(self, text: bytes) -> None:
        os.write(self._end, text)

    def stop(self) -> None:
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    async def result(self) -> Result:
        """Ctrl-D, and the end of it."""
        self.stop()
        with trio.fail_after(20):
            await self.ended.wait()
        assert self.done is not None
        return self.done


@asynccontextmanager
async def chatting(data_dir: Path, *words: str) -> AsyncIterator[Typing]:
    typing = Typing()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with os.fdopen(typing.source, "rb") as stdin:
                typing.done = await asked(data_dir, "chat", *words, stdin=stdin)
            typing.ended.set()

        nursery.start_soon(run)
        try:
            yield typing
        finally:
            typing.stop()


async def until(seen: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not seen():
            await trio.testing.wait_all_tasks_blocked(0.005)


async def test_what_is_piped_is_sent_line_by_line_and_the_end_is_0(tmp_path: Path) -> None:
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        typing.type(b"one\n\ntw\xc3\xb6\nthree")
        done = await typing.result()
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    assert node.posted == [(BOB.public, "one"), (BOB.public, "twö"), (BOB.public, "three")]


async def test_a_line_is_sent_before_the_input_ends(tmp_path: Path) -> None:
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        typing.type(b"one\ntw")
        await until(lambda: len(node.posted) == 1)
        typing.type(b"o\n")
        await until(lambda: len(node.posted) == 2)
        assert node.posted[1] == (BOB.public, "two")


async def test_what_comes_from_the_other_is_printed_and_nothing_of_anybody_else(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.add_contact("bob", BOB_ID)
        async with chatting(tmp_path, "bob") as typing:
            await node.polled(1)
            await node.come(EVE.public, "psst")
            await node.polled(2)
            await node.come(BOB.public, "hi")
            await node.polled(3)
            done = await typing.result()
    assert done.stdout == f"{render.moment(1_700_000_002)}  bob  hi\n"


async def test_the_last_messages_of_before_are_shown_first_and_marked(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        for number in range(8):
            await node.come(BOB.public, f"old {number}")
            await node.come(EVE.public, "psst")
        async with chatting(tmp_path, BOB_ID) as typing:
            await node.polled(1)
            await node.come(BOB.public, "new")
            await node.polled(2)
            lines = (await typing.result()).stdout.splitlines()
    when = [render.moment(1_700_000_000 + number) for number in (7, 9, 11, 13, 15, 17)]
    assert lines == [
        *(f"earlier: {when[place]}  {SHORT}  old {place + 3}" for place in range(5)),
        f"{when[5]}  {SHORT}  new",
    ]


async def test_a_long_inbox_is_looked_through_from_near_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "TalkSettings", functools.partial(TalkSettings, look_back=2))
    async with served(tmp_path) as node:
        for text in "abcd":
            await node.come(BOB.public, text)
        async with chatting(tmp_path, BOB_ID) as typing:
            lines = (await typing.result()).stdout.splitlines()
    assert [line[-1] for line in lines] == ["c", "d"]


async def test_a_line_that_cannot_be_delivered_now_is_said_to_be_queued_and_the_chat_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        node.offline = f"{BOB_ID} was not found"
        typing.type(b"one\n" + b"x" * 60 + b"\n")
        await until(lambda: len(node.posted) == 2)
        node.offline = None
        typing.type(b"three\n")
        done = await typing.result()
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"queued: one ({SHORT} was not found)",
        f"queued: {'x' * 39}… ({SHORT} was not found)",
    ]


async def test_a_line_without_an_answer_is_called_queued_when_patience_ends(tmp_path: Path) -> None:
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        node.offline = ""
        typing.type(b"one\ntwo\n")
        done = await typing.result()
    assert done.exit_code == 0
    assert done.stderr == "queued: one (it has not been answered yet)\nqueued: two (it has not been answered yet)\n"


async def test_the_end_waits_for_what_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "TalkSettings", functools.partial(TalkSettings, patience=20.0, step=0.02))
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        node.offline = ""
        typing.type(b"one\n")
        typing.stop()
        await until(lambda: node.delivering == 1)
        assert not typing.ended.is_set()
        await node.deliver((1).to_bytes(16, "big"))
        done = await typing.result()
    assert (done.exit_code, done.stderr) == (0, "")


async def test_a_line_that_cannot_be_sent_is_refused_in_one_line_and_the_next_one_is_sent(tmp_path: Path) -> None:
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        typing.type(b"x" * (MAX_TEXT + 1) + b"\ngr\xfcn\nblue\n")
        await until(lambda: len(node.posted) == 1)
        done = await typing.result()
    assert done.exit_code == 0
    assert node.posted == [(BOB.public, "blue")]
    assert done.stderr.splitlines() == [
        f"kadnet: a message has 1 to {MAX_TEXT} bytes of text; send it in parts",
        "kadnet: a line is not UTF-8 text; check the encoding of the terminal",
    ]


async def test_nothing_of_the_other_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    hostile = "a\nb\x1b[2J\u202e"
    async with served(tmp_path) as node:
        await node.come(BOB.public, hostile)
        async with chatting(tmp_path, BOB_ID) as typing:
            node.offline = hostile
            await node.polled(1)
            await node.come(BOB.public, hostile)
            await node.polled(2)
            typing.type(b"\x1b[2J\n")
            done = await typing.result()
    assert [line.endswith("  a\\x0ab\\x1b[2J\\u202e") for line in done.stdout.splitlines()] == [True, True]
    assert done.stderr == "queued: \\x1b[2J (a\\x0ab\\x1b[2J\\u202e)\n"


async def test_for_a_program_all_is_json(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.come(BOB.public, "old")
        async with chatting(tmp_path, BOB_ID, "--json") as typing:
            await node.polled(1)
            await node.come(BOB.public, "new")
            await node.polled(2)
            node.offline = "not found"
            typing.type(b"hi\n")
            done = await typing.result()
    message, sent = (json.loads(line) for line in done.stdout.splitlines())
    assert (message["from"], message["text"]) == (BOB_ID, "new")
    assert sent == {"id": "0" * 31 + "1", "state": "queued", "problem": "not found"}
    assert (done.exit_code, done.stderr) == (0, "")


async def test_a_node_that_stops_ends_the_chat_with_3_and_one_line(tmp_path: Path) -> None:
    async with chatting_until_the_node_stops(tmp_path) as typing:
        pass
    done = typing.done
    assert done is not None
    assert done.exit_code == 3
    assert done.stderr.startswith(f"kadnet: the node stopped before it answered, on {tmp_path}; start one with")
    assert done.stderr.count("\n") == 1


@asynccontextmanager
async def chatting_until_the_node_stops(tmp_path: Path) -> AsyncIterator[Typing]:
    async with trio.open_nursery() as nursery:
        stopped = trio.Event()

        async def run(task_status: trio.TaskStatus[FakeNode]) -> None:
            async with served(tmp_path) as node:
                task_status.started(node)
                await stopped.wait()

        node = await nursery.start(run)
        async with chatting(tmp_path, BOB_ID) as typing:
            await node.polled(1)
            stopped.set()
            with trio.fail_after(10):
                await typing.ended.wait()  # its input is still open
            yield typing


@pytest.mark.parametrize(
    ("who", "said"), [("nobody", "there is no contact 'nobody'"), ("\udcff", "the recipient is not UTF-8 text")]
)
async def test_an_unknown_contact_is_exit_2_in_one_line(tmp_path: Path, who: str, said: str) -> None:
    async with served(tmp_path):
        done = await asked(tmp_path, "chat", who)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"kadnet: {said}")
    assert done.stderr.count("\n") == 1


async def test_an_interruption_is_130_and_takes_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Interrupted:
            return self

        def __exit__(self, *_: object) -> None: ...
        def end(self) -> None: ...
        def __iter__(self) -> Interrupted:
            self._lines = iter(["one"])
            return self

        def __next__(self) -> str:
            for line in self._lines:
                return line
            raise KeyboardInterrupt

    monkeypatch.setattr(talk, "typed_lines", Interrupted)
    async with served(tmp_path) as node:
        node.offline = ""
        done = await asked(tmp_path, "chat", BOB_ID)
        assert (done.exit_code, done.stdout, done.stderr) == (130, "", "")
        assert len(node.outbox()) == 1
        await until(lambda: node.readers == 0)


async def test_an_output_that_nobody_reads_ends_the_chat_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(talk, "say", gone)
    monkeypatch.setattr("kadnet.cli.main.let_go", lambda _stream: None)
    async with served(tmp_path) as node, chatting(tmp_path, BOB_ID) as typing:
        await node.polled(1)
        await node.come(BOB.public, "hi")
        with trio.fail_after(10):
            await typing.ended.wait()
        done = await typing.result()
    assert (done.exit_code, done.stderr) == (0, "")


# ---------------------------------------------------------------------------------------------------------- a terminal


_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08")  # of the cursor, and colours; the prompt's space is such a move


class Screen:
    """A terminal with `kadnet chat` on it."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        program = "from kadnet.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "--data-dir", str(data_dir), "chat", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def shows(self, text: str) -> str:
        """Wait until `text` stands in what was written since the last time; what was written until then."""
        while text not in self.shown:
            await real_runtime().offload(self._draw)
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def _draw(self) -> None:
        ready, _, _ = select.select([self._master], [], [], 20.0)
        assert ready, f"it hangs after {self.shown!r}"
        self.shown = _MOVES.sub("", self.shown + os.read(self._master, 65_536).decode())

    async def close(self) -> int:
        code = await real_runtime().offload(lambda: self.process.wait(20))
        os.close(self._master)
        return code


async def test_on_a_terminal_what_comes_does_not_tear_the_line_that_is_typed(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        screen = Screen(tmp_path, BOB_ID)
        await screen.shows(f"talking with {SHORT}; Ctrl-D ends it")
        await screen.shows(">")
        screen.type("hel")
        await screen.shows("hel")
        await node.polled(1)
        await node.come(BOB.public, "hi\x1b[2J")
        await screen.shows(f"  {SHORT}  hi\\x1b[2J")
        assert re.fullmatch(r"\r*\n> ?hel", await screen.shows("hel")), "whole again, on a line of its own"
        screen.type("lo\r")
        await until(lambda: node.posted == [(BOB.public, "hello")])
        screen.type("\x04")
        assert await screen.close() == 0


async def test_on_a_terminal_ctrl_c_is_130_and_a_node_that_stops_is_3(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        screen = Screen(tmp_path, BOB_ID)
        await screen.shows(">")
        await node.polled(1)
        screen.type("\x03")
        assert await screen.close() == 130
        screen = Screen(tmp_path, BOB_ID)
        await screen.shows(">")
        await node.polled(2)
    await screen.shows("kadnet: the node stopped before it answered")
    assert await screen.close() == 3
