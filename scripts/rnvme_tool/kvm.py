# SPDX-License-Identifier: GPL-2.0
"""Decides between KVM and TCG, and says why."""

from __future__ import annotations

import os
import re
from typing import Tuple


def choose_accelerator() -> Tuple[str, str]:
    """The accelerator, and the reason in a few words."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        able = re.search(r"^flags\s*:.*\b(vmx|svm)\b", info.read(), re.MULTILINE) is not None
    # /dev/kvm may be there and useless (nested, paravirtual): the processor must know it, too.
    if not able:
        return "tcg", "the processor has no virtualisation to offer"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        return "tcg", f"/dev/kvm: {error.strerror}"
    return "kvm", "/dev/kvm opens"
