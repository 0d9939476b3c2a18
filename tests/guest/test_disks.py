# SPDX-License-Identifier: GPL-2.0
"""What the disks are and say: identity, limits, partitions, namespaces, a file system on them.

The harness names a namespace's disk by where its controller sits, so these tests
say for themselves that the names and parents are right.
"""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
import random
import re
import tarfile
from typing import Callable, Dict

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.machines import longest_transfer
from harness.observe import MIB, assert_orderly, fio_command, guest_sum, host_sum, reads_well, seeded, verified
from harness.sample import rounds, soaking

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
SECTOR = 512


def attribute(guest: Guest, disk: str, name: str) -> str:
    """One of the disk's files in sysfs."""
    return guest.out(f"cat /sys/block/{disk}/{name}").strip()


def test_disks_tell_size_block_size_parent_model_and_serial(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([Namespace(new_image("a", 64 * MIB)), Namespace(new_image("b", 40 * MIB), 4096)]),
                  Controller([Namespace(new_image("c", 24 * MIB))], serial="the-second-one", options={"mdts": 5}),
                  Controller([], serial="without-disks")])
    expected = {(0, 1): (64, 512, 512, "rnvme-0"), (0, 2): (40, 4096, 512, "rnvme-0"),
                (1, 1): (24, 512, 128, "the-second-one")}
    rows = json.loads(guest.out("lsblk --json --bytes -d -o NAME,SIZE,MODEL,SERIAL,LOG-SEC,PHY-SEC,RO,TYPE"))
    listed = {one["name"]: one for one in rows["blockdevices"]}
    for (controller, nsid), (size, block, transfer_kib, serial) in expected.items():
        disk, address = guest.disk(controller, nsid), guest.pci_address(controller)
        print(listed[disk])
        assert re.fullmatch(rf"{guest.driver}\d+n{nsid}", disk)
        assert guest.out(f"readlink -f /sys/block/{disk}/device").endswith("/" + address)
        assert guest.out(f"blockdev --getsize64 /dev/{disk}") == str(size * MIB)
        assert attribute(guest, disk, "queue/max_hw_sectors_kb") == str(longest_transfer(guest, transfer_kib))
        row = listed[disk]
        assert (row["size"], row["log-sec"], row["phy-sec"], row["ro"]) == (size * MIB, block, block, False)
        assert (row["model"], row["serial"], row["type"]) == ("QEMU NVMe Ctrl", serial, "disk")
    assert len(listed) == 3, f"a controller without namespaces has no disk: {listed}"
    bare = f"/sys/bus/pci/devices/{guest.pci_address(2)}"
    assert guest.out(f"cat {bare}/serial") == "without-disks"
    assert guest.out(f"basename $(readlink {bare}/driver)") == guest.driver
    version = guest.qmp("query-version")["qemu"]
    assert guest.out(f"cat {bare}/firmware_rev") == f"{version['major']}.{version['minor']}.{version['micro']}"


def test_only_active_and_usable_namespaces_become_disks(boot: Boot, new_image: NewImage) -> None:
    images = [new_image(name, 16 * MIB) for name in "abcde"]
    guest = boot([Controller([
        Namespace(images[0], options={"nsid": 2}), Namespace(images[1], 4096, {"nsid": 5}),
        Namespace(images[2], options={"nsid": 9, "detached": "on"}),
        Namespace(images[3], options={"nsid": 12, "ms": 8, "mset": 1}),
        Namespace(images[4], options={"nsid": 200})])], disks=3)
    names = [re.sub(r".*n", "n", name) for name in guest.disks()]
    told = [line for line in guest.dmesg().splitlines() if "namespace 12" in line]
    print(names, told)
    assert sorted(names) == ["n2", "n200", "n5"]
    assert len(told) == 1 and "8 bytes of metadata" in told[0], "a namespace left out is told of once"
    for nsid, image in ((2, images[0]), (5, images[1]), (200, images[4])):
        pattern = hashlib.sha256(str(nsid).encode()).hexdigest().encode() * 64
        guest.write_file("/tmp/pattern", pattern)
        guest.run(f"dd if=/tmp/pattern of=/dev/{guest.disk(0, nsid)} bs=4096 oflag=direct conv=notrunc status=none")
        assert image.read_bytes()[:4096] == pattern, f"namespace {nsid} is not the one that its disk writes to"


def test_blocks_longer_than_a_transfer_make_no_disk_and_no_warning(boot: Boot, new_image: NewImage) -> None:
    images = [new_image(name, 16 * MIB) for name in "ab"]
    guest = boot([Controller([Namespace(images[0], 65536), Namespace(images[1], 4096)], options={"mdts": 1})], disks=1)
    told = [line for line in guest.dmesg().splitlines() if "left out" in line]
    print(guest.disks(), told)
    assert guest.disks() == [guest.disk(0, 2)]
    assert len(told) == 1 and "needs transfers of 65536 bytes; the longest has 8192" in told[0]


def partition_table(block: int, size: int) -> str:
    """An sfdisk script for two partitions, of 4 MiB from 1 MiB on, and the rest from 6 MiB on but the last MiB."""
    first, second = MIB // block, 6 * MIB // block
    rest = (size - 7 * MIB) // block
    return f"label: gpt\nunit: sectors\nstart={first}, size={4 * MIB // block}\nstart={second}, size={rest}\n"


def test_partitions_show_up_and_write_where_they_should(boot: Boot, new_image: NewImage) -> None:
    images: Dict[int, pathlib.Path] = {512: new_image("small", 16 * MIB), 4096: new_image("large", 16 * MIB)}
    data = random.Random(7).randbytes(MIB)
    guest = boot([Controller([Namespace(image, block)]) for block, image in images.items()])
    guest.write_file("/tmp/data", data)
    for index, (block, image) in enumerate(images.items()):
        disk = guest.disk(index)
        guest.run(["sfdisk", "--quiet", f"/dev/{disk}"], stdin=partition_table(block, 16 * MIB).encode())
        sizes = guest.out(f"blockdev --getsize64 /dev/{disk}p1 /dev/{disk}p2").split()
        assert sizes == [str(4 * MIB), str(9 * MIB)]
        guest.run(f"dd if=/tmp/data of=/dev/{disk}p2 bs=64k seek=8 oflag=direct conv=notrunc status=none")
        assert image.read_bytes()[6 * MIB + (512 << 10):][:MIB] == data, f"wrong place, blocks of {block} bytes"
        beyond = guest.run(f"dd if=/tmp/data of=/dev/{disk}p1 bs=1M seek=4 count=1 oflag=direct conv=notrunc",
                           check=False)
        assert "No space left" in beyond.err, beyond
        assert image.read_bytes()[5 * MIB:6 * MIB] == bytes(MIB), "a write past partition 1 went through"
    guest.unload()
    guest.load()
    guest.await_disks(2)
    for index in range(2):
        disk = guest.disk(index)
        starts = guest.out(f"cat /sys/block/{disk}/{disk}p1/start /sys/block/{disk}/{disk}p2/start").split()
        assert starts == [str(MIB // SECTOR), str(6 * MIB // SECTOR)], "not found again when the driver came back"


def tar_of_many_files(path: pathlib.Path, count: int) -> Dict[str, str]:
    """Writes a tar of files, some 200 MB for 10,000, into an image; the MD5 of each by its name."""
    source = random.Random(200)
    sums = {}
    with open(path, "r+b") as image, tarfile.open(fileobj=image, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(count):
            data = source.randbytes(source.randrange(40_000))
            entry = tarfile.TarInfo(f"{number // 500:02}/{number:05}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
            sums[entry.name] = hashlib.md5(data).hexdigest()
    return sums


def test_thousands_of_files_survive_unmount_fsck_and_a_new_mount(boot: Boot, new_image: NewImage) -> None:
    most = 10_000 if soaking() else 3_000
    archive, target = new_image("archive", most * 26_000 // MIB * MIB), new_image("target", most * 40_000 // MIB * MIB)
    guest = boot([Controller([Namespace(archive)]), Controller([Namespace(target, 4096)])])
    count = rounds(guest, stock=most, debug=100, soak=most)
    sums = tar_of_many_files(archive, count)
    disk = f"/dev/{guest.disk(1)}"
    guest.run(f"mkfs.ext4 -q {disk} && mount -t ext4 {disk} /mnt", 60)
    guest.run(f"tar -xf /dev/{guest.disk(0)} -C /mnt && umount /mnt", 120)
    print(guest.out(f"fsck.ext4 -fn {disk} 2>&1", 60))
    guest.run(f"mount -t ext4 -o ro {disk} /mnt")
    listing = guest.out("cd /mnt && find . -type f ! -path './lost+found/*' | cut -c3- | sort | xargs md5sum", 120)
    found = {name: digest for digest, name in (line.split() for line in listing.splitlines())}
    print(f"{len(found)} files, {guest.out('df -m /mnt | tail -1')}")
    assert len(found) == count
    assert found == sums
    guest.run("umount /mnt")
    assert_orderly(guest)


def test_namespace_that_controllers_share_is_a_disk_of_each(boot: Boot, new_image: NewImage) -> None:
    image = new_image("shared", 16 * MIB)
    # The second controller has what the first one's namespace is to all of the subsystem.
    both = [Controller(own, serial="both", options={"subsys": "both"}) for own in ([Namespace(image)], [])]
    guest = boot(both, Machine(qemu_args=["-device", "nvme-subsys,id=both,nqn=both"], cold=True), disks=2)
    disks = [guest.disk(0), guest.disk(1)]
    assert disks[0] != disks[1]
    # Each writes a half of its own at the same time; both see all of it.
    size = f"{rounds(guest, stock=8, debug=1, soak=8)}m"
    halves = [guest.spawn(fio_command([{"rw": "randwrite", "bs": "16k", "iodepth": 8, "size": size}],
                                      filename=f"/dev/{disk}", offset=f"{8 * half}m", verify="crc32c"))
              for half, disk in enumerate(disks)]
    for half in halves:
        half.wait(60).check()
    assert guest_sum(guest, disks[0]) == guest_sum(guest, disks[1]) == host_sum(image)
    # One controller goes, and what the other has is still there.
    guest.run(f"echo 1 >/sys/bus/pci/devices/{guest.pci_address(0)}/remove")
    assert guest.disks() == [disks[1]]
    verified(guest, disks[1], [{"bs": "64k", "iodepth": 8, "size": "2m"}])
    assert guest_sum(guest, disks[1]) == host_sum(image)
    assert_orderly(guest)


def test_three_controllers_at_once_keep_their_data_apart(boot: Boot, new_image: NewImage) -> None:
    images = [new_image(name, 16 * MIB) for name in "abc"]
    for seed, image in enumerate(images):
        seeded(image, seed)
    guest = boot([Controller([Namespace(image)]) for image in images], Machine(cpus=2))
    disks = [guest.disk(index) for index in range(3)]
    # Each disk's second half is written from the first half of the next one, all three at the same time.
    copies = [guest.spawn(f"dd if=/dev/{disks[(index + 1) % 3]} of=/dev/{disks[index]} bs=256k count=32 seek=32 "
                          "iflag=direct oflag=direct conv=notrunc status=none") for index in range(3)]
    for copy in copies:
        copy.wait(60).check()
    contents = [image.read_bytes() for image in images]
    for index in range(3):
        assert contents[index][8 * MIB:] == contents[(index + 1) % 3][:8 * MIB], f"controller {index}"
        assert contents[index][:8 * MIB] == random.Random(index).randbytes(16 * MIB)[:8 * MIB], f"controller {index}"
        assert guest_sum(guest, disks[index]) == host_sum(images[index])
        reads_well(guest, disks[index])
    assert_orderly(guest)
