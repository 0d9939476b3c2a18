# SPDX-License-Identifier: GPL-2.0
"""`make shell`: the serial console of a guest on this terminal, the module loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys

from . import inside
from .failure import Failure
from .machine import Controller, Machine, Namespace, common_arguments, controller_arguments, make_image

IMAGE_BYTES = 1 << 30


def run_shell() -> int:
    """Boots with the console on standard input and output; ends with the shell in the guest."""
    if not sys.stdin.isatty():
        raise Failure("make shell needs a terminal: run it from one, or use make run")
    folder = inside.BUILD / "shell"
    shutil.rmtree(folder, ignore_errors=True)
    namespaces = [Namespace(make_image(folder / "a.img", IMAGE_BYTES), 512),
                  Namespace(make_image(folder / "b.img", IMAGE_BYTES), 4096)]
    machine = Machine(kernel_args=f"rnvme.shell rnvme.driver={inside.driver()}")
    print("booting; `exit` ends the guest, Ctrl-A X kills it", flush=True)
    kernel = inside.kernels()[0]
    command = common_arguments(machine, kernel, inside.make_initrd(kernel)) + [
        "-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console",
        *controller_arguments(0, Controller(namespaces))]
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise Failure(f"QEMU ended with status {status}: see its message above")
    return 0
