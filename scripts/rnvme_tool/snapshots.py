# SPDX-License-Identifier: GPL-2.0
"""Snapshots of booted guests: a machine boots once in a run, and each test restores it in about a second.

QEMU's NVMe controllers cannot be part of a snapshot, so a guest is saved with empty
root ports, and its controllers are plugged in when it is restored (see guest.py).
The file belongs to one run: it holds that run's modules.
"""

from __future__ import annotations

import hashlib
import pathlib
from typing import Callable, TypeVar

from .cache import locked
from .guest import Guest, GuestFailure
from .kernel import Kernel
from .machine import SPARE_PORTS, Controller, Machine

TEXT_PATCHING_RACE = "Oops: int3"
ATTEMPTS = 3
T = TypeVar("T")


class Snapshots:
    """The snapshots of one run, shared by its processes through a folder."""

    def __init__(self, folder: pathlib.Path, driver: str) -> None:
        self._folder = folder
        self._driver = driver

    def start(self, folder: pathlib.Path, kernel: Kernel, initrd: pathlib.Path, machine: Machine,
              controllers: list[Controller], keep: Callable[[Guest], None]) -> Guest:
        """A guest that runs: restored, or booted when its machine is cold. `keep` is told of it before it starts."""
        cold = machine.cold or len(controllers) > SPARE_PORTS
        snapshot = None if cold else self._prepare(kernel, initrd, machine)

        def attempt(number: int) -> Guest:
            home = folder if number == 0 else folder.with_name(f"{folder.name}-again{number}")
            guest = Guest(home, kernel, initrd, machine, controllers, self._driver, snapshot)
            keep(guest)
            guest.start()
            return guest

        return _repeated(attempt)

    def _prepare(self, kernel: Kernel, initrd: pathlib.Path, machine: Machine) -> pathlib.Path:
        key = hashlib.sha256((kernel.release + machine.shared()).encode()).hexdigest()[:12]
        path = self._folder / f"{kernel.name}-{key}.snapshot"
        with locked(path.with_suffix(".lock"), "a snapshot"):
            if not path.exists():
                unfinished = path.with_suffix(".new")

                def attempt(number: int) -> None:
                    home = path.with_suffix(f".boot{number}")
                    Guest(home, kernel, initrd, machine, [], self._driver).save(unfinished)

                _repeated(attempt)
                unfinished.rename(path)
        return path


def _repeated(attempt: Callable[[int], T]) -> T:
    """Repeats a boot that died in the kernel's patching of its own text, long before any module of ours.

    QEMU's threads can lose that race under emulation; any other death is a failure.
    """
    for number in range(ATTEMPTS - 1):
        try:
            return attempt(number)
        except GuestFailure as failure:
            if TEXT_PATCHING_RACE not in str(failure):
                raise
            print(f"the guest died while it booted ({TEXT_PATCHING_RACE}): once more")
    return attempt(ATTEMPTS - 1)
