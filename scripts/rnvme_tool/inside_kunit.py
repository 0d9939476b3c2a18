# SPDX-License-Identifier: GPL-2.0
"""KUnit: which cases there are, and what a kernel's log says of them.

The log is read by the kernel's own parser of KTAP. Its verdict alone is not enough: a
suite that is not linked, or is filtered out, is missed by nobody. So the cases that ran
are compared with those in the sources. insmod succeeds whatever the cases say.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List, Tuple

from . import inside
from .failure import Failure
from .guest import Guest
from .kernel import DEBUG, SOURCE, read_kernel
from .log_net import PREFIX, read_reports
from .machine import Machine
from .uml import MOUNTED, UML, boot_uml

PARSER = f"{SOURCE}/tools/testing/kunit/kunit.py"
FOLDERS = ("drivers", "rust/kernel_ext")
# Ordinary guests have kunit.autorun=0; suites of the kernel's own are none of ours.
ARGUMENTS = ("kunit.enable=1", "kunit.autorun=1", "kunit.filter_glob=rnvme*")
SUITE = re.compile(r"^(#\[cfg\(not\(CONFIG_UML\)\)\]\n)?#\[kunit_tests\((\w+)\)\]$", re.MULTILINE)
CASE = re.compile(r"#\[test\]\s+fn (\w+)")


@dataclasses.dataclass
class Report:
    """What became of each case (its name is `suite.case`), and what is wrong with the log itself."""

    passed: List[str] = dataclasses.field(default_factory=list)
    failed: Dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether something ran, all that was planned, and nothing failed."""
        return bool(self.passed) and not self.failed


def planned(project: pathlib.Path, uml: bool = False) -> List[str]:
    """The cases in the sources; without those that User Mode Linux has no hardware for."""
    names = []
    for path in sorted(path for folder in FOLDERS for path in (project / folder).rglob("*.rs")):
        text = path.read_text()
        suites = list(SUITE.finditer(text))
        ends = [suite.start() for suite in suites[1:]] + [len(text)]
        for suite, end in zip(suites, ends):
            if not (uml and suite.group(1)):
                names += [f"{suite.group(2)}.{case}" for case in CASE.findall(text, suite.end(), end)]
    return names


def read_log(log: str, cases: List[str]) -> Report:
    """Judges a kernel's log by what should have run."""
    report = Report()
    ktap = last_document(log)
    seen: Dict[str, str] = {}
    parsed = _parse(ktap)
    for suite in parsed["sub_groups"]:
        for case in suite["test_cases"]:
            name = f"{suite['name']}.{case['name']}"
            # A name that comes twice keeps its worse verdict.
            seen[name] = case["status"] if seen.get(name, "PASS") == "PASS" else seen[name]
    for name, status in seen.items():
        if status == "PASS" and name in cases:
            report.passed.append(name)
        elif status == "PASS":
            report.failed[name] = "it is not in the sources: is the module an old one?"
        else:
            report.failed[name] = "\n".join([status.lower(), *_words_of(name, ktap)])
    for name in cases:
        if name not in seen:
            report.failed[name] = "it did not run, or the log ends before its result"
    faults = parsed["misc"]["errors"] + parsed["misc"]["failed"] + parsed["misc"]["crashed"]
    if faults and not report.failed:
        report.failed["KTAP"] = f"the kernel's parser of KTAP found {faults} faults in the log"
    return report


def last_document(log: str) -> str:
    """The last KTAP document, without time stamps: those before it are of the kernel's own suites."""
    lines = [PREFIX.sub("", line) for line in log.splitlines()]
    begins = [index for index, line in enumerate(lines) if line.startswith("KTAP version ")]
    return "\n".join(lines[begins[-1]:]) + "\n" if begins else ""


def run_kunit(where: str) -> Tuple[int, int]:
    """Runs all suites in User Mode Linux or in a guest with the debug kernel; a line a case, and the counts."""
    cases = planned(inside.PROJECT, uml=where == UML)
    log = {UML: _log_of_uml, DEBUG: _log_of_guest}[where]()
    (inside.BUILD / "logs").mkdir(parents=True, exist_ok=True)
    (inside.BUILD / f"logs/kunit-{where}.log").write_text(log)
    report = read_log(log, cases)
    for complaint in read_reports(log):
        report.failed[complaint.title] = complaint.text
    for name in report.passed:
        print(f"  ok      {name}")
    for name, why in report.failed.items():
        print(f"  FAILED  {name}: {why}")
    if not cases:
        raise Failure("there is no KUnit case in the sources: the search for them is broken")
    print(f"kunit, {where}: {len(report.passed)} passed, {len(report.failed)} failed", flush=True)
    return len(report.passed), len(report.failed)


def _log_of_uml() -> str:
    kernel = read_kernel(pathlib.Path(MOUNTED))
    return boot_uml(kernel, inside.module(kernel), ARGUMENTS)


def _log_of_guest() -> str:
    kernel = inside.kernel(DEBUG)
    machine = Machine(kernel_args=" ".join(ARGUMENTS))
    guest = Guest(inside.BUILD / "kunit", kernel, inside.make_initrd(kernel), machine)
    with contextlib.closing(guest):
        guest.start()
        guest.load()
        return guest.dmesg()


def _parse(ktap: str) -> Dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "result.json"
        # Its status says what the result says as well; without a result it has failed.
        done = subprocess.run([sys.executable, PARSER, "parse", f"--json={result}"], input=ktap, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not result.exists():
            raise Failure(f"the kernel's parser of KTAP failed; it said:\n{done.stdout}")
        parsed: Dict[str, Any] = json.loads(result.read_text())
        return parsed


def _words_of(name: str, ktap: str) -> Iterator[str]:
    """What was said of a case that failed: its own lines, and those without a mark that follow."""
    case = name.split(".", 1)[1]
    own = False
    for line in ktap.splitlines():
        text = line.strip()
        own = text.startswith(f"# {case}: ") or own and text.startswith("Expected")
        if own:
            yield "    " + text
