# SPDX-License-Identifier: GPL-2.0
"""What changes under running I/O and loses none of it: CPUs that go and come back, I/O schedulers, discards.

Relies on the guest's own CPU hot-plug, by which managed interrupts are shut down and started again. A soak lets
all of it happen at once on the debug kernel for MINUTES (30 unless told).
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import time
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, fio_command, guest_sum, host_sum
from harness.sample import rounds, seed, soaking
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
Figure = Callable[[str, object], None]
SCHEDULERS = ("none", "mq-deadline", "kyber", "bfq")
# Each job has its own place, and reads back what it wrote until its time is over.
JOBS: List[Dict[str, Option]] = [
    {"bs": bs, "iodepth": 16, "offset": f"{8 * index}m", "size": "8m", "ioengine": engine, **more}
    for index, (bs, engine, more) in enumerate([
        ("4k", "libaio", {}), ("64k", "io_uring", {}), ("16k", "psync", {"direct": 0, "fsync": 16})])]

# Each writes, gives back the middle, writes again, and has at any time what it then should have.
DISCARDER = """set -e
rounds=0
head -c 1M /dev/urandom >/tmp/data
while [ ! -e /tmp/stop ]; do
    dd if=/tmp/data of=/dev/{disk} bs=128k seek={first} oflag=direct conv=notrunc status=none
    blkdiscard --offset {middle} --length 524288 /dev/{disk}
    {{ head -c 256K /tmp/data; head -c 512K /dev/zero; tail -c 256K /tmp/data; }} >/tmp/expected
    dd if=/dev/{disk} bs=128k skip={first} count=8 iflag=direct status=none | cmp - /tmp/expected
    rounds=$((rounds + 1))
done
echo $rounds"""


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


def seconds_of_everything() -> float:
    """How long the last test goes on."""
    return float(os.environ["MINUTES"]) * 60 if soaking() else 4


@pytest.mark.debug_only
@pytest.mark.soak
@pytest.mark.timeout(4 * 3600 if soaking() else 300)
def test_everything_changes_at_once_and_no_data_is_lost(boot: Boot, new_image: NewImage,
                                                        record_property: Figure) -> None:
    """On the debug kernel, whose reports are what a soak is for."""
    image = new_image("disk", 32 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=4))
    disk, draw = guest.disk(), random.Random(seed())
    guest.run("for name in mq-deadline kyber-iosched bfq; do modprobe $name; done", check=False)
    length = seconds_of_everything()
    discarder = guest.spawn(DISCARDER.format(disk=disk, first=24 * 8, middle=24 * MIB + (256 << 10)))
    writes = changes = 0
    ends = time.monotonic() + length
    while time.monotonic() < ends:
        # fio anew from time to time: what it must remember to verify does not grow without end.
        bout = min(60, int(length))
        command = fio_command(JOBS, filename=f"/dev/{disk}", rw="randwrite", verify="crc32c", verify_fatal=1,
                              verify_backlog=64, time_based="", runtime=bout, randseed=draw.randrange(1 << 30))
        running, until = guest.spawn(f"cd /tmp && {command}"), time.monotonic() + bout
        while time.monotonic() < until:
            guest.run("sleep 0.2; " + draw.choice([
                f"echo {draw.choice(SCHEDULERS)} >/sys/block/{disk}/queue/scheduler",
                f"echo {draw.randrange(2)} >/sys/devices/system/cpu/cpu{draw.randrange(1, 4)}/online"]), 60)
            changes += 1
            assert (ended := discarder.poll()) is None, ended
        report = running.wait(bout + 180).check().out
        for job in json.loads(report[report.index("{"):])["jobs"]:
            assert job["error"] == 0 and job["write"]["io_bytes"] > 0, job
            writes += job["write"]["total_ios"]
    guest.run("touch /tmp/stop")
    discards = int(discarder.wait(60).check().out)
    guest.run("echo 1 | tee /sys/devices/system/cpu/cpu[123]/online")
    for figure, value in (("writes", writes), ("changes", changes), ("discards", discards)):
        record_property(figure, value)
    print(f"{writes} writes, {changes} changes, {discards} discards in {length:.0f} s")
    assert discards > 0
    assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)
