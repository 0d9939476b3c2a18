# SPDX-License-Identifier: GPL-2.0
"""KUnit's log is read with suspicion: a case that failed, crashed or did not run is a failure."""

from __future__ import annotations

import pathlib

from rnvme_tool import inside
from rnvme_tool.inside_kunit import planned, read_log

CASES = ["rnvme_queue.wraps", "rnvme_queue.rings", "rnvme_io.reads"]
# As the guest's log has it: an empty document of the kernel's own, then the module's, with other lines in between.
GOOD = """[    0.9][    T1] KTAP version 1
[    0.9][    T1] 1..0
[   46.1][   T62] rnvme: loading out-of-tree module taints kernel.
[   46.2][   T62] KTAP version 1
[   46.2][   T62] 1..2
[   46.3][   T62]     KTAP version 1
[   46.3][   T62]     # Subtest: rnvme_queue
[   46.3][   T62]     # speed: normal
[   46.3][   T62]     1..2
[   47.6][   T62]     # wraps.speed: normal
[   47.6][   T62]     ok 1 wraps
[   47.7][   T66] I/O error, dev kunit-rnvme0, sector 8 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2
[   47.8][   T62]     ok 2 rings
[   47.8][   T62] # rnvme_queue: pass:2 fail:0 skip:0 total:2
[   47.8][   T62] # Totals: pass:2 fail:0 skip:0 total:2
[   47.8][   T62] ok 1 rnvme_queue
[   47.9][   T62]     KTAP version 1
[   47.9][   T62]     # Subtest: rnvme_io
[   47.9][   T62]     1..1
[   48.0][   T62]     ok 1 reads
[   48.0][   T62] ok 2 rnvme_io
[   49.1][   T70] systemd[1]: something else
"""


def test_log_of_a_good_run_passes() -> None:
    report = read_log(GOOD, CASES)
    assert report.good, report.failed
    assert sorted(report.passed) == sorted(CASES)


def test_failed_case_is_named_with_what_it_expected() -> None:
    said = ("[   47.7][   T66]     # rings: ASSERTION FAILED at queue/tests.rs:42\n"
            "[   47.7][   T66]     Expected tail == 3 to be true, but is false\n"
            "[   47.8][   T62]     not ok 2 rings\n")
    log = GOOD.replace("[   47.8][   T62]     ok 2 rings\n", said).replace("ok 1 rnvme_queue", "not ok 1 rnvme_queue")
    report = read_log(log, CASES)
    assert list(report.failed) == ["rnvme_queue.rings"]
    assert "queue/tests.rs:42" in report.failed["rnvme_queue.rings"]
    assert "tail == 3" in report.failed["rnvme_queue.rings"]


def test_failed_case_in_a_suite_that_claims_success_is_seen() -> None:
    report = read_log(GOOD.replace("    ok 2 rings", "    not ok 2 rings"), CASES)
    assert "rnvme_queue.rings" in report.failed


def test_log_that_ends_early_fails_for_all_that_is_missing() -> None:
    for ending in ("ok 2 rings", "# Totals", "KTAP version 1\n[   47.9][   T62]     # Subtest: rnvme_io", "ok 1 reads"):
        report = read_log(GOOD[:GOOD.index(ending)], CASES)
        assert not report.good
        assert "rnvme_io.reads" in report.failed, ending


def test_log_without_ktap_fails_for_every_case() -> None:
    for log in ("", "[    1.0][    T1] nothing of interest\n", GOOD[:GOOD.index("[   46.1]")]):
        report = read_log(log, CASES)
        assert not report.passed and sorted(report.failed) == sorted(CASES)


def test_skipped_case_is_no_pass() -> None:
    report = read_log(GOOD.replace("ok 1 reads", "ok 1 reads # SKIP no such device"), CASES)
    assert list(report.failed) == ["rnvme_io.reads"]


def test_suite_that_was_not_linked_is_missed() -> None:
    report = read_log(GOOD, [*CASES, "rnvme_more.counts"])
    assert list(report.failed) == ["rnvme_more.counts"]


def test_case_that_is_not_in_the_sources_is_an_old_modules() -> None:
    report = read_log(GOOD, CASES[:2])
    assert list(report.failed) == ["rnvme_io.reads"]


def test_plan_that_promises_more_than_came_fails() -> None:
    report = read_log(GOOD.replace("    1..1\n", "    1..2\n"), CASES)
    assert not report.good


def test_cases_are_found_in_the_sources(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "drivers/nvme/x/tests.rs"
    source.parent.mkdir(parents=True)
    source.write_text("#[kunit_tests(one)]\nmod a {\n    #[test]\n    fn first() {}\n\n    fn helper() {}\n}\n\n"
                      "#[cfg(not(CONFIG_UML))]\n#[kunit_tests(two)]\nmod b {\n    #[test]\n    fn second() {}\n}\n")
    assert planned(tmp_path) == ["one.first", "two.second"]
    assert planned(tmp_path, uml=True) == ["one.first"]


def test_the_sources_have_cases_of_both_crates_and_no_name_twice() -> None:
    cases = planned(inside.PROJECT)
    assert any(case.startswith("rnvme_ext_") for case in cases)
    assert any(not case.startswith("rnvme_ext_") for case in cases)
    assert len(set(cases)) == len(cases)
