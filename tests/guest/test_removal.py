# SPDX-License-Identifier: GPL-2.0
"""Coming and going: loading, unbinding, removal and unplugging, idle, under I/O and with open holders.

Each story ends with a device that works again. The fixture fails a test whose
kernel log holds a warning; a hang shows as a command that does not end in time.
"""

from __future__ import annotations

import pathlib
import time
from typing import Callable, Dict, List, Tuple

import pytest
from harness import Boot, Controller, Guest, GuestFailure, Machine, Namespace
from harness.observe import (
    MIB,
    add_backend,
    assert_orderly,
    fio_command,
    guest_sum,
    host_sum,
    reads_well,
    seeded,
    traced,
    verified,
    watch,
)
from harness.sample import rounds
from rnvme_tool.guest import Job
from rnvme_tool.machine import Option

NewImage = Callable[[str, int], pathlib.Path]
Figure = Callable[[str, object], None]
CC_SHN_NORMAL = 1 << 14
# The opener's file stays open on descriptor 9 until the pipe says go; then it reads and writes once more.
HOLD = ("mkfifo /tmp/hold; exec 9<>/dev/{disk}; echo open >/tmp/held; read x </tmp/hold; "
        "dd bs=4k count=1 status=none <&9 2>/dev/null | wc -c; "
        "dd if=/dev/zero bs=4k count=1 conv=notrunc,fsync status=none >&9 2>/dev/null; echo $?")


def endless_io(guest: Guest, disk: str) -> Job:
    """Random reads and writes until the disk is gone, or 120 s at most."""
    jobs: List[Dict[str, Option]] = [
        {"rw": "randrw", "bs": "16k", "iodepth": 16, "numjobs": 2, "time_based": "", "runtime": 120}]
    command = fio_command(jobs, filename=f"/dev/{disk}", group_reporting="")
    job = guest.spawn(command)
    await_io(guest, disk)
    return job


def await_io(guest: Guest, disk: str) -> None:
    """Waits until I/O is in flight and has begun to complete."""
    guest.run(f"until [ $(awk '{{print $1}}' /sys/block/{disk}/stat) -gt 50 ] && "
              f"[ $(awk '{{print $9}}' /sys/block/{disk}/stat) -gt 0 ]; do :; done", 30)


def ends_with_errors(job: Job) -> None:
    """The I/O ended in time, and not well."""
    result = job.wait(30)
    assert result.status != 0, f"I/O to a disk that went away ended well: {result.out[-500:]}"


def driver_file(guest: Guest, name: str) -> str:
    """A control file of the driver under test, such as unbind."""
    return f"/sys/bus/pci/drivers/{guest.driver}/{name}"


def works_again(guest: Guest, image: pathlib.Path, nsid: int = 1) -> None:
    """The controller's disk is back; it takes writes and has what the image has."""
    guest.await_disks(1)
    disk = guest.disk(0, nsid)
    guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=64k count=4 oflag=direct conv=notrunc status=none")
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


def hold(guest: Guest, disk: str) -> Job:
    """A process that has the disk open and, when told to, uses it and goes."""
    guest.run("rm -f /tmp/hold /tmp/held")
    job = guest.spawn(HOLD.format(disk=disk))
    guest.run("until [ -s /tmp/held ]; do :; done")
    return job


def late_use(guest: Guest, holder: Job) -> Tuple[int, bool]:
    """Tells the holder to use its disk and go: how many bytes it read, and whether its write went well."""
    guest.run("timeout 10 sh -c 'echo go >/tmp/hold'", 20)
    count, status = holder.wait(20).out.split()
    return int(count), status == "0"


@pytest.mark.soak
@pytest.mark.leaks
def test_load_and_unload_again_and_again(boot: Boot, new_image: NewImage, record_property: Figure) -> None:
    image = new_image("disk", 8 * MIB)
    guest = boot([Controller([Namespace(image)])], load=False)
    device = f"/sys/bus/pci/devices/{guest.pci_address()}"
    count = rounds(guest, stock=20, debug=5, soak=200)
    began = time.monotonic()
    guest.run(f"for i in $(seq {count}); do insmod /lib/rnvme/rnvme.ko || exit 1; [ -b /dev/rnvme0n1 ] || exit 2; "
              "dd if=/dev/rnvme0n1 of=/dev/null bs=4k count=4 iflag=direct status=none || exit 3; "
              "rmmod rnvme || exit 4; [ ! -e /dev/rnvme0n1 ] || exit 5; "
              f"[ ! -e {device}/counters ] && [ ! -e {device}/model ] || exit 6; done", 30 + 10 * count)
    print(f"{count} rounds in {time.monotonic() - began:.1f} s")
    record_property("rounds", count)
    assert guest.out("grep -c rnvme /proc/interrupts /proc/modules /proc/iomem || true") == (
        "/proc/interrupts:0\n/proc/modules:0\n/proc/iomem:0"), "something of the driver stayed behind"
    guest.load()
    works_again(guest, image)


@pytest.mark.soak
def test_unbind_and_bind_under_io_again_and_again(boot: Boot, new_image: NewImage, record_property: Figure) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    disk, address = guest.disk(), guest.pci_address()
    # Readers and a writer run all the time; each dies with the disk and starts anew when it is back.
    stirring = [guest.spawn(f"until [ -e /tmp/over ]; do dd if={source} of={target} bs=16k count=100000 {flags} "
                            "2>/dev/null; usleep 20000; done")
                for source, target, flags in (
                    (f"/dev/{disk}", "/dev/null", "iflag=direct"), (f"/dev/{disk}", "/dev/null", "skip=300"),
                    ("/dev/zero", f"/dev/{disk}", "oflag=direct conv=notrunc,nocreat"))]
    count = rounds(guest, stock=20, debug=5, soak=200)
    began = time.monotonic()
    busy = int(guest.out(f"""busy=0; for i in $(seq {count}); do
for n in $(seq 1000); do [ $(awk '{{print $9}}' /sys/block/{disk}/stat) -gt 0 ] && busy=$((busy+1)) && break; done
echo {address} >{driver_file(guest, 'unbind')} || exit 1; [ ! -e /sys/block/{disk} ] || exit 2
echo {address} >{driver_file(guest, 'bind')} || exit 3
[ -e /sys/block/{disk} ] || exit 4
timeout 20 dd if=/dev/{disk} of=/dev/null bs=4k count=1 iflag=direct status=none || exit 5; done
echo $busy""", 30 + 10 * count))
    print(f"{count} rounds in {time.monotonic() - began:.1f} s; in {busy} of them requests were in flight")
    record_property("rounds", count)
    record_property("of them with requests in flight", busy)
    assert busy >= count // 2
    guest.run("touch /tmp/over")
    for job in stirring:
        job.wait(30)
    works_again(guest, image)


def test_unbind_under_fio_ends_it_with_errors(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=4, process_args=traced(folder)))
    disk, address = guest.disk(), guest.pci_address()
    for _ in range(rounds(guest, stock=3, debug=1, soak=3)):
        job = endless_io(guest, disk)
        with watch(guest, folder, "pci_nvme_mmio_cfg", "pci_nvme_mmio_shutdown_set", "pci_nvme_mmio_stopped",
                   "pci_nvme_del_sq", "pci_nvme_del_cq", "pci_nvme_io_cmd") as trace:
            guest.run(f"echo {address} >{driver_file(guest, 'unbind')}")
        ends_with_errors(job)
        order = [name for name in trace.names() if name not in ("pci_nvme_io_cmd", "pci_nvme_mmio_cfg")]
        cfg = [int(line.split("=")[1], 16) for line in trace.of("pci_nvme_mmio_cfg")]
        print(order, [hex(value) for value in cfg])
        # Each submission queue goes before its completion queue, then CC.SHN, then CC.EN.
        assert order == ["pci_nvme_del_sq", "pci_nvme_del_cq"] * 4 + [
            "pci_nvme_mmio_shutdown_set", "pci_nvme_mmio_stopped"]
        assert cfg[0] & CC_SHN_NORMAL and cfg[0] & 1 and not cfg[-1] & 1
        stopped = trace.names().index("pci_nvme_mmio_stopped")
        assert "pci_nvme_io_cmd" not in trace.names()[stopped:]
        guest.run(f"echo {address} >{driver_file(guest, 'bind')}")
        works_again(guest, image)


@pytest.mark.leaks
def test_pci_remove_under_io_with_an_open_holder_then_rescan(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    for _ in range(rounds(guest, stock=3, debug=1, soak=20)):
        disk, address = guest.disk(), guest.pci_address()
        holder = hold(guest, disk)
        job = endless_io(guest, disk)
        guest.run(f"echo 1 >/sys/bus/pci/devices/{address}/remove")
        ends_with_errors(job)
        assert guest.disks() == []
        assert late_use(guest, holder) == (0, False), "a removed disk took I/O"
        guest.run("echo 1 >/sys/bus/pci/rescan")
        works_again(guest, image)


# The kernel's hot-plug driver takes its two locks in both orders; lockdep says so whenever a device goes or comes.
@pytest.mark.known_report("pciehp_")
def test_device_unplugged_under_io_ends_io_and_a_new_one_works(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cold=True))
    disk = guest.disk()
    holder = hold(guest, disk)
    job = endless_io(guest, disk)
    guest.qmp("device_del", id="nvme0")
    guest.wait_event("DEVICE_DELETED", 40, lambda data: data.get("device") == "nvme0")
    ends_with_errors(job)
    assert guest.disks() == []
    assert late_use(guest, holder) == (0, False)
    # Namespaces cannot be there before their controller is: without one bound they are simply found.
    guest.run("echo 0 >/sys/bus/pci/drivers_autoprobe")
    add_backend(guest, "again", image)
    guest.device_add("nvme", id="again", bus="rp0", serial="comes-later")
    guest.device_add("nvme-ns", id="again-ns", drive="again", bus="again", nsid=1)
    guest.run("until ls /sys/bus/pci/devices/0000:00:10.0 | grep -q ^0000:..:00.0; do sleep 0.1; done", 40)
    address = guest.pci_address()
    assert guest.out(f"cat /sys/bus/pci/devices/{address}/enable") == "0"
    guest.run(f"echo {address} >{driver_file(guest, 'bind')}")
    works_again(guest, image)
    assert guest.out(f"cat /sys/bus/pci/devices/{address}/serial") == "comes-later"


@pytest.mark.leaks
def test_holder_of_an_unbound_disk_gets_errors_and_its_close_frees_all(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    address = guest.pci_address()
    holder = hold(guest, guest.disk())
    guest.run(f"echo {address} >{driver_file(guest, 'unbind')}")
    assert guest.disks() == []
    refused = guest.run(["rmmod", guest.driver], check=False)
    assert refused.status != 0 and "in use" in refused.err, "the holder's disk still needs the module"
    assert late_use(guest, holder) == (0, False)
    guest.unload()
    guest.load()
    works_again(guest, image)


# What is written to the configuration space, at which 4-byte word, to make a controller fail in its work.
FAILURES = {
    # Without bus mastering QEMU's controller cannot fetch commands, and declares itself failed (CSTS.CFS).
    "fatal_status": (1, "\\002\\004\\000\\000"),
    # Moved away, BAR 0 leaves zeros where the registers were: neither ready nor enabled.
    "no_registers": (4, "\\004\\000\\000\\000")}


@pytest.mark.parametrize("failure", FAILURES)
def test_controller_that_fails_under_io_is_let_go_in_time_and_works_once_mended(
        boot: Boot, new_image: NewImage, failure: str) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    disk, address = guest.disk(), guest.pci_address()
    config = f"/sys/bus/pci/devices/{address}/config"
    job = endless_io(guest, disk)
    word, value = FAILURES[failure]
    guest.run(f"dd if={config} of=/tmp/config bs=4 skip={word} count=1 status=none; "
              f"printf '{value}' | dd of={config} bs=4 seek={word} conv=notrunc status=none")
    # With nothing answered any more, every request the disk takes is in flight.
    guest.run(f"until [ $(awk '{{print $9}}' /sys/block/{disk}/stat) -ge 32 ]; do sleep 0.05; done", 30)
    assert job.poll() is None
    began = time.monotonic()
    guest.run(f"echo {address} >{driver_file(guest, 'unbind')}", 60)
    print(f"let go after {time.monotonic() - began:.1f} s")
    print("\n".join(guest.dmesg().splitlines()[-6:]))
    ends_with_errors(job)
    assert guest.disks() == []
    guest.run(f"dd if=/tmp/config of={config} bs=4 seek={word} conv=notrunc status=none; "
              f"echo {address} >{driver_file(guest, 'bind')}")
    works_again(guest, image)


def test_rmmod_is_refused_while_open_or_mounted_and_works_after(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])])
    disk = guest.disk()
    holder = hold(guest, disk)
    refused = guest.run(["rmmod", guest.driver], check=False)
    print(refused)
    assert refused.status != 0 and "in use" in refused.err
    assert late_use(guest, holder) == (4096, True), "the disk works on after the refusal"
    guest.run(f"mkfs.ext4 -q /dev/{disk} && mount -t ext4 /dev/{disk} /mnt && "
              "echo kept >/mnt/file", 60)
    refused = guest.run(["rmmod", guest.driver], check=False)
    assert refused.status != 0 and "in use" in refused.err
    assert guest.out("cat /mnt/file && umount /mnt") == "kept"
    guest.unload()
    guest.load()
    works_again(guest, image)


def test_module_goes_while_a_counter_is_open_and_the_close_is_harmless(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    counter = f"/sys/bus/pci/devices/{guest.pci_address()}/counters/odd_completions"
    assert guest.out(f"exec 3<{counter}; rmmod {guest.driver} && echo gone; read x <&3 || echo closed; exec 3<&-",
                     30).split() == ["gone", "closed"]
    guest.load()
    works_again(guest, image)


def test_unbind_of_a_mounted_disk_does_not_hang(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])])
    disk, address = guest.disk(), guest.pci_address()
    guest.run(f"mkfs.ext4 -q /dev/{disk} && mount -t ext4 /dev/{disk} /mnt && sync", 60)
    guest.run("dd if=/dev/zero of=/mnt/file bs=1M count=4 status=none; "
              f"echo {address} >{driver_file(guest, 'unbind')}", 60)
    lost = guest.run("sync -f /mnt/file; dd if=/dev/zero of=/mnt/more bs=1M count=4 conv=fsync", 30, check=False)
    assert lost.status != 0, "a file system whose disk is gone took a write for good"
    guest.run("umount /mnt", 30)
    guest.run(f"echo {address} >{driver_file(guest, 'bind')}")
    works_again(guest, image)
    guest.unload()


def test_one_of_two_controllers_goes_and_the_other_works_on(boot: Boot, new_image: NewImage) -> None:
    images = [new_image("goes", 16 * MIB), new_image("stays", 16 * MIB)]
    expected = seeded(images[1], seed=3)
    guest = boot([Controller([Namespace(image)]) for image in images])
    stays, going = guest.disk(1), guest.pci_address(0)
    check = guest.spawn(f"for i in 1 2 3 4 5 6; do dd if=/dev/{stays} bs=64k iflag=direct status=none | "
                        "sha256sum; done")
    await_io(guest, stays)
    for action in ("unbind", "bind") * 5:
        guest.run(f"echo {going} >{driver_file(guest, action)}")
    sums: List[str] = check.wait(60).check().out.split()[::2]
    assert set(sums) == {host_sum(images[1])} and len(sums) == 6
    assert images[1].read_bytes() == expected
    guest.await_disks(2)
    for index in range(2):
        reads_well(guest, guest.disk(index))
    assert_orderly(guest)


def test_power_cut_after_fsync_keeps_what_was_written(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])])
    disk = guest.disk()
    verified(guest, disk, [{"bs": "64k", "iodepth": 4, "size": "8m", "end_fsync": 1}])
    before = guest_sum(guest, disk)
    guest.kill()
    assert host_sum(image) == before
    with pytest.raises(GuestFailure):
        guest.run("true", 5)
