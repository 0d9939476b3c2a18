# SPDX-License-Identifier: GPL-2.0
"""Queues for reads, for writes, and without interrupt: each command goes to the queue that is for it.

Relies on QEMU's trace for the submission queue of each command, and on the guest's count of interrupts.
"""

from __future__ import annotations

import pathlib
import re
from typing import Callable, Dict, Set

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, Trace, assert_orderly, fio, guest_sum, host_sum, traced, verified, watch
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
POLLED: Dict[str, Option] = {"ioengine": "io_uring", "hipri": 1, "bs": "4k", "iodepth": 8, "size": "2m"}


def interrupts(guest: Guest) -> int:
    """How many interrupts the driver's I/O queues have had."""
    lines = guest.out("grep -E 'rnvme[0-9]+q[1-9]' /proc/interrupts || true").splitlines()
    return sum(int(word) for line in lines for word in line.split()[1:] if word.isdigit())


def queues_of(trace: Trace) -> Dict[str, Set[int]]:
    """The submission queues on which commands of each name came."""
    seen: Dict[str, Set[int]] = {}
    for line in trace.of("pci_nvme_io_cmd"):
        found = re.search(r"sqid (\d+) .*opname 'NVME_NVM_CMD_(\w+)'", line)
        assert found, line
        seen.setdefault(found[2], set()).add(int(found[1]))
    return seen


def test_polled_io_takes_no_interrupt(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=2, process_args=traced(folder)),
                 parameters="poll_queues=2")
    disk = guest.disk()
    assert guest.out(f"cat /sys/block/{disk}/queue/io_poll") == "1"
    before = interrupts(guest)
    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        done = fio(guest, [{**POLLED, "rw": "randwrite", "verify": "crc32c", "verify_fatal": 1}],
                   filename=f"/dev/{disk}")
    seen, taken = queues_of(trace), interrupts(guest) - before
    print(seen, taken, "interrupts")
    assert done[0]["read"]["io_bytes"] == done[0]["write"]["io_bytes"] == 2 * MIB
    # Two queues with interrupts for two CPUs, then two that are polled.
    assert seen["WRITE"] <= {3, 4} and seen["READ"] <= {3, 4}
    assert taken == 0
    # What is not polled for goes the other way, and the two do not get mixed up.
    verified(guest, disk, [{"bs": "64k", "iodepth": 8, "size": "4m", "offset": "4m"}])
    assert interrupts(guest) > before
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
    guest.unload()


def test_reads_and_writes_have_queues_of_their_own(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=2, process_args=traced(folder)),
                 parameters="write_queues=1 poll_queues=1")
    disk = guest.disk()
    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        for engine in ("libaio", "io_uring"):
            verified(guest, disk, [{"bs": "4k", "iodepth": 8, "size": "1m", "ioengine": engine, "cpus_allowed": cpu}
                                   for cpu in (0, 1)])
    seen = queues_of(trace)
    print(seen)
    assert seen["WRITE"] == {1} and seen["READ"] == {2, 3}
    fio(guest, [{**POLLED, "rw": "randread"}], filename=f"/dev/{disk}")
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


@pytest.mark.parametrize("granted,vectors", [(1, 64), (2, 64), (64, 2)])
def test_queues_that_are_not_granted_are_done_without(boot: Boot, new_image: NewImage, granted: int,
                                                      vectors: int) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)], options={"max_ioqpairs": granted, "msix_qsize": vectors})],
                 Machine(cpus=2), parameters="write_queues=2 poll_queues=2")
    disk = guest.disk()
    print([line for line in guest.dmesg().splitlines() if "I/O queues" in line])
    verified(guest, disk, [{"bs": "16k", "iodepth": 8, "size": "2m"}])
    if guest.out(f"cat /sys/block/{disk}/queue/io_poll") == "1":
        fio(guest, [{**POLLED, "rw": "randread"}], filename=f"/dev/{disk}")
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
