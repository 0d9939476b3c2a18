# SPDX-License-Identifier: GPL-2.0
"""Programs for the guest, written for one purpose: tests/guest/programs, in C.

Relies on the compiler and the static C library of the build root.
"""

from __future__ import annotations

import pathlib
import subprocess

from rnvme_tool.guest import Guest

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "programs"


def put_program(guest: Guest, name: str) -> str:
    """Compiles programs/NAME.c and puts it into the guest; where it is there."""
    built = guest.folder / name
    subprocess.run(["gcc-14", "-static", "-s", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(built),
                    str(SOURCES / f"{name}.c")], check=True)
    target = f"/tmp/{name}"
    guest.write_file(target, built.read_bytes())
    guest.run(["chmod", "755", target])
    return target
