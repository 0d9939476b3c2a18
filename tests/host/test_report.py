# SPDX-License-Identifier: GPL-2.0
"""Reports are read with suspicion: what did not run must not look like a pass."""

from __future__ import annotations

import pathlib

from harness import parse_ktap
from rnvme_tool.inside_test import read_report

GOOD = """TAP version 13
1..1
# timeout set to 45
# selftests: rnvme: disks.sh
# TAP version 13
# 1..2
# ok 1 the disk is there
# ok 2 its size is right
# # Totals: pass:2 fail:0
ok 1 selftests: rnvme: disks.sh
"""


def test_good_ktap_passes() -> None:
    report = parse_ktap(GOOD)
    assert report.good
    assert len(report.passed) == 3


def test_failed_result_within_is_seen() -> None:
    report = parse_ktap(GOOD.replace("# ok 2", "# not ok 2"))
    assert not report.good
    assert len(report.failed) == 1


def test_script_that_dies_before_its_last_result_is_seen() -> None:
    report = parse_ktap(GOOD.replace("# ok 2 its size is right\n", ""))
    assert not report.good
    assert report.broken == ["2 tests were planned, 1 reported"]


def test_run_without_any_test_is_no_pass() -> None:
    assert not parse_ktap("").good
    assert not parse_ktap("TAP version 13\n1..0\n").good


def test_missing_pytest_report_counts_as_a_failure(tmp_path: pathlib.Path) -> None:
    assert read_report(tmp_path / "none.xml") == (0, 1)


def test_skipped_test_counts_as_failed(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text('<testsuites><testsuite tests="5" failures="1" errors="0" skipped="1"/></testsuites>')
    assert read_report(report) == (3, 2)
