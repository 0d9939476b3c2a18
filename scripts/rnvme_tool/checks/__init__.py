# SPDX-License-Identifier: GPL-2.0
"""The checks of `make check`, each a function of the tree that it looks at.

A check returns its findings, a line each, and nothing when all is well. Because the
tree is an argument, tests/host/test_check.py can give each check a tree in which
it must find something.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Iterator, List

Findings = List[str]
# Not part of the sources: history, and what is built.
NOT_OURS = (".git", "build", "target")


def files(tree: pathlib.Path, *suffixes: str) -> Iterator[pathlib.Path]:
    """The tree's source files with one of these endings, in order."""
    for folder, folders, names in os.walk(tree):
        here = pathlib.Path(folder)
        folders[:] = sorted(name for name in folders if not (name == "__pycache__" or name.endswith("_cache")
                                                             or here == tree and name in NOT_OURS))
        for name in sorted(names):
            if name.endswith(suffixes) and (here / name).is_file():
                yield here / name


def relative(tree: pathlib.Path, path: pathlib.Path) -> str:
    """A path as a reader of this project knows it."""
    return str(path.relative_to(tree))


def command(tree: pathlib.Path, *line: str) -> Findings:
    """Runs a tool in the tree: what it printed when it found something."""
    done = subprocess.run(line, cwd=tree, check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return []
    return done.stdout.splitlines() or [f"{line[0]} ended with status {done.returncode} and said nothing"]
