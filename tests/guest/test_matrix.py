# SPDX-License-Identifier: GPL-2.0
"""What can be combined works in combination: block sizes, transfer limits, lists, queues, engines, schedulers.

Each run takes a sample (see harness/sample.py): every two values meet on the stock kernel, every value is used once
on the debug kernel, and `make soak` draws many more.
"""

from __future__ import annotations

import pathlib
import random
from typing import Callable, Dict, List

import pytest
from harness import Boot, Controller, Guest, Namespace
from harness.observe import MIB, assert_orderly, fio, guest_sum, host_sum
from harness.sample import Row, each_value_once, pairwise, seed, soaking
from rnvme_tool.kernel import DEBUG
from rnvme_tool.machine import Option

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
Figure = Callable[[str, object], None]
# Of the controller and its namespace, of the module's parameters, of the load.
MATRIX: Dict[str, List[Option]] = {
    "mdts": [1, 5, 7, 9], "block": [512, 4096],
    "prp_list_room": [2, 9, 512], "io_queue_depth": [2, 33, 1024], "max_io_queues": [0, 1],
    "ioengine": ["libaio", "io_uring", "psync"], "bs": ["4k", "20k", "84k", "1m"], "rw": ["write", "randwrite"],
    "iomem_align": [4, 4096], "scheduler": ["none", "mq-deadline"], "buffered": [0, 1]}
PARAMETERS = ("prp_list_room", "io_queue_depth", "max_io_queues")
SOAK_SAMPLES = 3


def sample(guest: Guest) -> List[Row]:
    """This run's rows; those with the same parameters stand together, since each change reloads the module."""
    draw = random.Random(seed())
    if soaking():
        rows = [row for _ in range(SOAK_SAMPLES) for row in pairwise(MATRIX, draw)]
    elif guest.kernel.name == DEBUG:
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
    images = {(mdts, block): new_image(f"disk{mdts}-{block}", 4 * MIB)
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
