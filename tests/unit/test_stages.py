"""`make test` must not call a suite green that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import stages

REPORT = """<testsuites><testsuite>
<testcase name="good"/>
<testcase name="bad"><failure/></testcase>
<testcase name="broken"><error/></testcase>
<testcase name="left"><skipped/></testcase>
</testsuite></testsuites>"""


def test_a_test_that_errors_counts_as_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert stages.count(report) == (1, 2)


@pytest.mark.parametrize(("code", "failed"), [(0, 0), (1, 3), (5, 0)])
def test_a_stage_that_ran_to_its_end_is_no_trouble(code: int, failed: int) -> None:
    assert stages.verdict(code, 9, failed) is None


@pytest.mark.parametrize("code", [1, 2, 3, 4, -9])
def test_a_stage_that_broke_down_is_never_ok(code: int) -> None:
    trouble = stages.verdict(code, 9, 0)
    assert trouble is not None
    assert not stages.Result(stages.STAGES[0], 9, 0, 1.0, trouble).ok


def test_going_over_the_budget_is_said_and_is_no_failure() -> None:
    slow = stages.Result(stages.STAGES[0], 1, 0, stages.STAGES[0].budget + 1.0)
    assert slow.ok
    assert "over budget" in "\n".join(stages.table([slow]))
