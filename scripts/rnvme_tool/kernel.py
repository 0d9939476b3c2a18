# SPDX-License-Identifier: GPL-2.0
"""The stock kernel's build folder: its headers package lacks the Rust metadata.

It is made again from the source package with the packaged configuration and the
same compilers, so that every mangled name comes out as in the running kernel.
The folder's Makefile holds its own path: inside the root it is always mounted
at /kernel, while it is made and when it is used.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import List

from .cache import Cache, key_of
from .enter import Root, environment
from .root import SERIES, BuildRoot
from .steps import Progress, Step

CC = "x86_64-linux-gnu-gcc-14"
KDIR = "/kernel/build"
SOURCE = "/kernel/source"

# LOCALVERSION goes to every call: without it the version magic would not be the stock kernel's.
PREPARE = f"""
set -eu
headers=/usr/src/linux-headers-$RELEASE
mkdir {SOURCE} {KDIR}
tar -xf /usr/src/linux-source-{SERIES}.tar.xz -C {SOURCE} --strip-components=1
cp "$headers/.config" {KDIR}/.config
kernel_make() {{
    make -j"$(nproc)" -C {SOURCE} O={KDIR} CC={CC} LOCALVERSION="+${{RELEASE#*+}}" "$@"
}}
kernel_make olddefconfig
kernel_make prepare modules_prepare
cp -L "$headers/Module.symvers" "$headers/vmlinux" {KDIR}/
test "$(cat {KDIR}/include/config/kernel.release)" = "$RELEASE"
test -s {KDIR}/rust/libkernel.rmeta
{SOURCE}/scripts/extract-vmlinux "$IMAGE" > /kernel/vmlinux
"""


def prepare_kernel(cache: Cache, base: BuildRoot, progress: Progress) -> Root:
    """The root with the kernel's folders mounted; made when there are none for this root."""
    key = key_of(base.key, base.release, PREPARE)
    path = cache.find("kernel", key)
    if path is None:
        with progress.step("kernel build folder") as step:
            path = cache.make("kernel", key, lambda folder: _make(folder, base, step))
    else:
        progress.kept("kernel build folder")
    return base.root.with_bind(path, "/kernel")


def _make(folder: pathlib.Path, base: BuildRoot, step: Step) -> None:
    modules = base.root.path / "usr/lib/modules" / base.release
    images = [modules / "vmlinuz.unsigned", modules / "vmlinuz", base.root.path / f"boot/vmlinuz-{base.release}"]
    image = next(path for path in images if path.exists())
    inside = "/" + str(image.relative_to(base.root.path))
    step.run(base.root.with_bind(folder, "/kernel").command(["/bin/sh", "-c", PREPARE]),
             env=environment(RELEASE=base.release, IMAGE=inside))
    (folder / "about.json").write_text(json.dumps(
        {"release": base.release, "source_version": base.source_version, "image": inside}))


def kbuild(target: str, output: str, *extra: str) -> List[str]:
    """The command that builds the module inside the root, out of the source tree."""
    return ["make", f"-j{os.cpu_count() or 1}", "-C", KDIR, f"CC={CC}", "M=/rnvme", f"MO={output}", *extra, target]
