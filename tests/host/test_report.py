# SPDX-License-Identifier: GPL-2.0
"""Reports are read with suspicion: what did not run must not look like a pass."""

from __future__ import annotations

import pathlib
from typing import List

from harness import parse_ktap
from rnvme_tool import cargo_tests, junit
from rnvme_tool.inside_test import read_report
from rnvme_tool.junit import Case

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
    assert junit.count(read_report(tmp_path / "none.xml", 4, picking=False)) == (0, 1)
    assert junit.count(read_report(tmp_path / "none.xml", 5, picking=False)) == (0, 1)
    assert read_report(tmp_path / "none.xml", 5, picking=True) == []


def test_skipped_test_counts_as_failed(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text('<testsuites><testsuite><testcase classname="c" name="good" time="0.5"/>'
                      '<testcase classname="c" name="left out"><skipped message="why"/></testcase>'
                      '<testcase classname="c" name="bad"><failure message="m">text</failure></testcase>'
                      '</testsuite></testsuites>')
    cases = read_report(report, 1, picking=False)
    assert [(case.name, case.outcome) for case in cases] == [("good", "ok"), ("left out", "FAILED"), ("bad", "FAILED")]


def test_junit_is_read_back_as_it_was_written(tmp_path: pathlib.Path) -> None:
    cases = [Case("a", "one", 1.5, "ok"), Case("b", "two", 0.0, "FAILED", "a bell \x07 and <angles>")]
    junit.write(tmp_path / "r.xml", cases)
    read = junit.read(tmp_path / "r.xml")
    assert [(case.suite, case.name, case.seconds, case.outcome) for case in read] == [
        ("a", "one", 1.5, "ok"), ("b", "two", 0.0, "FAILED")]
    assert "a bell ? and <angles>" in read[1].text


PROGRAM = """#!/bin/sh
echo 'running 3 tests'
echo 'test lists::ends ... ok <0.012s>'
echo 'test lists::grows - should panic ... ok <1.5s>'
%s
"""


def run_program(folder: pathlib.Path, end: str) -> List[Case]:
    """What is read of a test program that prints this."""
    program = folder / "program"
    program.write_text(PROGRAM % end)
    program.chmod(0o755)
    return cargo_tests.run(cargo_tests.Program("crate", str(folder), str(program)), [])[0]


def test_rust_test_program_is_read_with_its_times(tmp_path: pathlib.Path) -> None:
    cases = run_program(tmp_path, "echo 'test lists::wraps ... FAILED <0.1s>'; exit 101")
    assert [(case.name, case.seconds, case.outcome) for case in cases] == [
        ("lists::ends", 0.012, "ok"), ("lists::grows", 1.5, "ok"), ("lists::wraps", 0.1, "FAILED")]


def test_rust_test_program_that_dies_is_no_pass(tmp_path: pathlib.Path) -> None:
    assert junit.count(run_program(tmp_path, "kill -ABRT $$")) == (2, 1)


def test_ignored_rust_test_counts_as_failed(tmp_path: pathlib.Path) -> None:
    assert junit.count(run_program(tmp_path, "echo 'test lists::later ... ignored, no time'")) == (2, 1)
