"""The bounds and paces of chat, each with its reason: section [chat] of config.toml."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Section [chat]. Times are seconds.

    max_text             bytes of one message's UTF-8: four pages of a book, and several fit one part of a link
    inbox_mib            MiB of messages received, in all: they are never deleted by us, so this bounds chat.db
    stranger_messages, stranger_kib  of one sender who is not in the contacts
    stranger_share       of the inbox, for all strangers together: new identities cost nothing
    overhead             bytes a message counts beside its text, so that many empty ones cannot outgrow the budget
    outbox_messages, outbox_mib  that wait for their recipients
    keep_delivered       delivered messages of ours that are remembered
    contacts             names in the book
    at_once              recipients being tried at the same time
    batch                messages to one recipient before others have their turn
    patience             for one answer, with finding and calling the recipient. What takes longer goes on below, so
                         the next try finds it further on; and a link that died unseen holds no message up for long
    first_retry, longest_retry, jitter  the pauses between tries of one recipient: doubled, and off by this share
    longest_hold         of a message that its recipient finds fault with: nothing but a new version there mends that
    heard_pause          between two tries of one recipient who is heard again and again
    spread               over which the first tries after a start are spread
    readers              who follow the inbox at the same time
    page                 messages read at once, by a reader as by a delivery: 1 MiB at the very worst
    """

    max_text: int = 16_384
    inbox_mib: int = 256
    stranger_messages: int = 1_000
    stranger_kib: int = 1_024
    stranger_share: float = 0.25
    overhead: int = 256
    outbox_messages: int = 10_000
    outbox_mib: int = 64
    keep_delivered: int = 10_000
    contacts: int = 10_000
    at_once: int = 16
    batch: int = 256
    patience: float = 10.0
    first_retry: float = 1.0
    longest_retry: float = 30.0
    longest_hold: float = 3600.0
    jitter: float = 0.1
    heard_pause: float = 1.0
    spread: float = 1.0
    readers: int = 64
    page: int = 64

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:  # false for nan too
                raise ValueError(f"{name} must be {lowest:g} to {highest:g}, not {value}")
        if self.longest_retry < self.first_retry:
            raise ValueError(f"longest_retry must be at least first_retry, not {self.longest_retry:g}")

    @property
    def inbox_bytes(self) -> int:
        return self.inbox_mib << 20

    @property
    def stranger_bytes(self) -> int:
        """For one stranger."""
        return self.stranger_kib << 10

    @property
    def strangers_bytes(self) -> int:
        """For all strangers."""
        return int(self.inbox_bytes * self.stranger_share)

    @property
    def outbox_bytes(self) -> int:
        return self.outbox_mib << 20

    def pause(self, failures: int, chance: float) -> float:
        """Seconds until the next try after so many failures in a row (at least 1); `chance` is from 0 to 1."""
        doublings = min(failures - 1, math.ceil(math.log2(self.longest_retry / self.first_retry)))
        pause = min(self.longest_retry, self.first_retry * 2.0**doublings)
        return pause * (1 + self.jitter * (2 * chance - 1))


_MOST = 2**31
_RANGES: dict[str, tuple[float, float]] = {
    "max_text": (1, 65_000),  # a request of 65,536 bytes is what every host takes
    "inbox_mib": (1, 1_048_576),
    "stranger_messages": (0, _MOST),
    "stranger_kib": (0, _MOST),
    "stranger_share": (0, 1),
    "overhead": (0, 65_536),
    "outbox_messages": (1, 1_000_000),
    "outbox_mib": (1, 1_048_576),
    "keep_delivered": (1, 1_000_000),
    "contacts": (1, 1_000_000),
    "at_once": (1, 1_024),
    "batch": (1, 1_000_000),
    "patience": (0.1, 3_600),
    "first_retry": (0.1, 3_600),
    "longest_retry": (0.1, 86_400),
    "longest_hold": (0.1, 86_400),
    "jitter": (0, 0.5),
    "heard_pause": (0, 3_600),
    "spread": (0, 3_600),
    "readers": (1, 1_024),
    "page": (1, 1_000),
}
