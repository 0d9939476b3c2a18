# SPDX-License-Identifier: GPL-2.0
"""`make check`: formatting, lints, the rules of this house, and the Cargo tests. No guest is booted."""

from __future__ import annotations

import pathlib
import re
import subprocess
from typing import Callable, Iterator, List, Tuple

from . import inside
from .inside_test import cargo_tests
from .kernel import kbuild

RUST_FOLDERS = ("drivers", "rust", "tests")
UNSAFE_HOME = "rust/kernel_ext"
CRATE_ROOTS = ("drivers/nvme/rnvme.rs", "rust/nvme/src/lib.rs")
# Folders of some developer's machine; what is committed must hold on any.
MACHINE_PATHS = re.compile(r"/(?:work|tmp/exp|root|home/[a-z]+)/[\w.]+")
Finding = List[str]


def run_check() -> int:
    """Runs all checks, prints a line for each; status 1 when any found something."""
    bad = 0
    for name, check in CHECKS:
        findings = check()
        print(f"{'ok    ' if not findings else 'FAILED'} {name}", flush=True)
        for line in findings[:40]:
            print("    " + line)
        bad += bool(findings)
    passed, failed = cargo_tests(lines_shown=False)
    print(f"{'ok    ' if not failed else 'FAILED'} cargo test ({passed} passed, {failed} failed)", flush=True)
    bad += bool(failed)
    print(f"{len(CHECKS) + 1 - bad} passed, {bad} failed")
    return 1 if bad else 0


def files(*suffixes: str) -> Iterator[pathlib.Path]:
    """The project's files with one of these endings, without what is built."""
    for path in sorted(inside.PROJECT.rglob("*")):
        top = path.relative_to(inside.PROJECT).parts[0]
        if path.is_file() and top not in (".git", "build", "target") and path.name.endswith(suffixes):
            yield path


def relative(path: pathlib.Path) -> str:
    """A path as a reader of this project knows it."""
    return str(path.relative_to(inside.PROJECT))


def command(*line: str) -> Finding:
    """Runs a tool: what it printed when it found something."""
    done = subprocess.run(line, cwd=inside.PROJECT, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return (done.stdout.splitlines() or ["no message"]) if done.returncode else []


def check_rustfmt() -> Finding:
    """Each file as it is, and what its `mod` lines bring."""
    return command("rustfmt", "--check", *map(str, files(".rs")))


def check_clippy_cargo() -> Finding:
    """The pure crates, tests included."""
    return command("cargo", "clippy", "--locked", "--all-targets", "--quiet", "--", "--deny", "warnings")


def check_clippy_kernel() -> Finding:
    """The whole module by kbuild, with the kernel's own lints."""
    output = f"/rnvme/build/clippy/{inside.release()}"
    pathlib.Path(output).mkdir(parents=True, exist_ok=True)
    # kbuild gives every crate no_std; the pure one says so itself as well, for Cargo.
    twice = "-Aunused-attributes -Aclippy::duplicated-attributes"
    return command(*kbuild("modules", output, "CLIPPY=1", f"KRUSTFLAGS=-Dwarnings {twice}"))


def check_unsafe() -> Finding:
    """`unsafe` in one folder only, and forbidden at the other crates' roots."""
    found = []
    for path in files(".rs"):
        if relative(path).startswith(UNSAFE_HOME) or not relative(path).startswith(RUST_FOLDERS):
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            code = line.split("//", 1)[0]
            if re.search(r"\bunsafe\b", code):
                found.append(f"{relative(path)}:{number}: unsafe outside {UNSAFE_HOME}")
    for root in CRATE_ROOTS:
        if not re.search(r"^#!\[forbid\(unsafe_code\)\]", (inside.PROJECT / root).read_text(), re.MULTILINE):
            found.append(f"{root}: the line #![forbid(unsafe_code)] is missing")
    return found


def check_macros() -> Finding:
    """No macro where `unsafe` is allowed: its expansion could put a caller's tokens inside."""
    return [f"{relative(path)}: defines a macro; a function cannot put its caller's tokens inside `unsafe`"
            for path in files(".rs") if relative(path).startswith(UNSAFE_HOME)
            and re.search(r"\bmacro_rules!", path.read_text())]


def check_safety_comments() -> Finding:
    """Every unsafe block and impl is preceded by its SAFETY comment."""
    found = []
    for path in files(".rs"):
        if not relative(path).startswith(UNSAFE_HOME):
            continue
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            code = line.split("//", 1)[0]
            before = "\n".join(lines[max(0, number - 12):number + 1])
            if re.search(r"\bunsafe\s*(\{|impl\b)", code) and "SAFETY:" not in before:
                found.append(f"{relative(path)}:{number + 1}: an unsafe block or impl without a SAFETY comment")
    return found


def check_house() -> Finding:
    """Licence lines, length of files, no paths of a machine, nothing left to do."""
    found = []
    for path in files(".rs", ".py", ".sh", ".h", ".c", "Makefile", "Kbuild", "init"):
        text = path.read_text()
        if "SPDX-License-Identifier: " not in "\n".join(text.splitlines()[:3]):
            found.append(f"{relative(path)}: no SPDX line on top")
        if text.count("\n") > 500:
            found.append(f"{relative(path)}: {text.count(chr(10))} lines, more than 500")
    for path in files(".rs", ".py", ".sh", ".h", ".c", ".md", "Makefile", "Kbuild", "init", ".toml", "run"):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if MACHINE_PATHS.search(line):
                found.append(f"{relative(path)}:{number}: names a path of some machine: {line.strip()}")
            if re.search(r"\b(?:TO{1}DO|FIX{1}ME|X{3})\b", line):
                found.append(f"{relative(path)}:{number}: something is left to do: {line.strip()}")
    return found


def check_shell() -> Finding:
    """shellcheck on every shell script, known by its first line."""
    scripts = [path for path in files("") if path.stat().st_size < 1 << 20
               and re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:64])]
    return command("shellcheck", "--external-sources", "--source-path=SCRIPTDIR",
                   *map(str, scripts)) if scripts else ["no shell script was found"]


def check_python() -> Finding:
    """pyflakes, and mypy in its strict form."""
    scripts = [str(path) for path in files(".py")]
    return command("pyflakes3", *scripts) + command(
        "mypy", "--cache-dir", str(inside.BUILD / "mypy"), "--explicit-package-bases", "scripts", "tests")


CHECKS: List[Tuple[str, Callable[[], Finding]]] = [
    ("rustfmt", check_rustfmt),
    ("clippy, pure crates", check_clippy_cargo),
    ("clippy, the module", check_clippy_kernel),
    ("unsafe only in " + UNSAFE_HOME, check_unsafe),
    ("no macros in " + UNSAFE_HOME, check_macros),
    ("SAFETY comments", check_safety_comments),
    ("house rules", check_house),
    ("shellcheck", check_shell),
    ("pyflakes and mypy", check_python),
]
