# SPDX-License-Identifier: GPL-2.0
"""What changes under running I/O and loses none of it: CPUs that go and come back, I/O schedulers.

Relies on the guest's own CPU hot-plug, by which managed interrupts are shut down and started again.
"""

from __future__ import annotations

import json
import pathlib
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, fio_command, guest_sum, host_sum
from harness.sample import rounds
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
SCHEDULERS = ("none", "mq-deadline", "kyber", "bfq")
# Each job has its own place, and reads back what it wrote until its time is over.
JOBS: List[Dict[str, Option]] = [
    {"bs": bs, "iodepth": 16, "offset": f"{8 * index}m", "size": "8m", "ioengine": engine, **more}
    for index, (bs, engine, more) in enumerate([
        ("4k", "libaio", {}), ("64k", "io_uring", {}), ("16k", "psync", {"direct": 0, "fsync": 16})])]


def change_under_load(guest: Guest, changes: List[str], pause: float) -> None:
    """Runs verified I/O, and meanwhile the commands one after the other; every one and all I/O must succeed."""
    disk = guest.disk()
    time_s = int(len(changes) * pause + 6)
    command = fio_command(JOBS, filename=f"/dev/{disk}", rw="randwrite", verify="crc32c", verify_fatal=1,
                          verify_backlog=64, time_based="", runtime=time_s)
    running = guest.spawn(f"cd /tmp && {command}")
    for change in changes:
        guest.run(f"sleep {pause}; {change}", 60)
    done = json.loads((report := running.wait(time_s + 120).check().out)[report.index("{"):])["jobs"]
    for job in done:
        assert job["error"] == 0 and job["write"]["io_bytes"] > 0, job
    print([job["write"]["total_ios"] for job in done], "writes")


def test_cpus_go_and_come_back_under_io(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=4))
    count = rounds(guest, stock=3, debug=1, soak=40)
    switch = "echo {} >/sys/devices/system/cpu/cpu{}/online"
    changes = [switch.format(state, cpu) for _ in range(count) for state, cpus in ((0, (3, 1, 2)), (1, (2, 1, 3)))
               for cpu in cpus]
    change_under_load(guest, changes, 0.3)
    assert guest.out("cat /sys/devices/system/cpu/online") == "0-3"
    # Every queue works again, with its interrupt.
    for cpu in range(4):
        guest.run(f"taskset -c {cpu} dd if=/dev/{guest.disk()} of=/dev/null bs=4k count=16 iflag=direct status=none")
    assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)


def test_schedulers_are_switched_under_io(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=2))
    queue = f"/sys/block/{guest.disk()}/queue/scheduler"
    count = rounds(guest, stock=3, debug=1, soak=40)
    guest.run("for name in mq-deadline kyber-iosched bfq; do modprobe $name; done", check=False)
    offered = guest.out(f"cat {queue}").replace("[", "").replace("]", "").split()
    assert set(offered) == set(SCHEDULERS), offered
    changes = [f"echo {name} >{queue} && grep -q '\\[{name}\\]' {queue}" for _ in range(count) for name in SCHEDULERS]
    change_under_load(guest, changes, 0.5)
    assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)
