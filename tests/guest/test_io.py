# SPDX-License-Identifier: GPL-2.0
"""How I/O goes to the device and how its errors come back: batches, doorbells, failures.

Relies on QEMU's trace for what the device saw, and on its blkdebug node for errors.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import pathlib
import re
from typing import Callable, Dict, Iterator, List, Sequence

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.machines import behind_strict_iommu, with_bounce_buffers
from harness.observe import (
    MIB,
    add_backend,
    assert_orderly,
    counters,
    fio,
    guest_sum,
    host_sum,
    reads_well,
    seeded,
    traced,
    verified,
    watch,
)
from harness.sample import rounds
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
BAD_SECTOR = 2048


def test_batches_ring_one_doorbell_for_many_commands(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(cpus=2, process_args=traced(folder)),
                 parameters="shadow_doorbells=0")
    disk = guest.disk()
    events = ("pci_nvme_io_cmd", "pci_nvme_mmio_doorbell_sq", "pci_nvme_mmio_doorbell_cq")
    # Neighbours in a batch would be merged into one command.
    guest.run(f"echo 2 >/sys/block/{disk}/queue/nomerges")
    seen: Dict[int, Dict[str, int]] = {}
    for batch in (1, 32):
        with watch(guest, folder, *events) as trace:
            fio(guest, [{"rw": "randread", "bs": "4k", "size": "8m", "iodepth": 32, "iodepth_batch_submit": batch,
                         "iodepth_batch_complete_min": batch}], filename=f"/dev/{disk}", cpus_allowed="1")
        seen[batch] = dict(collections.Counter(trace.names()))
        print(f"batches of {batch}: {seen[batch]}")
        assert 2048 <= seen[batch]["pci_nvme_io_cmd"] < 2060, "every request became one command"
        assert seen[batch]["pci_nvme_mmio_doorbell_cq"] <= seen[batch]["pci_nvme_io_cmd"]
    # A batch of 32 goes out by one doorbell, unless a timer cuts it in two.
    assert seen[1]["pci_nvme_mmio_doorbell_sq"] >= 2048
    assert 2048 // 32 <= seen[32]["pci_nvme_mmio_doorbell_sq"] < 2048 // 32 * 2
    assert_orderly(guest)


ENDS = ("blk_mq_end_request", "blk_mq_end_request_batch")
TRACING = "/sys/kernel/tracing"


@contextlib.contextmanager
def calls(guest: Guest, functions: Sequence[str]) -> Iterator[Dict[str, int]]:
    """Counts how often the kernel calls each of its functions meanwhile."""
    counted: Dict[str, int] = {}
    names = " ".join(functions)
    guest.run(f"cd {TRACING} && echo {names} >set_ftrace_filter && echo >trace && echo function >current_tracer")
    yield counted
    guest.run(f"echo 0 >{TRACING}/tracing_on")
    for function in functions:
        counted[function] = int(guest.out(f"grep -c ': {function} <-' {TRACING}/trace || true"))
    guest.run(f"cd {TRACING} && echo nop >current_tracer && echo >set_ftrace_filter && echo 1 >tracing_on")


@pytest.mark.parametrize("polled", [False, True])
def test_requests_that_end_at_one_time_end_in_one_batch(boot: Boot, new_image: NewImage, polled: bool) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(cpus=2),
                 parameters="poll_queues=1" if polled else "")
    disk = guest.disk()
    assert "[none]" in guest.out(f"cat /sys/block/{disk}/queue/scheduler")
    with calls(guest, ENDS) as seen:
        fio(guest, [{"rw": "randread", "bs": "4k", "iodepth": 32, "iodepth_batch": 32, "size": "2m",
                     "iodepth_batch_complete_min": 32, "ioengine": "io_uring", **({"hipri": 1} if polled else {})}],
            filename=f"/dev/{disk}")
    print("calls:", seen)
    # 512 reads, 32 at a time. Reads of the page cache, if any, may end singly.
    assert 512 // 32 <= seen["blk_mq_end_request_batch"] < 512 // 2
    assert seen["blk_mq_end_request"] < 512 // 8
    assert_orderly(guest)


def test_shadow_doorbells_spare_stores_to_the_bar(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)])], Machine(cpus=2, process_args=traced(folder)), load=False)
    events = ("pci_nvme_io_cmd", "pci_nvme_mmio_doorbell_sq", "pci_nvme_mmio_doorbell_cq")
    bells: Dict[int, int] = {}
    for shadow in (0, 1):
        guest.load(f"shadow_doorbells={shadow}")
        guest.await_disks(1)
        with watch(guest, folder, *events) as trace:
            # While the device is busy with some commands, others come.
            verified(guest, guest.disk(), [{"bs": "4k", "iodepth": 32, "size": "8m"}])
        seen = collections.Counter(trace.names())
        print(f"shadow_doorbells={shadow}: {dict(seen)}")
        bells[shadow] = seen["pci_nvme_mmio_doorbell_sq"] + seen["pci_nvme_mmio_doorbell_cq"]
        assert guest_sum(guest, guest.disk()) == host_sum(image)
        assert_orderly(guest)
        guest.unload()
    print("stores to the BAR:", bells)
    assert bells[1] < bells[0]


@pytest.mark.parametrize("offered", [False, True])
def test_doorbells_are_rung_in_the_bar_where_shadows_are_not_offered_or_not_wanted(
        boot: Boot, new_image: NewImage, folder: pathlib.Path, offered: bool) -> None:
    image = new_image("disk", 16 * MIB)
    guest = boot([Controller([Namespace(image)], options={"dbcs": "on" if offered else "off"})],
                 Machine(cpus=2, process_args=traced(folder)), parameters="shadow_doorbells=0" if offered else "")
    with watch(guest, folder, "pci_nvme_io_cmd", "pci_nvme_mmio_doorbell_sq") as trace:
        fio(guest, [{"rw": "randread", "bs": "4k", "size": "1m"}], filename=f"/dev/{guest.disk()}")
    seen = collections.Counter(trace.names())
    print(dict(seen))
    assert seen["pci_nvme_mmio_doorbell_sq"] >= seen["pci_nvme_io_cmd"] >= 256
    assert_orderly(guest)


def test_many_jobs_on_every_cpu_complete_every_command_once(boot: Boot, new_image: NewImage,
                                                            folder: pathlib.Path) -> None:
    images = [new_image("small", 36 * MIB), new_image("large", 36 * MIB)]
    guest = boot([Controller([Namespace(images[0]), Namespace(images[1], 4096)])],
                 Machine(cpus=4, process_args=traced(folder)), parameters="io_queue_depth=33")
    disks = [guest.disk(0, nsid) for nsid in (1, 2)]
    size = rounds(guest, stock=3, debug=1, soak=3)
    jobs: List[Dict[str, Option]] = [
        {"filename": f"/dev/{disks[index % 2]}", "bs": bs, "iodepth": 32, "iodepth_batch_submit": 8, "size": f"{size}m",
         "offset": f"{3 * index}m", "ioengine": engine}
        for index, (bs, engine) in enumerate((bs, engine) for bs in ("4k", "20k", "64k", "512k")
                                             for engine in ("libaio", "io_uring", "psync"))]
    with watch(guest, folder, "pci_nvme_io_cmd") as trace:
        done = fio(guest, jobs, 120, rw="randwrite", verify="crc32c", verify_fatal=1)
    for job in done:
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, job
    queues = collections.Counter(re.findall(r"sqid (\d+)", "\n".join(trace.of("pci_nvme_io_cmd"))))
    print(f"commands by submission queue: {dict(queues)}")
    assert set(queues) == {"1", "2", "3", "4"}, "a CPU's queue was not used"
    for disk, image in zip(disks, images):
        assert guest_sum(guest, disk) == host_sum(image)
    assert_orderly(guest)


@pytest.mark.one_machine
@pytest.mark.parametrize("machine,in_use", [
    (behind_strict_iommu, "[ -e /sys/bus/pci/devices/{address}/iommu_group ]"),
    # Nothing but the bounce buffer's longest stretch keeps transfers of a controller that takes 2 MiB so short.
    (with_bounce_buffers, "[ $(cat /sys/block/{disk}/queue/max_hw_sectors_kb) -lt 256 ]")], ids=["iommu", "bounced"])
def test_translated_and_bounced_memory_carries_the_same_data(
        boot: Boot, new_image: NewImage, machine: Callable[[], Machine], in_use: str) -> None:
    images = [new_image("small", 16 * MIB), new_image("large", 16 * MIB)]
    guest = boot([Controller([Namespace(images[0]), Namespace(images[1], 4096)], options={"mdts": 9})], machine(),
                 parameters="prp_list_room=2")
    size = rounds(guest, stock=4, debug=1, soak=4)
    jobs: List[Dict[str, Option]] = [{"filename": f"/dev/{guest.disk(0, nsid)}", "bs": bs, "iodepth": 8,
                                      "size": f"{size}m", "iomem_align": 4}
                                     for nsid in (1, 2) for bs in ("4k", "84k", "2m")]
    for job in fio(guest, jobs, 120, rw="randwrite", verify="crc32c", verify_fatal=1, stonewall=""):
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, job
    for nsid, image in enumerate(images, start=1):
        disk = guest.disk(0, nsid)
        print(disk, guest.out(f"cat /sys/block/{disk}/queue/max_hw_sectors_kb"), "KiB")
        assert guest_sum(guest, disk) == host_sum(image)
    guest.run(in_use.format(address=guest.pci_address(), disk=guest.disk()))
    assert_orderly(guest)
    guest.unload()


def add_failing_namespace(guest: Guest, image: pathlib.Path, rules: List[Dict[str, object]]) -> None:
    """Gives controller 0 a namespace whose backend fails as `rules` (blkdebug's inject-error) say."""
    add_backend(guest, "failing", image, **{"inject-error": rules})
    guest.device_add("nvme-ns", id="failing-ns", bus="nvme0", drive="failing", nsid=1)


def test_medium_errors_reach_the_application_and_the_disk_lives_on(boot: Boot, new_image: NewImage) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=5)
    guest = boot([Controller([])], load=False)
    add_failing_namespace(guest, image, [
        {"event": "none", "iotype": kind, "errno": 5, "sector": BAD_SECTOR + at, "once": False}
        for at, kind in ((0, "read"), (64, "write"))])
    guest.load()
    guest.await_disks(1)
    disk = guest.disk()
    at = BAD_SECTOR * 512
    for name, command in (("read", f"dd if=/dev/{disk} of=/dev/null bs=4k count=1 iflag=direct,skip_bytes skip={at}"),
                          ("write", f"dd if=/dev/zero of=/dev/{disk} bs=4k count=1 oflag=direct,seek_bytes "
                                    f"seek={at + 64 * 512} conv=notrunc")):
        for _ in range(2):
            failed = guest.run(command, check=False)
            print(name, failed.err)
            # A medium error has an error number of its own in the block layer: ENODATA.
            assert failed.status == 1 and "No data available" in failed.err
    assert counters(guest)["failed_requests"] == 4
    told = [line for line in guest.dmesg().splitlines() if "critical medium error" in line and disk in line]
    assert len(told) == 4 and f"sector {BAD_SECTOR} " in told[0], told
    good = guest.out(f"dd if=/dev/{disk} bs=1M count=1 iflag=direct status=none | sha256sum")
    guest.run(f"dd if=/dev/{disk} of=/tmp/next bs=512 skip={BAD_SECTOR + 8} count=8 iflag=direct status=none")
    guest.run("sync")
    assert good.split()[0] == guest.out(f"head -c {MIB} /dev/{disk} | sha256sum").split()[0]
    verified(guest, disk, [{"bs": "64k", "iodepth": 8, "size": "4m", "offset": "8m"}])
    assert image.read_bytes()[at:at + 65 * 512] == pattern[at:at + 65 * 512], "a failed write left something"
    assert_orderly(guest)


@pytest.mark.parametrize("retries,once", [(0, True), (5, False)])
def test_flush_that_fails_is_told_to_fsync(boot: Boot, new_image: NewImage, retries: int, once: bool) -> None:
    image = new_image("disk", 8 * MIB)
    guest = boot([Controller([])], load=False)
    add_failing_namespace(guest, image, [{"event": "none", "iotype": "flush", "errno": 5, "once": once}])
    guest.load(f"max_retries={retries}")
    guest.await_disks(1)
    command = f"dd if=/dev/zero of=/dev/{guest.disk()} bs=4k count=1 oflag=direct conv=notrunc"
    failed = guest.run(command + ",fsync", check=False)
    print(failed.err)
    assert failed.status == 1 and "fsync failed" in failed.err
    guest.run(command + (",fsync" if once else ""))
    assert_orderly(guest)


@pytest.mark.parametrize("retries", [5, 0])
def test_error_that_passes_is_told_only_where_nothing_is_tried_again(boot: Boot, new_image: NewImage,
                                                                     retries: int) -> None:
    image = new_image("disk", 16 * MIB)
    pattern = seeded(image, seed=6)
    guest = boot([Controller([])], load=False)
    kinds = ("read", "write", "flush", "discard", "write-zeroes")
    add_failing_namespace(guest, image, [{"event": "none", "iotype": kind, "errno": 5, "once": True, **where}
                                         for kind in kinds
                                         for where in ([{}] if kind == "flush" else [{"sector": BAD_SECTOR}])])
    guest.load(f"max_retries={retries}")
    guest.await_disks(1)
    disk, at = guest.disk(), BAD_SECTOR * 512
    commands = {
        "read": f"dd if=/dev/{disk} of=/tmp/read bs=4k count=1 iflag=direct,skip_bytes skip={at}",
        "write": f"dd if=/dev/zero of=/dev/{disk} bs=4k count=1 oflag=direct,seek_bytes seek={at} conv=notrunc",
        "flush": f"dd if=/dev/zero of=/dev/{disk} bs=4k count=1 oflag=direct conv=notrunc,fsync",
        "discard": f"blkdiscard -o {at} -l 65536 /dev/{disk}",
        "write-zeroes": f"blkdiscard -z -o {at} -l 65536 /dev/{disk}",
    }
    guest.run(f"echo 0 >/sys/block/{disk}/queue/read_ahead_kb")
    told = []
    for kind, command in commands.items():
        done = guest.run(command, check=False)
        print(kind, done.status, done.err.strip().splitlines()[-1:])
        if done.status != 0:
            told.append(kind)
        if kind == "read" and done.status == 0:
            assert guest.out("sha256sum </tmp/read").split()[0] == hashlib.sha256(pattern[at:at + 4096]).hexdigest()
    seen = counters(guest)
    print(seen)
    if retries:
        assert (told, seen["retries"], seen["failed_requests"]) == ([], len(kinds), 0)
        assert image.read_bytes()[at:at + 65536] == bytes(65536)
    else:
        assert (told, seen["retries"], seen["failed_requests"]) == (list(kinds), 0, len(kinds))
    assert_orderly(guest)


def test_io_beyond_the_end_or_unaligned_is_refused_and_harmless(boot: Boot, new_image: NewImage) -> None:
    images = [new_image("small", 8 * MIB), new_image("large", 8 * MIB)]
    guest = boot([Controller([Namespace(images[0]), Namespace(images[1], 4096)])])
    for nsid, block in ((1, 512), (2, 4096)):
        disk = guest.disk(0, nsid)
        end = 8 * MIB
        beyond = guest.run(f"dd if=/dev/zero of=/dev/{disk} bs={block} count=1 oflag=direct,seek_bytes seek={end} "
                           "conv=notrunc", check=False)
        assert beyond.status == 1 and "No space left" in beyond.err
        across = guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=64k count=1 oflag=direct,seek_bytes "
                           f"seek={end - block} conv=notrunc", check=False)
        assert across.status == 1
        nothing = guest.run(f"dd if=/dev/{disk} of=/dev/null bs={block} count=1 iflag=direct,skip_bytes skip={end}")
        assert "0+0 records in" in nothing.err
        odd = guest.run(f"dd if=/dev/{disk} of=/dev/null bs={block // 2} count=1 iflag=direct", check=False)
        assert odd.status == 1 and "Invalid argument" in odd.err
        assert images[nsid - 1].stat().st_size == end
        reads_well(guest, disk)
    assert_orderly(guest)
