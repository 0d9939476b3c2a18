# SPDX-License-Identifier: GPL-2.0
"""The fault controller without faults is an NVMe controller like any other, for our driver and for the C driver.

Relies on tests/fault_controller, which QEMU reaches over vfio-user.
"""

from __future__ import annotations

import pathlib
from typing import Callable, Iterator, List, Sequence

import pytest
from harness import Boot, Namespace
from harness.fault_controller import FaultController, reachable
from rnvme_tool.kernel import Kernel

MIB = 1 << 20
Start = Callable[..., FaultController]


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


def test_fio_verifies_on_a_controller_of_our_own(boot: Boot, start: Start, kernel: Kernel,
                                                 new_image: Callable[[str, int], pathlib.Path]) -> None:
    controller = start([Namespace(new_image("a", 64 * MIB)), Namespace(new_image("b", 64 * MIB), block=4096)])
    guest = boot(machine=reachable(kernel), load=False)
    controller.plug(guest)
    guest.load()
    guest.await_disks(2)
    for nsid in (1, 2):
        print(guest.out(f"fio --name=a --filename=/dev/{guest.disk(0, nsid)} --rw=randwrite --bs=4k --size=16M "
                        "--iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --minimal", 120)[:300])
    guest.unload()
    print(controller.status(), controller.lines("judge")[:20])
    assert controller.status()["complaints"] == 0
