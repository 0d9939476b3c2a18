# SPDX-License-Identifier: GPL-2.0
"""Runs the Cargo workspace's tests, one line a test with its time.

The test programs are built by Cargo and run here: only by themselves do they tell
times, which Cargo's stable front end has no option for. (RUSTC_BOOTSTRAP unlocks
that option of the test program; nothing is compiled with it.)
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import subprocess
from typing import Any, Dict, Iterator, List, Tuple

from . import inside
from .failure import Failure
from .junit import Case

RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, [^<]*)?(?: <([0-9.]+)s>)?")
CARGO = ["--locked", "--workspace", "--manifest-path", str(inside.PROJECT / "Cargo.toml")]


@dataclasses.dataclass(frozen=True)
class Program:
    """A test program: its package's folder, where it expects to run, and its own path."""

    name: str
    folder: str
    path: str


def run_cargo_tests(words: List[str], lines_shown: bool = True) -> List[Case]:
    """All tests, or those with one of `words` in their name. What does not build is one failed case."""
    log = inside.BUILD / "logs/cargo-test.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    built, errors = build()
    log.write_text(errors)
    if not built:
        print(errors, flush=True)
        return [Case("cargo", "build", 0.0, "FAILED", errors[-4000:])]
    cases: List[Case] = []
    for program in built:
        found, text = run(program, words)
        cases += found
        with open(log, "a", encoding="utf-8") as file:
            file.write(text)
        for case in found:
            if lines_shown or case.outcome != "ok":
                print(case.line(), flush=True)
        if any(case.outcome != "ok" for case in found):
            print(text, flush=True)
    return cases


def build() -> Tuple[List[Program], str]:
    """The workspace's test programs; empty when it does not build, then with the compiler's messages."""
    messages, errors = _compile()
    return list(programs(messages)), errors


def binary(name: str) -> pathlib.Path:
    """A program of the workspace's, as its tests are built: with overflow checks, and nothing is compiled twice."""
    messages, errors = _compile()
    for message in _executables(messages):
        if not message["profile"]["test"] and message["target"]["name"] == name:
            return pathlib.Path(message["executable"])
    raise Failure(f"{name} does not build:\n{errors}")


def _compile() -> Tuple[str, str]:
    """Compiles all tests: Cargo's messages, none if that failed, and the compiler's."""
    done = subprocess.run(["cargo", "test", *CARGO, "--no-run", "--message-format=json-render-diagnostics"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return (done.stdout if done.returncode == 0 else ""), done.stderr


def _executables(messages: str) -> Iterator[Dict[str, Any]]:
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            yield message


def programs(messages: str) -> Iterator[Program]:
    """The test programs that Cargo's messages name."""
    for message in _executables(messages):
        if message["profile"]["test"]:
            folder = pathlib.Path(message["manifest_path"]).parent
            yield Program(f"{folder.name}::{message['target']['name']}", str(folder), message["executable"])


def run(program: Program, words: List[str]) -> Tuple[List[Case], str]:
    """Runs one test program: its cases, and all that it printed."""
    env: Dict[str, str] = dict(os.environ, RUSTC_BOOTSTRAP="1", CARGO_MANIFEST_DIR=program.folder)
    done = subprocess.run([program.path, "-Zunstable-options", "--report-time", *words], cwd=program.folder, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, errors="replace")
    cases = [Case(program.name, name, float(seconds or 0), "ok" if verdict == "ok" else "FAILED",
                  "" if verdict == "ok" else done.stdout[-4000:])
             for name, verdict, seconds in (found.groups() for found in map(RESULT.match, done.stdout.splitlines())
                                            if found)]
    # A program that dies reports no case for what killed it.
    if done.returncode != 0 and all(case.outcome == "ok" for case in cases):
        cases.append(Case(program.name, f"ended with status {done.returncode}", 0.0, "FAILED", done.stdout[-4000:]))
    return cases, done.stdout
