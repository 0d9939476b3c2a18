# SPDX-License-Identifier: GPL-2.0
"""The guest's initramfs, in two parts that the kernel unpacks one after the other.

The base (tools with their libraries, the kernel's selftest runner) is cached; the
small second part (the modules for the guest's kernel, rnvme.ko among them, and the
tests of this tree) is made for every run. Both are uncompressed: under TCG that boots fastest.
This runs inside the build root.
"""

from __future__ import annotations

import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from typing import Iterable, List, Set

from .hollow import make_hollow
from .kernel import STOCK, Kernel

PROJECT = pathlib.Path("/rnvme")
SELFTESTS = pathlib.Path("/kernel/source/tools/testing/selftests")
INIT = PROJECT / "scripts/guest/init"

# What busybox has only in part, or not as the tests need it.
PROGRAMS = """bash fio nvme kmod qemu-ga lsblk blkid sfdisk blockdev flock setsid setpriv taskset mkfs.ext4 e2fsck
timeout blkdiscard fstrim fallocate dd stat sha256sum md5sum truncate cmp diff sort tr head tail cat cp ls
blkzone losetup mkswap swapon swapoff mkfs.xfs xfs_repair mkfs.btrfs btrfs mkzonefs lvm dmsetup mdadm
cryptsetup""".split()
KMOD_NAMES = "insmod rmmod modprobe lsmod modinfo depmod".split()
MODULES = "ext4 nvme kyber-iosched bfq".split()
# What stands on top of a disk; of these the debug kernel has only what is built in.
STACK_MODULES = """xfs btrfs zonefs loop dm-mod dm-crypt xts aesni-intel raid1 nvmet nvmet-tcp nvme-tcp
nvme-fabrics""".split()
FOLDERS = """dev proc sys run tmp root mnt etc usr/bin usr/sbin usr/lib/rnvme usr/lib64
var/run var/tmp kselftest""".split()


def make_base(output: pathlib.Path) -> None:
    """Writes the cached part of the image."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for link in ("bin", "sbin", "lib", "lib64"):
            (tree / link).symlink_to("usr/" + link)
        for name in FOLDERS:
            (tree / name).mkdir(parents=True, exist_ok=True)
        _add_busybox(tree)
        _add_programs(tree)
        _add_selftest_runner(tree)
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        (tree / "etc/group").write_text("root:x:0:\n")
        (tree / "etc/mtab").symlink_to("/proc/mounts")
        shutil.copy(INIT, tree / "init")
        (tree / "init").chmod(0o755)
        pack(tree, output)


def make_overlay(output: pathlib.Path, kernel: Kernel, module: pathlib.Path, self_test: pathlib.Path) -> None:
    """Writes this run's part: the kernel's modules, ours, and the tests that run in the guest."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        _add_modules(tree, pathlib.Path(kernel.modules), MODULES + (STACK_MODULES if kernel.name == STOCK else []))
        for file, name in ((module, "rnvme.ko"), (self_test, "self_test/rnvme.ko")):
            if file.exists():
                target = tree / "usr/lib/rnvme" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # Line numbers stay on the host, where addresses are looked up; in the guest they would be memory.
                subprocess.run(["strip", "--strip-debug", "-o", str(target), str(file)], check=True)
        source = PROJECT / "tests/kselftest"
        tests = tree / "kselftest/rnvme"
        tests.mkdir(parents=True)
        names = []
        for path in sorted(source.glob("*")) if source.is_dir() else []:
            if path.is_file():
                shutil.copy(path, tests)
                if os.access(path, os.X_OK):
                    names.append(path.name)
        (tree / "kselftest/kselftest-list.txt").write_text("".join(f"rnvme:{name}\n" for name in names))
        pack(tree, output)


def join(parts: Iterable[pathlib.Path], output: pathlib.Path) -> None:
    """One initramfs of several archives."""
    with open(output, "wb") as whole:
        for part in parts:
            with open(part, "rb") as archive:
                shutil.copyfileobj(archive, whole, 1 << 20)


def pack(tree: pathlib.Path, output: pathlib.Path) -> None:
    """Makes a cpio archive of a folder."""
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    with open(output, "wb") as archive:
        subprocess.run(["cpio", "--quiet", "--null", "--create", "--format=newc", "--owner=0:0", "--reproducible"],
                       cwd=tree, check=True, stdout=archive, input="\0".join(names).encode())


def _add_busybox(tree: pathlib.Path) -> None:
    shutil.copy("/usr/bin/busybox", tree / "usr/bin/busybox")
    applets = subprocess.run(["busybox", "--list"], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    for name in applets:
        if name != "busybox":
            (tree / "usr/bin" / name).symlink_to("busybox")


def _add_programs(tree: pathlib.Path) -> None:
    libraries: Set[str] = set()
    hollow = tree / "usr/lib/hollow"
    hollow.mkdir(parents=True)
    for name in PROGRAMS:
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(f"{name} is not in the build root")
        real = os.path.realpath(found)
        target = tree / "usr/bin" / name
        target.unlink(missing_ok=True)
        shutil.copy(real, target)
        needed = _libraries_of(real)
        if name == "fio":
            make_hollow(real, needed, hollow)
            needed = _libraries_of(real, hollow)
        libraries.update(needed)
    for name in KMOD_NAMES:
        target = tree / "usr/bin" / name
        target.unlink(missing_ok=True)
        target.symlink_to("kmod")
    # Where the kernel itself looks for it, to load a file system say.
    (tree / "usr/sbin/modprobe").symlink_to("../bin/kmod")
    (tree / "usr/bin/fsck.ext4").symlink_to("e2fsck")
    shutil.copy("/etc/mke2fs.conf", tree / "etc/mke2fs.conf")
    for library in libraries:
        if pathlib.Path(library).parent != hollow:
            _copy_resolved(library, tree)
    # Where the loader looks; what another program needs in earnest is there already.
    for path in hollow.glob("*.so.*[0-9]"):
        place = tree / "usr/lib/x86_64-linux-gnu" / path.name
        if place.exists():
            raise FileExistsError(f"{path.name} is needed by more than fio")
        shutil.move(str(path), str(place))
    shutil.rmtree(hollow)


def _libraries_of(program: str, first: pathlib.Path = pathlib.Path("/nonexistent")) -> List[str]:
    """The paths of a program's libraries, those of its libraries included; what is in `first` comes from there."""
    done = subprocess.run(["ldd", program], check=False, text=True, stdout=subprocess.PIPE,
                          env=dict(os.environ, LD_LIBRARY_PATH=str(first)))
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.MULTILINE)


def _copy_resolved(library: str, tree: pathlib.Path) -> None:
    # /lib and /lib64 are links into /usr, here as in the root that the file comes from.
    name = library if library.startswith("/usr/") else "/usr" + library
    target = tree / name.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.path.realpath(library), target)


def _add_modules(tree: pathlib.Path, source: pathlib.Path, names: List[str]) -> None:
    needs = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[pathlib.Path(path).name.split(".")[0]] = [path, *rest.split()]
    target = tree / "usr/lib/modules" / source.name
    target.mkdir(parents=True)
    builtin = (source / "modules.builtin").read_text()
    for name in names:
        if f"/{name}.ko" in builtin:
            continue
        for path in needs[name]:
            file = target / path.replace(".ko.xz", ".ko")
            file.parent.mkdir(parents=True, exist_ok=True)
            data = (source / path).read_bytes()
            file.write_bytes(lzma.decompress(data) if path.endswith(".xz") else data)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(source / name, target)
    # depmod looks below /lib, which is a link in the base part.
    (tree / "lib").symlink_to("usr/lib")
    subprocess.run(["depmod", "--basedir", str(tree), source.name], check=True)
    (tree / "lib").unlink()


def _add_selftest_runner(tree: pathlib.Path) -> None:
    shutil.copy(SELFTESTS / "run_kselftest.sh", tree / "kselftest")
    (tree / "kselftest/run_kselftest.sh").chmod(0o755)
    shutil.copytree(SELFTESTS / "kselftest", tree / "kselftest/kselftest")
