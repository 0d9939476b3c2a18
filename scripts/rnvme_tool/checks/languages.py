# SPDX-License-Identifier: GPL-2.0
"""C by the kernel's checkpatch, shell by shellcheck, Python by ruff and mypy."""

from __future__ import annotations

import pathlib
import re

from ..pinned_tools import tool
from . import Findings, command, files

SCRIPT_BYTES = 1 << 20


def checkpatch(tree: pathlib.Path, source: pathlib.Path) -> Findings:
    """Every C file and header by the script of the kernel in `source`, with all that it has to say."""
    script = source / "scripts/checkpatch.pl"
    found = []
    for path in files(tree, ".c", ".h"):
        found += command(tree, "perl", str(script), "--no-tree", "--file", "--strict", "--terse", "--no-summary",
                         "--color=never", str(path))
    return found


def shell(tree: pathlib.Path) -> Findings:
    """Every shell script, known by its first line."""
    scripts = [str(path) for path in files(tree, "") if path.stat().st_size < SCRIPT_BYTES
               and re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:64])]
    return command(tree, "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts) if scripts else []


def ruff(tree: pathlib.Path) -> Findings:
    """The rules are chosen in pyproject.toml."""
    return command(tree, tool("ruff"), "check", "--no-cache", "--quiet", "--output-format=concise", ".")


def mypy(tree: pathlib.Path, cache: pathlib.Path) -> Findings:
    """Types, in the strict form that pyproject.toml asks for."""
    folders = [name for name in ("scripts", "tests") if (tree / name).is_dir()]
    return command(tree, "mypy", "--cache-dir", str(cache), "--explicit-package-bases", "--no-error-summary", *folders)
