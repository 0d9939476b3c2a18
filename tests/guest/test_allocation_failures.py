# SPDX-License-Identifier: GPL-2.0
"""Memory is short: in probe at every allocation in turn, in insmod, and under I/O.

Each ends in a clean error or in success, nothing is reported and nothing leaks.
Relies on the debug kernel's fault injection (failslab, fail_page_alloc) and on
allocation_walk.sh, which runs in the guest.
"""

from __future__ import annotations

import errno
import json
import pathlib
import random
import re
from typing import Any, Callable, Dict, List, Set, Tuple

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.machines import looking_for_leaks
from harness.observe import (
    MIB,
    Trace,
    assert_orderly,
    fio_command,
    guest_sum,
    host_sum,
    seeded,
    traced,
    verified,
    watch,
)
from harness.programs import put_program
from harness.sample import seed, soaking
from harness.verdict import KMEMLEAK
from rnvme_tool.log_net import ASK_NET, Report, net_faults, read_leaks, read_reports

NewImage = Callable[[str, int], pathlib.Path]
Figure = Callable[[str, object], None]
WALK = pathlib.Path(__file__).with_name("allocation_walk.sh")
# The walk is one long story; it is told in parts that fit a test's time, and `make test` draws one of them: every
# fifteenth allocation. One short queue and one namespace have every call site of a probe; `make soak` goes over all
# of them, for each queue and for a second namespace as well.
PARTS = 15
# Without ignore-gfp-wait=N nothing that may sleep would fail. What kmemleak and object debugging allocate for
# themselves is no site of the driver's: only caches that are marked fail, and theirs are not.
SET_UP = """cd /sys/kernel/debug
for kind in failslab fail_page_alloc; do
    echo N >$kind/ignore-gfp-wait; echo 0 >$kind/verbose
done
echo 0 >fail_page_alloc/min-order
for cache in /sys/kernel/slab/*; do
    case $cache in */kmemleak_*|*/debug_objects_cache) ;; *) echo 1 >$cache/failslab || exit 1 ;; esac
done
echo Y >failslab/cache-filter"""
ENOMEM = "Cannot allocate memory"
# What the kernel's own resource code answers when it has no memory to note down whose a range of addresses is.
CLEAN_ERRORS = (ENOMEM, "Device or resource busy")
# The kernel goes on without some files in /proc/irq, and when the vector is freed warns of what is not there.
NO_FILE_OF_THE_VECTOR = re.compile(r"^name '\w+'$")


def boot_short_of_memory(boot: Boot, images: List[pathlib.Path], parameters: str = "") -> Guest:
    """A guest with the driver loaded and fault injection ready; allocations do not fail yet."""
    guest = boot([Controller([Namespace(image) for image in images], options={"mdts": 9})], looking_for_leaks(),
                 parameters=parameters)
    guest.run(SET_UP)
    return guest


def is_the_kernels_own(report: Report) -> bool:
    """Whether a report tells of the interrupt core's way with a short memory, and not of the driver."""
    return bool(report.kind == "warn" and NO_FILE_OF_THE_VECTOR.match(report.title)
                and "unregister_irq_proc+" in report.text)


def assert_nothing_reported_or_lost(guest: Guest) -> None:
    """After all is over: no report in the log, the net is still up, and kmemleak finds nothing."""
    guest.run(f"sleep 6 && echo scan >{KMEMLEAK} && echo scan >{KMEMLEAK}", 150)
    leaks = read_leaks(guest.out(f"cat {KMEMLEAK}"))
    reports = [one for one in read_reports(guest.dmesg()) if not is_the_kernels_own(one)]
    assert reports + leaks == [], "\n\n".join(map(str, reports + leaks))
    assert net_faults(guest.out(ASK_NET), leaks=True) == []


def log_by_site(guest: Guest) -> Dict[int, str]:
    """What the log says while each allocation fails."""
    parts = re.split(r"allocation (\d+) fails\n", guest.dmesg())
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2])}


@pytest.mark.debug_only
@pytest.mark.expects_complaints
@pytest.mark.soak
@pytest.mark.timeout(4500 if soaking() else 900)
@pytest.mark.parametrize("part", range(PARTS))
def test_probe_survives_each_allocation_failing_in_turn(boot: Boot, new_image: NewImage, part: int,
                                                        record_property: Figure) -> None:
    images = [new_image(name, 16 * MIB) for name in ("ab" if soaking() else "a")]
    guest = boot_short_of_memory(boot, images, "" if soaking() else "max_io_queues=1 io_queue_depth=32")
    address = guest.pci_address()
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/unbind; dmesg -c >/dev/null")
    guest.write_file("/tmp/walk.sh", WALK.read_text())
    walked = [line.split(" ", 2) for line in
              guest.out(f"bash /tmp/walk.sh {part + 1} {PARTS} {address}", 4000 if soaking() else 800).splitlines()]
    told = log_by_site(guest)
    outcomes: Dict[Tuple[str, str], int] = {}
    for number, how, what in walked:
        outcomes[how, what] = outcomes.get((how, what), 0) + 1
        if how == "bound" and int(what) < len(images):
            # Some of what the kernel does for a disk says EINVAL when it has no memory for a name.
            assert "no disk: E" in told[int(number)], f"allocation {number}: a disk is missing without a word"
    print(outcomes)
    record_property("allocations that failed", len(walked) - 1)
    assert walked[-1][1] == "end", "the walk came to its natural end"
    fewer_disks = outcomes.get(("bound", str(len(images) - 1)), 0)
    assert outcomes.get(("failed", ENOMEM), 0) > 2 and fewer_disks > 2, "the failures hit the probe and the scan"
    unclean = [line for line in walked if line[1] not in ("bound", "failed", "end") or
               line[1] == "failed" and line[2] not in CLEAN_ERRORS]
    assert unclean == [], unclean
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/bind")
    for nsid, image in enumerate(images, start=1):
        verified(guest, guest.disk(0, nsid), [{"bs": "64k", "iodepth": 8, "size": "2m"}])
        assert guest_sum(guest, guest.disk(0, nsid)) == host_sum(image)
    assert_orderly(guest)
    guest.run(f"echo {address} >/sys/bus/pci/drivers/rnvme/unbind")
    assert_nothing_reported_or_lost(guest)
    guest.unload()
    assert [one for one in read_reports(guest.dmesg()) if not is_the_kernels_own(one)] == []


MARKED = """cd /tmp && exec 5>gate
for task in $(pidof fio); do for one in /proc/$task/task/*/make-it-fail; do echo 1 >$one; done; done
cd /sys/kernel/debug
for kind in failslab fail_page_alloc; do
    echo Y >$kind/task-filter; echo -1 >$kind/times; echo 1 >$kind/verbose; echo {percent} >$kind/probability
done
echo open >&5"""
UNMARKED = "for kind in failslab fail_page_alloc; do echo 0 >/sys/kernel/debug/$kind/probability; done"
Job = Dict[str, Any]
BLOCK = 64 << 10
ATTEMPTS = 5


def written_while_short(guest: Guest, job: Job, percent: int) -> int:
    """Runs a fio that writes, so many of whose allocations fail; how many blocks it was promised."""
    # fio comes up, waits at the gate, is marked, and goes on.
    guest.run("rm -f /tmp/gate && mkfifo /tmp/gate")
    command = fio_command([job], thread="", exec_prerun="'cat /tmp/gate'", do_verify=0, continue_on_error="write")
    running = guest.spawn("cd /tmp && " + command)
    guest.run(MARKED.format(percent=percent), 60)
    result = running.wait(120)
    guest.run(UNMARKED)
    done = json.loads(result.out[result.out.index("{"):])["jobs"][0]
    written = int(done["write"]["io_bytes"]) // BLOCK
    print(f"{written} blocks written, {done['total_err']} writes failed, the first with error {done['first_error']}; "
          f"fio ended with error {done['error']}; {result.err.strip()[-300:]}")
    assert done["first_error"] in (0, errno.EIO, errno.ENOMEM, errno.EAGAIN), done["first_error"]
    # Of buffered writes the last fsync tells whether all are there; which are not it does not tell.
    promised = job["direct"] or not (done["error"] or done["total_err"])
    return written if promised else 0


def bad_blocks(guest: Guest, job: Job) -> int:
    """How many blocks do not hold what was to be written."""
    command = fio_command([job], verify_only="", continue_on_error="verify")
    checked = guest.run("cd /tmp && " + command, 120, check=False)
    return int(json.loads(checked.out[checked.out.index("{"):])["jobs"][0]["total_err"])


@pytest.mark.debug_only
@pytest.mark.parametrize("how", [{"direct": 1, "iodepth": 32}, {"direct": 0, "ioengine": "psync", "end_fsync": 1}],
                         ids=["direct", "buffered"])
def test_writes_that_succeed_while_memory_is_short_are_all_there(boot: Boot, new_image: NewImage, how: Job) -> None:
    size = (24 if soaking() else 4) * MIB
    image = new_image("disk", 32 * MIB)
    # Few entries a page of a list, so that every command needs several pages of the pool.
    guest = boot_short_of_memory(boot, [image], "prp_list_room=2")
    job: Job = {"filename": f"/dev/{guest.disk()}", "rw": "write", "bs": BLOCK, "size": size}
    # Each block holds its own offset.
    job.update(verify="pattern", verify_pattern="%o")
    job.update(how)
    # fio needs memory of its own, and ends early when its submissions fail for want of it.
    for _ in range(ATTEMPTS):
        promised = written_while_short(guest, job, percent=10)
        injected = guest.dmesg().count("FAULT_INJECTION: forcing a failure")
        assert bad_blocks(guest, job) <= size // BLOCK - promised, "a write that succeeded is not on the disk"
        if promised > 1 and injected:
            break
        guest.run(f"dd if=/dev/zero of=/dev/{guest.disk()} bs=1M count={size // MIB} oflag=direct", 60)
    print(f"at least {injected} allocations failed")
    assert promised > 1 and injected > 0, "nothing was tried"
    verified(guest, guest.disk(), [{"bs": "64k", "iodepth": 8, "size": "8m"}])
    assert guest_sum(guest, guest.disk()) == host_sum(image)
    assert_orderly(guest)
    guest.unload()


# Every allocation for a discard's ranges fails: the stack tells which they are.
NO_RANGES = """cd /sys/kernel/debug/failslab
set -- $(sort /proc/kallsyms | grep -A 1 'rnvme7discard7prepare[[:space:]]' | cut -d ' ' -f 1)
echo 0x$1 >require-start; echo 0x$2 >require-end
echo N >ignore-gfp-wait; echo N >cache-filter; echo N >task-filter; echo 1 >verbose
echo -1 >times; echo 100 >probability"""


def places_of_ranges(trace: Trace) -> Set[str]:
    """Where in memory the device was told to find discards' ranges; other commands of the trace have no data."""
    return {found[1] for line in trace.of("pci_nvme_map_prp") if (found := re.search(r" prp1 (0x[0-9a-f]+)", line))}


@pytest.mark.debug_only
def test_discards_without_memory_share_the_spare_page_and_all_succeed(boot: Boot, new_image: NewImage,
                                                                      folder: pathlib.Path) -> None:
    image = new_image("disk", 32 * MIB)
    expected = bytearray(seeded(image, seed=14))
    guest = boot([Controller([Namespace(image)])], Machine(process_args=traced(folder)))
    disk = guest.disk()
    program = put_program(guest, "discard_together")
    guest.run(NO_RANGES)
    found: List[Set[str]] = []
    # Unmerged, 64 come at once: one has the spare page, the others wait for it. Merged, all of their ranges fit it.
    for first, nomerges, commands in ((0, 2, 64), (8 * MIB, 0, 1), (16 * MIB, 0, 1)):
        if len(found) == 2:
            # With memory there again, a discard gets a page of its own.
            guest.run("echo 0 >/sys/kernel/debug/failslab/probability")
        guest.run(f"echo {nomerges} >/sys/block/{disk}/queue/nomerges")
        with watch(guest, folder, "pci_nvme_dsm", "pci_nvme_map_prp") as trace:
            guest.run(f"{program} /dev/{disk} {first} {16 << 10} {64 << 10} 64", 60)
        found.append(places_of_ranges(trace))
        print(f"{len(trace.of('pci_nvme_dsm'))} discards, whose ranges were at", found[-1])
        assert len(trace.of("pci_nvme_dsm")) == commands and len(found[-1]) == 1
        for at in range(first, first + (4 << 20), 64 << 10):
            expected[at:at + (16 << 10)] = bytes(16 << 10)
    assert found[0] == found[1] != found[2], found
    assert guest.dmesg().count("FAULT_INJECTION: forcing a failure") > 0
    assert image.read_bytes() == bytes(expected)
    assert_orderly(guest)
    guest.unload()


INSMOD = """cd /sys/kernel/debug
for n in %s; do
    ( echo $n >/proc/self/fail-nth && exec insmod /lib/rnvme/rnvme.ko ) 2>/tmp/said
    status=$?
    if [ -e /sys/module/rnvme ]; then
        if [ $status = 0 ]; then echo "$n loaded"; else echo "$n half-loaded $(cat /tmp/said)"; fi
        rmmod rnvme || exit 1
    else
        echo "$n refused $status $(tail -n 1 /tmp/said)"
    fi
done"""


@pytest.mark.debug_only
@pytest.mark.soak_only
@pytest.mark.expects_complaints
def test_insmod_survives_allocations_failing(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot_short_of_memory(boot, [image])
    guest.unload()
    # As in allocation_walk.sh: what is enabled already does not come to ACPICA's use of freed memory.
    guest.run(f"echo 1 >/sys/bus/pci/devices/{guest.pci_address()}/enable")
    # The first ones are those of insmod's own start. The module is read and laid out next, which does not go on
    # without memory; most of the rest does. Beyond the last nothing is left to fail.
    early, late = (20, 60) if soaking() else (90, 300)
    draw = random.Random(seed())
    sites = [*range(60 + draw.randrange(early), 420, early), *range(420 + draw.randrange(late), 2400, late), 2400]
    outcomes = [line.split(" ", 1) for line in guest.out(INSMOD % " ".join(map(str, sites)), 240).splitlines()]
    print("\n".join(map(" ".join, outcomes)))
    assert len(outcomes) == len(sites)
    assert not [how for _, how in outcomes if how.startswith("half-loaded")]
    assert any(how.startswith("refused") for _, how in outcomes) and any(how == "loaded" for _, how in outcomes)
    guest.load()
    guest.await_disks(1)
    verified(guest, guest.disk(), [{"bs": "64k", "iodepth": 8, "size": "2m"}])
    guest.unload()
    assert_nothing_reported_or_lost(guest)
