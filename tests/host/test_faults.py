# SPDX-License-Identifier: GPL-2.0
"""What `make faults` picks, and what it says of what it saw: never better than it was."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, Callable, Dict, List, Optional

import pytest
from rnvme_tool import faults
from rnvme_tool.faults import (
    MEANING,
    Case,
    Outcome,
    Seen,
    broken,
    choose,
    drawn,
    happened,
    judge,
    page,
    read_page,
    renewed,
    side_by_side,
    table,
)

KINDS: List[Dict[str, Any]] = [
    {"name": "completion-lost", "arms": "running", "expects": "survives", "example": "completion-lost:nth=20"},
    {"name": "completion-late", "arms": "running", "expects": "survives", "example": "completion-late:times=3"},
    {"name": "registers-ones", "arms": "start", "expects": "errors", "example": "registers-ones registers-ones:nth=9"},
    {"name": "data-misplaced", "arms": "running", "expects": "overwrites", "example": "data-misplaced"},
    {"name": "identify-rtd3e", "arms": "unbind", "expects": "survives", "example": "identify-rtd3e shutdown-slowly"},
]
CASE = Case("completion-lost", "running", ("completion-lost:nth=20",), "survives")


def well() -> Seen:
    return Seen(disks=2)


def test_each_kind_is_tried_when_its_table_says() -> None:
    assert [case.name for case in choose(KINDS, "")] == [
        "none@running", "completion-lost@running", "completion-late@running", "registers-ones@start",
        "data-misplaced@running", "identify-rtd3e@unbind"]


@pytest.mark.parametrize("pattern,names", [
    ("completion-*", ["completion-lost@running", "completion-late@running"]),
    ("none data-*", ["none@running", "data-misplaced@running"]),
    ("registers-ones@running", ["registers-ones@running"]),
    ("completion-lost@*", ["completion-lost@start", "completion-lost@running", "completion-lost@unbind"]),
    ("lost", [])])
def test_pattern_picks_kinds_and_cases(pattern: str, names: List[str]) -> None:
    assert [case.name for case in choose(KINDS, pattern)] == names


def test_lines_of_the_table_are_armed_each_by_itself_and_each_kind_must_happen() -> None:
    ones, rtd3e = choose(KINDS, "registers-* identify-*")
    assert ones.specs == ("registers-ones", "registers-ones:nth=9") and ones.kinds == ["registers-ones"]
    assert rtd3e.kinds == ["identify-rtd3e", "shutdown-slowly"]
    provoked = Case("list-shrinking", "start", ("list-shrinking", "event-invented:queue=io,nth=20"), "errors")
    assert provoked.kinds == ["list-shrinking"], "a reset has a driver read the list as well"


@pytest.mark.parametrize("change,verdict", [
    (lambda seen: None, "survived"),
    (lambda seen: seen.errors.append("with the fault: nvme0n1 error 5"), "errors"),
    (lambda seen: setattr(seen, "disks", 0), "refused cleanly"),
    (lambda seen: setattr(seen, "dead", True), "dead"),
    (lambda seen: setattr(seen, "hang", "unload fails with status 1"), "hang"),
    (lambda seen: seen.silent.append("completion-lost"), "did not fire"),
    (lambda seen: setattr(seen, "broken", "the fault controller ended with status -6"), "not tried"),
    (lambda seen: setattr(seen, "died", True), "machine died"),
    (lambda seen: setattr(seen, "lines", faults.FLOOD + 1), "flood"),
    (lambda seen: seen.complaints.append("command id 3 is in use twice"), "judge complained"),
    (lambda seen: seen.mismatches.append("what was acknowledged: nvme0n1"), "data lost"),
    (lambda seen: seen.reports.append("kasan: slab-out-of-bounds"), "report in the log")])
def test_what_was_seen_has_its_verdict(change: Callable[[Seen], None], verdict: str) -> None:
    seen = well()
    change(seen)
    outcome = judge(CASE, seen, 1.0)
    assert outcome.verdict == verdict and verdict in MEANING
    assert outcome.good == (verdict == "survived"), "a fault that is to be survived bears nothing else"


def test_without_a_fault_all_must_be_well_though_none_happened() -> None:
    seen = well()
    assert judge(faults.CONTROL, seen, 1.0).good
    seen.errors.append("with the fault: nvme0n1 error 5")
    assert not judge(faults.CONTROL, seen, 1.0).good


def test_of_several_verdicts_the_worst_is_said_and_the_others_are_noted() -> None:
    seen = well()
    seen.errors.append("with the fault: nvme0n1 error 5")
    seen.hang = "unbind does not end"
    seen.silent = ["completion-lost"]
    outcome = judge(CASE, seen, 1.0)
    assert outcome.verdict == "hang"
    assert "unbind does not end" in outcome.note and "error 5" in outcome.note


@pytest.mark.parametrize("expects,good", [
    ("survives", {"survived"}),
    ("refuses", {"survived", "refused cleanly"}),
    ("errors", {"survived", "refused cleanly", "errors"}),
    ("undetectable", {"survived", "errors", "data lost"}),
    ("overwrites", set(MEANING) - {"did not fire", "not tried", "refused cleanly", "judge complained"})])
def test_what_is_well_is_what_the_table_of_kinds_expects(expects: str, good: Any) -> None:
    assert {verdict for verdict in MEANING if faults.is_good(verdict, expects)} == good


@pytest.mark.parametrize("change,expects", [
    (lambda seen: seen.mismatches.append("before the fault: nvme0n1"), "undetectable"),
    (lambda seen: seen.reports.append("kasan: slab-out-of-bounds"), "overwrites")])
def test_what_no_fault_led_to_is_not_what_is_expected_of_the_fault(change: Callable[[Seen], None],
                                                                   expects: str) -> None:
    case, seen = dataclasses.replace(CASE, expects=expects), well()
    change(seen)
    assert judge(case, seen, 1.0).good
    seen.silent = case.kinds
    outcome = judge(case, seen, 1.0)
    print(outcome)
    assert outcome.verdict == "did not fire" and not outcome.good
    assert "nvme0n1" in outcome.note or "kasan" in outcome.note


def test_broken_controller_is_never_a_fault_that_was_survived() -> None:
    seen = well()
    seen.broken = "the fault controller ended with status -6: thread panicked"
    for kind in ("survives", "errors", "undetectable", "overwrites"):
        outcome = judge(dataclasses.replace(CASE, expects=kind), seen, 1.0)
        assert outcome.verdict == "not tried" and not outcome.good and "panicked" in outcome.note


@pytest.mark.parametrize("status,died,guest_gone,is_broken", [
    (None, False, False, False),
    (None, True, False, False),
    (0, True, False, False),
    (0, False, True, False),
    (0, False, False, True),
    (1, False, False, True),
    (-6, False, False, True),
    (-6, True, False, True),
    (-6, False, True, True)])
def test_controller_ends_only_by_the_fault_whose_point_that_is_or_with_the_guest(
        status: Optional[int], died: bool, guest_gone: bool, is_broken: bool) -> None:
    text = broken(status, "thread 'main' panicked at x.rs:1:\nno such queue\nnote: run it again\n", died, guest_gone)
    print(text)
    assert bool(text) == is_broken
    assert not is_broken or "panicked" in text and "no such queue" in text


def test_fault_that_could_do_nothing_did_not_happen() -> None:
    log = ("0.1 armed 1 event-invented\n0.2 fault 1 event-invented arg=1 at queue 1\n0.2 story of it\n"
           "0.2 fault-missed no event was asked for\n0.3 fault 2 data-short arg=1 at queue 1\n"
           "0.4 fault-missed there is no other page\n0.5 fault 1 event-invented arg=1 at queue 1\n")
    assert happened(log, "event-invented") == 1
    assert happened(log, "data-short") == 0
    assert happened(log, "event") == 0


def test_fault_that_misses_takes_nothing_from_another_on_the_same_occasion() -> None:
    log = ("0.3 fault 2 event-invented arg=1 at queue 1\n0.3 fault-missed no event was asked for\n"
           "0.3 fault 1 list-shrinking arg=1 at queue 1\n")
    assert (happened(log, "event-invented"), happened(log, "list-shrinking")) == (0, 1)


def test_sample_has_what_is_known_to_end_well_whatever_the_seed() -> None:
    by_seed = {"name": "names-random", "arms": "start", "expects": "survives", "example": "names-random"}
    cases = choose([*KINDS, by_seed], "")
    known = {case.name: Outcome(case.name, case.expects, "survived", "", 1.0) for case in cases}
    known["completion-late@running"] = dataclasses.replace(known["completion-late@running"], verdict="hang")
    del known["registers-ones@start"]
    sample = drawn(cases, known, 7)
    assert {case.name for case in sample} == {"completion-lost@running", "identify-rtd3e@unbind"}
    assert sample == drawn(cases, known, 7)


def test_page_for_people_tells_of_each_verdict_what_it_means() -> None:
    text = (pathlib.Path(__file__).resolve().parents[2] / "Documentation/faults.md").read_text()
    assert [verdict for verdict, means in MEANING.items() if f"| {verdict} | {means} |" not in text] == []


def outcomes(driver: str) -> List[Outcome]:
    lost = "survived" if driver == "nvme" else "hang"
    return [Outcome("completion-lost@running", "survives", lost, "", 10.0),
            Outcome("data-misplaced@running", "overwrites", "data lost", "a | b\nc", 11.0)]


def test_page_reads_back_as_it_was_written() -> None:
    text = page("rnvme", outcomes("rnvme"), {"commit": "abc"})
    print(text)
    read = read_page(text)
    assert [(one.name, one.verdict, one.expects) for one in read.values()] == [
        ("completion-lost@running", "hang", "survives"), ("data-misplaced@running", "data lost", "overwrites")]
    assert page("rnvme", list(read.values()), {"commit": "abc"}) == text
    assert "- commit: abc" in text and "- 1 of 2 as they should be" in text


def test_run_of_some_faults_leaves_the_other_rows_but_not_those_of_kinds_that_are_gone() -> None:
    known = {one.name: one for one in [*outcomes("rnvme"), Outcome("gone@running", "survives", "hang", "", 1.0)]}
    known["data-misplaced@running"] = dataclasses.replace(known["data-misplaced@running"], expects="undetectable")
    now = Outcome("completion-lost@running", "survives", "survived", "", 1.0)
    rows = renewed(known, [now], choose(KINDS, ""))
    assert [(one.name, one.verdict) for one in rows] == [
        ("completion-lost@running", "survived"), ("data-misplaced@running", "data lost")]
    assert rows[1].expects == "overwrites", "what the table of kinds says now"


def test_long_story_of_the_judges_is_cut_for_the_table() -> None:
    told = Outcome("completion-lost@running", "survives", "judge complained", "command id 3 " * 50, 1.0)
    assert len(told.line()) < 220 and "command id 3" in told.line()
    assert len(page("nvme", [told], {}).splitlines()[-1]) < 250


def test_drivers_stand_side_by_side_and_what_is_not_well_stands_out() -> None:
    text = side_by_side({driver: page(driver, outcomes(driver), {}) for driver in ("nvme", "rnvme")},
                        choose(KINDS, ""))
    print(text)
    assert "| `completion-lost@running` | survives | survived | **hang** |" in text
    assert "| `data-misplaced@running` | overwrites | data lost | data lost |" in text
    assert text.splitlines()[-1] == "| as it should be |  | 2 of 2 | 1 of 2 |"


def test_drivers_side_by_side_are_measured_by_what_is_expected_now() -> None:
    old = [dataclasses.replace(one, expects="survives") for one in outcomes("nvme")]
    text = side_by_side({"nvme": page("nvme", old, {}), "rnvme": page("rnvme", outcomes("rnvme"), {})},
                        choose(KINDS, ""))
    print(text)
    assert "| `data-misplaced@running` | overwrites | data lost | data lost |" in text
    assert text.splitlines()[-1] == "| as it should be |  | 2 of 2 | 1 of 2 |"


def test_summary_counts_verdicts_and_names_what_is_not_well() -> None:
    text = table(outcomes("rnvme"))
    print(text)
    assert "hang" in text and "data lost" in text
    assert text.count("completion-lost@running") == 1 and "data-misplaced@running" not in text
