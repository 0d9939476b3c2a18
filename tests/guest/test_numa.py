# SPDX-License-Identifier: GPL-2.0
"""A machine with two NUMA nodes: the lists of a queue come from the pools of its CPUs' node.

Relies on the kernel's own file `pools` of a device: for each pool its name, blocks in use, blocks,
bytes of a block, pages.
"""

from __future__ import annotations

import pathlib
import re
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, counters, guest_sum, host_sum, verified
from rnvme_tool.machine import Option

NewImage = Callable[[str, int], pathlib.Path]


def two_nodes() -> Machine:
    """Two CPUs and half of the memory each."""
    nodes = [word for node in (0, 1) for word in (
        "-object", f"memory-backend-ram,id=ram{node},size=512M",
        "-numa", f"node,nodeid={node},memdev=ram{node},cpus={2 * node}-{2 * node + 1}")]
    # A socket each: CPUs of one socket on different nodes are more than the kernel believes.
    return Machine(cpus=4, memory="1G", qemu_args=["-smp", "sockets=2,cores=2", *nodes], cold=True)


def blocks(guest: Guest) -> Dict[str, int]:
    """How many blocks each pool has, in use or not, by the pool's name."""
    shown = guest.out(f"cat /sys/bus/pci/devices/{guest.pci_address()}/pools")
    print(shown)
    return {name: int(count) for name, count in re.findall(r"^(\S.*?) +\d+ +(\d+) +\d+ +\d+$", shown, re.MULTILINE)}


@pytest.mark.stock_only
def test_lists_of_a_queue_come_from_its_nodes_pools(boot: Boot, new_image: NewImage) -> None:
    """On the stock kernel alone: the debug kernel knows no NUMA."""
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], two_nodes(), parameters="sgl_threshold=0 poll_queues=4")
    disk = guest.disk()
    assert guest.out("cat /sys/devices/system/node/online") == "0-1"
    names = {f"rnvme {kind} {node}" for kind in ("short lists", "list pages") for node in (0, 1)}
    before = blocks(guest)
    assert set(before) == names
    for node, cpu in ((1, 3), (0, 1)):
        # 64 KiB take a short list, 256 KiB a page of one.
        for size in (64, 256):
            guest.run(f"taskset -c {cpu} dd if=/dev/{disk} of=/dev/null bs={size}k count=4 iflag=direct status=none")
        after = blocks(guest)
        grown = {name for name in names if after[name] > before[name]}
        print(f"reads on CPU {cpu} made these pools grow: {grown}")
        assert grown == {f"rnvme short lists {node}", f"rnvme list pages {node}"}
        before = after
    assert counters(guest)["prp_lists_of_one_page"] >= 16
    jobs: List[Dict[str, Option]] = [
        {"bs": "256k", "iodepth": 4, "size": "2m", "numjobs": 4, "offset_increment": "2m"}]
    verified(guest, disk, jobs, cpus_allowed="0-3", cpus_allowed_policy="split")
    # What is polled has queues of its own.
    verified(guest, disk, jobs, cpus_allowed="0-3", cpus_allowed_policy="split", ioengine="io_uring", hipri=1)
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
