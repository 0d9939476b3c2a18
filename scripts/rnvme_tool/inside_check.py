# SPDX-License-Identifier: GPL-2.0
"""`make check`: formatting, lints, the rules of this house, and the Cargo tests. No guest is booted."""

from __future__ import annotations

import pathlib
import time
from typing import Callable, List, Tuple

from . import inside, junit
from .cargo_tests import run_cargo_tests
from .checks import Findings, house, languages, rust
from .kernel import DEBUG, SOURCE

TREE = inside.PROJECT
SHOWN_FINDINGS = 40


def run_check() -> int:
    """Runs all checks, prints a line for each with its time; status 1 when any found something."""
    bad = 0
    for name, check in CHECKS:
        began = time.monotonic()
        findings = check()
        print(f"{'FAILED' if findings else 'ok    '} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        for line in findings[:SHOWN_FINDINGS]:
            print("    " + line)
        if len(findings) > SHOWN_FINDINGS:
            print(f"    and {len(findings) - SHOWN_FINDINGS} lines more")
        bad += bool(findings)
    passed, failed = junit.count(run_cargo_tests([], lines_shown=False))
    print(f"{'FAILED' if failed or not passed else 'ok    '} cargo test ({passed} passed, {failed} failed)")
    bad += bool(failed or not passed)
    print("\n".join(rust.unsafe_table(TREE)))
    print(f"{len(CHECKS) + 1 - bad} passed, {bad} failed")
    return 1 if bad else 0


def clippy_kernel() -> Findings:
    """The module for each kernel of this run; for the debug kernel with its deliberate mistakes, which are code too."""
    found = []
    for kernel in inside.kernels():
        variables = ["RNVME_SELF_TEST=1"] if kernel.name == DEBUG else []
        found += rust.clippy_kernel(TREE, inside.BUILD / "clippy" / kernel.release, kernel, variables)
    return found


CHECKS: List[Tuple[str, Callable[[], Findings]]] = [
    ("rustfmt", lambda: rust.rustfmt(TREE)),
    ("house rules", lambda: house.house_rules(TREE)),
    ("unsafe only in " + rust.UNSAFE_HOME, lambda: rust.unsafe_home(TREE)),
    ("no macros in " + rust.UNSAFE_HOME, lambda: rust.no_macros(TREE)),
    ("SAFETY comments", lambda: rust.safety_comments(TREE)),
    ("checkpatch", lambda: languages.checkpatch(TREE, pathlib.Path(SOURCE))),
    ("shellcheck", lambda: languages.shell(TREE)),
    ("ruff", lambda: languages.ruff(TREE)),
    ("mypy", lambda: languages.mypy(TREE, inside.BUILD / "mypy")),
    ("clippy, crates on the host", lambda: rust.clippy_cargo(TREE)),
    ("clippy, the module", clippy_kernel),
]
