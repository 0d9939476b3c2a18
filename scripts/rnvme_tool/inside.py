# SPDX-License-Identifier: GPL-2.0
"""Where things are inside the build root, and the initramfs of this run's guests.

The host stage sets the variables: RNVME_GUEST_IMAGE names the cached base image,
RNVME_KERNELS the kernels that are ready, RNVME_COMMIT what git calls this tree.
"""

from __future__ import annotations

import os
import pathlib
from typing import List

from . import guest_image
from .cache import locked
from .kernel import MOUNTED, STOCK, Kernel, read_kernel
from .steps import Progress

PROJECT = pathlib.Path("/rnvme")
BUILD = PROJECT / "build"


def kernels() -> List[Kernel]:
    """The kernels of this run, the one to begin with first."""
    return [kernel(name) for name in os.environ.get("RNVME_KERNELS", STOCK).split()]


def kernel(name: str) -> Kernel:
    """One kernel by name."""
    return read_kernel(pathlib.Path(MOUNTED[name]))


def module(of: Kernel) -> pathlib.Path:
    """The module under test, built for a kernel."""
    return BUILD / "module" / of.release / "rnvme.ko"


def self_test_module(of: Kernel) -> pathlib.Path:
    """The module with deliberate mistakes, if it was built for this kernel."""
    return BUILD / "self-test" / of.release / "rnvme.ko"


def driver() -> str:
    """The driver under test: rnvme, or nvme to try a test against the stock one."""
    return os.environ.get("RNVME_DRIVER", "rnvme")


def commit() -> str:
    """What git calls this tree."""
    return os.environ.get("RNVME_COMMIT", "unknown")


def progress() -> Progress:
    """Goes on counting where the host stage stopped."""
    return Progress(int(os.environ["RNVME_STEPS"]), BUILD / "logs", int(os.environ["RNVME_FIRST_STEP"]))


def make_initrd(of: Kernel) -> pathlib.Path:
    """The whole initramfs for a kernel, in memory: /tmp lives and dies with this run's namespace."""
    whole = pathlib.Path(f"/tmp/initrd-{of.name}.cpio")
    with locked(whole.with_suffix(".lock"), "the initramfs"):
        if not whole.exists():
            overlay, unfinished = whole.with_suffix(".overlay"), whole.with_suffix(".new")
            guest_image.make_overlay(overlay, of, module(of), self_test_module(of))
            guest_image.join([pathlib.Path(os.environ["RNVME_GUEST_IMAGE"]), overlay], unfinished)
            overlay.unlink()
            unfinished.rename(whole)
    return whole
