# SPDX-License-Identifier: GPL-2.0
"""User Mode Linux: the kernel as a program, which runs the KUnit suites in seconds.

Built from the same source as the other kernels, with the fragment scripts/kernel/uml.config.
It has a PCI bus without devices, and no interrupts of devices: everything that needs
neither runs here as it does in a guest. Inside the build root its folder is mounted at
/uml, and its root file system is the build root itself, read-only.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
from dataclasses import asdict
from typing import Sequence

from .cache import Cache, key_of, need_space
from .enter import Root, environment
from .failure import Failure
from .kernel import SOURCE, Kernel
from .root import BuildRoot
from .steps import Progress, Step

UML = "uml"
MOUNTED = "/uml"
FRAGMENT = pathlib.Path(__file__).resolve().parents[1] / "kernel/uml.config"
GIGABYTES = 0.5
BOOT_SECONDS = 120

# Modules are loaded far from the kernel's own code, and are linked into no executable: their Rust code must not be
# position independent, as that of the kernel is here.
MODULE_FLAGS = "KRUSTFLAGS=-Crelocation-model=static"
MAKE = ("ARCH=um", "LLVM=1")
BUILD = f"""
set -eu
mkdir {MOUNTED}/build
kernel_make() {{
    make -j"$(nproc)" -C {SOURCE} O={MOUNTED}/build {" ".join(MAKE)} "$@"
}}
kernel_make KCONFIG_ALLCONFIG=/rnvme/scripts/kernel/uml.config allnoconfig
wanted=/rnvme/scripts/kernel/uml.config
missing=$(grep '^CONFIG_' "$wanted" | grep -v '=n$' | grep -vxFf {MOUNTED}/build/.config || true)
if [ -n "$missing" ]; then
    echo "the configuration came out without: $missing" >&2
    exit 1
fi
kernel_make vmlinux modules
"""

# The agent of nothing: it loads the module, says how that went, and ends the kernel.
INIT = """#!/bin/sh
/bin/busybox insmod {module}
echo "insmod: $?"
/bin/busybox rmmod rnvme
echo "rmmod: $?"
exec /bin/busybox poweroff -f
"""


def prepare_uml(cache: Cache, base: BuildRoot, root: Root, project: pathlib.Path, progress: Progress) -> Root:
    """The root with User Mode Linux mounted as well; built when there is none for this fragment."""
    key = key_of(base.source_version, base.compilers, FRAGMENT.read_text(), BUILD)
    path = cache.find(UML, key)
    if path is None:
        need_space(cache.folder, GIGABYTES, "User Mode Linux")
        print("User Mode Linux is built once: 4 to 8 minutes on 2 cores", flush=True)
        with progress.step("User Mode Linux") as step:
            path = cache.make(UML, key, lambda folder: _make(folder, root, project, step))
    else:
        progress.kept("User Mode Linux")
    return root.with_bind(path, MOUNTED)


def _make(folder: pathlib.Path, root: Root, project: pathlib.Path, step: Step) -> None:
    inside = root.with_bind(folder, MOUNTED).with_bind(project, "/rnvme")
    step.run(inside.command(["/bin/sh", "-c", BUILD]), env=environment())
    release = (folder / "build/include/config/kernel.release").read_text().strip()
    kernel = Kernel(UML, release, f"{MOUNTED}/build/vmlinux", f"{MOUNTED}/build", "", (*MAKE, MODULE_FLAGS))
    (folder / "about.json").write_text(json.dumps(asdict(kernel)))


def boot_uml(kernel: Kernel, module: pathlib.Path, arguments: Sequence[str], seconds: float = BOOT_SECONDS) -> str:
    """Boots inside the build root, loads and removes the module; everything that the console said."""
    with tempfile.TemporaryDirectory() as folder:
        init = pathlib.Path(folder) / "init"
        init.write_text(INIT.format(module=shlex.quote(str(module))))
        init.chmod(0o755)
        command = [kernel.image, "mem=256M", "rootfstype=hostfs", "ro", f"init={init}", "con=null", "con0=null,fd:1",
                   "loglevel=7", *arguments]
        # It keeps a folder of its own at home, and its memory in a temporary file; the root is read-only.
        return _run(command, dict(os.environ, HOME=folder, TMPDIR=folder), seconds)


def _run(command: Sequence[str], env: dict[str, str], seconds: float) -> str:
    # It starts processes of its own, which must go with it.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env=env, start_new_session=True)
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        raise Failure(f"User Mode Linux did not end within {seconds:g} s; its last words:\n"
                      + "\n".join(said.splitlines()[-30:])) from late
