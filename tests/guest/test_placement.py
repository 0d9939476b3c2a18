# SPDX-License-Identifier: GPL-2.0
"""Write streams: what is written with a hint goes where the device keeps that stream's data.

For direct writes to a disk a hint of fcntl's F_SET_RW_HINT is the number of a stream. Relies on nvme-cli
over the C driver for the device's own account: how many blocks each reclaim unit has left.
"""

from __future__ import annotations

import json
import pathlib
from typing import Callable, Dict, Tuple

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, fio, guest_sum, host_sum, verified
from harness.peer import under_the_c_driver

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
UNIT = 8 * MIB
# What fio calls the hints, and the streams that they are.
STREAMS = {"short": 2, "medium": 3, "long": 4, "extreme": 5}


def placing(name: str, groups: int) -> str:
    """A subsystem that places data, with 6 handles in so many reclaim groups."""
    return f"nvme-subsys,id={name},fdp=on,fdp.runs={UNIT},fdp.nrg={groups},fdp.nruh=6"


def placed(image: pathlib.Path, subsystem: str) -> Controller:
    """A controller of that subsystem, whose namespace has all handles but the last."""
    return Controller([Namespace(image, options={"fdp.ruhs": "0;1;2;3;4"})], options={"subsys": subsystem})


def streams(guest: Guest, disk: str) -> Tuple[int, int]:
    """How many streams there are, and how much each is best filled in."""
    count, unit = guest.out(f"cd /sys/block/{disk}/queue && cat max_write_streams write_stream_granularity").split()
    return int(count), int(unit)


def filled(guest: Guest, disk: str) -> Dict[int, int]:
    """How much of its present unit each placement handle has filled, by the device's account."""
    status = json.loads(guest.out(f"nvme fdp status /dev/{disk} --output-format=json"))
    print(status)
    return {handle["pid"]: UNIT - 512 * handle["ruamw"] for handle in status["ruhss"]}


def test_hinted_writes_fill_their_streams_unit(boot: Boot, new_image: NewImage) -> None:
    images = [new_image("disk", 32 * MIB), new_image("groups", 16 * MIB)]
    machine = Machine(qemu_args=["-device", placing("one", 1), "-device", placing("two", 2)], cold=True)
    guest = boot([placed(images[0], "one"), placed(images[1], "two")], machine)
    disk, plain = guest.disk(0), guest.disk(1)
    assert streams(guest, disk) == (5, UNIT)
    # Between groups no stream can choose.
    assert streams(guest, plain) == (0, 0)
    assert "there are 2 reclaim groups; only 1 is supported" in guest.dmesg()
    verified(guest, plain, [{"bs": "16k", "iodepth": 8, "size": "2m"}])
    # Without a hint, and with one for each of the streams that a hint can name.
    guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=64k count=8 oflag=direct conv=notrunc status=none")
    expected = {0: 512 << 10}
    for hint, stream in STREAMS.items():
        fio(guest, [{"rw": "write", "bs": "64k", "iodepth": 4, "offset": f"{stream}m", "size": f"{stream * 128}k",
                     "verify": "crc32c", "write_hint": hint}], filename=f"/dev/{disk}")
        expected[stream - 1] = stream * 128 << 10
    assert guest_sum(guest, disk) == host_sum(images[0])
    assert_orderly(guest)
    ours = streams(guest, disk)
    with under_the_c_driver(guest, 2):
        assert filled(guest, guest.disk()) == expected
        assert streams(guest, guest.disk()) == ours, "the C driver finds other streams"
