# SPDX-License-Identifier: GPL-2.0
"""What a guest is made of, and the QEMU command line that makes it.

Every NVMe controller sits behind a PCIe root port of its own, so that any of
them can be unplugged. The port's address is fixed; the bus behind it, and with it
the controller's own address, is the firmware's choice: Guest.pci_address tells it.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Dict, List, Tuple, Union

from .kvm import choose_accelerator

KERNEL = pathlib.Path("/kernel/vmlinux")
FIRST_PORT = 0x10
Option = Union[str, int]


@dataclasses.dataclass
class Namespace:
    """A namespace on a raw image. `options` go to QEMU's nvme-ns device as they are."""

    image: pathlib.Path
    block: int = 512
    options: Dict[str, Option] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Controller:
    """An NVMe controller. `options` go to QEMU's nvme device, '_' written for '-' or not, as QEMU names them."""

    namespaces: List[Namespace] = dataclasses.field(default_factory=list)
    serial: str = ""
    options: Dict[str, Option] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Machine:
    """Everything about a guest but its disks. `kernel_args` and `qemu_args` are appended as they are."""

    cpus: int = 2
    memory: str = "1G"
    kernel_args: str = ""
    machine: str = "q35"
    bios: str = "qboot.rom"
    qemu_args: List[str] = dataclasses.field(default_factory=list)


def make_image(path: pathlib.Path, size: int) -> pathlib.Path:
    """A new, sparse raw image of `size` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as image:
        image.truncate(size)
    return path


def root_port(index: int) -> str:
    """The PCI address of the root port that controller `index` (from 0) is behind."""
    return f"0000:00:{FIRST_PORT + index:02x}.0"


def common_arguments(machine: Machine, initrd: pathlib.Path) -> List[str]:
    """QEMU's arguments for everything but disks and connections."""
    accel, _ = choose_accelerator()
    kind = machine.machine + f",accel={accel}"
    return [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot",
        "-machine", kind, "-cpu", "host" if accel == "kvm" else "max",
        "-smp", str(machine.cpus), "-m", machine.memory, "-bios", machine.bios,
        "-kernel", str(KERNEL), "-initrd", str(initrd),
        "-append", " ".join(["console=ttyS0 panic=-1 quiet no_timer_check tsc=reliable nvme_core.multipath=N",
                             machine.kernel_args]).strip(),
        "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        *machine.qemu_args,
    ]


def controller_arguments(index: int, controller: Controller) -> List[str]:
    """QEMU's arguments for one controller, its root port and its namespaces."""
    name = f"nvme{index}"
    number = index + 1
    arguments = ["-device", f"pcie-root-port,id=rp{index},chassis={number},slot={number},addr={FIRST_PORT + index:#x}",
                 "-device", joined(*controller_device(index, controller))]
    for nsid, namespace in enumerate(controller.namespaces, start=1):
        drive = f"{name}n{nsid}"
        arguments += ["-blockdev", f"driver=raw,node-name={drive},discard=unmap,"
                                   f"file.driver=file,file.filename={namespace.image},file.locking=off"]
        options: Dict[str, Option] = {
            "id": drive + "-ns", "drive": drive, "bus": name, "nsid": nsid,
            "logical_block_size": namespace.block, "physical_block_size": namespace.block}
        options.update(namespace.options)
        arguments += ["-device", joined("nvme-ns", options)]
    return arguments


def controller_device(index: int, controller: Controller) -> Tuple[str, Dict[str, Option]]:
    """The controller's device and properties; the same serve QMP's device_add."""
    options: Dict[str, Option] = {
        "id": f"nvme{index}", "bus": f"rp{index}", "serial": controller.serial or f"rnvme-{index}"}
    options.update(controller.options)
    return "nvme", options


def joined(driver: str, options: Dict[str, Option]) -> str:
    """QEMU's comma form of a device's properties."""
    return ",".join([driver, *(f"{key}={value}" for key, value in options.items())])
