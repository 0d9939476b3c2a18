# SPDX-License-Identifier: GPL-2.0
"""What runs inside the build root, by name."""

from __future__ import annotations

import os
import pathlib
from typing import Callable, Dict

from . import guest_image
from .decode import run_oops
from .inside_check import run_check
from .inside_faults import run_faults
from .inside_fuzz import run_fuzz_command
from .inside_gdb import run_gdb
from .inside_kunit import run_kunit
from .inside_run import run_demo
from .inside_shell import run_shell
from .inside_soak import run_soak
from .inside_test import run_tests
from .uml import UML


def make_image() -> int:
    """Makes the cached part of the guest image."""
    guest_image.make_base(pathlib.Path("/cache/base.cpio"))
    return 0


def kunit() -> int:
    """Runs the KUnit suites: in User Mode Linux, or where KERNEL says."""
    return 1 if run_kunit(os.environ.get("KERNEL") or UML)[1] else 0


COMMANDS: Dict[str, Callable[[], int]] = {
    "run": run_demo, "test": run_tests, "shell": run_shell, "check": run_check, "image": make_image,
    "fuzz": run_fuzz_command, "kunit": kunit, "gdb": run_gdb, "oops": run_oops, "soak": run_soak,
    "faults": run_faults}
