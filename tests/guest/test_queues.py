# SPDX-License-Identifier: GPL-2.0
"""How many queues, interrupts and entries there are, whatever CPUs, controller and parameters say.

What QEMU cannot play (no queue granted, MDTS of 0) is covered by the unit tests of rust/nvme.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, fio, guest_sum, host_sum, traced, verified, watch
from harness.sample import some
from rnvme_tool.kernel import Kernel
from rnvme_tool.machine import Option

NewImage = Callable[[str, int], pathlib.Path]


@dataclasses.dataclass
class Queues:
    """A disk's hardware queues as the guest shows them."""

    cpus: List[List[int]]
    tags: List[int]
    interrupts: Dict[str, int]

    def cover(self, count: int) -> bool:
        """Whether every CPU has exactly one queue."""
        return sorted(cpu for queue in self.cpus for cpu in queue) == list(range(count))


def interrupts(guest: Guest, controller: str) -> Dict[str, int]:
    """How often each queue's interrupt came, by name such as q1; queues on one line share a count."""
    counts = {}
    for line in guest.out("cat /proc/interrupts").splitlines():
        for name in re.findall(rf"\b{controller}(q\d+)\b", line):
            counts[name] = sum(int(word) for word in line.split(":")[1].split() if word.isdigit())
    return counts


def queues(guest: Guest, disk: str) -> Queues:
    """Reads it all."""
    shown = guest.out(f"for q in /sys/block/{disk}/mq/*; do echo $(cat $q/nr_tags) $(cat $q/cpu_list); done")
    rows = [re.findall(r"\d+", line) for line in shown.splitlines()]
    return Queues([[int(word) for word in row[1:]] for row in rows], [int(row[0]) for row in rows],
                  interrupts(guest, re.sub(r"n\d+$", "", disk)))


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_each_cpu_has_its_queue_and_its_interrupt(boot: Boot, new_image: NewImage, cpus: int) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(cpus=cpus))
    disk = guest.disk()
    shown = queues(guest, disk)
    print(shown)
    assert len(shown.cpus) == cpus and shown.cover(cpus)
    assert shown.tags == [1023] * cpus
    assert sorted(shown.interrupts) == [f"q{number}" for number in range(cpus + 1)]
    for cpu in range(cpus):
        before = queues(guest, disk).interrupts
        guest.run(f"taskset -c {cpu} dd if=/dev/{disk} of=/dev/null bs=4k count=50 iflag=direct status=none")
        after = queues(guest, disk).interrupts
        own = next(f"q{index + 1}" for index, served in enumerate(shown.cpus) if cpu in served)
        rise = {name: after[name] - before[name] for name in after}
        print(f"50 reads on CPU {cpu}: {rise}")
        assert rise[own] >= 50 and rise["q0"] == 0
    jobs: List[Dict[str, Option]] = [
        {"bs": "4k", "iodepth": 8, "size": "2m", "numjobs": cpus, "offset_increment": "2m"}]
    verified(guest, disk, jobs, cpus_allowed=f"0-{cpus - 1}", cpus_allowed_policy="split")
    assert_orderly(guest)


@dataclasses.dataclass
class Odd:
    """A controller with one limit, and what must come of it on 4 CPUs."""

    options: Dict[str, Option]
    queues: int = 4
    tags: int = 1023
    transfer_kib: int = 512
    interrupts: int = 5
    shared: bool = False


ODD = [Odd({"max_ioqpairs": 1}, queues=1, interrupts=2),
       Odd({"max_ioqpairs": 3}, queues=3, interrupts=4),
       Odd({"msix_qsize": 1}, queues=1, interrupts=2, shared=True),
       Odd({"msix_qsize": 2}, queues=1, interrupts=2),
       Odd({"msix_qsize": 3}, queues=2, interrupts=3),
       Odd({"mqes": 1}, tags=1),
       Odd({"mqes": 2}, tags=2),
       Odd({"mqes": 7}, tags=7),
       Odd({"mdts": 1}, transfer_kib=8),
       Odd({"mdts": 2}, transfer_kib=16),
       Odd({"mdts": 9}, transfer_kib=2048)]


def test_controllers_with_small_limits_all_work_side_by_side(boot: Boot, new_image: NewImage, kernel: Kernel) -> None:
    chosen = some(ODD, kernel, debug=2)
    images = [new_image(f"disk{index}", 2 * MIB) for index in range(len(chosen))]
    guest = boot([Controller([Namespace(image)], options=odd.options) for image, odd in zip(images, chosen)],
                 Machine(cpus=4))
    disks = [guest.disk(index) for index in range(len(chosen))]
    for disk, odd in zip(disks, chosen):
        shown = queues(guest, disk)
        limit = int(guest.out(f"cat /sys/block/{disk}/queue/max_hw_sectors_kb"))
        print(disk, odd.options, shown, f"{limit} KiB")
        assert len(shown.cpus) == odd.queues and shown.cover(4), odd
        assert shown.tags == [odd.tags] * odd.queues, odd
        assert limit == odd.transfer_kib, odd
        assert len(shown.interrupts) == odd.interrupts, odd
        assert (shown.interrupts["q0"] == shown.interrupts["q1"]) == odd.shared, odd
    jobs: List[Dict[str, Option]] = [
        {"filename": f"/dev/{disk}", "bs": bs, "iodepth": 16, "size": size, "iomem_align": 4}
        for disk in disks for bs, size in (("4k", "256k"), ("512k", "2m"))]
    for job in fio(guest, jobs, 180, rw="randwrite", verify="crc32c", verify_fatal=1, stonewall=""):
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, job
    for disk, image in zip(disks, images):
        assert guest_sum(guest, disk) == host_sum(image), disk
    assert_orderly(guest)


@pytest.mark.parametrize("kernel_args,kind", [("pci=nomsi", "IO-APIC"), ("noapic pci=nomsi", "XT-PIC")])
def test_without_msi_one_line_serves_two_controllers(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                     kernel_args: str, kind: str) -> None:
    images = [new_image("a", 16 * MIB), new_image("b", 16 * MIB)]
    guest = boot([Controller([Namespace(image)]) for image in images],
                 Machine(cpus=2, kernel_args=kernel_args, cold=True, process_args=traced(folder)), load=False)
    with watch(guest, folder, "pci_nvme_dbbuf_config") as trace:
        guest.load()
        guest.await_disks(2)
    # Doorbells in memory would leave the line up, until the kernel gives it up.
    assert trace.lines == []
    lines = [line for line in guest.out("cat /proc/interrupts").splitlines() if guest.driver in line]
    print("\n".join(lines))
    assert lines and all(kind in line for line in lines)
    for index in range(2):
        shown = queues(guest, guest.disk(index))
        assert len(shown.cpus) == 1 and shown.cover(2) and sorted(shown.interrupts) == ["q0", "q1"]
    jobs: List[Dict[str, Option]] = [{"filename": f"/dev/{guest.disk(index)}", "bs": "16k", "iodepth": 8, "size": "8m"}
                                     for index in range(2)]
    for job in fio(guest, jobs, rw="randwrite", verify="crc32c", verify_fatal=1):
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, job
    for index, image in enumerate(images):
        assert guest_sum(guest, guest.disk(index)) == host_sum(image)
    assert_orderly(guest)
    guest.unload()
    guest.load()
    guest.await_disks(2)


def copy_there_and_back(disk: str) -> str:
    """A command that writes 1 MiB in pieces from several processes at once, and reads it back."""
    return (f"dd if=/dev/urandom of=/tmp/in bs=1M count=1 status=none; for i in $(seq 0 15); do "
            f"dd if=/tmp/in of=/dev/{disk} bs=4k count=16 skip=$((i*16)) seek=$((i*16)) oflag=direct conv=notrunc "
            "status=none & done; wait; "
            f"dd if=/dev/{disk} bs=64k count=16 iflag=direct status=none | cmp - /tmp/in")


# What is asked, and the queues and the tags of each that come of it: a queue holds one command less
# than it has entries, has 2 at least, and QEMU's has 2048 at most.
PARAMETERS = [("io_queue_depth=2", 2, 1), ("io_queue_depth=3", 2, 2), ("io_queue_depth=64", 2, 63),
              ("io_queue_depth=4096", 2, 2047), ("io_queue_depth=4294967295", 2, 2047), ("io_queue_depth=0", 2, 1),
              ("max_io_queues=1", 1, 1023), ("max_io_queues=77", 2, 1023), ("max_io_queues=1 io_queue_depth=2", 1, 1)]


def test_parameters_set_queue_count_and_depth(boot: Boot, new_image: NewImage, kernel: Kernel) -> None:
    image = new_image("disk", 8 * MIB)
    guest = boot([Controller([Namespace(image)])], load=False)
    for parameters, count, tags in some(PARAMETERS, kernel, debug=2):
        guest.load(parameters)
        guest.await_disks(1)
        disk = guest.disk()
        shown = queues(guest, disk)
        print(parameters, shown)
        assert len(shown.cpus) == count and shown.cover(2), parameters
        assert shown.tags == [tags] * count, parameters
        guest.run(copy_there_and_back(disk), 60)
        assert_orderly(guest)
        guest.unload()
    assert guest.run("insmod /lib/rnvme/rnvme.ko io_queue_depth=many", check=False).status != 0
    assert guest.run("insmod /lib/rnvme/rnvme.ko max_io_queues=-1", check=False).status != 0
