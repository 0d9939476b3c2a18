# SPDX-License-Identifier: GPL-2.0
"""What a test came to, as a line for people and as JUnit XML for machines."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import xml.etree.ElementTree as ElementTree
from typing import Iterable, List, Tuple

# XML has no way to write most control characters, and a kernel's log may hold any.
UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


@dataclasses.dataclass(frozen=True)
class Case:
    """One test. `outcome` is ok or FAILED: a test that was skipped has failed, since none is meant to be.

    `figures` is what it measured, in a few words.
    """

    suite: str
    name: str
    seconds: float
    outcome: str
    text: str = ""
    figures: str = ""

    def line(self) -> str:
        """As it is printed."""
        return f"  {self.outcome:6} {self.seconds:6.1f} s  {self.suite}::{self.name}"


def count(cases: Iterable[Case]) -> Tuple[int, int]:
    """How many passed, and how many failed."""
    outcomes = [case.outcome for case in cases]
    return outcomes.count("ok"), len(outcomes) - outcomes.count("ok")


def read(path: pathlib.Path) -> List[Case]:
    """The cases of a JUnit report."""
    cases = []
    for element in ElementTree.parse(path).getroot().iter("testcase"):
        bad = [part for part in element if part.tag in ("failure", "error", "skipped")]
        text = "\n".join((part.get("message") or "") + "\n" + (part.text or "") for part in bad)
        figures = ", ".join(f"{part.get('name')} {part.get('value')}" for part in element.iter("property"))
        cases.append(Case(element.get("classname", ""), element.get("name", ""), float(element.get("time", "0")),
                          "FAILED" if bad else "ok", text, figures))
    return cases


def write(path: pathlib.Path, cases: List[Case]) -> None:
    """Writes cases as JUnit XML, one suite a name."""
    root = ElementTree.Element("testsuites")
    for suite in dict.fromkeys(case.suite for case in cases):
        own = [case for case in cases if case.suite == suite]
        passed, failed = count(own)
        node = ElementTree.SubElement(root, "testsuite", name=suite, tests=str(passed + failed), failures=str(failed),
                                      errors="0", skipped="0", time=f"{sum(case.seconds for case in own):.3f}")
        for case in own:
            element = ElementTree.SubElement(node, "testcase", classname=suite, name=case.name,
                                             time=f"{case.seconds:.3f}")
            if case.outcome != "ok":
                ElementTree.SubElement(element, "failure", message=case.name).text = UNWRITABLE.sub("?", case.text)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
