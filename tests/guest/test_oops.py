# SPDX-License-Identifier: GPL-2.0
"""`make oops`: a report that a guest's kernel really made is read with the files and lines of the driver.

Relies on the self-test build of the module, which makes a report when it is told to.
"""

from __future__ import annotations

import pathlib
import re
from typing import Callable, List

import pytest
from harness import Boot, Controller, Namespace
from harness.observe import MIB
from rnvme_tool import inside
from rnvme_tool.decode import decode
from rnvme_tool.kernel import Kernel

NewImage = Callable[[str, int], pathlib.Path]
SELF_TEST = "/lib/rnvme/self_test/rnvme.ko"
MISTAKES = "drivers/nvme/mistakes.rs"


def lines_of_function(source: str, name: str) -> List[int]:
    """The numbers of the lines of a function."""
    lines = (inside.PROJECT / source).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if re.match(rf"(?:pub )?fn {name}\(", line))
    last = next(number for number in range(first, len(lines)) if lines[number] == "}")
    return list(range(first + 1, last + 2))


@pytest.mark.debug_only
@pytest.mark.expects_complaints
@pytest.mark.every_variant
@pytest.mark.parametrize("mistake", ["warning", "rust_panic"])
def test_real_report_is_read_with_file_and_line(boot: Boot, new_image: NewImage, kernel: Kernel, mistake: str) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], load=False)
    guest.run(f"insmod {SELF_TEST}", 60)
    guest.run(f"cat /sys/bus/pci/drivers/rnvme/*/mistakes/{mistake}", 60, check=False)
    log = guest.dmesg()
    read = decode(log, [inside.module(kernel), inside.self_test_module(kernel)])
    print(read)
    places = re.findall(rf"^ +at {MISTAKES}:(\d+) in .*{mistake}", read, re.MULTILINE)
    assert places, "no line of the mistake's own function was found"
    assert {int(place) for place in places} <= set(lines_of_function(MISTAKES, mistake))
    assert "at drivers/nvme/show.rs" in read or "at rust/kernel_ext/sysfs.rs" in read, "nor of who called it"
    assert f" rnvme::mistakes::{mistake}+0x" in read, "names are readable"
    assert not re.search(r"\b_R[A-Z]\w+", read)


@pytest.mark.debug_only
def test_log_of_another_build_is_not_read_as_if_it_were_of_this_one(boot: Boot, kernel: Kernel) -> None:
    guest = boot()
    name = guest.out("grep -m1 ' t _R.*show.*\\[rnvme\\]' /proc/kallsyms").split()[2]
    read = decode(f"[    1.0]  {name}+0x1/0x3 [rnvme]", [inside.module(kernel)])
    print(read)
    assert "at some line: no rnvme.ko in build/ is the one that was loaded" in read
