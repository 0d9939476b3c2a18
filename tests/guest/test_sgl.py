# SPDX-License-Identifier: GPL-2.0
"""Scatter gather lists: where memory has gaps, and where ranges of memory are long.

Relies on QEMU's trace for how the device was told of data, and on fio's vsync engine
for vectors of blocks that do not lie side by side.
"""

from __future__ import annotations

import pathlib
from typing import Callable, Dict

import pytest
from harness import Boot, Controller, Machine, Namespace
from harness.observe import MIB, assert_orderly, counters, fio, guest_sum, host_sum, traced, verified, watch
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
MAPPED = ("pci_nvme_map_prp", "pci_nvme_map_sgl")


@pytest.mark.parametrize("room", [512, 4])
def test_data_with_gaps_goes_in_one_command(boot: Boot, new_image: NewImage, folder: pathlib.Path, room: int) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)),
                 parameters=f"sgl_threshold=0 prp_list_room={room}")
    disk = guest.disk()
    job: Dict[str, Option] = {
        "ioengine": "vsync", "rw": "write", "bs": 512, "iodepth": 64, "iodepth_batch": 64, "size": "512k",
        "verify": "crc32c", "verify_fatal": 1, "mem": "malloc", "iomem_align": 4096}
    with watch(guest, folder, *MAPPED, "pci_nvme_io_cmd") as trace:
        done = fio(guest, [job], filename=f"/dev/{disk}")
    assert done[0]["read"]["io_bytes"] == done[0]["write"]["io_bytes"] == 512 << 10
    print({name: len(trace.of(name)) for name in MAPPED}, counters(guest))
    assert counters(guest)["sgls"] > 0
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


@pytest.mark.parametrize("threshold,lists", [(32768, True), (0, False)])
def test_long_ranges_go_by_list_from_the_threshold_on(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                      threshold: int, lists: bool) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)),
                 parameters=f"sgl_threshold={threshold}")
    disk = guest.disk()
    guest.run("echo 8 >/proc/sys/vm/nr_hugepages")
    with watch(guest, folder, *MAPPED) as trace:
        fio(guest, [{"rw": "read", "bs": "128k", "size": "4m", "mem": "mmaphuge", "hugepage-size": "2m"}],
            filename=f"/dev/{disk}")
    print({name: len(trace.of(name)) for name in MAPPED}, counters(guest))
    assert (len(trace.of("pci_nvme_map_sgl")) >= 32) == lists
    assert (counters(guest)["sgls"] >= 32) == lists
    verified(guest, disk, [{"bs": bs, "iodepth": 8, "size": "4m"} for bs in ("4k", "64k", "512k")])
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
