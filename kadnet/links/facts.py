"""The facts of the machine of one pair (`states`): what bounds it, and what it tells its driver to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from kadnet.wire.envelopes import Control


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Seconds, and bounds of one pair.

    heartbeat    a link on which we said nothing for so long is pinged; middleboxes forget a quiet flow after minutes
    dead_after   a link that brought no frame for so long is dead: three heartbeats, so a slow path is not cut off
    redials      pauses before the calls after a loss, then only on demand; seven seconds outlast a restart
    jitter       a pause is drawn from pause × (1 ± jitter): both sides lost the link at one moment
    settled      a link that lived shorter does not end the count of redials, or one that breaks whenever it is used
                 would be called again at once, for ever
    tie          pongs so close together count as one moment: the links are equally good
    kept_within  a link that was told to stay and does not say `kept` in this time may be dead: far above a round trip
    drain        a closing link that brings nothing for so long is given up: far above a round trip
    grace        after a loss the requests handed over before it wait so long; an answer may come on another link
    batch_items, batch_bytes  what a link is handed at once, and may take along when it breaks: one write of the system
    max_links    links of one pair: two where both called, and a few that are dead and not yet known to be
    """

    heartbeat: float = 10.0
    dead_after: float = 30.0
    redials: tuple[float, ...] = (1.0, 2.0, 4.0)
    jitter: float = 0.5
    settled: float = 10.0
    tie: float = 0.002
    kept_within: float = 5.0
    drain: float = 5.0
    grace: float = 5.0
    batch_items: int = 64
    batch_bytes: int = 65_536
    max_links: int = 4


Item: TypeAlias = Any
"""What the caller sends: hashable, told apart by equality, never looked at."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Call the peer. Ends in `up(dialed=True)` or `dial_failed`; until then there is no second one."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Put a control at the end of what the link has yet to write."""

    link: int
    control: Control


@dataclass(frozen=True, slots=True)
class Give:
    """Put items at the end of what the link has yet to write, and say `ready` when they are written.

    From here on they are handed over: if the link breaks they may be lost, and they are not sent again.
    """

    link: int
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Finish:
    """Write what the link has yet to write, close its socket, then say `lost`.

    The peer has said its last word, so nothing is left to be read, and nothing need be waited for.
    """

    link: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the socket at once. The machine has forgotten the link; what is said of it later is ignored."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """These were never handed to a link and will not be. `why`: a word of `states`, or what `dial_failed` was told."""

    items: list[Item]
    why: object


@dataclass(frozen=True, slots=True)
class FailOpen:
    """Requests handed over up to the moment `before` will not be answered any more. `why`: "lost" or "restarted".

    Later ones are not meant, nor those still queued: they are sent with the next link, or named in a `Fail`.
    """

    why: str
    before: float


@dataclass(frozen=True, slots=True)
class Up:
    """There was no usable link; now there is this one."""

    link: int


@dataclass(frozen=True, slots=True)
class Down:
    """The last usable link is gone. `reason`: that of its close or loss."""

    reason: str


Action: TypeAlias = Dial | Tell | Give | Finish | Drop | Fail | FailOpen | Up | Down
