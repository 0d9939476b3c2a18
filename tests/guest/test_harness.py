# SPDX-License-Identifier: GPL-2.0
"""The harness itself: what every other guest test relies on."""

from __future__ import annotations

import pytest
from harness import Boot, GuestFailure


def test_guest_without_disks_boots_and_answers(boot: Boot) -> None:
    guest = boot(load=False)
    result = guest.run("echo out; echo err >&2; exit 3", check=False)
    assert (result.status, result.out, result.err) == (3, "out\n", "err\n")


def test_command_that_never_ends_is_reported_in_time(boot: Boot) -> None:
    guest = boot(load=False)
    with pytest.raises(GuestFailure, match="did not end within 1 s"):
        guest.run("sleep 1000", timeout=1)


@pytest.mark.expects_complaints
def test_panic_of_the_guest_is_told_with_its_last_words(boot: Boot) -> None:
    guest = boot(load=False)
    with pytest.raises(GuestFailure, match=r"(?s)QEMU ended.*Kernel panic"):
        guest.run("echo c >/proc/sysrq-trigger", timeout=20)
