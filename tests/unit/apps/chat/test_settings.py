"""Section [chat]: its values are checked, and the pauses follow from them."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from kadnet import config
from kadnet.apps.chat import settings as room
from kadnet.apps.chat.settings import ChatSettings
from kadnet.errors import InputError


def test_every_bound_is_checked_at_both_ends() -> None:
    assert set(room._RANGES) == {field.name for field in fields(ChatSettings)}
    for name, (lowest, highest) in room._RANGES.items():
        for value in (lowest - 1, highest + 1, math.nan):
            with pytest.raises(ValueError, match=f"{name} must be"):
                ChatSettings(**{name: value})  # type: ignore[arg-type]  # some are ints


def test_a_section_of_the_settings_file_is_taken_or_refused_by_name() -> None:
    taken = config.section({"chat": {"max_text": 100, "first_retry": 2}}, "chat", ChatSettings)
    assert (taken.max_text, taken.first_retry) == (100, 2.0)
    with pytest.raises(InputError, match="max_text must be 1 to 65000, not 0"):
        config.section({"chat": {"max_text": 0}}, "chat", ChatSettings)
    with pytest.raises(InputError, match="longest_retry must be at least first_retry"):
        config.section({"chat": {"longest_retry": 0.5}}, "chat", ChatSettings)


def test_the_pauses_double_up_to_the_longest_and_no_further() -> None:
    assert [ChatSettings().pause(failures, 0.5) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert ChatSettings().pause(10**9, 0.5) == 30
    assert ChatSettings(first_retry=5, longest_retry=5).pause(3, 0.5) == 5


def test_a_pause_is_off_by_its_jitter_at_most_either_way() -> None:
    paces = ChatSettings(jitter=0.2)
    assert [paces.pause(3, 0.0), paces.pause(3, 1.0)] == pytest.approx([3.2, 4.8])
