# SPDX-License-Identifier: GPL-2.0
"""Zoned namespaces: their zones reported, written from their beginnings on, and what may not be done with them.

Relies on blkzone and fio's zonemode, and on QEMU's trace for the commands that came. QEMU forgets the state of zones
when it ends, but not when a controller is reset. Nothing in user space can ask for an append to a zone, and of the
file systems in these kernels only btrfs does: so appends are seen on the stock kernel, and on the debug kernel in
the KUnit suite rnvme_ext_zoned.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Callable, Counter, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, Trace, assert_orderly, traced, verified, watch
from harness.peer import OUR_LIMITS, differing, queue, under_the_c_driver
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
SECTOR = 512
ZONE_LINE = re.compile(r"start: (0x\w+), len (0x\w+), cap (0x\w+), wptr (0x\w+) reset:\d non-seq:\d, "
                       r"zcond:\s*\d+\((\w\w)\)")


@dataclasses.dataclass
class Zone:
    """A zone as blkzone tells it: bytes, the write pointer from the zone's beginning on, the state in two letters."""

    start: int
    size: int
    capacity: int
    written: int
    state: str


def zones(guest: Guest, disk: str) -> List[Zone]:
    """All zones of a disk."""
    found = []
    for row in ZONE_LINE.finditer(guest.out(f"blkzone report /dev/{disk}")):
        start, size, capacity, written = (int(row[index], 16) * SECTOR for index in range(1, 5))
        found.append(Zone(start, size, capacity, written, row[5]))
    return found


def zoned(image: pathlib.Path, block: int = 512, zone: int = 2 * MIB, **options: Option) -> Namespace:
    """A namespace made of zones."""
    named = {f"zoned.{name}": value for name, value in options.items()}
    return Namespace(image, block, {"zoned": "on", "zoned.zone_size": zone, **named})


def commands(trace: Trace) -> Counter[str]:
    """How many commands of each name came."""
    return Counter(re.findall(r"opname '\w+_CMD_(\w+)'", "\n".join(trace.of("pci_nvme_io_cmd"))))


def write(guest: Guest, disk: str, offset: int, size: int, check: bool = True) -> str:
    """Writes random bytes past the page cache; what dd says of it."""
    return guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs={size} count=1 seek={offset} oflag=direct,seek_bytes "
                     "iflag=fullblock conv=notrunc status=none", check=check).err


@pytest.mark.parametrize("block", [512, 4096])
def test_zones_and_limits_are_the_c_drivers(boot: Boot, new_image: NewImage, block: int) -> None:
    namespace = zoned(new_image("disk", 32 * MIB), block, zone_capacity=3 * MIB // 2, max_open=3, max_active=5)
    guest = boot([Controller([namespace], options={"mdts": 6, "zoned.zasl": 4})], Machine())
    disk = guest.disk()
    ours, our_zones = queue(guest, disk), zones(guest, disk)
    print(ours, our_zones[:2])
    expected = {"zoned": "host-managed", "nr_zones": 16, "chunk_sectors": 4096, "max_open_zones": 3,
                "max_active_zones": 5, "zone_append_max_bytes": 64 << 10, "zone_write_granularity": block}
    assert {name: ours.get(name) for name in expected} == {name: str(value) for name, value in expected.items()}
    assert our_zones == [Zone(n * 2 * MIB, 2 * MIB, 3 * MIB // 2, 0, "em") for n in range(16)]
    with under_the_c_driver(guest):
        assert differing(ours, queue(guest, guest.disk())) - OUR_LIMITS == set()
        assert zones(guest, guest.disk()) == our_zones


def test_zone_goes_through_its_states_and_keeps_its_data(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([zoned(image, zone_capacity=MIB)])], Machine(process_args=traced(folder)))
    disk, zone = guest.disk(), 2 * MIB // SECTOR

    def second() -> Zone:
        return zones(guest, disk)[1]

    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        write(guest, disk, 2 * MIB, 256 << 10)
        assert second() == Zone(2 * MIB, 2 * MIB, MIB, 256 << 10, "oi")
        for action, state in (("open", "oe"), ("close", "cl")):
            guest.run(f"blkzone {action} -o {zone} -c 1 /dev/{disk}")
            assert (second().state, second().written) == (state, 256 << 10)
        write(guest, disk, 2 * MIB + (256 << 10), 64 << 10)
        assert (second().state, second().written) == ("oi", 320 << 10)
        there = guest.out(f"dd if=/dev/{disk} bs=64k skip=32 count=5 iflag=direct status=none | sha256sum").split()[0]
        guest.write_file("/tmp/host", image.read_bytes()[2 * MIB:2 * MIB + (320 << 10)])
        assert guest.out("sha256sum </tmp/host").split()[0] == there
        guest.run(f"blkzone finish -o {zone} -c 1 /dev/{disk}")
        assert second().state == "fu"
        assert "Input/output error" in write(guest, disk, 2 * MIB + (320 << 10), 4096, check=False)
        guest.run(f"blkzone reset -o {zone} -c 1 /dev/{disk}")
        assert second() == Zone(2 * MIB, 2 * MIB, MIB, 0, "em")
        write(guest, disk, 2 * MIB, 4096)
        write(guest, disk, 6 * MIB, 4096)
        guest.run(f"blkzone reset /dev/{disk}")
    print(commands(trace))
    assert {one.state for one in zones(guest, disk)} == {"em"}
    # One command for all of them at the end.
    assert commands(trace)["MGMT_SEND"] == 5
    assert_orderly(guest)


def test_what_may_not_be_done_to_a_zone_is_an_error_of_its_own(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([zoned(new_image("disk", 32 * MIB), max_open=2, max_active=3)])])
    disk, zone = guest.disk(), 2 * MIB // SECTOR

    def act(action: str, number: int) -> str:
        return guest.run(f"blkzone {action} -o {number * zone} -c 1 /dev/{disk}", check=False).err

    # The write pointer is at the beginning; a write elsewhere changes nothing. The first one to a zone is for the
    # device to refuse, since the block layer does not look after an empty zone yet.
    assert "Input/output error" in write(guest, disk, MIB, 4096, check=False)
    assert zones(guest, disk)[0].written == 0
    write(guest, disk, 0, 4096)
    assert zones(guest, disk)[0].written == 4096
    guest.run(f"blkzone reset /dev/{disk}")
    assert (act("open", 0), act("open", 1)) == ("", "")
    assert "Too many references" in act("open", 2)
    assert (act("close", 0), act("open", 2), act("close", 1)) == ("", "", "")
    assert "Value too large" in act("open", 3)
    assert "Value too large" in write(guest, disk, 6 * MIB, 4096, check=False)
    act("finish", 5)
    assert "Input/output error" in act("open", 5)
    said = [line for line in guest.dmesg().splitlines() if re.search(r"rnvme\d+n\d+: (Zone|Write)", line)]
    print("\n".join(said))
    for number, (op, sector, status) in enumerate([
            ("Write of 4096 bytes", zone // 2, "Zone Invalid Write"),
            ("ZoneOpen of 0 bytes", 2 * zone, "Too Many Open Zones"),
            ("ZoneOpen of 0 bytes", 3 * zone, "Too Many Active Zones"),
            ("Write of 4096 bytes", 3 * zone, "Too Many Active Zones"),
            ("ZoneOpen of 0 bytes", 5 * zone, "Invalid Zone State Transition")]):
        assert f"{op} at sector {sector}, sent 1 times: {status}" in said[number]
    guest.run(f"blkzone reset /dev/{disk}")
    write(guest, disk, 6 * MIB, 4096)
    assert_orderly(guest)


def test_writes_to_several_zones_at_once_are_read_back(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([zoned(new_image("disk", 32 * MIB), 4096, zone_capacity=3 * MIB // 2,
                                    max_open=4, max_active=4)])])
    disk = guest.disk()
    jobs: List[Dict[str, Option]] = [
        {"rw": "write", "bs": "64k", "iodepth": 8, "size": "8m"},
        {"rw": "randwrite", "bs": "16k", "iodepth": 8, "size": "8m", "offset": "16m", "max_open_zones": 4}]
    verified(guest, disk, jobs, zonemode="zbd")
    assert sum(one.written for one in zones(guest, disk)) > 4 * MIB
    assert_orderly(guest)


def test_report_takes_several_commands_and_odd_zones_make_no_disk(boot: Boot, new_image: NewImage,
                                                                  folder: pathlib.Path) -> None:
    # In transfers of 8 KiB there is room for 127 zones; 3 MiB are no power of two.
    namespaces = [zoned(new_image("many", 40 * MIB), zone=128 << 10), zoned(new_image("odd", 24 * MIB), zone=3 * MIB)]
    guest = boot([Controller(namespaces, options={"mdts": 1})], Machine(process_args=traced(folder)), disks=1)
    disk = guest.disk()
    write(guest, disk, 319 * (128 << 10), 4096)
    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        seen = zones(guest, disk)
    print(commands(trace), [line for line in guest.dmesg().splitlines() if "left out" in line])
    assert [one.start for one in seen] == [n * (128 << 10) for n in range(320)]
    assert [one.state for one in seen] == ["em"] * 319 + ["oi"]
    assert commands(trace)["MGMT_RECV"] == 3
    assert "namespace 2: left out: has zones of 6144 blocks; Linux needs a power of two" in guest.dmesg()
    assert_orderly(guest)


def test_reports_while_the_disk_goes_away_fail_and_harm_nothing(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([zoned(new_image("disk", 32 * MIB))])])
    disk, address = guest.disk(), guest.pci_address()
    # Whoever holds the disk open keeps its name from being found, but not the device from going.
    jobs = [guest.spawn(f"exec 3</dev/{disk}; n=0; while blkzone report /dev/{disk} >/dev/null; do n=$((n + 1)); done; "
                        "echo $n") for _ in range(3)]
    guest.run(f"for n in 1 2 3 4 5 6 7 8; do blkzone reset /dev/{disk} || exit; done")
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/unbind", 60)
    reports = [int(job.wait(60).out) for job in jobs]
    print("reports before the end:", reports)
    assert min(reports) > 0
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/bind", 60)
    guest.await_disks(1)
    assert len(zones(guest, guest.disk())) == 16
    assert_orderly(guest)


def test_zone_files_of_zonefs_are_there_after_a_remount(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([zoned(new_image("disk", 32 * MIB), 4096, max_open=4, max_active=4)])])
    disk = guest.disk()
    guest.run(f"modprobe -q zonefs; mkzonefs -f /dev/{disk} && mkdir /tmp/m && mount -t zonefs /dev/{disk} /tmp/m", 60)
    guest.run("cd /tmp/m/seq && for n in 0 1 2 9; do dd if=/dev/urandom of=$n bs=128k count=$((n + 1)) "
              "oflag=direct,append conv=notrunc status=none || exit; done", 60)
    before = guest.out("cd /tmp/m/seq && sha256sum 0 1 2 9 && stat -c %s 0 1 2 9 14")
    print(before)
    guest.run(f"truncate -s 0 /tmp/m/seq/1 && umount /tmp/m && mount -t zonefs /dev/{disk} /tmp/m")
    after = guest.out("cd /tmp/m/seq && sha256sum 0 1 2 9 && stat -c %s 0 1 2 9 14")
    assert [*before.splitlines()[:1], *before.splitlines()[2:4]] == [*after.splitlines()[:1], *after.splitlines()[2:4]]
    assert after.splitlines()[4:] == [str(size << 10) for size in (128, 0, 384, 1280, 0)]
    guest.run("umount /tmp/m")
    assert_orderly(guest)


@pytest.mark.stock_only
def test_btrfs_appends_to_zones_and_its_files_are_there_after_a_remount(boot: Boot, new_image: NewImage,
                                                                        folder: pathlib.Path) -> None:
    """The debug kernel has no btrfs."""
    image = new_image("disk", 256 * MIB)
    namespace = zoned(image, 4096, zone=4 * MIB, max_open=16, max_active=16)
    guest = boot([Controller([namespace], options={"zoned.zasl": 5})], Machine(process_args=traced(folder)))
    disk = guest.disk()
    mount = f"mount /dev/{disk} /tmp/m"
    guest.run(f"modprobe btrfs; mkfs.btrfs -q -f -d single -m single /dev/{disk} && mkdir /tmp/m && {mount}", 90)
    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        guest.run("cd /tmp/m && for n in 1 2 3 4 5 6; do head -c $((n * 700000)) /dev/urandom >$n; done; sync", 90)
    print(commands(trace))
    assert commands(trace)["ZONE_APPEND"] > 0
    before = guest.out("cd /tmp/m && sha256sum *")
    guest.run(f"umount /tmp/m && btrfs check /dev/{disk} && {mount}", 90)
    assert guest.out("cd /tmp/m && sha256sum *") == before
    guest.run("umount /tmp/m")
    assert_orderly(guest)
