# SPDX-License-Identifier: GPL-2.0
"""Runs the guest's own tests by the kernel's selftest runner and reads their KTAP.

The runner's exit status is not trusted: it is 0 when no test ran, and a script
that dies early can pass. What counts is the plan and the result lines.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import List, Optional

from rnvme_tool.guest import Guest

PLAN = re.compile(r"^(?:# )*\s*1\.\.(\d+)")
RESULT = re.compile(r"^((?:# |\s)*)(ok|not ok) (\d+)\s*(.*)$")


@dataclasses.dataclass
class Report:
    """What KTAP text says. `broken` lists what is wrong with the text itself."""

    passed: List[str] = dataclasses.field(default_factory=list)
    failed: List[str] = dataclasses.field(default_factory=list)
    skipped: List[str] = dataclasses.field(default_factory=list)
    broken: List[str] = dataclasses.field(default_factory=list)
    text: str = ""

    @property
    def good(self) -> bool:
        """Whether something ran, as planned, and nothing failed."""
        return bool(self.passed) and not self.failed and not self.broken


def parse_ktap(text: str) -> Report:
    """Reads KTAP; every level's plan must match the results of that level."""
    report = Report(text=text)
    # One entry a level: its depth, what was planned, what was seen.
    levels: List[List[int]] = []
    for line in text.splitlines():
        plan, result = PLAN.match(line), RESULT.match(line)
        depth = _depth(line)
        if plan:
            _close(levels, depth, report)
            levels.append([depth, int(plan.group(1)), 0])
        elif result:
            _close(levels, depth + 1, report)
            if not levels or levels[-1][0] != depth:
                report.broken.append(f"a result without a plan: {line.strip()}")
            else:
                levels[-1][2] += 1
            _count(report, result.group(2), result.group(4))
    if not levels:
        report.broken.append("no plan: no test ran to its end")
    _close(levels, 0, report)
    return report


def kselftest(guest: Guest, name: Optional[str] = None, timeout: float = 300, **variables: str) -> Report:
    """Runs all of tests/kselftest in the guest, or the one that is named, with these environment variables."""
    choice = f"-t rnvme:{name}" if name else "-c rnvme"
    given = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
    text = guest.run(f"cd /kselftest && {given} ./run_kselftest.sh {choice}", timeout, check=False)
    return parse_ktap(text.out)


def _depth(line: str) -> int:
    # The runner marks what a test printed by "# "; nested KTAP elsewhere is indented by two.
    marks = re.match(r"^((?:# )*)(\s*)", line)
    assert marks is not None
    return len(marks.group(1)) // 2 + len(marks.group(2)) // 2


def _close(levels: List[List[int]], depth: int, report: Report) -> None:
    while levels and levels[-1][0] >= depth:
        _, planned, seen = levels.pop()
        if planned != seen:
            report.broken.append(f"{planned} tests were planned, {seen} reported")


def _count(report: Report, verdict: str, name: str) -> None:
    if re.search(r"#\s*SKIP", name, re.IGNORECASE):
        report.skipped.append(name)
    else:
        (report.passed if verdict == "ok" else report.failed).append(name)
