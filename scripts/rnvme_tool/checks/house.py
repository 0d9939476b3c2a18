# SPDX-License-Identifier: GPL-2.0
"""The rules of this house, for every kind of file."""

from __future__ import annotations

import pathlib
import re

from . import Findings, files, relative

LONGEST = 500
SOURCES = (".rs", ".py", ".sh", ".h", ".c", "Makefile", "Kbuild", "init")
TEXTS = (*SOURCES, ".md", ".toml", ".config", ".txt", "run")
# Folders of some developer's machine; what is committed must hold on any.
MACHINE_PATHS = re.compile(r"/(?:work|tmp/exp|root|home/[a-z]+)/[\w.]+")
UNFINISHED = re.compile(r"\b(?:TO{1}DO|FIX{1}ME|X{3})\b")


def house_rules(tree: pathlib.Path) -> Findings:
    """Licence lines, length of files, no paths of a machine, nothing left to do."""
    found = []
    for path in files(tree, *SOURCES):
        text = path.read_text()
        if "SPDX-License-Identifier: " not in "\n".join(text.splitlines()[:3]):
            found.append(f"{relative(tree, path)}: no SPDX line on top")
        if text.count("\n") > LONGEST:
            found.append(f"{relative(tree, path)}: {text.count(chr(10))} lines, more than {LONGEST}")
    for path in files(tree, *TEXTS):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if MACHINE_PATHS.search(line):
                found.append(f"{relative(tree, path)}:{number}: names a path of some machine: {line.strip()}")
            if UNFINISHED.search(line):
                found.append(f"{relative(tree, path)}:{number}: something is left to do: {line.strip()}")
    return found
