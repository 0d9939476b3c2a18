# SPDX-License-Identifier: GPL-2.0
"""Rust: its format, the lints that the kernel has, and where `unsafe` may be."""

from __future__ import annotations

import collections
import pathlib
import re
from typing import Counter, Dict, List, Sequence

from ..kernel import Kernel, kbuild
from . import Findings, command, files, relative
from .rust_code import code_only, count_unsafe, unsafe_uses

UNSAFE_HOME = "rust/kernel_ext"
# The crates of the module that have none; Cargo's workspace forbids it to the others.
SAFE_ROOTS = ("drivers/nvme/rnvme.rs", "rust/nvme/src/lib.rs")
KINDS = ("block", "impl", "fn", "other")
# kbuild gives every crate no_std; the pure one says so itself as well, for Cargo.
TWICE = "-Aunused-attributes -Aclippy::duplicated-attributes"
# Comments and attributes may stand between a SAFETY comment and what it is about, and the beginning of the statement.
SAFETY_REACH = 12


def rustfmt(tree: pathlib.Path) -> Findings:
    """Each file as it is, and what its `mod` lines bring."""
    sources = [str(path) for path in files(tree, ".rs")]
    return command(tree, "rustfmt", "--check", *sources) if sources else ["no Rust source was found"]


def clippy_cargo(tree: pathlib.Path) -> Findings:
    """What builds on the host, tests included."""
    return command(tree, "cargo", "clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--",
                   "--deny", "warnings", "--deny", "clippy::undocumented_unsafe_blocks")


def clippy_kernel(tree: pathlib.Path, output: pathlib.Path, kernel: Kernel, variables: Sequence[str]) -> Findings:
    """A whole module by kbuild: the kernel's own lints, as errors, and its rule about unsafe blocks by name."""
    output.mkdir(parents=True, exist_ok=True)
    own = [word for word in kernel.make if not word.startswith("KRUSTFLAGS=")]
    make = kbuild(Kernel(kernel.name, kernel.release, kernel.image, kernel.build, kernel.modules, tuple(own)),
                  "modules", str(output), "CLIPPY=1", *variables,
                  f"KRUSTFLAGS=-Dwarnings -Dclippy::undocumented_unsafe_blocks {TWICE}")
    return command(tree, *[f"M={tree}" if word.startswith("M=") else word for word in make])


def unsafe_by_crate(tree: pathlib.Path) -> Dict[str, Counter[str]]:
    """How often each crate (two folders down from the top) uses `unsafe`, by kind."""
    crates: Dict[str, Counter[str]] = collections.defaultdict(collections.Counter)
    for path in files(tree, ".rs"):
        crate = "/".join(path.relative_to(tree).parts[:2])
        crates[crate].update(count_unsafe(path.read_text()))
    return dict(sorted(crates.items()))


def unsafe_table(tree: pathlib.Path) -> List[str]:
    """The counts for a reader, a line a crate."""
    head = f"{'unsafe in':24}" + "".join(f"{kind:>7}" for kind in KINDS)
    return [head] + [f"{crate:24}" + "".join(f"{counts[kind]:7}" for kind in KINDS)
                     for crate, counts in unsafe_by_crate(tree).items()]


def unsafe_home(tree: pathlib.Path) -> Findings:
    """`unsafe` in one folder only, and forbidden at the roots of the module's other crates."""
    found = [f"{relative(tree, path)}:{use.line}: unsafe ({use.what}) outside {UNSAFE_HOME}"
             for path in files(tree, ".rs") if not at_home(tree, path) for use in unsafe_uses(path.read_text())]
    for name in SAFE_ROOTS:
        root = tree / name
        if not (root.exists() and re.search(r"^#!\[forbid\(unsafe_code\)\]", root.read_text(), re.MULTILINE)):
            found.append(f"{name}: the line #![forbid(unsafe_code)] is missing")
    return found


def no_macros(tree: pathlib.Path) -> Findings:
    """No macro where `unsafe` is allowed: its expansion could put a caller's tokens inside."""
    return [f"{relative(tree, path)}: defines a macro; a function cannot put its caller's tokens inside `unsafe`"
            for path in files(tree, ".rs") if at_home(tree, path)
            and re.search(r"\bmacro_rules\s*!|\bproc_macro", code_only(path.read_text()))]


def safety_comments(tree: pathlib.Path) -> Findings:
    """A SAFETY comment before every block and impl: clippy's rule, also for code that a configuration leaves out."""
    found = []
    for path in files(tree, ".rs"):
        lines = path.read_text().splitlines()
        for use in unsafe_uses("\n".join(lines)):
            before = "\n".join(lines[max(0, use.line - 1 - SAFETY_REACH):use.line])
            if use.what in ("block", "impl") and not re.search(r"//.*\bSAFETY:", before):
                found.append(f"{relative(tree, path)}:{use.line}: an unsafe {use.what} without a SAFETY comment")
    return found


def at_home(tree: pathlib.Path, path: pathlib.Path) -> bool:
    """Whether a file may use `unsafe`."""
    return relative(tree, path).startswith(UNSAFE_HOME + "/")
