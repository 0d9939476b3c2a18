# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites of rust/kernel_ext and drivers/nvme on the debug kernel, in a guest without a controller.

They run when the module is loaded, by `kunit.autorun=1`, which no other test's guest has.
"""

from __future__ import annotations

import pytest
from harness import Boot, Machine
from rnvme_tool import inside
from rnvme_tool.inside_kunit import ARGUMENTS, planned, read_log


@pytest.mark.debug_only
def test_every_kunit_case_runs_and_passes(boot: Boot) -> None:
    cases = planned(inside.PROJECT)
    guest = boot(machine=Machine(kernel_args=" ".join(ARGUMENTS)), load=False)
    # KUnit runs within insmod, on an emulated CPU whose memory accesses are checked.
    guest.run(["insmod", "/lib/rnvme/rnvme.ko"], timeout=240)
    report = read_log(guest.dmesg(), cases)
    for name in report.passed:
        print(f"ok {name}")
    assert not report.failed, "\n".join(f"{name}: {why}" for name, why in report.failed.items())
    assert sorted(report.passed) == sorted(cases)
    guest.unload()


@pytest.mark.debug_only
def test_loading_the_module_runs_no_suite_unless_asked_to(boot: Boot) -> None:
    guest = boot(load=False)
    guest.load()
    loaded = guest.dmesg().rpartition("rnvme: loading out-of-tree module")[2]
    assert loaded and "Subtest: rnvme" not in loaded, loaded
