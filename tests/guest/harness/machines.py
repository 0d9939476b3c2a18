# SPDX-License-Identifier: GPL-2.0
"""Machines for special purposes, each made of another one, so that they can be combined.

Relies on QEMU's intel-iommu and on the kernel's command line.
"""

from __future__ import annotations

import dataclasses
from typing import Optional

from rnvme_tool.guest import Guest
from rnvme_tool.machine import Machine

IOMMU = "intel-iommu,intremap=on"
BOUNCE = "swiotlb=force"
# The longest stretch of the bounce buffer, less what keeps an address's place in its page.
BOUNCED_KIB = 252


def behind_strict_iommu(machine: Optional[Machine] = None) -> Machine:
    """With an IOMMU that reports every access outside of what is mapped; qboot does not boot with one."""
    base = machine or Machine()
    if IOMMU in base.qemu_args:
        return base
    return dataclasses.replace(base, machine=base.machine + ",kernel-irqchip=split", bios="bios-256k.bin",
                               qemu_args=[*base.qemu_args, "-device", IOMMU],
                               kernel_args=_with(base, "intel_iommu=on iommu.strict=1"))


def with_bounce_buffers(machine: Optional[Machine] = None) -> Machine:
    """With all data copied through the bounce buffer."""
    base = machine or Machine()
    return dataclasses.replace(base, kernel_args=_with(base, BOUNCE))


def bounced(guest: Guest) -> bool:
    """Whether this guest copies all data through the bounce buffer."""
    return BOUNCE in guest.machine.kernel_args


def looking_for_leaks(machine: Optional[Machine] = None) -> Machine:
    """With kmemleak on, which makes booting slow, and with slab caches that show it all.

    The allocator keeps pointers to what it gave away last, in memory that kmemleak
    scans, and so hides leaks of a few objects; it does not while slabs are debugged.
    Caches are not merged, so that one by one they can be made to fail.
    """
    base = machine or Machine()
    return dataclasses.replace(base, kernel_args=_with(base, "kmemleak=on slab_debug=F slab_nomerge"))


def _with(machine: Machine, kernel_args: str) -> str:
    return f"{machine.kernel_args} {kernel_args}".strip()


def longest_transfer(guest: Guest, kib: int) -> int:
    """How much of a transfer that the controller takes goes in one command on this machine, in KiB."""
    return min(kib, BOUNCED_KIB) if bounced(guest) else kib
