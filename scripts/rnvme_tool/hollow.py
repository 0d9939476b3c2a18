# SPDX-License-Identifier: GPL-2.0
"""Hollow libraries: they have the names that a program wants, and nothing behind them.

fio can do its I/O over Ceph, Gluster, NFS, RDMA and more, and is linked with all of their libraries, sixty files.
Under emulation loading them takes longer than the I/O of most tests. None of these ways is used in a guest: a
hollow library stands there for each, and whoever calls into it dies by a trap. Relies on the build root's
compiler, readelf and nm.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
from typing import Dict, List

HOLLOW = """librados.so.2 librbd.so.1 libgfapi.so.0 libnbd.so.0 libnfs.so.14 librdmacm.so.1 libibverbs.so.1
libpmem.so.1""".split()


def make_hollow(program: str, libraries: List[str], folder: pathlib.Path) -> None:
    """Writes into `folder` a hollow library for each of `libraries` (paths) that is one of HOLLOW."""
    wanted = _wanted(program)
    for path in map(pathlib.Path, libraries):
        if path.name not in HOLLOW:
            continue
        offered = set(re.findall(r" [A-Z] ([^@\s]+)", _output("nm", "-D", "--defined-only", str(path))))
        _compile(path.name, {name: version for name, version in wanted.items() if name in offered}, folder)


def _wanted(program: str) -> Dict[str, str]:
    """The functions that a program takes from its libraries, each with the version that it asks for, or none."""
    found = {}
    for line in _output("readelf", "--dyn-syms", "--wide", program).splitlines():
        match = re.search(r" (?:FUNC|NOTYPE) +GLOBAL +DEFAULT +UND ([^@\s]+)(?:@([^@\s]+))?", line)
        if match:
            found[match[1]] = match[2] or ""
    return found


def _compile(name: str, functions: Dict[str, str], folder: pathlib.Path) -> None:
    source, script = folder / f"{name}.c", folder / f"{name}.map"
    source.write_text("".join(f"void {function}(void) {{ __builtin_trap(); }}\n" for function in functions))
    versions = sorted({version for version in functions.values() if version})
    script.write_text("".join(
        version + " { global: " + " ".join(f"{one};" for one, of in functions.items() if of == version) + " };\n"
        for version in versions))
    scripts = [f"-Wl,--version-script={script}"] if versions else []
    subprocess.run(["gcc-14", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-O1", "-w", f"-Wl,-soname,{name}",
                    *scripts, "-o", str(folder / name), str(source)], check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
