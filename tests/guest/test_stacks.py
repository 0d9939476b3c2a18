# SPDX-License-Identifier: GPL-2.0
"""What people put on top of a disk works on ours, unmodified: LVM, RAID, encryption, loop devices, swap, an export.

All of it needs a distribution's modules: the debug kernel has hardly any of them. There is no udev in the guest; LVM,
mdadm and cryptsetup then make their device nodes themselves.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import random
from typing import Callable

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import (
    MIB,
    assert_orderly,
    fio_command,
    guest_sum,
    host_sum,
    seeded,
    traced,
    verified,
    watch,
)

pytestmark = pytest.mark.stock_only
NewImage = Callable[[str, int], pathlib.Path]
LVM_CONF = """activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 }
global { event_activation = 0 }
"""
NQN = "nqn.2014-08.org.example:rnvme"
EXPORT = f"""set -e
modprobe -a nvmet-tcp nvme-tcp
mount -t configfs configfs /sys/kernel/config
cd /sys/kernel/config/nvmet
mkdir subsystems/{NQN} subsystems/{NQN}/namespaces/1 ports/1
echo 1 >subsystems/{NQN}/attr_allow_any_host
echo -n /dev/{{disk}} >subsystems/{NQN}/namespaces/1/device_path
echo 1 >subsystems/{NQN}/namespaces/1/enable
cd ports/1
echo tcp >addr_trtype; echo ipv4 >addr_adrfam; echo 127.0.0.1 >addr_traddr; echo 4420 >addr_trsvcid
ln -s ../../subsystems/{NQN} subsystems/
nvme connect --transport=tcp --traddr=127.0.0.1 --trsvcid=4420 --nqn={NQN} --hostnqn={NQN}:host \
    --hostid=6a3a9d2e-59a5-4f0f-8a5e-2f3a1c6f2b11
for n in $(seq 100); do [ -b /dev/nvme0n1 ] && exit 0; sleep 0.1; done; exit 1"""
WITHDRAW = f"""set -e
nvme disconnect --nqn={NQN}
cd /sys/kernel/config/nvmet
rm ports/1/subsystems/{NQN}
rmdir ports/1
echo 0 >subsystems/{NQN}/namespaces/1/enable
rmdir subsystems/{NQN}/namespaces/1 subsystems/{NQN}"""
LIMITED = """set -e
mkdir -p /tmp/cgroup && mount -t cgroup2 cgroup2 /tmp/cgroup
echo +memory >/tmp/cgroup/cgroup.subtree_control
mkdir /tmp/cgroup/small && echo {limit} >/tmp/cgroup/small/memory.max"""

SWAPPED_OUT = "/^pswpout/ && $2 >= 6000 { found = 1 } END { exit !found }"


def two_disks(boot: Boot, new_image: NewImage, size: int) -> Guest:
    """A guest with two controllers of one disk each, images `left` and `right`."""
    return boot([Controller([Namespace(new_image(name, size))]) for name in ("left", "right")])


def test_logical_volume_grows_onto_a_second_disk_while_it_is_written(boot: Boot, new_image: NewImage) -> None:
    guest = two_disks(boot, new_image, 32 * MIB)
    left, right = (guest.disk(index) for index in range(2))
    guest.run("modprobe dm-mod && mkdir /tmp/lvm")
    guest.write_file("/tmp/lvm/lvm.conf", LVM_CONF)

    def lvm(command: str) -> str:
        return guest.out(f"LVM_SYSTEM_DIR=/tmp/lvm lvm {command}", 60)

    lvm(f"vgcreate --yes group /dev/{left}")
    lvm("lvcreate --yes --wipesignatures n --extents 100%FREE --name volume group")
    volume = "/dev/mapper/group-volume"
    before = int(guest.out(f"blockdev --getsize64 {volume}"))
    command = fio_command([{"bs": "64k", "iodepth": 8, "size": "16m"}], filename=volume, rw="randwrite",
                          verify="crc32c", verify_fatal=1, verify_backlog=32, time_based="", runtime=5)
    writing = guest.spawn(f"cd /tmp && {command}")
    lvm(f"vgextend --yes group /dev/{right}")
    lvm("lvextend --extents +100%FREE group/volume")
    result = writing.wait(60).check()
    job = json.loads(result.out[result.out.index("{"):])["jobs"][0]
    assert job["error"] == 0 and job["write"]["io_bytes"] > 0, job
    after = int(guest.out(f"blockdev --getsize64 {volume}"))
    print(f"{before} bytes, then {after}; {job['write']['total_ios']} writes meanwhile")
    assert after >= 2 * before
    # What lies behind the old end is on the second disk.
    pattern = random.Random(3).randbytes(4 * MIB)
    guest.write_file("/tmp/pattern", pattern)
    guest.run(f"dd if=/tmp/pattern of={volume} bs=1M seek={before} oflag=direct,seek_bytes conv=notrunc status=none")
    assert pattern in guest.controllers[1].namespaces[0].image.read_bytes()
    whole = guest_sum(guest, "mapper/group-volume")
    lvm("vgchange --activate n group")
    lvm("vgchange --activate y group")
    assert guest_sum(guest, "mapper/group-volume") == whole
    # Striped over both disks, each of them gets a part of every write.
    lvm("lvremove --yes group/volume")
    lvm("lvcreate --yes --wipesignatures n --stripes 2 --stripesize 16k --size 32m --name striped group")
    verified(guest, "mapper/group-striped", [{"bs": "84k", "iodepth": 8, "size": "8m"}])
    lvm("vgchange --activate n group")
    assert_orderly(guest)
    guest.unload()


def test_mirror_loses_a_controller_under_writes_and_is_whole_again_when_it_is_back(boot: Boot,
                                                                                 new_image: NewImage) -> None:
    guest = two_disks(boot, new_image, 32 * MIB)
    left, right = (guest.disk(index) for index in range(2))
    guest.run("modprobe raid1")
    # The images are all zeroes, and so already a mirror of each other.
    guest.run(f"mdadm --create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --metadata=1.2 "
              f"--bitmap=internal /dev/{left} /dev/{right} </dev/null", 60)
    command = fio_command([{"bs": "16k", "iodepth": 8, "size": "16m"}], filename="/dev/md0", rw="randwrite",
                          verify="crc32c", verify_fatal=1, verify_backlog=32, time_based="", runtime=6)
    writing = guest.spawn(f"cd /tmp && {command}")
    address = guest.pci_address(1)
    guest.run(f"sleep 1.5; echo {address} >/sys/bus/pci/drivers/rnvme/unbind", 60)
    result = writing.wait(60).check()
    job = json.loads(result.out[result.out.index("{"):])["jobs"][0]
    assert job["error"] == 0 and job["write"]["io_bytes"] > 0, job
    print(guest.out("cat /proc/mdstat"))
    assert guest.out("cat /sys/block/md0/md/degraded") == "1", "nobody missed the lost half"
    guest.run("mdadm /dev/md0 --remove failed; mdadm /dev/md0 --remove detached", check=False)
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/bind")
    guest.await_disks(2)
    guest.run(f"mdadm /dev/md0 --re-add /dev/{guest.disk(1)} 2>&1", 60)
    # Its status is 1 when the resync is over already.
    guest.run("mdadm --wait /dev/md0", 60, check=False)
    print(guest.out("cat /proc/mdstat"))
    assert guest.out("cat /sys/block/md0/md/degraded") == "0"
    mirrored, size = guest_sum(guest, "md0"), int(guest.out("blockdev --getsize64 /dev/md0"))
    offsets = [512 * int(guest.out(f"cat /sys/block/md0/md/dev-{guest.disk(index)}/offset")) for index in range(2)]
    guest.run("mdadm --stop /dev/md0", 60)
    for controller, offset in zip(guest.controllers, offsets):
        half = controller.namespaces[0].image.read_bytes()[offset:offset + size]
        assert hashlib.sha256(half).hexdigest() == mirrored, controller
    assert_orderly(guest)
    guest.unload()


def test_encrypted_disk_is_readable_with_its_key_and_noise_without(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image, 4096)])])
    key, plain = random.Random(4).randbytes(64), b"nobody may read this without the key; " * 1000
    guest.write_file("/tmp/key", key)
    guest.write_file("/tmp/plain", plain)
    guest.run("modprobe -a dm-crypt xts")
    unlock = ("cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --sector-size 4096 "
              f"--key-file /tmp/key /dev/{guest.disk()} secret")
    guest.run(unlock, 60)
    verified(guest, "mapper/secret", [{"bs": bs, "iodepth": 8, "size": "6m"} for bs in ("4k", "128k")])
    guest.run("dd if=/tmp/plain of=/dev/mapper/secret bs=1M seek=8 conv=notrunc,fsync status=none")
    whole = guest_sum(guest, "mapper/secret")
    guest.run("cryptsetup close secret", 60)
    data = image.read_bytes()
    assert plain[:38] not in data and any(data[8 * MIB:8 * MIB + len(plain)])
    guest.run(unlock, 60)
    assert guest_sum(guest, "mapper/secret") == whole
    guest.run(f"cmp --ignore-initial=0:{8 * MIB} --bytes={len(plain)} /tmp/plain /dev/mapper/secret")
    guest.run("cryptsetup close secret", 60)
    assert_orderly(guest)
    guest.unload()


def test_loop_device_on_a_file_carries_what_the_file_then_holds(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 96 * MIB)
    guest = boot([Controller([Namespace(image)])])
    mount = f"mount -t ext4 /dev/{guest.disk()} /mnt"
    guest.run(f"modprobe loop && mkfs.ext4 -q /dev/{guest.disk()} && {mount} && truncate -s 32M /mnt/file", 60)
    for direct in ("on", "off"):
        loop = guest.out(f"losetup --find --show --direct-io={direct} --sector-size 4096 /mnt/file").rsplit("/", 1)[1]
        assert guest.out(f"cat /sys/block/{loop}/loop/dio") == str(int(direct == "on"))
        verified(guest, loop, [{"bs": bs, "iodepth": 8, "size": "4m"} for bs in ("4k", "256k")])
        guest.run(f"mkfs.ext4 -q -F /dev/{loop} && mkdir -p /tmp/inner && mount -t ext4 /dev/{loop} /tmp/inner && "
                  "head -c 8M /dev/urandom >/tmp/inner/data && umount /tmp/inner", 60)
        seen = guest_sum(guest, loop)
        guest.run(f"losetup --detach /dev/{loop} && umount /mnt && fsck.ext4 -fn /dev/{guest.disk()} && {mount}", 60)
        assert guest.out("sha256sum </mnt/file").split()[0] == seen, f"direct-io={direct}"
    guest.run("umount /mnt")
    assert_orderly(guest)
    guest.unload()


def test_disk_is_exported_over_tcp_and_its_initiator_reads_and_writes_it(boot: Boot, new_image: NewImage,
                                                                         folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=8)
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)))
    guest.run(EXPORT.format(disk=guest.disk()), 60)
    assert guest_sum(guest, "nvme0n1") == host_sum(image)
    with watch(guest, folder, "pci_nvme_dsm", "pci_nvme_io_cmd") as trace:
        verified(guest, "nvme0n1", [{"bs": bs, "iodepth": 8, "size": "4m"} for bs in ("4k", "84k", "1m")])
        guest.run(f"blkdiscard -o {5 * MIB} -l {MIB} /dev/nvme0n1 && blkdiscard -z -o {7 * MIB} -l {MIB} /dev/nvme0n1 "
                  f"&& dd if=/dev/zero of=/dev/nvme0n1 bs=4k seek=2560 count=1 conv=notrunc,fsync status=none")
    said = "\n".join(trace.of("pci_nvme_io_cmd"))
    assert trace.of("pci_nvme_dsm") and "CMD_WRITE_ZEROES" in said and "CMD_FLUSH" in said
    data = image.read_bytes()
    assert data[4 * MIB:] == (pattern[4 * MIB:5 * MIB] + bytes(MIB) + pattern[6 * MIB:7 * MIB] + bytes(MIB)
                              + pattern[8 * MIB:10 * MIB] + bytes(4096) + pattern[10 * MIB + 4096:])
    assert guest_sum(guest, "nvme0n1") == guest_sum(guest, guest.disk()) == host_sum(image)
    guest.run(WITHDRAW, 60)
    assert_orderly(guest)
    guest.unload()


def test_memory_that_was_swapped_out_comes_back_unchanged(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 96 * MIB))])])
    swap = f"/dev/{guest.disk()}"
    guest.run(f"mkswap {swap} && swapon --discard {swap} && head -c 48M /dev/urandom >/tmp/data")
    guest.run(LIMITED.format(limit=16 * MIB))
    expected = guest.out("sha256sum </tmp/data").split()[0]
    before = dict(line.split() for line in guest.out("grep pswp /proc/vmstat").splitlines())
    # dd holds all of it in a buffer three times as large as its memory may be; what it prints comes from there.
    guest.run("mkfifo /tmp/pipe /tmp/gate")
    hog = guest.spawn("echo $$ >/tmp/cgroup/small/cgroup.procs; exec dd if=/tmp/data bs=48M count=1 iflag=fullblock "
                      "status=none of=/tmp/pipe")
    reader = guest.spawn("exec 3</tmp/pipe; cat /tmp/gate >/dev/null; sha256sum <&3")
    guest.run(f"for n in $(seq 300); do awk '{SWAPPED_OUT}' /proc/vmstat && break; sleep 0.1; done; : >/tmp/gate", 60)
    assert reader.wait(120).check().out.split()[0] == expected
    hog.wait(60).check()
    after = dict(line.split() for line in guest.out("grep pswp /proc/vmstat").splitlines())
    moved = {name: int(after[name]) - int(before[name]) for name in after}
    print(moved, "pages")
    assert min(moved.values()) >= 4000
    # Pages that are out when the swap goes are fetched back.
    guest.run("echo $$ >/tmp/cgroup/small/cgroup.procs; exec head -c 40M /tmp/data >/tmp/copy", 60)
    guest.run(f"echo max >/tmp/cgroup/small/memory.max; swapoff {swap} && head -c 40M /tmp/data | cmp - /tmp/copy", 120)
    assert_orderly(guest)
    guest.unload()
