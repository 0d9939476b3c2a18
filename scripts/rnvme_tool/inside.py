# SPDX-License-Identifier: GPL-2.0
"""Where things are inside the build root, and the initramfs for this process's guests.

The host stage sets the variables: RNVME_GUEST_IMAGE names the cached base image,
RNVME_MODULE the module that was built, RNVME_RELEASE the kernel's release.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

from . import guest_image
from .steps import Progress

PROJECT = pathlib.Path("/rnvme")
BUILD = PROJECT / "build"


def release() -> str:
    """The stock kernel's release."""
    return os.environ["RNVME_RELEASE"]


def driver() -> str:
    """The driver under test: rnvme, or nvme to try a test against the stock one."""
    return os.environ.get("RNVME_DRIVER", "rnvme")


def commit() -> str:
    """What git calls this tree."""
    return os.environ.get("RNVME_COMMIT", "unknown")


def progress() -> Progress:
    """Goes on counting where the host stage stopped."""
    return Progress(int(os.environ["RNVME_STEPS"]), BUILD / "logs", int(os.environ["RNVME_FIRST_STEP"]))


def make_initrd() -> pathlib.Path:
    """The whole initramfs, in memory: /tmp lives and dies with this process's namespace."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="initrd-"))
    overlay, whole = folder / "overlay.cpio", folder / "initrd.cpio"
    guest_image.make_overlay(overlay, pathlib.Path(os.environ["RNVME_MODULE"]))
    guest_image.join([pathlib.Path(os.environ["RNVME_GUEST_IMAGE"]), overlay], whole)
    return whole
