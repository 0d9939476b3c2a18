# SPDX-License-Identifier: GPL-2.0
"""What can be combined works in combination: block sizes, transfer limits, lists, queues, engines, schedulers.

Each run takes a sample (see harness/sample.py): every two values meet on the stock kernel, every value is used once
on the debug kernel and with bounce buffers. `make soak` draws many more, and has every single combination of what
fio can do.
"""

from __future__ import annotations

import itertools
import pathlib
import random
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Namespace
from harness.observe import MIB, assert_orderly, fio, guest_sum, host_sum
from harness.sample import Row, each_value_once, pairwise, seed, soaking, takes_a_sample
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
Figure = Callable[[str, object], None]
# Of the controller and its namespace, of the module's parameters, of the load.
MATRIX: Dict[str, List[Option]] = {
    "mdts": [1, 5, 9], "block": [512, 4096],
    "prp_list_room": [2, 9, 512], "io_queue_depth": [2, 33, 1024], "max_io_queues": [0, 1],
    "ioengine": ["libaio", "io_uring", "psync"], "bs": ["4k", "20k", "84k", "1m"], "rw": ["write", "randwrite"],
    "iomem_align": [4, 4096], "scheduler": ["none", "mq-deadline"], "buffered": [0, 1]}
PARAMETERS = ("prp_list_room", "io_queue_depth", "max_io_queues")
SOAK_SAMPLES = 3
# How an application asks. The synchronous engines know no depth.
ASKED: Dict[str, List[Option]] = {
    "bs": ["4k", "20k", "256k", "1m"], "iodepth": [1, 16, 64],
    "engine": ["libaio", "io_uring", "io_uring with fixed buffers", "sync", "mmap"], "buffered": [0, 1],
    "block": [512, 4096]}
SYNCHRONOUS = ("sync", "mmap")
# So many jobs have a place of their own on the disk, and go in one run of fio.
PLACES = 16


def sample(guest: Guest) -> List[Row]:
    """This run's rows; those with the same parameters stand together, since each change reloads the module."""
    draw = random.Random(seed())
    if soaking():
        rows = [row for _ in range(SOAK_SAMPLES) for row in pairwise(MATRIX, draw)]
    elif takes_a_sample(guest):
        rows = each_value_once(MATRIX, draw)
    else:
        rows = pairwise(MATRIX, draw)
    return sorted(rows, key=lambda row: [str(row[name]) for name in PARAMETERS])


def try_row(guest: Guest, row: Row, disk: str, image: pathlib.Path) -> None:
    """Writes and reads back as the row says, and compares what the host has."""
    guest.run(f"echo {row['scheduler']} >/sys/block/{disk}/queue/scheduler")
    job = {name: row[name] for name in ("bs", "rw", "ioengine", "iomem_align")}
    done = fio(guest, [{**job, "iodepth": 16, "size": "2m"}], 120, filename=f"/dev/{disk}",
               direct=1 - int(row["buffered"]), verify="crc32c", verify_fatal=1, end_fsync=1)
    assert done[0]["read"]["io_bytes"] == done[0]["write"]["io_bytes"] > 0, row
    assert guest_sum(guest, disk) == host_sum(image), row


@pytest.mark.soak
def test_combinations_carry_the_same_data(boot: Boot, new_image: NewImage, record_property: Figure) -> None:
    images = {(mdts, block): new_image(f"disk{mdts}-{block}", 2 * MIB)
              for mdts in MATRIX["mdts"] for block in MATRIX["block"]}
    guest = boot([Controller([Namespace(images[mdts, block], int(block)) for block in MATRIX["block"]],
                             options={"mdts": mdts}) for mdts in MATRIX["mdts"]], load=False)
    loaded = ""
    rows = sample(guest)
    record_property("combinations", len(rows))
    for number, row in enumerate(rows):
        print(f"{number + 1} of {len(rows)}: {row}")
        parameters = " ".join(f"{name}={row[name]}" for name in PARAMETERS)
        if parameters != loaded:
            if loaded:
                guest.unload()
            guest.load(parameters)
            guest.await_disks(len(images))
            loaded = parameters
        controller, nsid = MATRIX["mdts"].index(row["mdts"]), MATRIX["block"].index(row["block"]) + 1
        try_row(guest, row, guest.disk(controller, nsid), images[row["mdts"], row["block"]])
        assert_orderly(guest)


def asked_for(guest: Guest) -> List[Row]:
    """This run's rows of ASKED; all of them in a soak."""
    draw = random.Random(seed())
    if soaking():
        rows = [dict(zip(ASKED, values)) for values in itertools.product(*ASKED.values())]
        return [row for row in rows if row["engine"] not in SYNCHRONOUS or row["iodepth"] == 1]
    return each_value_once(ASKED, draw) if takes_a_sample(guest) else pairwise(ASKED, draw)


def jobs_of(row: Row, place: int) -> List[Row]:
    """The fio jobs that a row stands for."""
    engine, _, fixed = str(row["engine"]).partition(" with ")
    job = {"bs": row["bs"], "iodepth": row["iodepth"], "ioengine": engine, "direct": 1 - int(row["buffered"]),
           "offset": f"{2 * place}m", "size": "2m"}
    if engine != "mmap":
        return [{**job, "fixedbufs": ""} if fixed else job]
    # fio maps from the disk's beginning whatever the offset, and before it verifies it drops a disk's cache by
    # punching a hole into it. So another job verifies, from the disk.
    job.update(offset="0m", verify="pattern", verify_pattern="%o")
    return [{**job, "invalidate": 0, "do_verify": 0}, {**job, "ioengine": "sync", "rw": "randread", "direct": 1}]


@pytest.mark.soak
@pytest.mark.timeout(3600 if soaking() else 300)
def test_every_way_to_ask_for_io_carries_the_same_data(boot: Boot, new_image: NewImage,
                                                       record_property: Figure) -> None:
    images = {block: new_image(f"disk{block}", 2 * PLACES * MIB) for block in ASKED["block"]}
    guest = boot([Controller([Namespace(image, int(block)) for block, image in images.items()])])
    rows = asked_for(guest)
    record_property("combinations", len(rows))
    for nsid, (block, image) in enumerate(images.items(), start=1):
        disk = guest.disk(0, nsid)
        mine = [row for row in rows if row["block"] == block]
        for at in range(0, len(mine), PLACES):
            jobs = [job for place, row in enumerate(mine[at:at + PLACES]) for job in jobs_of(row, place)]
            print(f"blocks of {block} bytes:", *jobs, sep="\n")
            for job, done in zip(jobs, fio(guest, jobs, 240, filename=f"/dev/{disk}", rw="randwrite", stonewall="",
                                           verify="crc32c", verify_fatal=1)):
                assert done["write"]["io_bytes"] > MIB or "rw" in job, job
                assert done["read"]["io_bytes"] > MIB or "do_verify" in job, job
            # Not by fio: its fsync with fixed buffers is refused by io_uring.
            guest.run("sync", 60)
            # The page cache, the disk and the image agree.
            cached = guest.out(f"sha256sum </dev/{disk}", 60).split()[0]
            assert cached == guest_sum(guest, disk) == host_sum(image), jobs
    assert_orderly(guest)
