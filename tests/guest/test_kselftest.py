# SPDX-License-Identifier: GPL-2.0
"""tests/kselftest in a guest, by the kernel's own runner; and its Makefile's installation.

A skipped test counts as failed here, and so does a script that reported nothing.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Callable, List

import pytest
from harness import Boot, Controller, Namespace, kselftest
from harness.observe import MIB, assert_orderly, host_sum
from harness.sample import some
from rnvme_tool import inside
from rnvme_tool.kernel import Kernel

NewImage = Callable[[str, int], pathlib.Path]
SOURCE = inside.PROJECT / "tests/kselftest"


def scripts() -> List[str]:
    """The tests: what can be executed."""
    return sorted(path.name for path in SOURCE.glob("*.sh") if os.access(path, os.X_OK))


def test_selftests_pass_on_both_block_sizes_and_touch_no_other_disk(boot: Boot, new_image: NewImage,
                                                                   kernel: Kernel) -> None:
    images = [new_image("small", 16 * MIB), new_image("large", 16 * MIB), new_image("bystander", 16 * MIB)]
    guest = boot([Controller([Namespace(images[0])]), Controller([Namespace(images[1], 4096)]),
                  Controller([Namespace(images[2])])])
    untouched = host_sum(images[2])
    for index in some(range(2), kernel, debug=1):
        disk = guest.disk(index)
        report = kselftest(guest, RNVME_TEST_DISK=disk)
        whole = [name for name in scripts() if any(f"rnvme: {name}" in passed for passed in report.passed)]
        print(f"{disk}: {len(report.passed)} passed, {len(report.failed)} failed, {len(report.skipped)} skipped")
        assert report.good and not report.skipped, report.text
        assert whole == scripts(), f"not every script was reported: {report.text}"
    assert host_sum(images[2]) == untouched, "a disk that was not named was written to"
    assert_orderly(guest)


# About the scripts, not about the driver; the kernel's runner takes its time.
@pytest.mark.stock_only
def test_selftests_without_a_disk_skip_and_with_a_wrong_one_fail(boot: Boot) -> None:
    guest = boot(load=False)
    nothing = kselftest(guest)
    assert not nothing.passed and len(nothing.skipped) == len(scripts()), nothing.text
    wrong = kselftest(guest, RNVME_TEST_DISK="rnvme7n1")
    assert not wrong.passed and len(wrong.failed) == len(scripts()), wrong.text


def test_selftests_install_with_the_kernels_rules(tmp_path: pathlib.Path) -> None:
    subprocess.run(["make", "--no-print-directory", "-C", str(SOURCE), "KSRC=/kernel/source", f"OUTPUT={tmp_path}/out",
                    "install", f"INSTALL_PATH={tmp_path}/to"], check=True, stdout=subprocess.DEVNULL)
    installed = sorted(path.name for path in (tmp_path / "to").iterdir())
    assert installed == sorted([*scripts(), "ktap_helpers.sh", "rnvme_lib.sh", "settings"])
    done = subprocess.run([str(tmp_path / "to/identity.sh")], check=False, text=True, stdout=subprocess.PIPE,
                          env={"PATH": os.environ["PATH"]})
    print(done.stdout)
    assert done.returncode == 4 and "# SKIP" in done.stdout
