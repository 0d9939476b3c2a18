# SPDX-License-Identifier: GPL-2.0
"""Line coverage of the protocol crate under its own tests, per file and in total.

Needs the llvm tools of the compiler's LLVM (Debian package llvm). The instrumented
build has a folder of its own. Every file of the crate is a parser or a state machine,
so every file has to reach the same mark. build/coverage.txt has the table,
build/coverage/lcov.info and build/coverage/html the lines.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import time
from typing import Dict, List, Tuple

from . import inside
from .cargo_tests import programs
from .failure import Failure
from .junit import Case

FOLDER = inside.BUILD / "coverage"
REPORT = inside.BUILD / "coverage.txt"
SOURCES = inside.PROJECT / "rust/nvme/src"
PERCENT = 95.0
FLAGS = "-Cinstrument-coverage"
# Lines of a file: those that could run, with how often they did.
Lines = Dict[int, int]


def run_coverage() -> Tuple[int, int]:
    """Measures, prints and checks; how many files passed and failed."""
    cases = coverage_cases()
    failed = sum(case.outcome != "ok" for case in cases)
    return len(cases) - failed, failed


def coverage_cases() -> List[Case]:
    """As run_coverage, as test cases, one a file."""
    began = time.monotonic()
    try:
        files = measure()
    except Failure as failed:
        print(f"  {failed}", flush=True)
        return [Case("coverage", "measured", time.monotonic() - began, "FAILED", str(failed))]
    text = table(files)
    REPORT.write_text(text + "\n")
    print(text, flush=True)
    return [_case(name, lines) for name, lines in sorted(files.items())]


def measure() -> Dict[str, Lines]:
    """Runs the crate's tests instrumented: the lines of each of its files."""
    shutil.rmtree(FOLDER / "profiles", ignore_errors=True)
    (FOLDER / "profiles").mkdir(parents=True)
    env = dict(os.environ, RUSTFLAGS=FLAGS, CARGO_TARGET_DIR=str(FOLDER / "cargo"),
               LLVM_PROFILE_FILE=str(FOLDER / "profiles/%p-%m.profraw"))
    # Documentation has no examples that run; without them there are only programs that can be named.
    cargo = ["cargo", "test", "--locked", "--manifest-path", str(inside.PROJECT / "Cargo.toml"),
             "--package", "nvme_proto", "--all-targets"]
    built = _output([*cargo, "--no-run", "--message-format=json-render-diagnostics"], env)
    objects = [program.path for program in programs(built)]
    if not objects:
        raise Failure("rust/nvme has no test program: nothing can be measured")
    _output(cargo, env)
    profiles = [str(path) for path in (FOLDER / "profiles").glob("*.profraw")]
    merged = str(FOLDER / "tests.profdata")
    _output(["llvm-profdata", "merge", "--sparse", "--output", merged, *profiles], env)
    # What stands after --sources are the files to report.
    what = [f"--instr-profile={merged}", objects[0], *(f"--object={path}" for path in objects[1:]),
            "--sources", str(SOURCES)]
    lcov = _output(["llvm-cov", "export", "--format=lcov", *what], env)
    (FOLDER / "lcov.info").write_text(lcov)
    _output(["llvm-cov", "show", "--format=html", f"--output-dir={FOLDER / 'html'}", *what], env)
    return read_lcov(lcov)


def read_lcov(text: str) -> Dict[str, Lines]:
    """The crate's files in an lcov report, each with its lines; a file without a line that runs is left out."""
    files: Dict[str, Lines] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("SF:"):
            path = pathlib.Path(line[3:])
            name = str(path.relative_to(SOURCES)) if path.is_relative_to(SOURCES) else ""
        found = re.match(r"DA:(\d+),(\d+)", line)
        if found and name:
            lines = files.setdefault(name, {})
            lines[int(found[1])] = max(lines.get(int(found[1]), 0), int(found[2]))
    if not files:
        raise Failure("the coverage report names no file of rust/nvme: does llvm-cov's version match rustc's LLVM?")
    return files


def table(files: Dict[str, Lines]) -> str:
    """Per file and in total, for reading."""
    width = max(len(name) for name in files)
    text = [f"{'rust/nvme/src':{width}}  lines  covered"]
    for name, lines in sorted(files.items()):
        missing = uncovered(lines)
        text.append(f"{name:{width}}  {len(lines):5}  {percent(lines):6.2f} %"
                    + (f"  not reached: {missing}" if missing else ""))
    every = dict(enumerate(count for lines in files.values() for count in lines.values()))
    text.append(f"{'in all':{width}}  {len(every):5}  {percent(every):6.2f} %")
    return "\n".join(text)


def percent(lines: Lines) -> float:
    """How much of a file ran."""
    return 100.0 * sum(count > 0 for count in lines.values()) / len(lines)


def uncovered(lines: Lines) -> str:
    """The numbers of the lines that did not run, neighbours joined."""
    missing = sorted(number for number, count in lines.items() if count == 0)
    ranges: List[List[int]] = []
    for number in missing:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _case(name: str, lines: Lines) -> Case:
    reached = percent(lines)
    if reached >= PERCENT:
        return Case("coverage", name, 0.0, "ok")
    text = (f"rust/nvme/src/{name}: {reached:.2f} % of its lines ran in its tests, {PERCENT:.0f} % must: "
            f"add a test that reaches lines {uncovered(lines)}")
    print(f"  FAILED {text}", flush=True)
    return Case("coverage", name, 0.0, "FAILED", text)


def _output(command: List[str], env: Dict[str, str]) -> str:
    """What a command prints; its failure is ours."""
    try:
        done = subprocess.run(command, cwd=inside.PROJECT, env=env, check=False, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError as missing:
        raise Failure(f"{command[0]} is missing: install the Debian package llvm in the build root") from missing
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise Failure(f"{last}\n{command[0]} {command[1]} failed with status {done.returncode}: nothing was measured")
    return done.stdout
