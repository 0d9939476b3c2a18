# SPDX-License-Identifier: GPL-2.0
"""What tests look at and drive besides the disks themselves.

The driver's counters (sysfs), fio with its JSON report, the images on the host,
and the device's own side: QEMU's trace of what its controllers were told, and its
block statistics. Relies on the Guest that the fixture `boot` gives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import random
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from rnvme_tool.guest import Guest, GuestFailure
from rnvme_tool.machine import Option

MIB = 1 << 20
LOG = "device.log"


def counters(guest: Guest) -> Dict[str, int]:
    """The driver's counters, summed over all its controllers."""
    total: Dict[str, int] = {}
    for line in guest.out(f"grep -H . /sys/bus/pci/drivers/{guest.driver}/*/counters/*").splitlines():
        path, value = line.rsplit(":", 1)
        name = path.rsplit("/", 1)[1]
        total[name] = total.get(name, 0) + int(value)
    return total


def assert_orderly(guest: Guest) -> None:
    """Every completion belonged to a command in flight and made sense."""
    seen = counters(guest)
    print("counters:", seen)
    assert (seen["dropped_completions"], seen["odd_completions"]) == (0, 0), seen


def fio_command(jobs: Sequence[Mapping[str, Option]], **common: Option) -> str:
    """A fio command line: `common` holds for every job; an option of value "" is a bare flag."""
    def words(options: Mapping[str, Option]) -> List[str]:
        return [f"--{name}" if value == "" else f"--{name}={value}" for name, value in options.items()]

    line = ["fio", "--output-format=json", *words({"ioengine": "libaio", "direct": 1, **common})]
    for index, job in enumerate(jobs):
        line += [f"--name=job{index}", *words(job)]
    return " ".join(line)


def fio(guest: Guest, jobs: Sequence[Mapping[str, Option]], timeout: float = 90, **common: Option) -> List[Any]:
    """Runs fio to its good end; its report of each job."""
    report = guest.out(fio_command(jobs, **common), timeout)
    done = json.loads(report[report.index("{"):])["jobs"]
    for job in done:
        assert job["error"] == 0, f"fio reports an error: {job}"
    return list(done)


def verified(guest: Guest, disk: str, jobs: Sequence[Mapping[str, Option]], timeout: float = 90,
             **common: Option) -> None:
    """Writes by fio, job after job, each reading back and checking what it wrote."""
    options: Dict[str, Option] = {"filename": f"/dev/{disk}", "rw": "randwrite", "verify": "crc32c",
                                  "verify_fatal": 1, "stonewall": "", **common}
    for job in fio(guest, jobs, timeout, **options):
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, f"not all was read back: {job}"


def seeded(image: pathlib.Path, seed: int) -> bytes:
    """Fills an image with the bytes that `seed` stands for, and returns them."""
    data = random.Random(seed).randbytes(image.stat().st_size)
    image.write_bytes(data)
    return data


def host_sum(image: pathlib.Path) -> str:
    """The SHA-256 of an image as the host sees it."""
    digest = hashlib.sha256()
    with open(image, "rb") as file:
        for piece in iter(lambda: file.read(MIB), b""):
            digest.update(piece)
    return digest.hexdigest()


def guest_sum(guest: Guest, disk: str) -> str:
    """The SHA-256 of a disk as the guest reads it, past its page cache."""
    return guest.out(f"set -o pipefail; dd if=/dev/{disk} bs=1M iflag=direct status=none | sha256sum", 60).split()[0]


def rebind(guest: Guest) -> None:
    """Takes the controller from the driver and gives it back."""
    address = guest.pci_address()
    guest.run(f"cd /sys/bus/pci/drivers/rnvme && echo {address} >unbind && echo {address} >bind", 60)


def reads_well(guest: Guest, disk: str) -> None:
    """The disk answers a read past the page cache."""
    guest.run(f"dd if=/dev/{disk} of=/dev/null bs=64k count=16 iflag=direct status=none", 30)


def block_statistics(guest: Guest, device: str) -> Dict[str, Any]:
    """QEMU's statistics of the namespace with this QEMU device id."""
    for entry in guest.qmp("query-blockstats"):
        if device in entry.get("qdev", "").split("/"):
            return dict(entry["stats"])
    raise GuestFailure(f"QEMU has no block statistics of {device}")


def add_backend(guest: Guest, node: str, image: pathlib.Path, **blkdebug: Any) -> None:
    """Adds a block node for an image to a running QEMU; through blkdebug, when that gets options."""
    raw: Dict[str, Any] = {"driver": "raw", "discard": "unmap",
                           "file": {"driver": "file", "filename": str(image), "locking": "off"}}
    options = {"driver": "blkdebug", "discard": "unmap", "image": raw, **blkdebug} if blkdebug else raw
    guest.blockdev_add({"node-name": node, **options})


# --- QEMU's trace ------------------------------------------------------------


def traced(folder: pathlib.Path) -> List[str]:
    """QEMU's process arguments for a test that will use `watch`."""
    return ["-D", str(folder / LOG), "-trace", "pci_nvme_mmio_start_success"]


@dataclasses.dataclass
class Trace:
    """The events of one watch, in order; complete when the watch has ended."""

    lines: List[str] = dataclasses.field(default_factory=list)

    def of(self, event: str) -> List[str]:
        """What the events of this name said."""
        return [line[len(event) + 1:] for line in self.lines if line.startswith(event + " ")]

    def names(self) -> List[str]:
        """The events' names."""
        return [line.split(" ", 1)[0] for line in self.lines]


@contextlib.contextmanager
def watch(guest: Guest, folder: pathlib.Path, *events: str) -> Iterator[Trace]:
    """Records what QEMU's NVMe controllers are told meanwhile; the guest must be booted with `traced`."""
    path = folder / LOG
    trace = Trace()
    begin = path.stat().st_size
    for event in events:
        guest.qmp("trace-event-set-state", name=event, enable=True)
    yield trace
    for event in events:
        guest.qmp("trace-event-set-state", name=event, enable=False)
    with open(path, errors="replace") as log:
        log.seek(begin)
        trace.lines.extend(line for line in log.read().splitlines() if line.split(" ", 1)[0] in events)
