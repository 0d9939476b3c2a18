# SPDX-License-Identifier: GPL-2.0
"""The build root: a Debian trixie with backports, made by mmdebstrap.

It holds the toolchain that the stock kernel was built with, that kernel's
headers, source, image and modules, QEMU, and all that goes into the guest. The
archive keeps only the newest 7.3.x, so the patch level is asked for, never fixed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
from typing import Dict, List, Tuple

from .cache import Cache, key_of, need_space
from .enter import CONTAINED, MOUNT_POINTS, Root, environment
from .failure import Failure
from .steps import Progress, Step, StepFailed

SERIES = "7.3"
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
SOURCES = [f"deb {MIRROR} {suite} main" for suite in (SUITE, SUITE + "-backports")]
GIGABYTES = 7.0

# The kernel's headers pull in the backported libelf, so its -dev package must match.
PINS = """Package: src:linux src:linux-base src:elfutils src:qemu src:seabios src:python-qemu-qmp
Pin: release n=trixie-backports
Pin-Priority: 900
"""
DPKG = """force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
"""
APT = """APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""
TOOLCHAIN = """rustc rust-src rustfmt rust-clippy cargo bindgen gcc-14 g++ make bc bison flex libelf-dev
libssl-dev pahole kmod cpio rsync xz-utils zstd ca-certificates clang lld llvm gdb
python3-pip perl""".split()
CHECKERS = """python3 python3-pytest python3-pytest-xdist python3-pytest-timeout python3-qemu-qmp
mypy shellcheck""".split()
GUEST = """qemu-system-x86 qemu-utils qemu-guest-agent busybox-static bash fio nvme-cli e2fsprogs
fdisk util-linux""".split()
# What a disk's users put on top of it.
STACKS = "xfsprogs btrfs-progs zonefs-tools lvm2 dmsetup mdadm cryptsetup-bin".split()
PACKAGES = TOOLCHAIN + CHECKERS + GUEST + STACKS

KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
COMPILERS = "rustc bindgen gcc-14 clang lld llvm pahole".split()

UNREACHABLE = re.compile(r"failure resolving|Could not (?:resolve|connect|handshake)|Unable to connect|unreachable|"
                         r"onnection (?:failed|refused|timed)|Failed to fetch", re.IGNORECASE)
RECORD = "etc/rnvme-root.json"


@dataclasses.dataclass(frozen=True)
class BuildRoot:
    """A finished root and what is in it."""

    root: Root
    release: str
    source_version: str
    compilers: str
    key: str


def prepare_root(cache: Cache, progress: Progress) -> BuildRoot:
    """The build root; made when there is none for this recipe."""
    key = key_of(SOURCES, PINS, DPKG, APT, PACKAGES, SERIES, MOUNT_POINTS)
    path = cache.find("root", key)
    if path is None:
        need_space(cache.folder, GIGABYTES, "the build root with the kernel's source")
        need_mmdebstrap()
        with progress.step("build root") as step:
            path = cache.make("root", key, lambda folder: _make(folder, step))
            step.note = "Linux " + _record(path)["release"]
    else:
        progress.kept("build root", "Linux " + _record(path)["release"])
    record = _record(path)
    return BuildRoot(Root(path), record["release"], record["source_version"], record["compilers"], key)


def need_mmdebstrap() -> None:
    """Installs mmdebstrap on the host when it is missing."""
    if shutil.which("mmdebstrap"):
        return
    mend = "install the package mmdebstrap and run again"
    if not shutil.which("apt-get"):
        raise Failure(f"mmdebstrap is missing, and there is no apt-get to install it: {mend}")
    print("installing mmdebstrap on this host", flush=True)
    packages = ["mmdebstrap"]
    if not KEYRING.exists():
        packages.append("debian-archive-keyring")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=env, check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # A host with some broken source of its own can still hold the package.
        if done.returncode != 0 and command is install:
            why = (done.stdout.strip().splitlines() or ["no message"])[-1]
            raise Failure(f"mmdebstrap is missing and apt-get could not install it ({why}): {mend}")


def _make(folder: pathlib.Path, step: Step) -> None:
    try:
        # Some mirrors and file systems make mmdebstrap's own folder unreadable to others; chroot is root's.
        folder.rmdir()
        step.run([*CONTAINED, "--mount-proc", "mmdebstrap", "--variant=apt", *_options(), SUITE, str(folder), *SOURCES])
        _prepare_files(folder)
        root = Root(folder, writable=True)
        step.run(root.command(["apt-get", "update", "-q"]), env=environment())
        release, version, packages = _choose_kernel(root)
        step.write(f"the newest kernel of the series {SERIES} in the archive is {version} ({release})")
        step.run(root.command(["apt-get", "install", "-q", "-y", *PACKAGES, *packages]), env=environment())
        step.run(root.command(["apt-get", "distclean"]), env=environment())
    except StepFailed as failed:
        if UNREACHABLE.search(step.text()):
            raise Failure("the Debian archive cannot be reached: check the network (and http_proxy, if there is "
                          f"a proxy) and run again; the full log is {step.log}") from failed
        raise
    # What a kernel was built with: as long as this stays, a kernel in the cache outlives its root.
    compilers = root.output(["dpkg-query", "--show", *COMPILERS])
    (folder / RECORD).write_text(json.dumps(
        {"release": release, "source_version": version, "compilers": compilers}))


def _options() -> List[str]:
    options = [f"--aptopt={line}" for line in APT.splitlines()]
    if KEYRING.exists():
        options.append(f"--keyring={KEYRING}")
    # mmdebstrap does not read the host's apt configuration; a proxy set there must still hold.
    for scheme in ("http", "https"):
        name = f"Acquire::{scheme}::Proxy"
        done = subprocess.run(["apt-config", "shell", "P", name], check=False, text=True, stdout=subprocess.PIPE)
        found = re.match(r"P='(.*)'", done.stdout)
        if found:
            options.append(f'--aptopt={name} "{found.group(1)}";')
    return options


def _prepare_files(folder: pathlib.Path) -> None:
    (folder / "etc/apt/preferences.d/rnvme").write_text(PINS)
    (folder / "etc/dpkg/dpkg.cfg.d/rnvme").write_text(DPKG)
    for name in MOUNT_POINTS:
        (folder / name).mkdir(exist_ok=True)
    for name in ("etc/resolv.conf", "etc/hosts"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).touch()


def _choose_kernel(root: Root) -> Tuple[str, str, List[str]]:
    """Release, Debian version and packages of the newest kernel that has all we need."""
    names = root.output(["apt-cache", "search", "--names-only", rf"^linux-.*{re.escape(SERIES)}"])
    known = {line.split(" ", 1)[0] for line in names.splitlines()}
    source = f"linux-source-{SERIES}"
    headers = [n for n in known if re.fullmatch(rf"linux-headers-{re.escape(SERIES)}\.\d+\+deb[0-9.]+-amd64", n)]
    newest = _newest_versions(root, [source, *headers]) if source in known else {}
    for name in headers:
        if newest.get(name) == newest.get(source):
            release = name[len("linux-headers-"):]
            images = [n for n in (f"linux-binary-unsigned-{release}", f"linux-image-{release}") if n in known]
            if images and f"linux-modules-{release}" in known:
                return release, newest[source], [name, source, f"linux-modules-{release}", images[0]]
    there = ", ".join(sorted(headers)) or "nothing"
    raise Failure(f"Linux {SERIES} is no longer whole in trixie-backports (there is: {there}): "
                  "update rnvme to a version that knows the present series")


def _newest_versions(root: Root, names: List[str]) -> Dict[str, str]:
    newest: Dict[str, str] = {}
    for line in root.output(["apt-cache", "madison", *names]).splitlines():
        fields = [field.strip() for field in line.split("|")]
        newest.setdefault(fields[0], fields[1])
    return newest


def _record(path: pathlib.Path) -> Dict[str, str]:
    record: Dict[str, str] = json.loads((path / RECORD).read_text())
    return record
