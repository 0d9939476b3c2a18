# SPDX-License-Identifier: GPL-2.0
"""The kernels that the module is built for, tested on, and where each one's things are.

The stock kernel is only prepared for building modules: its headers package lacks
the Rust metadata, so that is made again from the source package with the packaged
configuration and the same compilers, and every mangled name comes out as in the
running kernel. The debug kernel is built whole, from the same source and the
fragment scripts/kernel/debug.config. A build folder's Makefile holds its own path:
inside the root each is always mounted in the same place, made and used.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import List, Tuple

from .cache import Cache, key_of, need_space
from .enter import Root, environment
from .root import SERIES, BuildRoot
from .steps import Progress, Step

SOURCE = "/kernel/source"
STOCK, DEBUG = "stock", "debug"
NAMES = (STOCK, DEBUG)
# Where a kernel's folder is mounted inside the root; its about.json describes it.
MOUNTED = {STOCK: "/kernel", DEBUG: "/debug"}
FRAGMENT = pathlib.Path(__file__).resolve().parents[1] / "kernel/debug.config"
DEBUG_GIGABYTES = 3.0


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel: all paths are inside the root."""

    name: str
    release: str
    image: str
    build: str
    modules: str
    make: Tuple[str, ...]


# LOCALVERSION goes to every call: without it the version magic would not be the stock kernel's.
STOCK_MAKE = ("CC=x86_64-linux-gnu-gcc-14",)
PREPARE_STOCK = f"""
set -eu
headers=/usr/src/linux-headers-$RELEASE
mkdir {SOURCE} /kernel/build
tar -xf /usr/src/linux-source-{SERIES}.tar.xz -C {SOURCE} --strip-components=1
cp "$headers/.config" /kernel/build/.config
kernel_make() {{
    make -j"$(nproc)" -C {SOURCE} O=/kernel/build {STOCK_MAKE[0]} LOCALVERSION="+${{RELEASE#*+}}" "$@"
}}
kernel_make olddefconfig
kernel_make prepare modules_prepare
cp -L "$headers/Module.symvers" "$headers/vmlinux" /kernel/build/
test "$(cat /kernel/build/include/config/kernel.release)" = "$RELEASE"
test -s /kernel/build/rust/libkernel.rmeta
{SOURCE}/scripts/extract-vmlinux "$IMAGE" > /kernel/vmlinux
"""

# Kconfig drops what it cannot have without a word, Rust for one when the compiler is gcc: each line is looked for.
# The objects of vmlinux are of no use once it is linked; modules need only those of the tools.
DEBUG_MAKE = ("LLVM=1",)
# The kernel itself has no debug information, for size and time; the module has, for line numbers.
MODULE_SYMBOLS = "KRUSTFLAGS=-Cdebuginfo=2"
BUILD_DEBUG = f"""
set -eu
mkdir /debug/build
kernel_make() {{
    make -j"$(nproc)" -C {SOURCE} O=/debug/build {DEBUG_MAKE[0]} "$@"
}}
kernel_make KCONFIG_ALLCONFIG=/rnvme/scripts/kernel/debug.config allnoconfig
missing=$(grep '^CONFIG_' /rnvme/scripts/kernel/debug.config | grep -v '=n$' | grep -vxFf /debug/build/.config || true)
if [ -n "$missing" ]; then
    echo "the configuration came out without: $missing" >&2
    exit 1
fi
kernel_make vmlinux modules
kernel_make INSTALL_MOD_PATH=/debug/modules INSTALL_MOD_STRIP=1 modules_install
find /debug/build -name '*.o' -not -path '/debug/build/scripts/*' -not -path '/debug/build/tools/*' -delete
rm -f /debug/build/vmlinux.a /debug/build/vmlinux.unstripped /debug/build/.tmp_vmlinux*
"""


def prepare_stock(cache: Cache, base: BuildRoot, progress: Progress) -> Root:
    """The root with the stock kernel's folders mounted; made when there are none for this root."""
    key = key_of(base.source_version, base.release, base.compilers, PREPARE_STOCK)
    path = cache.find("kernel", key)
    if path is None:
        with progress.step("kernel build folder") as step:
            path = cache.make("kernel", key, lambda folder: _make_stock(folder, base, step))
    else:
        progress.kept("kernel build folder")
    return base.root.with_bind(path, MOUNTED[STOCK])


def prepare_debug(cache: Cache, base: BuildRoot, root: Root, project: pathlib.Path, progress: Progress) -> Root:
    """The root with the debug kernel's folder mounted as well; built when there is none for this fragment."""
    key = key_of(base.source_version, base.compilers, FRAGMENT.read_text(), BUILD_DEBUG)
    path = cache.find("debug", key)
    if path is None:
        need_space(cache.folder, DEBUG_GIGABYTES, "the debug kernel")
        print("the debug kernel is built once: 15 to 25 minutes on 2 cores", flush=True)
        with progress.step("debug kernel") as step:
            path = cache.make("debug", key, lambda folder: _make_debug(folder, base, root, project, step))
    else:
        progress.kept("debug kernel")
    return root.with_bind(path, MOUNTED[DEBUG])


def read_kernel(folder: pathlib.Path) -> Kernel:
    """A prepared kernel as its folder describes it."""
    about = json.loads((folder / "about.json").read_text())
    return Kernel(**dict(about, make=tuple(about["make"])))


def kbuild(kernel: Kernel, target: str, output: str, *extra: str) -> List[str]:
    """The command that builds the module inside the root, out of the source tree."""
    return ["make", f"-j{os.cpu_count() or 1}", "-C", kernel.build, *kernel.make, "M=/rnvme", f"MO={output}",
            *extra, target]


def _make_stock(folder: pathlib.Path, base: BuildRoot, step: Step) -> None:
    modules = base.root.path / "usr/lib/modules" / base.release
    images = [modules / "vmlinuz.unsigned", modules / "vmlinuz", base.root.path / f"boot/vmlinuz-{base.release}"]
    image = next(path for path in images if path.exists())
    inside = "/" + str(image.relative_to(base.root.path))
    step.run(base.root.with_bind(folder, "/kernel").command(["/bin/sh", "-c", PREPARE_STOCK]),
             env=environment(RELEASE=base.release, IMAGE=inside))
    _describe(folder, Kernel(STOCK, base.release, "/kernel/vmlinux", "/kernel/build",
                             f"/usr/lib/modules/{base.release}", STOCK_MAKE))


def _make_debug(folder: pathlib.Path, base: BuildRoot, root: Root, project: pathlib.Path, step: Step) -> None:
    inside = root.with_bind(folder, "/debug").with_bind(project, "/rnvme")
    step.run(inside.command(["/bin/sh", "-c", BUILD_DEBUG]), env=environment())
    release = (folder / "build/include/config/kernel.release").read_text().strip()
    _describe(folder, Kernel(DEBUG, release, "/debug/build/vmlinux", "/debug/build",
                             f"/debug/modules/lib/modules/{release}", (*DEBUG_MAKE, MODULE_SYMBOLS)))
    step.note = f"Linux {release} of {base.source_version}"


def _describe(folder: pathlib.Path, kernel: Kernel) -> None:
    (folder / "about.json").write_text(json.dumps(dataclasses.asdict(kernel)))
