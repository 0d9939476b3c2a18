# SPDX-License-Identifier: GPL-2.0
"""Submission queues in the controller's own memory, where it offers some, and back in the host's.

Relies on QEMU's trace for where the controller was told that its queues are. Behind the strict IOMMU
an address that is not the controller's own would be one that nobody has mapped.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, fio_command, guest_sum, host_sum, traced, verified, watch
from harness.sample import some
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
CREATED = "pci_nvme_create_sq"
# The BAR that QEMU has its controller's memory in.
MEMORY_BAR = 2


@dataclasses.dataclass
class Case:
    """A controller and parameters, and whether the queues are in its memory then."""

    options: Dict[str, Option]
    inside: bool
    parameters: str = ""
    cpus: int = 2
    log: str = ""


CASES = {
    "used": Case({"cmb_size_mb": 1}, True, log="submission queues lie in the controller's memory: BAR 2"),
    # Where there is no register to say which addresses are meant: those of the BAR.
    "legacy": Case({"cmb_size_mb": 1, "legacy-cmb": "on"}, True, "shadow_doorbells=0"),
    "off": Case({"cmb_size_mb": 1}, False, "use_cmb_sqes=0"),
    "too_small": Case({"cmb_size_mb": 1}, False, "io_queue_depth=2048 write_queues=4 poll_queues=4", 4,
                      "it has room for 8 submission queues, not for 12")}


def memory(guest: Guest) -> range:
    """The bus addresses of the controller's memory."""
    lines = guest.out(f"cat /sys/bus/pci/devices/{guest.pci_address()}/resource").splitlines()
    first, last, _ = (int(word, 16) for word in lines[MEMORY_BAR].split())
    return range(first, last + 1)


@pytest.mark.parametrize("name", CASES)
def test_queues_lie_in_the_controllers_memory_if_they_may(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                          name: str) -> None:
    case = CASES[name]
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)], options=case.options)],
                 Machine(cpus=case.cpus, process_args=traced(folder)), load=False)
    with watch(guest, folder, CREATED) as trace:
        guest.load(case.parameters)
        guest.await_disks(1)
    queues = [int(word, 16) for line in trace.of(CREATED) for word in re.findall(r"addr[= ](0x[0-9a-f]+)", line)]
    own = memory(guest)
    print(f"queues at {[hex(queue) for queue in queues]}, the controller's memory from {own[0]:#x} to {own[-1]:#x}")
    assert len(queues) >= case.cpus and len(set(queues)) == len(queues)
    assert [queue in own for queue in queues] == [case.inside] * len(queues)
    assert case.log in guest.dmesg()
    jobs: List[Dict[str, Option]] = [{"bs": bs, "iodepth": 32, "size": "2m", "numjobs": 2, "offset_increment": "2m"}
                                     for bs in ("4k", "64k")]
    verified(guest, guest.disk(), jobs, cpus_allowed=f"0-{case.cpus - 1}", cpus_allowed_policy="split")
    assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)


def test_controller_goes_under_io_while_its_memory_holds_the_queues(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)], options={"cmb_size_mb": 1})])
    address = guest.pci_address()
    device, driver = f"/sys/bus/pci/devices/{address}", "/sys/bus/pci/drivers/rnvme"
    # Without memory decoding reads give all ones, and what is written gets lost: as if it had been pulled out.
    pulled = (f"dd if={device}/config of=/tmp/config bs=4 skip=1 count=1 status=none; "
              f"printf '\\004\\000\\000\\000' | dd of={device}/config bs=4 seek=1 conv=notrunc status=none; "
              f"usleep 200000; echo {address} >{driver}/unbind")
    mended = f"dd if=/tmp/config of={device}/config bs=4 seek=1 conv=notrunc status=none; echo {address} >{driver}/bind"
    ways = [(f"echo {address} >{driver}/unbind", f"echo {address} >{driver}/bind"),
            (f"echo 1 >{device}/remove", "echo 1 >/sys/bus/pci/rescan"), (pulled, mended)]
    for goes, comes in some(ways, guest.kernel, debug=1):
        disk = guest.disk()
        endless = fio_command([{"rw": "randrw", "bs": "16k", "iodepth": 16, "time_based": "", "runtime": 120}],
                              filename=f"/dev/{disk}")
        job = guest.spawn(endless)
        guest.run(f"until [ $(awk '{{print $1}}' /sys/block/{disk}/stat) -gt 20 ]; do :; done", 30)
        guest.run(goes, 60)
        assert job.wait(30).status != 0, "I/O to a disk that went away ended well"
        assert guest.disks() == []
        assert guest.out("grep -c rnvme /proc/iomem || true") == "0", "something is still claimed"
        guest.run(comes)
        guest.await_disks(1)
        verified(guest, guest.disk(), [{"bs": "16k", "iodepth": 8, "size": "2m"}])
        assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)
