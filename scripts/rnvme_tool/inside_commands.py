# SPDX-License-Identifier: GPL-2.0
"""What runs inside the build root, by name."""

from __future__ import annotations

import pathlib
from typing import Callable, Dict

from . import guest_image
from .inside_check import run_check
from .inside_run import run_demo
from .inside_shell import run_shell
from .inside_test import run_tests


def make_image() -> int:
    """Makes the cached part of the guest image."""
    guest_image.make_base(pathlib.Path("/cache/base.cpio"))
    return 0


COMMANDS: Dict[str, Callable[[], int]] = {
    "run": run_demo, "test": run_tests, "shell": run_shell, "check": run_check, "image": make_image}
