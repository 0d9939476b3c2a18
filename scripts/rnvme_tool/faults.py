# SPDX-License-Identifier: GPL-2.0
"""`make faults` without its guests: which faults are tried how, and what is to be said of what was seen.

Relies on the fault controller's own table of kinds (`nvme_fault_controller --kinds`), and on its log's words for what
happened. A kind is tried while the driver is being bound, under I/O or while it is unbound, as that table says, and
with the lines that it says.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import random
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

# When a fault is armed: before the driver is there; when its disks are; before, and the driver is unbound under it.
START, RUNNING, UNBIND = "start", "running", "unbind"
# The kind that ends the controller's process.
DEATH = "death"
# The kind that has a driver look at once at what it may have looked at before: a fault may be met without it.
PROVOKES = "event-invented"
LONGEST_NOTE = 150
# More lines of the kernel's log than that is a flood.
FLOOD = 400

SURVIVED, REFUSED, ERRORS = "survived", "refused cleanly", "errors"
DEAD, JUDGED, SILENT = "dead", "judge complained", "did not fire"
FLOODED, LOST, HANG, REPORT, GONE = "flood", "data lost", "hang", "report in the log", "machine died"
UNTRIED = "not tried"
# What is said in the page of each verdict.
MEANING = {
    SURVIVED: "all data was right, and the disks were there to the end",
    REFUSED: "a disk, or all, did not come up, and came up when the controller was well again and bound anew",
    ERRORS: "requests ended with errors, or the controller was given up; nothing wrong was read",
    DEAD: "the controller was well again, and not even a new bind brought the disks back",
    JUDGED: "all of that was well, but the driver broke a rule of the specification on the way",
    SILENT: "the fault found no occasion, or could do nothing on it: nothing was tried, which is a failure of the "
            "suite",
    FLOODED: f"more than {FLOOD} lines in the kernel's log",
    LOST: "a block was read back that is not what was written, and no error said so",
    HANG: "something did not end in its time, or the driver could not be unbound or unloaded; hang.txt has the blocked "
          "tasks",
    REPORT: "the kernel complained: a warning, an oops, a lock that is not right",
    UNTRIED: "something beside the driver failed, the fault controller itself included",
    GONE: "the virtual machine ended, and its kernel's log does not say why",
}
# How the names of kinds end that tell something else by each seed.
AT_RANDOM = "-random"
# What the table of kinds expects of a fault that may end in any way.
OVERWRITES = "overwrites"
# Which verdicts are well, by what the table of kinds expects.
WELL: Dict[str, Set[str]] = {
    "survives": {SURVIVED},
    "refuses": {SURVIVED, REFUSED},
    "errors": {SURVIVED, REFUSED, ERRORS},
    # Only the controller's own data is wrong.
    "undetectable": {SURVIVED, ERRORS, LOST},
    # What is written where nobody asked for it may be anybody's memory.
    OVERWRITES: {SURVIVED, ERRORS, LOST, REPORT, HANG, FLOODED, GONE, DEAD},
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault and when it is armed."""

    kind: str
    when: str
    specs: Tuple[str, ...]
    expects: str

    @property
    def name(self) -> str:
        """As it is called in tables and folders."""
        return f"{self.kind}@{self.when}"

    @property
    def kinds(self) -> List[str]:
        """The kinds that it arms and all of which must happen, or it was not met as it is meant."""
        armed = dict.fromkeys(spec.split(":")[0] for spec in self.specs)
        return [kind for kind in armed if kind == self.kind or kind != PROVOKES]


# Without a fault all must be well, or nothing that is said of the others is worth anything.
CONTROL = Case("none", RUNNING, (), "survives")


@dataclasses.dataclass
class Seen:
    """What was seen of one case. Texts are empty where there was nothing."""

    wanted: int = 2
    disks: int = 0
    broken: str = ""
    silent: List[str] = dataclasses.field(default_factory=list)
    hang: str = ""
    died: bool = False
    errors: List[str] = dataclasses.field(default_factory=list)
    mismatches: List[str] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)
    complaints: List[str] = dataclasses.field(default_factory=list)
    reports: List[str] = dataclasses.field(default_factory=list)
    lines: int = 0
    dead: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether the driver did what another try may not show again."""
        return bool(self.reports or self.mismatches or self.complaints or self.hang)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is said of a case."""

    name: str
    expects: str
    verdict: str
    note: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return is_good(self.verdict, self.expects)

    def line(self) -> str:
        """As it is printed."""
        mark = " " if self.good else "!"
        note = f": {shortened(self.note)}" if self.note else ""
        return f"  {mark} {self.verdict:17} {self.seconds:6.1f} s  {self.name}{note}"


def is_good(verdict: str, expects: str) -> bool:
    """Whether a verdict is one of those that the table of kinds expects."""
    return verdict in WELL.get(expects, WELL["survives"])


def all_cases(kinds: Sequence[Mapping[str, Any]]) -> List[Case]:
    """Every kind at each time; the case without a fault first."""
    return [CONTROL] + [Case(kind["name"], when, tuple(kind["example"].split()), kind["expects"])
                        for kind in kinds for when in (START, RUNNING, UNBIND)]


def choose(kinds: Sequence[Mapping[str, Any]], pattern: str) -> List[Case]:
    """The cases that a run tries. A pattern with an @ is taken for a case, one without for a kind.

    Without a pattern each kind is tried when its table says, and first a controller without a fault.
    """
    patterns = pattern.replace(",", " ").split()
    usual = {CONTROL.name, *(f"{kind['name']}@{kind['arms']}" for kind in kinds)}

    def picked(case: Case) -> bool:
        if not patterns:
            return case.name in usual
        return any(fnmatch.fnmatchcase(case.name, word) if "@" in word else
                   case.name in usual and fnmatch.fnmatchcase(case.kind, word) for word in patterns)

    return [case for case in all_cases(kinds) if picked(case)]


def drawn(cases: Sequence[Case], known: Mapping[str, Outcome], seed: int) -> List[Case]:
    """The cases of which a sample is taken, in the order in which the seed draws them.

    Not drawn is what is known to end badly, which takes its time to do so, and what may end in any way: because that is
    its point, or because the seed says what the controller does, and what is known is what one seed led to.
    """
    some = [case for case in cases if case != CONTROL and case.name in known and known[case.name].good
            and case.expects != OVERWRITES and not case.kind.endswith(AT_RANDOM)]
    random.Random(seed).shuffle(some)
    return some


def happened(log: str, kind: str) -> int:
    """How often a kind of fault did what it should, by the controller's log.

    A line of a fault has its number and its kind, and stands before all that the fault does: one that it missed follows
    where it could do nothing.
    """
    count, ours = 0, False
    for word, text in re.findall(r"^[0-9.]+ (fault|fault-missed) (.*)$", log, re.MULTILINE):
        if word == "fault":
            ours = text.split()[1:2] == [kind]
            count += ours
        elif ours:
            count, ours = count - 1, False
    return count


def broken(status: Optional[int], words: str, died: bool, guest_gone: bool) -> str:
    """How the controller's process ended (its status; None while it runs), if it should not have: it is our own tool.

    It may end by the fault whose point that is (`died`), and with the guest; a signal, or an abort, is neither.
    """
    if status is None or status >= 0 and (died or guest_gone):
        return ""
    lines = [line for line in words.splitlines() if not line.startswith("note:")]
    return f"the fault controller ended with status {status}: {' '.join(lines[-2:]) or 'without a word'}"


def judge(case: Case, seen: Seen, seconds: float) -> Outcome:
    """The verdict: of all that was seen, the worst. What no fault led to is never what is expected of the fault."""
    notes = list(seen.notes)
    found = [
        (seen.broken, UNTRIED, [seen.broken]),
        (seen.reports, REPORT, seen.reports[:1]),
        (seen.died, GONE, []),
        (seen.mismatches, LOST, seen.mismatches[:1]),
        (seen.hang, HANG, [seen.hang]),
        (seen.lines > FLOOD, FLOODED, [f"{seen.lines} lines in the log"]),
        (seen.silent, SILENT, [] if seen.silent == case.kinds else seen.silent),
        (seen.dead, DEAD, []),
        (seen.complaints, JUDGED, seen.complaints[:1]),
        (seen.disks < seen.wanted, REFUSED, [f"{seen.disks} of {seen.wanted} disks"]),
        (seen.errors, ERRORS, seen.errors[:1]),
    ]
    verdicts = [(verdict, own) for there, verdict, own in found if there]
    verdict = verdicts[0][0] if verdicts else SURVIVED
    if seen.silent and is_good(verdict, case.expects):
        verdict = SILENT
    notes = [note for _, own in verdicts for note in own] + notes
    return Outcome(case.name, case.expects, verdict, "; ".join(notes), seconds)


def shortened(text: str, longest: int = LONGEST_NOTE) -> str:
    """What fits into a line of a table; all of it is in seen.json."""
    return text if len(text) <= longest else text[:longest - 3] + "..."


# --- tables --------------------------------------------------------------------


def table(outcomes: Sequence[Outcome]) -> str:
    """How many there are of each verdict, for the end of a run."""
    counts = {verdict: [one for one in outcomes if one.verdict == verdict] for verdict in MEANING}
    lines = [f"  {verdict:18} {len(own):3}" for verdict, own in counts.items() if own]
    bad = [one.line() for one in outcomes if not one.good]
    return "\n".join([*lines, *(["not as it should be:", *bad] if bad else [])])


def page(driver: str, outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> str:
    """The page of results of one driver."""
    good = sum(one.good for one in outcomes)
    rows = [f"| `{one.name}` | {one.verdict} | {one.expects} | {'yes' if one.good else '**no**'} | {_cell(one.note)} |"
            for one in outcomes]
    return "\n".join([
        f"# Faults: the driver {driver}", "",
        f"Written by `make faults DRIVER={driver}`; [faults.md](../faults.md) tells what it does and what the verdicts "
        "mean.", "", *(f"- {name}: {value}" for name, value in facts.items()),
        f"- {good} of {len(outcomes)} as they should be", "",
        "| fault | verdict | expected | as it should be | note |", "|---|---|---|---|---|", *rows, ""])


def read_page(text: str) -> Dict[str, Outcome]:
    """What a page tells, by the names of the cases."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    told = [Outcome(row[0].strip("`"), row[2], row[1], row[4], 0.0) for row in rows if len(row) == 5]
    return {one.name: one for one in told}


def renewed(known: Mapping[str, Outcome], outcomes: Sequence[Outcome], usual: Sequence[Case]) -> List[Outcome]:
    """What is known with this run's outcomes in its place, of the usual cases, in their order, by what they expect."""
    latest = {**known, **{one.name: one for one in outcomes}}
    return [dataclasses.replace(latest[case.name], expects=case.expects) for case in usual if case.name in latest]


def side_by_side(pages: Mapping[str, str], usual: Sequence[Case]) -> str:
    """The verdicts of several drivers' pages, row by row; those that are not as they should be are bold.

    By what is expected now, whatever was when a page was written.
    """
    read = {driver: {one.name: one for one in renewed(read_page(text), [], usual)} for driver, text in pages.items()}
    names = list(dict.fromkeys(name for rows in read.values() for name in rows))

    def cell(driver: str, name: str) -> str:
        one = read[driver].get(name)
        return "" if one is None else one.verdict if one.good else f"**{one.verdict}**"

    def expected(name: str) -> str:
        return next(rows[name].expects for rows in read.values() if name in rows)

    head = ["fault", "expected", *read]
    rows = [[f"`{name}`", expected(name), *(cell(driver, name) for driver in read)] for name in names]
    totals = [f"{sum(one.good for one in rows.values())} of {len(rows)}" for rows in read.values()]
    rows.append(["as it should be", "", *totals])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _cell(text: str) -> str:
    return shortened(text.replace("|", "/").replace("\n", " "))
