# SPDX-License-Identifier: GPL-2.0
"""What a guest is made of, and the QEMU command line that makes it.

Every NVMe controller sits behind a PCIe root port of its own, so that any of
them can be unplugged. The port's address is fixed; the bus behind it, and with it
the controller's own address, is the firmware's choice: Guest.pci_address tells it.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Dict, List, Tuple, Union

from .kernel import DEBUG, Kernel
from .kvm import choose_accelerator

FIRST_PORT = 0x10
# How many controllers a guest that is restored from a snapshot can have: its root ports are there before they are.
SPARE_PORTS = 4
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
    """Everything about a guest but its disks. `kernel_args` and `qemu_args` are appended as they are.

    A guest is restored from a snapshot of a machine like it, and its controllers are plugged in then. One that
    must find its controllers when it boots, or is like no other, is `cold`. `process_args` are QEMU's as well,
    but make no difference to what the guest sees: machines that differ in them alone share a snapshot.
    """

    cpus: int = 2
    memory: str = ""
    kernel_args: str = ""
    machine: str = "q35"
    bios: str = "qboot.rom"
    qemu_args: List[str] = dataclasses.field(default_factory=list)
    process_args: List[str] = dataclasses.field(default_factory=list)
    cold: bool = False

    def shared(self) -> str:
        """What two guests must have in common to be restored from one snapshot."""
        return repr(dataclasses.replace(self, process_args=[], cold=False))


def make_image(path: pathlib.Path, size: int) -> pathlib.Path:
    """A new, sparse raw image of `size` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as image:
        image.truncate(size)
    return path


def root_port(index: int) -> str:
    """The PCI address of the root port that controller `index` (from 0) is behind."""
    return f"0000:00:{FIRST_PORT + index:02x}.0"


def common_arguments(machine: Machine, kernel: Kernel, initrd: pathlib.Path) -> List[str]:
    """QEMU's arguments for everything but disks and connections."""
    accel, _ = choose_accelerator()
    kind = machine.machine + f",accel={accel}"
    # KASAN's shadow and the debug kernel's own tables take their part.
    memory = machine.memory or ("1536M" if kernel.name == DEBUG else "1G")
    return [
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot",
        "-machine", kind, "-cpu", "host" if accel == "kvm" else "max",
        "-smp", str(machine.cpus), "-m", memory, "-bios", machine.bios,
        "-kernel", kernel.image, "-initrd", str(initrd), "-append", kernel_line(machine, kernel),
        "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        *machine.qemu_args, *machine.process_args,
    ]


def kernel_line(machine: Machine, kernel: Kernel) -> str:
    """The kernel's command line."""
    words = ["console=ttyS0 panic=-1 quiet no_timer_check tsc=reliable nvme_core.multipath=N", machine.kernel_args]
    if kernel.name == DEBUG:
        # What takes long is only done where a test asks for it; and KUnit would run whenever the module is loaded.
        words += [word for word in ("kmemleak=off", "kunit.autorun=0") if word.split("=")[0] + "=" not in words[1]]
    return " ".join(words).strip()


def root_port_arguments(index: int) -> List[str]:
    """QEMU's arguments for the root port of one controller."""
    number = index + 1
    return ["-device", f"pcie-root-port,id=rp{index},chassis={number},slot={number},addr={FIRST_PORT + index:#x}"]


def controller_arguments(index: int, controller: Controller) -> List[str]:
    """QEMU's arguments for one controller that is there from the start, its root port and its namespaces."""
    arguments = [*root_port_arguments(index), "-device", joined(*controller_device(index, controller))]
    for nsid, namespace in enumerate(controller.namespaces, start=1):
        arguments += ["-blockdev", json.dumps(namespace_backend(index, nsid, namespace)),
                      "-device", joined(*namespace_device(index, nsid, namespace))]
    return arguments


def namespace_backend(index: int, nsid: int, namespace: Namespace) -> Dict[str, object]:
    """The block node of a namespace, for -blockdev and for QMP's blockdev-add."""
    return {"driver": "raw", "node-name": f"nvme{index}n{nsid}", "discard": "unmap",
            "file": {"driver": "file", "filename": str(namespace.image), "locking": "off"}}


def namespace_device(index: int, nsid: int, namespace: Namespace) -> Tuple[str, Dict[str, Option]]:
    """The namespace's device and properties."""
    name = f"nvme{index}"
    drive = f"{name}n{nsid}"
    options: Dict[str, Option] = {
        "id": drive + "-ns", "drive": drive, "bus": name, "nsid": nsid,
        "logical_block_size": namespace.block, "physical_block_size": namespace.block}
    options.update(namespace.options)
    return "nvme-ns", options


def controller_device(index: int, controller: Controller) -> Tuple[str, Dict[str, Option]]:
    """The controller's device and properties; the same serve QMP's device_add."""
    options: Dict[str, Option] = {
        "id": f"nvme{index}", "bus": f"rp{index}", "serial": controller.serial or f"rnvme-{index}"}
    options.update(controller.options)
    return "nvme", options


def joined(driver: str, options: Dict[str, Option]) -> str:
    """QEMU's comma form of a device's properties."""
    return ",".join([driver, *(f"{key}={value}" for key, value in options.items())])
