# SPDX-License-Identifier: GPL-2.0
"""The C driver with the same devices, for what both drivers should see alike."""

from __future__ import annotations

import contextlib
from typing import Iterator, Mapping, Set

from rnvme_tool.guest import Guest


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


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Set[str]:
    """The names of the values in which the C driver differs from ours; prints them."""
    differ = {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()
              if ours.get(name) != theirs.get(name)}
    print("name: (ours, the C driver's)", differ)
    return set(differ)
