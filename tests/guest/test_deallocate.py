# SPDX-License-Identifier: GPL-2.0
"""Discard and write zeroes: what is given back is a hole in the image, and nothing else changes.

Relies on QEMU's `discard=unmap` for the image, and on its trace for what the device was told.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from typing import Callable, List

import pytest
from harness import Boot, Controller, Machine, Namespace
from harness.observe import MIB, assert_orderly, guest_sum, host_sum, seeded, traced, verified, watch
from harness.programs import put_program

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
TOLD = ("pci_nvme_dsm", "pci_nvme_dsm_deallocate", "pci_nvme_io_cmd")


def allocated(image: pathlib.Path) -> int:
    """How much of an image the host has room set aside for."""
    return image.stat().st_blocks * 512


@pytest.mark.parametrize("block", [512, 4096])
def test_discarded_range_is_a_hole_and_its_neighbours_are_untouched(boot: Boot, new_image: NewImage,
                                                                    folder: pathlib.Path, block: int) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=11)
    guest = boot([Controller([Namespace(image, block)])], Machine(process_args=traced(folder)))
    disk = guest.disk()
    full = allocated(image)
    with watch(guest, folder, *TOLD) as trace:
        guest.run(f"blkdiscard -o {2 * MIB} -l {5 * MIB} /dev/{disk}")
    print(trace.lines)
    assert len(trace.of("pci_nvme_dsm")) == 1 and len(trace.of("pci_nvme_dsm_deallocate")) == 1
    assert full - allocated(image) >= 5 * MIB, "nothing was given back"
    expected = pattern[:2 * MIB] + bytes(5 * MIB) + pattern[7 * MIB:]
    assert image.read_bytes() == expected
    assert guest_sum(guest, disk) == host_sum(image)
    verified(guest, disk, [{"bs": "64k", "iodepth": 8, "size": "8m"}])
    assert_orderly(guest)


def test_zeroes_are_made_without_sending_them(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=12)
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)))
    disk = guest.disk()
    full = allocated(image)
    with watch(guest, folder, *TOLD) as trace:
        guest.run(f"blkdiscard -z -o {MIB} -l {8 * MIB} /dev/{disk}")
        # This one keeps its room, as databases want it.
        guest.run(f"fallocate -z -o {10 * MIB} -l {MIB} /dev/{disk}")
    commands = re.findall(r"opname '\w+_CMD_(\w+)'", "\n".join(trace.of("pci_nvme_io_cmd")))
    print(collections.Counter(commands))
    assert "WRITE_ZEROES" in commands and "WRITE" not in commands, "zeroes went over the bus"
    assert image.read_bytes() == (pattern[:MIB] + bytes(8 * MIB) + pattern[9 * MIB:10 * MIB] + bytes(MIB)
                                  + pattern[11 * MIB:])
    assert full - allocated(image) >= 7 * MIB, "zeroes that may be holes are not"
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


@dataclasses.dataclass(frozen=True)
class FileSystem:
    """How a file system is made without a discard, and checked while it is not mounted."""

    size: int
    make: str
    check: str


FILE_SYSTEMS = {
    "ext4": FileSystem(64 * MIB, "mkfs.ext4 -q -E nodiscard", "e2fsck -fn"),
    "xfs": FileSystem(320 * MIB, "mkfs.xfs -q -K", "xfs_repair -n"),
    "btrfs": FileSystem(160 * MIB, "mkfs.btrfs -q -K", "btrfs check --readonly"),
}


def give_back(boot: Boot, image: pathlib.Path, folder: pathlib.Path, name: str, online: bool) -> List[int]:
    """Fills a file system, removes half of its files, and has the room given back; how many ranges each command had.

    The files that stay are what they were, and the image has holes where the others lay.
    """
    kind = FILE_SYSTEMS[name]
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)))
    device = f"/dev/{guest.disk()}"
    mount = f"mount -t {name} {'-o discard' if online else ''} {device} /tmp/m"
    guest.run(f"mkdir /tmp/m && {kind.make} {device} && {mount}", 60)
    guest.run("for n in $(seq 60); do head -c 300000 /dev/urandom >/tmp/m/$n; done; sync")
    full = allocated(image)
    with watch(guest, folder, *TOLD) as trace:
        kept = guest.out("cd /tmp/m && rm -f *[02468] && sync && sha256sum [0-9]*")
        if not online:
            # A new mount has nothing left to do of its own.
            print(guest.out(f"umount /tmp/m && {mount} && fstrim -v /tmp/m", 60))
        # XFS waits for its discards here, and not before fstrim ends.
        guest.run("umount /tmp/m")
    ranges = [int(number) for line in trace.of("pci_nvme_dsm") for number in re.findall(r"nr (\d+)", line)]
    print("ranges of the commands:", ranges)
    assert sum(ranges) == len(trace.of("pci_nvme_dsm_deallocate")) > 0
    # 30 files were there and are gone.
    assert full - allocated(image) >= 30 * 250_000
    guest.run(f"{kind.check} {device} && {mount}", 60)
    assert guest.out("cd /tmp/m && sha256sum [0-9]*") == kept
    guest.run("umount /tmp/m")
    assert_orderly(guest)
    return ranges


@pytest.mark.parametrize("how", ["fstrim", "online"])
def test_file_systems_free_space_is_given_back_and_its_files_stay(boot: Boot, new_image: NewImage,
                                                                  folder: pathlib.Path, how: str) -> None:
    give_back(boot, new_image("disk", FILE_SYSTEMS["ext4"].size), folder, "ext4", how == "online")


@pytest.mark.stock_only
@pytest.mark.one_machine
@pytest.mark.parametrize("name", ["xfs", "btrfs"])
def test_file_systems_of_a_distribution_give_back_free_space_and_keep_their_files(
        boot: Boot, new_image: NewImage, folder: pathlib.Path, name: str) -> None:
    """The debug kernel has no such file systems."""
    ranges = give_back(boot, new_image("disk", FILE_SYSTEMS[name].size), folder, name, False)
    # XFS plugs the queue over all that it finds free in an allocation group.
    assert name != "xfs" or max(ranges) > 1


def test_discards_of_one_submission_go_as_ranges_of_one_command(boot: Boot, new_image: NewImage,
                                                                folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=13)
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)))
    disk = guest.disk()
    program = put_program(guest, "discard_together")
    # More than one command's ranges (DMRL is 0: 256, of which the queue takes 255).
    first, length, stride, count = 2 * MIB, 16 << 10, 32 << 10, 300
    with watch(guest, folder, *TOLD) as trace:
        guest.run(f"{program} /dev/{disk} {first} {length} {stride} {count}")
    ranges = [int(number) for line in trace.of("pci_nvme_dsm") for number in re.findall(r"nr (\d+)", line)]
    print("ranges of the commands:", ranges)
    assert ranges == [255, 45]
    expected = bytearray(pattern)
    for at in range(first, first + count * stride, stride):
        expected[at:at + length] = bytes(length)
    assert image.read_bytes() == bytes(expected)
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
