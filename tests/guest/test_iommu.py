# SPDX-License-Identifier: GPL-2.0
"""The strict IOMMU under the tests is there and bites.

That the I/O suite passes behind it is shown by running that suite on such a machine;
this shows that it would not, were an address wrong.
"""

from __future__ import annotations

import pathlib
from typing import Callable

import pytest
from harness import Boot, Controller, Namespace
from harness.machines import behind_strict_iommu
from harness.observe import MIB, assert_orderly, guest_sum, host_sum, rebind, verified
from rnvme_tool.log_net import read_reports

NewImage = Callable[[str, int], pathlib.Path]
# Where the self-test build has the controller look for commands: nothing is mapped there.
NEVER_MAPPED = "0x7fdead0000"


@pytest.mark.debug_only
@pytest.mark.expects_complaints
def test_access_to_what_was_never_mapped_is_caught_by_name(boot: Boot, new_image: NewImage,
                                                            self_test_module: str) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], behind_strict_iommu(), load=False)
    guest.run(f"insmod {self_test_module}", 60)
    guest.await_disks(1)
    address = guest.pci_address()
    assert guest.out(f"cat /sys/bus/pci/devices/{address}/iommu_group/type") == "DMA", "strict, and not the lazy DMA-FQ"
    assert read_reports(guest.dmesg()) == []
    guest.run(f"cat /sys/bus/pci/drivers/rnvme/{address}/mistakes/dma_outside")
    rebind(guest)
    reports = read_reports(guest.dmesg())
    print(*reports, sep="\n")
    assert {report.kind for report in reports} == {"dmar"}
    assert f"[{address}] fault addr {NEVER_MAPPED}" in reports[0].title
    guest.run("dmesg -c >/dev/null")
    guest.await_disks(1)
    verified(guest, guest.disk(), [{"bs": "64k", "iodepth": 8, "size": "4m"}])
    assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)
    guest.unload()
    assert read_reports(guest.dmesg()) == [], "the address was wrong once, and the driver itself is right"
