# SPDX-License-Identifier: GPL-2.0
"""What a guest's kernel has to say when a test ends: reports in its log, what leaked, and checks that are off.

Relies on rnvme_tool.log_net for what a report is.
"""

from __future__ import annotations

import time
from typing import List

from rnvme_tool.guest import Guest
from rnvme_tool.kernel import DEBUG
from rnvme_tool.log_net import ASK_NET, net_faults, read_leaks, read_reports

KMEMLEAK = "/sys/kernel/debug/kmemleak"
# kmemleak suspects nothing that is younger, in seconds.
LEAK_AGE = 5


def complaints(guest: Guest, known: str = "") -> List[str]:
    """All that the kernel complains of, as text; empty after a good test.

    `known` is a word by which a report of the kernel's own that the test provokes is known.
    """
    if not guest.running:
        return [str(report) for report in read_reports(guest.serial())]
    leaked = leaks(guest) if looks_for_leaks(guest) else []
    reports = [report for report in read_reports(guest.dmesg()) if report.kind != "kmemleak"]
    said = [str(report) for report in reports if not known or known not in report.text]
    if guest.kernel.name == DEBUG and not reports:
        # What was reported turns lockdep off: only without a report is a check that is off one of its own.
        said = net_faults(guest.out(ASK_NET), looks_for_leaks(guest))
    return said + leaked


def looks_for_leaks(guest: Guest) -> bool:
    """Whether this guest's kernel keeps account of its memory."""
    return "kmemleak=on" in guest.machine.kernel_args


def leaks(guest: Guest) -> List[str]:
    """Unloads the driver, as far as nobody uses it, and says what memory nothing points to any more."""
    guest.run(f"rmmod {guest.driver}", 60, check=False)
    began = time.monotonic()
    # The first look at an object only takes its checksum.
    guest.run(f"echo scan >{KMEMLEAK}", 60)
    time.sleep(max(0.0, LEAK_AGE - (time.monotonic() - began)))
    guest.run(f"echo scan >{KMEMLEAK}", 60)
    return [str(report) for report in read_leaks(guest.out(f"cat {KMEMLEAK}"))]
