# SPDX-License-Identifier: GPL-2.0
"""`make test`: the Cargo tests, then pytest; one line a test, the count as the last line."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree
from typing import List, Tuple

from . import inside
from .failure import Failure

COUNTS = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed", re.MULTILINE)
Counts = Tuple[int, int]


def run_tests() -> int:
    """Runs everything, or what TESTS picks; status 0 only when something ran and nothing failed."""
    words = os.environ.get("TESTS", "")
    print("cargo test", flush=True)
    cargo = cargo_tests(words)
    print("pytest", flush=True)
    guests = pytest_tests(words)
    passed, failed = cargo[0] + guests[0], cargo[1] + guests[1]
    if passed + failed == 0:
        raise Failure(f"no test matches TESTS={words}: give words of the names that `make test` prints")
    line = f"{passed} passed, {failed} failed"
    (inside.BUILD / "test-result.txt").write_text(line + "\n")
    print(line, flush=True)
    return 1 if failed else 0


def cargo_tests(words: str = "", lines_shown: bool = True) -> Counts:
    """Runs the Cargo workspace's tests. What does not build counts as one failure."""
    if re.search(r"\b(and|not)\b", words):
        print("  (left out: Cargo can only pick tests by one word or another)", flush=True)
        return 0, 0
    log = inside.BUILD / "logs/cargo-test.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["cargo", "test", "--locked", "--manifest-path", str(inside.PROJECT / "Cargo.toml"), "--no-fail-fast"]
    picked = [word for word in words.split() if word != "or"]
    process = subprocess.Popen([*command, "--", *picked], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    lines: List[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if lines_shown and (re.match(r"test .* \.\.\. ", line) or line.startswith(("error", "thread "))):
            print("  " + line.rstrip(), flush=True)
    status = process.wait()
    text = "".join(lines)
    log.write_text(text)
    passed = sum(int(found[0]) for found in COUNTS.findall(text))
    failed = sum(int(found[1]) for found in COUNTS.findall(text))
    if status != 0:
        print("".join(lines[-20:]) + f"cargo test failed; its log is {log.relative_to(inside.PROJECT)}", flush=True)
        failed = max(failed, 1)
    return passed, failed


def pytest_tests(words: str) -> Counts:
    """Runs the host's and the guest's tests; the counts come from pytest's own report."""
    report = inside.BUILD / "pytest.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "rnvme_tool.pytest_lines", "--no-header", "--color=no",
               "--tb=short", f"--junit-xml={report}", "--rootdir", str(inside.PROJECT),
               "-c", str(inside.PROJECT / "pyproject.toml"),
               "-n", str(workers()), "--dist", "worksteal"]
    if words:
        command += ["-k", words]
    status = subprocess.run(command, cwd=inside.PROJECT, stdin=subprocess.DEVNULL, check=False,
                            env=dict(os.environ, PYTHONPATH=str(inside.PROJECT / "scripts"), PYTHONUNBUFFERED="1")).returncode
    nothing_matched = 5
    if status == nothing_matched and words:
        return 0, 0
    counts = read_report(report)
    # A collection error or a crash of pytest itself must not look like a pass.
    return counts if status == 0 else (counts[0], max(counts[1], 1))


def workers() -> int:
    """How many guests at once: a guest of two CPUs keeps about one of ours busy."""
    return max(1, (os.cpu_count() or 2) // 2 + 1) if (os.cpu_count() or 1) > 1 else 1


def read_report(path: pathlib.Path) -> Counts:
    """Passed and failed tests of a JUnit report; a skipped test counts as failed, since none is meant to be."""
    if not path.exists():
        return 0, 1
    total = bad = 0
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        total += int(suite.get("tests", "0"))
        bad += sum(int(suite.get(kind, "0")) for kind in ("failures", "errors", "skipped"))
    return max(0, total - bad), bad
