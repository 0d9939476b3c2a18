# SPDX-License-Identifier: GPL-2.0
"""The limits of a disk's queue are what the device says, as Documentation/limits.md has it.

Relies on the C driver for a second opinion: what it makes of the same device.
"""

from __future__ import annotations

import pathlib
from typing import Callable

import pytest
from harness import Boot, Controller, Machine, Namespace
from harness.observe import MIB, assert_orderly, verified
from harness.peer import OUR_LIMITS, differing, queue, under_the_c_driver

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]


def test_each_limit_has_the_devices_value(boot: Boot, new_image: NewImage) -> None:
    namespace = Namespace(new_image("disk", 32 * MIB), options={
        "discard_granularity": 64 << 10, "atomic.nawupf": 15, "atomic.nabspf": 31, "atomic.nabsn": 31})
    guest = boot([Controller([namespace], options={"mdts": 5})], parameters="prp_list_room=512")
    limits = queue(guest, guest.disk())
    print(limits)
    expected = {
        "logical_block_size": 512, "max_hw_sectors_kb": 128, "discard_granularity": 64 << 10,
        "atomic_write_unit_max_bytes": 8 << 10, "atomic_write_boundary_bytes": 16 << 10,
        "write_cache": "write back", "fua": 1, "max_discard_segments": 255, "virt_boundary_mask": 0,
    }
    seen = {name: limits.get(name) for name in expected}
    assert seen == {name: str(value) for name, value in expected.items()}
    assert int(limits["discard_max_bytes"]) > 0 and int(limits["write_zeroes_max_bytes"]) > 0
    verified(guest, guest.disk(), [{"bs": "64k", "iodepth": 8, "size": "8m"}])
    assert_orderly(guest)


@pytest.mark.parametrize("block", [512, 4096])
def test_limits_are_the_c_drivers_but_where_we_say_so(boot: Boot, new_image: NewImage, block: int) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 32 * MIB), block)], options={"mdts": 6})], Machine())
    ours = queue(guest, guest.disk())
    with under_the_c_driver(guest):
        theirs = queue(guest, guest.disk())
    assert differing(ours, theirs) - OUR_LIMITS == set()
