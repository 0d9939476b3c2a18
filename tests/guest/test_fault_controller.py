# SPDX-License-Identifier: GPL-2.0
"""The fault controller without faults is an NVMe controller like any other, for our driver and for the C driver.

Each story is told twice in one guest, by our driver and by the C driver, and the judge must have nothing to say of
either. On the debug kernel our driver tells it alone. Relies on tests/fault_controller, which QEMU reaches over
vfio-user.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, Callable, Dict, Iterator, List, Sequence

import pytest
from harness import Boot, Guest, Namespace
from harness.fault_controller import FaultController, reachable
from harness.observe import MIB, fio, guest_sum, host_sum, seeded, verified
from harness.peer import OUR_LIMITS, differing, queue, under_the_c_driver
from harness.sample import takes_a_sample
from rnvme_tool.kernel import Kernel

Start = Callable[..., FaultController]
NewImage = Callable[[str, int], pathlib.Path]
ROUNDS = 2


@pytest.fixture
def start(folder: pathlib.Path) -> Iterator[Start]:
    """Starts controllers for one test and ends them with it."""
    started: List[FaultController] = []

    def start_one(namespaces: List[Namespace], *faults: str, options: Sequence[str] = ()) -> FaultController:
        started.append(FaultController(folder / f"controller{len(started)}", namespaces, faults, options))
        return started[-1]

    yield start_one
    for one in started:
        one.close()


def plugged(boot: Boot, kernel: Kernel, controller: FaultController, disks: int, parameters: str = "") -> Guest:
    """A guest whose driver has made the controller's disks."""
    guest = boot(machine=reachable(kernel), load=False)
    controller.plug(guest)
    guest.load(parameters)
    guest.await_disks(disks)
    return guest


def drivers(guest: Guest, disks: int) -> Iterator[str]:
    """Our driver, and then the C driver in its place; in a run that takes samples, on the stock kernel alone."""
    yield guest.driver
    if takes_a_sample(guest):
        return
    with under_the_c_driver(guest, disks):
        yield guest.driver


def until(guest: Guest, condition: str) -> None:
    """Waits until a condition of the shell's holds in the guest, which is told by events."""
    guest.run(f"timeout 20 bash -c 'until {condition}; do sleep 0.05; done'", 30)


def assert_lawful(controller: FaultController) -> None:
    """The judge has seen nothing that breaks the specification's rules."""
    print(controller.status())
    assert controller.lines("judge") == []


def test_fio_verifies_on_both_block_sizes_by_page_lists_and_by_sgls(boot: Boot, start: Start, kernel: Kernel,
                                                                    new_image: NewImage) -> None:
    images = [new_image("a", 4 * MIB), new_image("b", 4 * MIB)]
    controller = start([Namespace(images[0]), Namespace(images[1], block=4096)])
    guest = plugged(boot, kernel, controller, 2)
    for driver in drivers(guest, 2):
        for nsid, image in zip((1, 2), images):
            disk = guest.disk(0, nsid)
            # From one page to a list that leads on: 512 KiB. Each CPU has a queue.
            verified(guest, disk, [{"bs": bs, "iodepth": 16, "size": size, "cpus_allowed": cpu}
                                   for bs, size, cpu in (("4k", "512k", 0), ("20k", "1m", 1), ("512k", "2m", 0))])
            assert guest_sum(guest, disk) == host_sum(image), f"{driver}: the image is another"
    assert_lawful(controller)


# Where the two are compared, one kernel is enough.
@pytest.mark.stock_only
def test_file_system_is_the_same_for_both_drivers(boot: Boot, start: Start, kernel: Kernel,
                                                  new_image: NewImage) -> None:
    controller = start([Namespace(new_image("a", 24 * MIB), block=4096)])
    guest = plugged(boot, kernel, controller, 1)
    guest.run(f"mkdir /tmp/m && mkfs.ext4 -q /dev/{guest.disk()}", 60)
    sums: List[str] = []
    for driver in drivers(guest, 1):
        device = f"/dev/{guest.disk()}"
        guest.run(f"mount -t ext4 -o discard {device} /tmp/m")
        if sums:
            assert guest.out("cd /tmp/m && sha256sum [0-9]*") == sums[-1], "what the other driver wrote is another"
        guest.run(f"cd /tmp/m && for n in $(seq 12); do head -c 70000 /dev/urandom >$n; done && rm -f *7 && "
                  f"echo {driver} >0 && sync -f . ", 60)
        sums.append(guest.out("cd /tmp/m && sha256sum [0-9]*"))
        guest.run(f"umount /tmp/m && e2fsck -fn {device} && mount -t ext4 {device} /tmp/m", 60)
        assert guest.out("cd /tmp/m && sha256sum [0-9]*") == sums[-1]
        guest.run("umount /tmp/m")
    assert sums[0] != sums[1]
    assert_lawful(controller)


def test_discarded_and_zeroed_blocks_read_as_zeros(boot: Boot, start: Start, kernel: Kernel,
                                                   new_image: NewImage) -> None:
    image = new_image("a", 8 * MIB)
    controller = start([Namespace(image)])
    guest = plugged(boot, kernel, controller, 1)
    for driver in drivers(guest, 1):
        pattern = seeded(image, seed=21)
        full = image.stat().st_blocks
        disk = guest.disk()
        guest.run(f"blkdiscard -o {MIB} -l {2 * MIB} /dev/{disk} && blkdiscard -z -o {4 * MIB} -l {MIB} /dev/{disk}")
        assert image.read_bytes() == pattern[:MIB] + bytes(2 * MIB) + pattern[3 * MIB:4 * MIB] + bytes(MIB) + (
            pattern[5 * MIB:]), driver
        assert guest_sum(guest, disk) == host_sum(image)
        assert (full - image.stat().st_blocks) * 512 >= 3 * MIB, f"{driver}: nothing was given back"
    assert_lawful(controller)


def test_every_synchronous_write_is_followed_by_a_flush(boot: Boot, start: Start, kernel: Kernel,
                                                        new_image: NewImage) -> None:
    controller = start([Namespace(new_image("a", 8 * MIB))])
    guest = plugged(boot, kernel, controller, 1)
    for driver in drivers(guest, 1):
        controller.tell("disarm")
        # A fault that does no harm is a witness: it tells that a flush has come.
        controller.arm("completion-late:opcode=0,arg=1,times=forever")
        disk = guest.disk()
        # The writes go by forced unit access as well.
        assert guest.out(f"cd /sys/block/{disk}/queue && cat write_cache fua").split() == ["write", "back", "1"]
        guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=4k count=8 oflag=direct,dsync status=none")
        synchronous = controller.status()["faults"][0]["fired"]
        fio(guest, [{"rw": "randwrite", "bs": "4k", "size": "64k", "fsync": 4, "verify": "crc32c"}],
            filename=f"/dev/{disk}")
        flushed = controller.status()["faults"][0]["fired"] - synchronous
        print(f"{driver}: flushes after 8 synchronous writes: {synchronous}, with an fsync every 4: {flushed}")
        assert synchronous == 8 and flushed >= 3
    assert_lawful(controller)


@pytest.mark.stock_only
def test_disks_are_of_the_same_size_and_limits_for_both_drivers(boot: Boot, start: Start, kernel: Kernel,
                                                                new_image: NewImage) -> None:
    controller = start([Namespace(new_image("a", 16 * MIB)), Namespace(new_image("b", 24 * MIB), block=4096)])
    guest = plugged(boot, kernel, controller, 2)
    seen: List[List[Dict[str, str]]] = []
    for driver in drivers(guest, 2):
        disks = [guest.disk(0, nsid) for nsid in (1, 2)]
        seen.append([dict(queue(guest, disk), size=guest.out(f"blockdev --getsize64 /dev/{disk}")) for disk in disks])
        assert [row["size"] for row in seen[-1]] == [str(16 * MIB), str(24 * MIB)], driver
    for ours, theirs in zip(*seen):
        assert differing(ours, theirs) - OUR_LIMITS == set()
    assert_lawful(controller)


def test_data_stays_and_io_goes_on_after_the_controller_was_reset(boot: Boot, start: Start, kernel: Kernel,
                                                                  new_image: NewImage) -> None:
    image = new_image("a", 8 * MIB)
    controller = start([Namespace(image)])
    guest = plugged(boot, kernel, controller, 1)
    for driver in drivers(guest, 1):
        for number in range(ROUNDS):
            seeded(image, seed=number)
            address = guest.pci_address()
            guest.run(f"cd /sys/bus/pci/drivers/{driver} && echo {address} >unbind && echo {address} >bind", 60)
            guest.await_disks(1)
            disk = guest.disk()
            assert guest_sum(guest, disk) == host_sum(image)
            verified(guest, disk, [{"bs": "8k", "iodepth": 8, "size": "1m"}])
            assert guest_sum(guest, disk) == host_sum(image)
    assert_lawful(controller)


def test_nvme_cli_shows_what_the_controller_has(boot: Boot, start: Start, kernel: Kernel, new_image: NewImage) -> None:
    """By the C driver: ours has no passthrough."""
    controller = start([Namespace(new_image("a", 8 * MIB))])
    guest = boot(machine=reachable(kernel), load=False)
    guest.driver = "nvme"
    controller.plug(guest)
    guest.load()
    guest.await_disks(1)
    disk = f"/dev/{guest.disk()}"
    device = disk.rpartition("n")[0]

    def ask(command: str) -> Dict[str, Any]:
        answer: Dict[str, Any] = json.loads(guest.out(f"nvme {command} --output-format=json"))
        print(command, {name: value for name, value in answer.items() if name != "psds"})
        return answer

    identity = ask(f"id-ctrl {device}")
    assert [identity[name] for name in ("npss", "apsta", "hmpre", "acl", "aerl", "oncs", "oacs", "lpa")] == [
        4, 1, 1024, 3, 3, 0x1ff, 0x100, 0x26]
    guest.run(f"dd if=/dev/zero of={disk} bs=1M count=1 oflag=direct status=none")
    # What is asked for past the driver is not its fault.
    controller.tell("tolerate lba-range")
    guest.run(f"nvme read {disk} --start-block=999999 --block-count=0 --data-size=512", check=False)
    controller.tell("smart temperature=320 spare=90 used=7 warning=8")
    smart = ask(f"smart-log {device}")
    assert [smart[name] for name in ("temperature", "avail_spare", "percent_used", "critical_warning")] == [
        320, 90, 7, 8]
    assert (int(smart["data_units_written"]), int(smart["num_err_log_entries"])) == (3, 1)
    error, empty = ask(f"error-log {device} --log-entries=2")["errors"]
    assert (error["error_count"], error["lba"], error["nsid"], error["status_field"] & 0x7ff) == (1, 999999, 1, 0x80)
    assert empty["error_count"] == 0
    # The threshold is the default, and what it can be: saved and changed.
    assert "value:0x00000157" in guest.out(f"nvme get-feature {device} --feature-id=4").lower()
    assert "0x00000005" in guest.out(f"nvme get-feature {device} --feature-id=4 --sel=3").lower()
    guest.run(f"nvme resv-register {disk} --nrkey=171 --rrega=0 && nvme resv-acquire {disk} --crkey=171 --rtype=1")
    controller.tell("reserve 1 9 register 172")
    report = ask(f"resv-report {disk}")
    assert (report["rtype"], report["regctl"]) == (1, 2)
    assert_lawful(controller)


def test_namespaces_come_grow_and_go_while_the_disks_are_in_use(boot: Boot, start: Start, kernel: Kernel,
                                                                new_image: NewImage) -> None:
    image = new_image("b", 8 * MIB)
    controller = start([Namespace(new_image("a", 8 * MIB))])
    guest = plugged(boot, kernel, controller, 1)
    for driver in drivers(guest, 1):
        first = guest.disk()
        assert controller.tell(f"namespace add {image},{8 * MIB},512") == "2"
        # Ours looks for namespaces when it begins, and is not to be disturbed later.
        if driver == "nvme":
            guest.await_disks(2)
            second = guest.disk(0, 2)
            verified(guest, second, [{"bs": "16k", "iodepth": 4, "size": "1m"}])
        controller.tell(f"namespace resize 2 {16 * MIB}")
        if driver == "nvme":
            until(guest, f"[ $(blockdev --getsize64 /dev/{second}) = {16 * MIB} ]")
        controller.tell("namespace remove 2")
        if driver == "nvme":
            until(guest, f"[ ! -e /sys/block/{second} ]")
        verified(guest, first, [{"bs": "4k", "iodepth": 8, "size": "1m"}])
    assert_lawful(controller)
