# SPDX-License-Identifier: GPL-2.0
"""Data is what it was: looked at in the guest, and in the image on the host.

Relies on QEMU writing through to its image before a command completes, and on
QEMU's trace for what the device itself was told.
"""

from __future__ import annotations

import pathlib
import re
import struct
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.machines import longest_transfer
from harness.observe import MIB, Trace, assert_orderly, counters, guest_sum, host_sum, seeded, traced, verified, watch
from harness.sample import rounds, some
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
# The largest MDTS that QEMU takes: 2 MiB in one command.
LARGEST: Dict[str, Option] = {"mdts": 9}
OPCODE_WRITE = 1
FUA = 1 << 30


def raise_transfer_size(guest: Guest, disk: str) -> int:
    """Lets the block layer make requests as large as the hardware takes; that size in KiB."""
    queue = f"/sys/block/{disk}/queue"
    return int(guest.out(f"cat {queue}/max_hw_sectors_kb >{queue}/max_sectors_kb && cat {queue}/max_sectors_kb"))


def jobs_of_every_size(block: int, share: int) -> List[Dict[str, Option]]:
    """Block sizes, depths and buffer alignments that cross pages in every way; a `share`-th of the transfers."""
    # An alignment of 4 leaves fio's buffers off every larger border.
    shapes = [(block, 1, 512, 256), (block, 32, 4, 4096), (3 * block, 8, 4, 2048), (4096, 16, 4, 2048),
              (4096 + block, 8, 512, 1024), (64 << 10, 8, 4, 256), ((128 << 10) + block, 4, 4, 64),
              (MIB - block, 4, 512, 12), (MIB, 2, 4, 12), (2 * MIB, 1, 4096, 6), (2 * MIB, 4, 4, 12)]
    return [{"bs": size, "iodepth": depth, "iomem_align": align,
             "size": min(size * max(2, count // share), 24 * MIB // size * size)}
            for size, depth, align, count in shapes]


@pytest.mark.parametrize("block,threshold", [(512, 0), (4096, 32768)], ids=["512-prp", "4096-sgl"])
def test_fio_verifies_every_size_depth_and_offset_and_host_sees_the_same(
        boot: Boot, new_image: NewImage, folder: pathlib.Path, block: int, threshold: int) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image, block)], options=LARGEST)], Machine(process_args=traced(folder)),
                 parameters=f"sgl_threshold={threshold}")
    disk = guest.disk()
    longest = raise_transfer_size(guest, disk)
    assert longest == longest_transfer(guest, 2048)
    with watch(guest, folder, "pci_nvme_map_prp", "pci_nvme_map_sgl") as trace:
        verified(guest, disk, jobs_of_every_size(block, rounds(guest, stock=2, debug=8, soak=1)), 150)
    told = [re.search(r" len (\d+) prp1 0x([0-9a-f]+)", line) for line in trace.of("pci_nvme_map_prp")]
    lengths = {int(found.group(1)) for found in told if found}
    by_list = [int(length) for length in re.findall(r" len (\d+)", "\n".join(trace.of("pci_nvme_map_sgl")))]
    assert bool(by_list) == bool(threshold)
    lengths.update(by_list)
    offsets = {int(found.group(2), 16) % 4096 for found in told if found}
    print(f"{len(told)} transfers, lengths {min(lengths)} to {max(lengths)}, offsets in the page {sorted(offsets)}")
    assert min(lengths) == block and max(lengths) == longest << 10
    assert 0 in offsets and any(offset % 512 for offset in offsets)
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


def test_lists_of_one_and_two_pages_carry_the_same_data(boot: Boot, new_image: NewImage) -> None:
    images = [new_image("small", 8 * MIB), new_image("large", 8 * MIB)]
    guest = boot([Controller([Namespace(images[0]), Namespace(images[1], 4096)], options=LARGEST)], load=False)
    size_each = rounds(guest, stock=4, debug=2, soak=8) * MIB
    jobs: List[Dict[str, Option]] = [{"bs": size, "iodepth": 4, "iomem_align": align, "size": size_each}
                                     for size, align in ((2 * MIB, 4096), (2 * MIB, 4), (MIB, 512), (128 << 10, 4))]
    # The longest list has as many entries as a transfer has pages, but the first.
    chained_too = longest_transfer(guest, 2048) // 4 - 2
    for room, chained in some([(512, False), (chained_too, True), (2, True)], guest.kernel, debug=1):
        guest.load(f"prp_list_room={room} sgl_threshold=0")
        guest.await_disks(2)
        for nsid, image in enumerate(images, start=1):
            disk = guest.disk(0, nsid)
            raise_transfer_size(guest, disk)
            verified(guest, disk, jobs, 60)
            assert guest_sum(guest, disk) == host_sum(image), f"room {room}, namespace {nsid}"
        seen = counters(guest)
        print(f"prp_list_room={room}: {seen}")
        assert (seen["prp_lists_of_more_pages"] > 0) == chained
        # With room for two entries only the shortest lists stay on one page. Whether the rest of a split is ever
        # that short depends on which of the buffer's pages happen to be neighbours.
        assert room == 2 or seen["prp_lists_of_one_page"] > 0
        assert_orderly(guest)
        guest.unload()


@pytest.mark.parametrize("block", [512, 4096])
def test_copy_by_the_guest_is_the_hosts_pattern_bit_for_bit(boot: Boot, new_image: NewImage, block: int) -> None:
    source, target = new_image("source", 24 * MIB), new_image("target", 24 * MIB)
    pattern = seeded(source, seed=block)
    guest = boot([Controller([Namespace(source, block)]), Controller([Namespace(target, block)])])
    begin = 0
    for size in (2 * MIB, MIB + block, 3 * block, 128 << 10, 5 * MIB):
        # Each size copies a stretch of its own, which begins where the one before has ended.
        count = max(1, 4 * MIB // size) if size > 3 * block else 64
        guest.run(f"dd if=/dev/{guest.disk(0)} of=/dev/{guest.disk(1)} bs={size} count={count} iflag=direct,skip_bytes "
                  f"oflag=direct,seek_bytes skip={begin} seek={begin} conv=notrunc status=none", 60)
        begin += size * count
    copied = target.read_bytes()
    print(f"{begin} bytes copied")
    assert copied[:begin] == pattern[:begin], "what was copied differs"
    assert not any(copied[begin:]), "something was written beyond what was copied"
    assert guest_sum(guest, guest.disk(0)) == host_sum(source), "reading changed, or misread, the source"


def submission_entries(guest: Guest, folder: pathlib.Path, created: List[str]) -> List[bytes]:
    """Every slot of the I/O submission queues, read from the guest's memory."""
    entries = []
    for line in created:
        found = re.search(r"addr=0x([0-9a-f]+), sqid=(\d+), .*qsize=(\d+)", line)
        assert found is not None, line
        path = folder / f"queue{found.group(2)}.bin"
        # QEMU tells the queue's size as the command does, one less than its entries.
        length = 64 * (int(found.group(3)) + 1)
        guest.qmp("pmemsave", val=int(found.group(1), 16), size=length, filename=str(path))
        data = path.read_bytes()
        entries += [data[at:at + 64] for at in range(0, length, 64)]
    return entries


def opcode_names(trace: Trace) -> List[str]:
    """What QEMU calls the commands that it took from the I/O queues."""
    return re.findall(r"opname '(\w+)'", "\n".join(trace.of("pci_nvme_io_cmd")))


def writes_at(entries: List[bytes], lba: int) -> List[int]:
    """The flags (command dword 12) of each write to this block."""
    return [struct.unpack_from("<I", entry, 48)[0] for entry in entries
            if entry[0] == OPCODE_WRITE and struct.unpack_from("<Q", entry, 40)[0] == lba]


@pytest.mark.no_iommu
def test_flush_and_forced_unit_access_reach_the_device(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(process_args=traced(folder)),
                 load=False)
    with watch(guest, folder, "pci_nvme_create_sq") as trace:
        guest.load()
        guest.await_disks(1)
    disk = guest.disk()
    queue = guest.out(f"cat /sys/block/{disk}/queue/write_cache /sys/block/{disk}/queue/fua").splitlines()
    assert queue == ["write back", "1"]

    with watch(guest, folder, "pci_nvme_io_cmd") as commands:
        guest.run(f"for i in 1 2 3 4 5; do dd if=/dev/zero of=/dev/{disk} bs=4k seek=$i count=1 conv=notrunc,fsync "
                  "oflag=direct status=none; done")
    names = opcode_names(commands)
    guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=4k seek=100 count=1 oflag=direct conv=notrunc status=none; "
              f"dd if=/dev/zero of=/dev/{disk} bs=4k seek=200 count=1 oflag=direct,dsync conv=notrunc status=none")
    entries = submission_entries(guest, folder, trace.of("pci_nvme_create_sq"))
    plain, forced = writes_at(entries, 800), writes_at(entries, 1600)
    print(f"five writes with fsync were {names}; dword 12 of the plain write {plain}, of the synchronous one {forced}")
    assert names == ["NVME_NVM_CMD_WRITE", "NVME_NVM_CMD_FLUSH"] * 5
    assert len(plain) == 1 and not plain[0] & FUA
    assert len(forced) == 1 and forced[0] & FUA


def test_block_layer_told_of_no_cache_sends_no_flush(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(process_args=traced(folder)))
    disk = guest.disk()
    guest.run(f"echo 'write through' >/sys/block/{disk}/queue/write_cache")
    with watch(guest, folder, "pci_nvme_io_cmd") as commands:
        guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=4k count=8 oflag=direct conv=notrunc,fsync status=none")
    assert opcode_names(commands) == ["NVME_NVM_CMD_WRITE"] * 8
