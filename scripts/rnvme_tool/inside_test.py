# SPDX-License-Identifier: GPL-2.0
"""`make test`: what needs no guest first, then the stock kernel's guests, then the debug kernel's.

One line a test with its time, a summary, and `N passed, N failed` as the last line;
all of it is in build/test.xml as well (JUnit).
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import Callable, List, Optional, Tuple

from . import inside, junit
from .cargo_tests import run_cargo_tests
from .failure import Failure
from .inside_coverage import coverage_cases
from .inside_fuzz import fuzz_cases
from .junit import Case

FUZZ_SECONDS = 3.0
# pytest ends with this status when no test was picked.
NOTHING_PICKED = 5


def run_tests() -> int:
    """Runs everything, or what TESTS picks; status 0 only when something ran and nothing failed."""
    words = os.environ.get("TESTS", "")
    draw_seed()
    cases: List[Case] = []
    spent: List[Tuple[str, int, int, float]] = []
    for name, stage in STAGES:
        began = time.monotonic()
        print(name, flush=True)
        own = stage(words)
        cases += own
        spent.append((name, *junit.count(own), time.monotonic() - began))
    junit.write(inside.BUILD / "test.xml", cases)
    passed, failed = junit.count(cases)
    if not cases:
        raise Failure(f"no test matches TESTS={words}: give words of the names that `make test` prints")
    print("summary", flush=True)
    for name, good, bad, seconds in spent:
        print(f"  {name:32} {good:4} passed {bad:4} failed {seconds:7.0f} s")
    for case in cases:
        if case.outcome != "ok":
            print(case.line())
    line = f"{passed} passed, {failed} failed"
    (inside.BUILD / "test-result.txt").write_text(line + "\n")
    print(line, flush=True)
    return 1 if failed else 0


def draw_seed() -> None:
    """Sees to it that there is one seed for all that is drawn, so that a line of the log is enough to repeat it."""
    if not os.environ.get("RNVME_SEED"):
        os.environ["RNVME_SEED"] = str(int.from_bytes(os.urandom(4), "big"))
    print(f"RNVME_SEED={os.environ['RNVME_SEED']}", flush=True)


def cargo_stage(words: str) -> List[Case]:
    """The tests of the protocol, and whatever else builds on the host."""
    picked = single_words(words)
    return [] if picked is None else run_cargo_tests(picked)


def fuzz_stage(words: str) -> List[Case]:
    """Every parser of what a device made, for a few seconds."""
    picked = single_words(words)
    return [] if picked is None else fuzz_cases(FUZZ_SECONDS, words=picked)


def coverage_stage(words: str) -> List[Case]:
    """How much of the protocol crate its tests reach."""
    return coverage_cases() if not words or "coverage" in words.split() else []


def single_words(words: str) -> Optional[List[str]]:
    """TESTS for what can only be picked by one word or another; None when it says more than that."""
    if re.search(r"\b(and|not)\b", words):
        print("  (left out: these can only be picked by one word or another)", flush=True)
        return None
    return [word for word in words.split() if word != "or"]


def pytest_stage(words: str) -> List[Case]:
    """The scripts' and the guests' tests."""
    return run_pytest(words, [])


def run_pytest(words: str, options: List[str]) -> List[Case]:
    """Runs pytest with further options: as many tests at once as the machine bears."""
    report = inside.BUILD / "pytest.xml"
    report.unlink(missing_ok=True)
    shutil.rmtree(inside.BUILD / "snapshots", ignore_errors=True)
    (inside.BUILD / "snapshots").mkdir()
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "rnvme_tool.pytest_lines", "--no-header", "--color=no",
               "--tb=short", f"--junit-xml={report}", "--rootdir", str(inside.PROJECT),
               "-c", str(inside.PROJECT / "pyproject.toml"),
               # In order, one at a time: what fails fast stays in front.
               "-n", str(workers()), "--dist", "load", "--maxschedchunk", "1", *options]
    if words:
        command += ["-k", words]
    env = dict(os.environ, PYTHONPATH=str(inside.PROJECT / "scripts"), PYTHONUNBUFFERED="1")
    status = subprocess.run(command, cwd=inside.PROJECT, stdin=subprocess.DEVNULL, check=False, env=env).returncode
    shutil.rmtree(inside.BUILD / "snapshots", ignore_errors=True)
    return read_report(report, status, bool(words))


def read_report(report: pathlib.Path, status: int, picking: bool) -> List[Case]:
    """pytest's cases; a collection error or a crash of pytest itself must not look like a pass."""
    if status == NOTHING_PICKED and picking:
        return []
    cases = junit.read(report) if report.exists() else []
    if status != 0 and junit.count(cases)[1] == 0:
        cases.append(Case("pytest", f"ended with status {status}", 0.0, "FAILED"))
    return cases


def workers() -> int:
    """How many guests at once: a guest of two CPUs keeps about one of ours busy."""
    cpus = os.cpu_count() or 1
    return cpus // 2 + 1 if cpus > 1 else 1


STAGES: List[Tuple[str, Callable[[str], List[Case]]]] = [
    ("cargo test", cargo_stage),
    ("coverage of rust/nvme", coverage_stage),
    ("fuzzing", fuzz_stage),
    ("pytest", pytest_stage),
]
