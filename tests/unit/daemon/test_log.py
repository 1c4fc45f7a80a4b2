from __future__ import annotations

import errno
import io
import json
from functools import partial

import trio
import trio.testing

from kadnet.daemon.log import HypercornLog, make_logger, tell
from kadnet.events import BootstrapFailed, ContactAdded, Events, Joined, LinkRefused
from kadnet.host.following import follow


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    log = make_logger(stream, "warning", as_json=False)
    log.info("quiet")
    log.warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_line_is_json_when_asked_for() -> None:
    stream = io.StringIO()
    make_logger(stream, "info", as_json=True).info("serving", address="a")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["address"], line["level"]) == ("serving", "a", "info")


def test_a_value_of_a_peer_is_quoted() -> None:
    stream = io.StringIO()
    make_logger(stream, "info", as_json=False).info("said", text="\x1b[2J\nforged line")
    assert "\x1b[2J" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


class FullDisk(io.StringIO):
    """A stream that cannot be written as long as it is full."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_that_cannot_be_written_are_counted_in_the_next_that_can() -> None:
    stream = FullDisk()
    log = make_logger(stream, "info", as_json=True)
    log.info("one")
    log.info("two")
    stream.full = False
    log.info("three")
    log.info("four")
    three, four = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (three["event"], three["lines_lost"]) == ("three", 2)
    assert "lines_lost" not in four


async def test_what_hypercorn_says_is_in_the_same_log_and_its_chatter_is_debug() -> None:
    stream = io.StringIO()
    log = HypercornLog(make_logger(stream, "info", as_json=True))
    await log.access()
    await log.info("Running on %s", "x")
    assert stream.getvalue() == ""
    await log.error("it failed: %s", "why")
    assert json.loads(stream.getvalue())["said"] == "it failed: why"


async def test_an_unreachable_bootstrap_and_the_join_are_written_down() -> None:
    stream = io.StringIO()
    events = Events()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, partial(follow, events), make_logger(stream, "info", as_json=True))
        await trio.testing.wait_all_tasks_blocked()
        events.publish(BootstrapFailed(1.0, "seed.example:7420", "no answer"))
        events.publish(ContactAdded(2.0, bytes(32), "192.0.2.7:7420"))
        await trio.testing.wait_all_tasks_blocked()
        events.publish(Joined(3.0, 5))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["level"], first["address"], first["reason"]) == ("warning", "seed.example:7420", "no answer")
    assert (second["event"], second["contacts"]) == ("joined", 5)
    assert not events.wants(Joined)


async def test_of_many_callers_turned_away_in_a_minute_the_first_ten_are_written_and_the_rest_is_counted() -> None:
    stream = io.StringIO()
    events = Events()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, partial(follow, events), make_logger(stream, "info", as_json=True))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(25):
            events.publish(LinkRefused(float(number), f"192.0.2.{number}:7420", "noise-box"))
        await trio.testing.wait_all_tasks_blocked()
        events.publish(LinkRefused(60.0, "192.0.2.99:7420", "frame-magic"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["endpoint"] for line in lines[:10]] == [f"192.0.2.{number}:7420" for number in range(10)]
    assert [line["event"] for line in lines[10:]] == ["more callers turned away", "caller turned away"]
    assert lines[10]["count"] == 15
    assert lines[0]["reason"] == "it called another node, or is of another network"
