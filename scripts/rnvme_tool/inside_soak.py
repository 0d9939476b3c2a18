# SPDX-License-Identifier: GPL-2.0
"""`make soak`: what `make test` has no time for; its last results are kept in Documentation/results/soak.md.

The tests marked `soak` run with many more rounds (ROUNDS bounds them) and samples on each kernel, those
of which `make test` draws a lot run with all variants, the fuzz targets for TIME each (10m unless told), and
everything changes at once under I/O on the debug kernel for MINUTES (30). Take an idle machine.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import List

from . import inside, junit
from .inside_fuzz import fuzz_cases, seconds_of
from .inside_test import draw_seed, run_pytest
from .junit import Case

RESULTS = inside.PROJECT / "Documentation/results/soak.md"
FUZZ_TIME = "10m"
# How long everything changes at once under I/O (tests/guest/test_under_load.py).
MINUTES = "30"
# No test of a soak may outlive this.
TEST_SECONDS = 4 * 3600


def run_soak() -> int:
    """Runs it all and writes the results, good or bad; status 1 when anything failed."""
    began = time.monotonic()
    draw_seed()
    os.environ["RNVME_SOAK"] = "1"
    os.environ["MINUTES"] = os.environ.get("MINUTES") or MINUTES
    print("fuzzing", flush=True)
    cases = fuzz_cases(seconds_of(os.environ.get("TIME") or FUZZ_TIME))
    print("guests", flush=True)
    cases += run_pytest(os.environ.get("TESTS", ""), ["-o", f"timeout={TEST_SECONDS}"])
    junit.write(inside.BUILD / "soak.xml", cases)
    passed, failed = junit.count(cases)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(report(cases, time.monotonic() - began))
    print(f"the results are in {RESULTS.relative_to(inside.PROJECT)}")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not cases else 0


def report(cases: List[Case], seconds: float) -> str:
    """The page of results."""
    kernels = ", ".join(kernel.release for kernel in inside.kernels())
    rows = [f"| `{case.name}` | {case.outcome} | {case.seconds:.0f} s | {case.figures} |" for case in cases]
    return "\n".join([
        "# The last soak", "",
        "Written by `make soak`; Documentation/testing.md tells what it does.", "",
        f"- date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {seconds / 60:.0f} minutes on "
        f"{os.cpu_count()} CPUs",
        f"- at most {os.environ.get('ROUNDS') or 'as many as there are'} rounds of a story, "
        f"{os.environ.get('TIME') or FUZZ_TIME} a fuzz target, {os.environ['MINUTES']} minutes of "
        "everything at once",
        f"- commit: {inside.commit()}", f"- kernels: {kernels}", f"- seed: RNVME_SEED={os.environ['RNVME_SEED']}", "",
        "| test | outcome | time | figures |", "|---|---|---|---|", *rows, ""])
