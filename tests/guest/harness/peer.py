# SPDX-License-Identifier: GPL-2.0
"""The C driver with the same devices, for what both drivers should see alike."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, Mapping, Set

from rnvme_tool.guest import Guest

# The limits in which we differ: on purpose (Documentation/limits.md), or because it is not there yet.
OUR_LIMITS = {
    # What the IOMMU likes best is where we begin and where the C driver ends.
    "max_hw_sectors_kb", "write_zeroes_max_bytes", "write_zeroes_unmap_max_bytes", "write_zeroes_unmap_max_hw_bytes",
    # Not there yet: timeouts.
    "io_timeout",
    # Ours speaks of metadata where there is some, and then of one stretch; the C driver's of the controller.
    "max_integrity_segments",
    # With SGLs, what our lists have room for; the C driver counts pages as if there were none.
    "max_segments",
}


@contextlib.contextmanager
def under_the_c_driver(guest: Guest, disks: int = 1) -> Iterator[None]:
    """Takes our driver out and has the C driver make its disks, so many; `guest.disk` names these meanwhile."""
    ours = guest.driver
    guest.unload()
    guest.driver = "nvme"
    try:
        guest.load()
        guest.await_disks(disks)
        yield
        guest.run(["modprobe", "-r", "nvme"], check=False)
    finally:
        guest.driver = ours


def queue(guest: Guest, disk: str) -> Dict[str, str]:
    """The limits of a disk's queue, by their names in sysfs."""
    lines = guest.out(f"cd /sys/block/{disk}/queue && grep -s . *").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Set[str]:
    """The names of the values in which the C driver differs from ours; prints them."""
    differ = {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()
              if ours.get(name) != theirs.get(name)}
    print("name: (ours, the C driver's)", differ)
    return set(differ)
