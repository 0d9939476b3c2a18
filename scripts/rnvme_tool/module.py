# SPDX-License-Identifier: GPL-2.0
"""Builds rnvme.ko: in the build root against one of its kernels, or here against a KDIR.

A KDIR is looked at before kbuild is: each way in which it cannot serve has a
line of its own, since kbuild's own words for them are far from the cause.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from typing import Dict, List

from .cache import locked
from .enter import Root, environment
from .failure import Failure
from .kernel import Kernel, kbuild
from .root import SERIES
from .steps import Progress

HOW_TO_PREPARE = ("configure the kernel with CONFIG_RUST=y and run `make prepare modules_prepare`, "
                  "or run `make` without KDIR, which prepares the stock Debian kernel")


def output_folder(project: pathlib.Path, release: str) -> pathlib.Path:
    """Where the module for one kernel is built: outside the sources, one folder a kernel."""
    return project / "build/module" / release


def build_in_root(project: pathlib.Path, root: Root, kernel: Kernel, progress: Progress, *extra: str) -> pathlib.Path:
    """Builds the module for a kernel of the root; the path of rnvme.ko."""
    output = output_folder(project, kernel.release)
    _build(project, root, kernel, output, progress, f"module for the {kernel.name} kernel", *extra)
    return output / "rnvme.ko"


def build_self_test(project: pathlib.Path, root: Root, kernel: Kernel, progress: Progress) -> None:
    """Builds the module with its deliberate mistakes, by which the tests of the kernel's log are tested."""
    _build(project, root, kernel, project / "build/self-test" / kernel.release, progress, "module with mistakes",
           "RNVME_SELF_TEST=1")


def _build(project: pathlib.Path, root: Root, kernel: Kernel, output: pathlib.Path, progress: Progress, name: str,
           *extra: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with locked(project / "build/module.lock", "the module"), progress.step(name) as step:
        step.run(root.command(kbuild(kernel, "modules", f"/rnvme/{output.relative_to(project)}", *extra)),
                 env=environment())


def build_against(project: pathlib.Path, kdir: pathlib.Path, variables: List[str]) -> pathlib.Path:
    """Builds the module against a prepared tree with this machine's own tools."""
    check_kdir(kdir)
    release = (kdir / "include/config/kernel.release").read_text().strip()
    config = read_config(kdir)
    output = output_folder(project, release)
    output.mkdir(parents=True, exist_ok=True)
    command = ["make", f"-j{os.cpu_count() or 1}", "-C", str(kdir), f"M={project}", f"MO={output}"]
    compiler = config.get("CONFIG_CC_VERSION_TEXT", "").strip('"').split(" ")[0]
    if not any(v.startswith(("CC=", "LLVM=")) for v in variables) and compiler and shutil.which(compiler):
        command.append(f"CC={compiler}")
    done = subprocess.run([*command, *variables, "modules"], check=False)
    if done.returncode != 0:
        raise Failure(f"the module could not be built against {kdir}: see the compiler's messages above")
    return output / "rnvme.ko"


def check_kdir(kdir: pathlib.Path) -> None:
    """Ends with one line when no module can be built against this folder."""
    if not kdir.is_dir():
        raise Failure(f"KDIR={kdir} is no folder: give a prepared kernel build folder")
    if not (kdir / "Makefile").exists():
        raise Failure(f"KDIR={kdir} is no kernel build folder (it has no Makefile): {HOW_TO_PREPARE}")
    config = read_config(kdir)
    if not config:
        raise Failure(f"KDIR={kdir} is not configured (it has no .config): {HOW_TO_PREPARE}")
    if config.get("CONFIG_RUST") != "y":
        raise Failure(f"the kernel in KDIR={kdir} is configured without Rust (no CONFIG_RUST=y): {HOW_TO_PREPARE}")
    _check_release(kdir)
    if not (kdir / "rust/libkernel.rmeta").exists():
        raise Failure(f"KDIR={kdir} has no Rust metadata (rust/libkernel.rmeta; a headers package never has): "
                      f"{HOW_TO_PREPARE}")
    _check_rustc(kdir, config)


def read_config(kdir: pathlib.Path) -> Dict[str, str]:
    """The configuration of a kernel build folder; empty when there is none."""
    path = kdir / ".config"
    if not path.exists():
        return {}
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", path.read_text(errors="replace"), re.MULTILINE))


def _check_release(kdir: pathlib.Path) -> None:
    path = kdir / "include/config/kernel.release"
    if not path.exists():
        raise Failure(f"KDIR={kdir} is not prepared (it has no include/config/kernel.release): {HOW_TO_PREPARE}")
    release = path.read_text().strip()
    if not re.match(re.escape(SERIES) + r"(?![0-9])", release):
        raise Failure(f"KDIR={kdir} is Linux {release}, and this version of rnvme is written for {SERIES}: "
                      f"give a build folder of Linux {SERIES}")


def _check_rustc(kdir: pathlib.Path, config: Dict[str, str]) -> None:
    wanted = config.get("CONFIG_RUSTC_VERSION_TEXT", "").strip('"')
    rustc = os.environ.get("RUSTC", "rustc")
    if shutil.which(rustc) is None:
        raise Failure(f"{rustc} is not installed, and KDIR={kdir} needs {wanted}: install it, set RUSTC, or run "
                      "`make` without KDIR, which brings its own tools")
    present = subprocess.run([rustc, "--version"], check=False, text=True, stdout=subprocess.PIPE).stdout.strip()
    if present != wanted:
        raise Failure(f"KDIR={kdir} was made by {wanted}, and {rustc} here is {present or 'broken'}: set RUSTC to "
                      "the same compiler, or prepare KDIR again with this one")
