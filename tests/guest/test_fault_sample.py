# SPDX-License-Identifier: GPL-2.0
"""No fault ends worse than it is known to: a sample of `make faults` in each `make test`.

In `make soak` it is all of it on the stock kernel, and a larger sample on the debug kernel.
What is known is in Documentation/results/faults-DRIVER.md, which `make faults` writes. Relies on
rnvme_tool/fault_guest.py for what is done with each fault.
"""

from __future__ import annotations

import pathlib
from typing import Callable, List

import pytest
from harness.sample import seed, soaking
from rnvme_tool import inside
from rnvme_tool.fault_controller import kinds
from rnvme_tool.fault_guest import try_case
from rnvme_tool.faults import choose, drawn, read_page
from rnvme_tool.kernel import DEBUG, Kernel

# So many tests share the faults, so that they run at once; of each share so many are drawn, by kernel. In a soak the
# stock kernel has all of them, and the debug kernel, which takes three times as long, some more.
SHARES = 2
ON_STOCK, ON_DEBUG, SOAK_ON_DEBUG = 2, 1, 30
# Seconds: long enough for the verdict on a step that hangs on the debug kernel, whose steps have three times their
# time, and more on a busy host.
TIMEOUT, SOAK_TIMEOUT = 900, 7200


@pytest.mark.soak
@pytest.mark.timeout(SOAK_TIMEOUT if soaking() else TIMEOUT)
@pytest.mark.parametrize("share", range(SHARES))
def test_faults_end_no_worse_than_they_are_known_to(folder: pathlib.Path, kernel: Kernel, share: int,
                                                    record_property: Callable[[str, object], None]) -> None:
    page = inside.PROJECT / f"Documentation/results/faults-{inside.driver()}.md"
    known = read_page(page.read_text())
    chosen, cases = seed(), choose(kinds(), "")
    if kernel.name == DEBUG or not soaking():
        count = ON_STOCK if kernel.name != DEBUG else SOAK_ON_DEBUG if soaking() else ON_DEBUG
        cases = drawn(cases, known, chosen)[:count * SHARES]
    cases = cases[share::SHARES]
    assert cases, f"nothing to try: {page} knows of no fault that ends well"
    worse: List[str] = []
    for case in cases:
        outcome = try_case(case, folder / case.name, kernel, inside.driver(), chosen)
        print(*case.specs, outcome.line())
        record_property(case.name, outcome.verdict)
        if not outcome.good and (case.name not in known or known[case.name].good):
            worse.append(outcome.line())
    assert not worse, "\n".join(worse)
