"""`chat`: a conversation with one node, line by line.

Three threads: this one takes what is typed and puts it into the node's outbox, one prints what comes, one learns what
became of each line. A line is in the outbox, on disk, before the next is read; so whatever ends the chat takes nothing
back.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from kadnet.cli import render
from kadnet.cli.common import Request, report, say, say_json, text_argument, verb
from kadnet.cli.lines import Lines, typed_lines
from kadnet.client import Client, Follow
from kadnet.errors import InputError, KadnetError, StorageFailed
from kadnet.identity.text import printable
from kadnet.shapes import Message, Sent, Who

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """`earlier`: messages shown of before; they are looked for among the last `look_back` of the inbox, so that a long
    one costs nothing. `patience`: seconds until a line is called queued, and so the longest wait after the last one;
    `step`: after so many of them it is when the node has a reason already. `longest_line`: bytes; twice the longest
    message that any node takes. `unsettled`: lines whose end is awaited; a program that pipes more waits with them."""

    earlier: int = 5
    look_back: int = 1000
    patience: float = 10.0
    step: float = 1.0
    longest_line: int = 128 * 1024
    unsettled: int = 1000


@verb("chat", example="kadnet chat bob\nprintf 'tea is ready\\n' | kadnet chat bob")
@click.argument("who")
def chat(request: Request, who: str) -> None:
    """Talk with a node, line by line: what it sends is printed, and each line you type is sent.

    WHO is a contact's name, a node ID, or kadnet://<id>@host:port. Ctrl-D ends it. A line that cannot be delivered now
    is said to be queued, and arrives when that is possible. With --json, messages are printed as `inbox` does and what
    became of each line as `send` does.
    """
    client = request.client()
    partner = client.resolve(text_argument(who, "recipient"))
    settings = TalkSettings()
    if sys.stdin is not None and sys.stdin.isatty() and not request.as_json:
        click.echo(f"talking with {render.person(partner.name, partner.id)}; Ctrl-D ends it", err=True)
    Talk(client, partner, typed_lines(settings.longest_line, plain=request.as_json), request.as_json, settings).run()


@dataclass(frozen=True, slots=True)
class _Said:
    """A line in the outbox. `until`: when it is called queued (time.monotonic)."""

    text: str
    sent: Sent
    until: float


class Talk:
    """One conversation."""

    def __init__(self, client: Client, partner: Who, lines: Lines, as_json: bool, settings: TalkSettings) -> None:
        self._client = client
        self._partner = partner
        self._lines = lines
        self._as_json = as_json
        self._settings = settings
        self._said: queue.Queue[_Said | None] = queue.Queue(settings.unsettled)
        self._failure: KadnetError | OSError | None = None
        self._printing = threading.Lock()
        self._over = False

    def run(self) -> None:
        """Until the lines end and each has been tried. Raises what ended it before that."""
        follow = self._client.follow(self._show_earlier())
        hears = threading.Thread(target=self._hear, args=(follow,), daemon=True)
        settles = threading.Thread(target=self._settle, daemon=True)
        with self._lines:
            try:
                hears.start()
                settles.start()
                for line in self._lines:
                    self._say(line)
                self._said.put(None)
                settles.join()
            finally:
                # A thread that prints while the interpreter ends would hold what it needs to end.
                with self._printing:
                    self._over = True
                follow.close()
        if self._failure is not None:
            raise self._failure

    def _show_earlier(self) -> int:
        """Print the last messages of before; the number of the last one in the inbox."""
        number = max(0, self._client.status().messages - self._settings.look_back)
        recent: deque[Message] = deque(maxlen=self._settings.earlier)
        while page := self._client.inbox(number):
            recent.extend(message for message in page if message.sender == self._partner.id)
            number = page[-1].number
        if not self._as_json:
            for message in recent:
                say(f"earlier: {render.message(message)}")
        return number

    def _say(self, line: str | InputError) -> None:
        try:
            if isinstance(line, InputError):
                raise line
            if not line:
                return
            sent = self._client.send(self._partner.id, line, wait=0)
        except (InputError, StorageFailed) as error:  # this line's fault, or this moment's: the chat goes on
            self._print(report, error)
        else:
            self._said.put(_Said(line, sent, time.monotonic() + self._settings.patience))

    def _hear(self, follow: Follow) -> None:
        try:
            for message in follow:
                if message.sender == self._partner.id:
                    if self._as_json:
                        self._print(say_json, message)
                    else:
                        self._print(say, render.message(message))
        except (KadnetError, OSError) as error:
            self._fail(error)

    def _settle(self) -> None:
        while (said := self._said.get()) is not None:
            if self._failure is not None:
                continue
            try:
                self._tell(said.text, self._outcome(said))
            except (KadnetError, OSError) as error:
                self._fail(error)

    def _outcome(self, said: _Said) -> Sent:
        sent = said.sent
        while sent.state == "queued":
            left = max(0.0, said.until - time.monotonic())
            sent = self._client.delivery(sent.id, wait=min(left, self._settings.step))
            if sent.problem is not None or not left:
                break
        return sent

    def _tell(self, text: str, sent: Sent) -> None:
        if self._as_json:
            self._print(say_json, sent)
        elif sent.state == "queued":
            why = sent.problem or "it has not been answered yet"
            told = render.problem(why, self._partner.name, self._partner.id)
            self._print(_say_aside, f"queued: {printable(text, 40)} ({told})")

    def _print(self, write: Callable[[T], object], what: T) -> None:
        with self._printing:
            if not self._over:
                write(what)

    def _fail(self, error: KadnetError | OSError) -> None:
        with self._printing:
            if self._failure is None and not self._over:
                self._failure = error
                self._lines.end()


def _say_aside(text: str) -> None:
    click.echo(text, err=True)
