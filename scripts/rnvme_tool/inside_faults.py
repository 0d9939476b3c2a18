# SPDX-License-Identifier: GPL-2.0
"""`make faults`: the driver against a controller that misbehaves, a guest for each fault, two at a time (GUESTS=n).

FAULT picks kinds (or cases, KIND@start, KIND@running and KIND@unbind) by patterns, DRIVER the driver, SEED all that is
drawn. A line a fault, a table, JUnit in build/faults.xml, and what each guest and controller said in build/faults. A
run of all kinds on the stock kernel renews Documentation/results/faults-DRIVER.md, and both drivers' verdicts in
Documentation/faults.md; a run of some, with KEEP=1, renews their rows. Documentation/faults.md tells what is done and
what the verdicts mean.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import os
import re
import shutil
import time
from typing import Dict, List

from . import inside, junit
from .failure import Failure
from .fault_controller import kinds
from .fault_guest import try_case
from .faults import Case, Outcome, choose, page, read_page, renewed, side_by_side, table
from .inside_test import draw_seed
from .junit import Case as TestCase
from .kernel import STOCK

FOLDER = inside.BUILD / "faults"
PAGE = inside.PROJECT / "Documentation/faults.md"
RESULTS = inside.PROJECT / "Documentation/results"
TABLE = re.compile(r"(<!-- verdicts -->\n).*(<!-- end of verdicts -->\n)", re.DOTALL)
# At once. Most of the time goes with waiting for timeouts, so that a machine that is not busy bears more than CPUs.
GUESTS = 2
DRIVERS = ("nvme", "rnvme")


def run_faults() -> int:
    """Tries what FAULT picks; status 0 only when something was tried and all came out as it should."""
    draw_seed()
    seed = int(os.environ["RNVME_SEED"])
    pattern = os.environ.get("FAULT", "")
    known = kinds()
    cases = choose(known, pattern)
    if not cases:
        raise Failure(f"no kind of fault matches FAULT={pattern}: `nvme_fault_controller --kinds` lists them")
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.rmtree(inside.BUILD / "snapshots", ignore_errors=True)
    (inside.BUILD / "snapshots").mkdir(parents=True)
    if inside.driver() not in DRIVERS:
        raise Failure(f"DRIVER={inside.driver()} is none of the drivers: give one of {', '.join(DRIVERS)}")
    kernel = inside.kernels()[0]
    print(f"{len(cases)} faults, driver {inside.driver()}, kernel {kernel.release}", flush=True)
    began = time.monotonic()
    outcomes = try_all(cases, seed)
    shutil.rmtree(inside.BUILD / "snapshots", ignore_errors=True)
    junit.write(inside.BUILD / "faults.xml", [test_case(one) for one in outcomes])
    print("summary", flush=True)
    print(table(outcomes), flush=True)
    if kernel.name == STOCK and (not pattern or os.environ.get("KEEP")):
        renew(outcomes, choose(known, ""), time.monotonic() - began)
    good = sum(one.good for one in outcomes)
    print(f"{good} of {len(outcomes)} as they should be", flush=True)
    return 0 if good == len(outcomes) else 1


def try_all(cases: List[Case], seed: int) -> List[Outcome]:
    """Tries the cases, some at once; their outcomes in the cases' order. Prints a line a case."""
    kernel, driver = inside.kernels()[0], inside.driver()

    def attempt(case: Case) -> Outcome:
        outcome = try_case(case, FOLDER / case.name, kernel, driver, seed)
        print(outcome.line(), flush=True)
        return outcome

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("GUESTS") or GUESTS)) as pool:
        return list(pool.map(attempt, cases))


def test_case(outcome: Outcome) -> TestCase:
    """An outcome for JUnit."""
    text = f"{outcome.verdict}; expected: {outcome.expects}; {outcome.note}"
    word = "ok" if outcome.good else "FAILED"
    return TestCase(f"faults.{inside.driver()}", outcome.name, outcome.seconds, word, text, outcome.verdict)


def renew(outcomes: List[Outcome], usual: List[Case], seconds: float) -> None:
    """Writes this driver's page of results, and the table of both. What was not tried now stays as it was."""
    driver = inside.driver()
    own = RESULTS / f"faults-{driver}.md"
    rows = renewed(read_page(own.read_text()) if own.exists() else {}, outcomes, usual)
    facts = {
        "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {seconds / 60:.0f} minutes on "
                f"{os.cpu_count()} CPUs",
        "faults": f"{len(outcomes)} in this run, {len(rows)} in the table, {len(usual)} that there are",
        "commit": inside.commit(), "kernel": inside.kernels()[0].release, "seed": f"SEED={os.environ['RNVME_SEED']}"}
    RESULTS.mkdir(parents=True, exist_ok=True)
    own.write_text(page(driver, rows, facts))
    pages: Dict[str, str] = {}
    for name in DRIVERS:
        path = RESULTS / f"faults-{name}.md"
        if path.exists():
            pages[name] = path.read_text()
    text = PAGE.read_text()
    PAGE.write_text(TABLE.sub(lambda found: found[1] + side_by_side(pages, usual) + "\n" + found[2], text))
    print(f"the results are in {own.relative_to(inside.PROJECT)}", flush=True)
