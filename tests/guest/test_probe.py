# SPDX-License-Identifier: GPL-2.0
"""Who gets a device: the stock driver beside ours, and probes that fail and undo what they did.

Relies on driver_override and on the stock `nvme` module in the guest's image.
"""

from __future__ import annotations

import pathlib
from typing import Callable

import pytest
from harness import Boot, Controller, Guest, Namespace
from harness.observe import MIB, assert_orderly, fio_command, guest_sum, host_sum, seeded, verified
from harness.sample import rounds

NewImage = Callable[[str, int], pathlib.Path]
OURS = "rnvme"
STOCK = "nvme"


def give_to(guest: Guest, address: str, driver: str) -> None:
    """Takes a device from the driver that has it, if any, and lets the other one bind it."""
    device = f"/sys/bus/pci/devices/{address}"
    guest.run(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind; "
              f"echo {driver} >{device}/driver_override; echo {address} >/sys/bus/pci/drivers_probe", 40)
    assert driver_of(guest, address) == driver


def driver_of(guest: Guest, address: str) -> str:
    """The name of the driver that a device is bound to; empty if none."""
    return guest.out(f"basename \"$(readlink /sys/bus/pci/devices/{address}/driver)\"").strip()


def disk_of(guest: Guest, address: str) -> str:
    """The one disk of a PCI device, whoever drives it; waits for it."""
    # The stock driver scans after its probe has returned, and shows its disk below its controller.
    find = f"for d in /sys/block/*; do case $(readlink -f $d) in */{address}/*) echo ${{d##*/}};; esac; done"
    return guest.out(f"for i in $(seq 100); do d=$({find}); [ -n \"$d\" ] && break; sleep 0.1; done; echo $d", 30)


def test_stock_driver_beside_ours_each_keeps_its_own_and_devices_change_hands(boot: Boot, new_image: NewImage) -> None:
    images = [new_image("a", 16 * MIB), new_image("b", 16 * MIB)]
    for seed, image in enumerate(images):
        seeded(image, seed)
    guest = boot([Controller([Namespace(image)]) for image in images], load=False)
    addresses = [guest.pci_address(0), guest.pci_address(1)]
    for address, driver in zip(addresses, (OURS, STOCK)):
        guest.run(f"echo {driver} >/sys/bus/pci/devices/{address}/driver_override")
    guest.run("insmod /lib/rnvme/rnvme.ko && modprobe nvme", 40)
    turns = [(OURS, STOCK), (STOCK, OURS), (OURS, OURS), (STOCK, STOCK), (OURS, STOCK)]
    for owners in turns[:rounds(guest, stock=5, debug=2, soak=5)]:
        for address, driver in zip(addresses, owners):
            if driver_of(guest, address) != driver:
                give_to(guest, address, driver)
        disks = [disk_of(guest, address) for address in addresses]
        print(dict(zip(disks, owners)))
        for disk, driver, image in zip(disks, owners, images):
            assert disk.startswith(driver)
            assert guest_sum(guest, disk) == host_sum(image), f"{disk} shows other data than its image"
        jobs = [guest.spawn(fio_command([{"rw": "randwrite", "bs": "32k", "iodepth": 8, "size": "4m"}],
                                        filename=f"/dev/{disk}", verify="crc32c")) for disk in disks]
        for job in jobs:
            job.wait(60).check()
    for address, image in zip(addresses, images):
        assert guest_sum(guest, disk_of(guest, address)) == host_sum(image)
    assert_orderly(guest)


def test_driver_that_comes_second_leaves_bound_devices_alone(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], load=False)
    address = guest.pci_address()
    guest.run("modprobe nvme && insmod /lib/rnvme/rnvme.ko", 40)
    assert driver_of(guest, address) == STOCK
    refused = guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/bind", check=False)
    assert refused.status != 0 and driver_of(guest, address) == STOCK
    guest.run("rmmod nvme && rmmod rnvme && insmod /lib/rnvme/rnvme.ko && modprobe nvme", 40)
    assert driver_of(guest, address) == OURS
    verified(guest, disk_of(guest, address), [{"bs": "64k", "iodepth": 4, "size": "2m"}])
    assert_orderly(guest)


def leaves_nothing(guest: Guest, address: str) -> None:
    """No trace of a failed probe is left: device off, no memory, interrupts, files or names taken."""
    device = f"/sys/bus/pci/devices/{address}"
    assert driver_of(guest, address) == ""
    assert guest.out(f"cat {device}/enable") == "0"
    left = guest.out(f"ls {device} | grep -E '^(model|serial|firmware_rev|counters|msi_irqs)$' || true; "
                     "ls /sys/block | grep rnvme || true; grep rnvme /proc/interrupts /proc/iomem || true")
    assert left == "", f"left behind: {left}"


@pytest.mark.leaks
def test_device_without_registers_is_refused_and_works_once_mended(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    seeded(image, seed=11)
    guest = boot([Controller([Namespace(image)])], load=False)
    address = guest.pci_address()
    config = f"/sys/bus/pci/devices/{address}/config"
    # BAR 0 is moved away behind the kernel's back: where it was, QEMU answers every read with zeros.
    guest.run(f"dd if={config} of=/tmp/bar bs=4 skip=4 count=2 status=none; "
              f"printf '\\004\\000\\000\\000\\000\\000\\000\\000' | "
              f"dd of={config} bs=4 seek=4 conv=notrunc status=none")
    guest.run("insmod /lib/rnvme/rnvme.ko", 40)
    tries = rounds(guest, stock=5, debug=2, soak=5)
    for _ in range(tries):
        leaves_nothing(guest, address)
        assert guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/bind", check=False).status != 0
    leaves_nothing(guest, address)
    told = [line for line in guest.dmesg().splitlines() if address in line and "refused: CAP.MQES is 0" in line]
    print(told)
    assert len(told) == 1 + tries, "each refusal has one line that says why"
    guest.run(f"dd if=/tmp/bar of={config} bs=4 seek=4 conv=notrunc status=none; "
              f"echo {STOCK} >/sys/bus/pci/devices/{address}/driver_override; modprobe nvme", 40)
    assert driver_of(guest, address) == STOCK
    assert guest_sum(guest, disk_of(guest, address)) == host_sum(image)
    give_to(guest, address, OURS)
    assert disk_of(guest, address) == "rnvme0n1", "the refused probes gave their number back"
    assert guest_sum(guest, "rnvme0n1") == host_sum(image)
    assert_orderly(guest)
