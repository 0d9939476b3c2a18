# SPDX-License-Identifier: GPL-2.0
"""Fuzzing of the protocol crate: one libFuzzer process a target, as many at once as there are CPUs.

No nightly compiler is needed: the flags that put libFuzzer's counters into the code
are stable, and what they cannot do (AddressSanitizer) would find nothing in a crate
that forbids unsafe code. The instrumented build has a folder of its own, and with
`--target` the flags do not reach build scripts. What was found stays in build/fuzz
between runs; the tree's corpus changes only when that is asked for.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import time
from typing import Dict, List, Sequence, Tuple

from . import inside
from .failure import Failure
from .junit import Case, count

FOLDER = inside.BUILD / "fuzz"
CORPUS = inside.PROJECT / "tests/fuzz/corpus"
PLANTED = "planted_mistake"
# What an input that libFuzzer made is called; one that a person put there has a name that tells why.
MADE = re.compile(r"[0-9a-f]{40}")
FLAGS = " ".join([
    "--cfg fuzzing", "-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters", "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares"])
# An input takes microseconds: one that takes 10 s is a loop without an end. Lists are 4096 bytes and read no further.
BOUNDS = ["-timeout=10", "-rss_limit_mb=512", "-max_len=4200"]
# The planted mistake takes a second to find; a busy machine may take longer.
PLANTED_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    name: str
    seconds: float
    status: int
    runs: int
    edges: int
    features: int
    seed: int
    text: str

    def summary(self) -> str:
        """How much was tried, and where it began."""
        return f"{self.runs} runs, {self.edges} edges, {self.features} features, seed {self.seed}"


def run_fuzz_command() -> int:
    """`make fuzz TIME=10m`: all targets in about that time. GROW=1 keeps what was found in the tree's corpus."""
    seconds = seconds_of(os.environ.get("TIME") or "5m")
    share = seconds * (os.cpu_count() or 1) / len(targets())
    passed, failed = run_fuzz(share, grow=bool(os.environ.get("GROW")))
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def seconds_of(text: str) -> float:
    """The seconds in a time like 90, 90s, 10m or 2h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None:
        raise Failure(f"TIME={text} is no time: give seconds, or a number with s, m or h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def run_fuzz(seconds_per_target: float, grow: bool = False) -> Tuple[int, int]:
    """Fuzzes every target for so long; how many passed and failed. `grow` keeps what was found in the tree."""
    return count(fuzz_cases(seconds_per_target, grow))


def fuzz_cases(seconds_per_target: float, grow: bool = False, words: Sequence[str] = ()) -> List[Case]:
    """As run_fuzz, as test cases; prints a line a target. `grow` is for long runs: it changes the tree.

    With `words`, only the targets with one of them in their name.
    """
    chosen = [name for name in [PLANTED, *targets()] if not words or any(word in f"fuzz::{name}" for word in words)]
    if not chosen:
        return []
    try:
        program = build()
    except Failure as failed:
        return [_shown(Case("fuzz", "build", 0.0, "FAILED", str(failed)), str(failed))]
    for name in ("crashes", "logs"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # The planted mistake comes first: a fuzzer that is blind makes every other result worthless.
        waiting = [pool.submit(fuzz_planted, program) if name == PLANTED else
                   pool.submit(fuzz, program, name, seconds_per_target) for name in chosen]
        cases = [_shown(*done.result()) for done in concurrent.futures.as_completed(waiting)]
    if grow and count(cases)[1]:
        print("  the tree's corpus stays as it is: first mend what failed", flush=True)
    elif grow:
        for name in chosen:
            if name != PLANTED:
                print("  " + merge(program, name), flush=True)
    return cases


def targets() -> List[str]:
    """The targets, which have a folder each (a Cargo test sees to that)."""
    return sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


def build() -> pathlib.Path:
    """The instrumented program."""
    host = subprocess.run(["rustc", "-vV"], check=True, text=True, stdout=subprocess.PIPE).stdout
    triple = re.search(r"^host: (\S+)$", host, re.MULTILINE)
    if triple is None:
        raise Failure("rustc -vV does not name its host: is this rustc?")
    log = inside.BUILD / "logs/fuzz-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    cargo = FOLDER / "cargo"
    command = ["cargo", "build", "--locked", "--manifest-path", str(inside.PROJECT / "Cargo.toml"),
               "--package", "nvme_fuzz", "--target", triple[1]]
    with open(log, "wb") as output:
        done = subprocess.run(command, env=dict(os.environ, RUSTFLAGS=FLAGS, CARGO_TARGET_DIR=str(cargo)), check=False,
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failure(f"{last}\nthe fuzz targets do not build; the full log is {_relative(log)}")
    return cargo / triple[1] / "debug/nvme_fuzz"


def fuzz(program: pathlib.Path, name: str, seconds: float) -> Tuple[Case, str]:
    """Fuzzes one target, from the tree's corpus and what earlier runs found."""
    found = FOLDER / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    # The first folder takes what is new.
    outcome = _run(program, name, seconds, [str(found), str(CORPUS / name)])
    if outcome.status == 0 and outcome.runs > 0:
        return Case("fuzz", name, outcome.seconds, "ok"), outcome.summary()
    why = _complaint(name, outcome)
    return Case("fuzz", name, outcome.seconds, "FAILED", f"{why}\n{outcome.text[-4000:]}"), why


def fuzz_planted(program: pathlib.Path) -> Tuple[Case, str]:
    """The fuzzer must find the mistake that was made on purpose, from nothing."""
    outcome = _run(program, PLANTED, PLANTED_SECONDS, [])
    name = PLANTED + "_is_found"
    if outcome.status != 0 and "the planted mistake: a length was believed" in outcome.text:
        for path in (FOLDER / "crashes").glob(PLANTED + "-*"):
            path.unlink()
        return Case("fuzz", name, outcome.seconds, "ok"), f"found after {outcome.summary()}"
    why = (f"a mistake made on purpose was not found ({outcome.summary()}): the fuzzer does not see what the code "
           f"does; check the compiler's flags in scripts/rnvme_tool/inside_fuzz.py")
    return Case("fuzz", name, outcome.seconds, "FAILED", f"{why}\n{outcome.text[-4000:]}"), why


def merge(program: pathlib.Path, name: str) -> str:
    """Makes the tree's corpus of one target the fewest inputs that reach all that is known to be reached."""
    merged = FOLDER / "merged" / name
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    tree = CORPUS / name
    for path in tree.iterdir():
        if not MADE.fullmatch(path.name):
            shutil.copy(path, merged / path.name)
    folders = [str(merged), str(tree), str(FOLDER / "corpus" / name)]
    # Which edges are reached, and not how often: what a tree can bear.
    smallest = ["-set_cover_merge=1", "-use_counters=0"]
    done = subprocess.run([str(program), *BOUNDS, *smallest, *folders], env=_environment(name), check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    before = {path.name for path in tree.iterdir()}
    after = {path.name for path in merged.iterdir()}
    if done.returncode != 0:
        raise Failure(f"the corpus of {name} could not be merged (status {done.returncode}): "
                      + done.stdout.decode(errors="replace")[-500:])
    for gone in before - after:
        (tree / gone).unlink()
    owner = tree.stat()
    for new in after - before:
        shutil.copyfile(merged / new, tree / new)
        os.chown(tree / new, owner.st_uid, owner.st_gid)
    size = sum(path.stat().st_size for path in tree.iterdir())
    return (f"corpus of {name}: {len(after)} inputs of {size} bytes, "
            f"{len(after - before)} new, {len(before - after)} gone")


def _run(program: pathlib.Path, name: str, seconds: float, folders: List[str]) -> Outcome:
    # libFuzzer takes a seed of 0 for leave to choose one itself.
    seed = int(os.environ.get("RNVME_SEED") or random.SystemRandom().getrandbits(32)) % (1 << 32) or 1
    log = FOLDER / "logs" / f"{name}.log"
    command = [str(program), *BOUNDS, f"-max_total_time={max(1, math.ceil(seconds))}", f"-seed={seed}",
               f"-artifact_prefix={FOLDER / 'crashes' / name}-", "-print_final_stats=1", *folders]
    began = time.monotonic()
    with open(log, "wb") as output:
        try:
            status = subprocess.run(command, env=_environment(name), check=False, stdin=subprocess.DEVNULL,
                                    stdout=output, stderr=subprocess.STDOUT, timeout=seconds + 60).returncode
        except subprocess.TimeoutExpired:
            status = -1
            output.write(b"\nit did not stop by itself a minute after its time, and was killed\n")
    text = log.read_text(errors="replace")
    runs = re.search(r"^stat::number_of_executed_units: (\d+)$", text, re.MULTILINE)
    covered = re.findall(r" cov: (\d+) ft: (\d+) ", text)
    edges, features = covered[-1] if covered else ("0", "0")
    return Outcome(name, time.monotonic() - began, status, int(runs[1]) if runs else 0, int(edges), int(features),
                   seed, text)


def _environment(name: str) -> Dict[str, str]:
    return dict(os.environ, RNVME_FUZZ_TARGET=name, RUST_BACKTRACE="1")


def _complaint(name: str, outcome: Outcome) -> str:
    """What happened, how to have it again, and where the input belongs."""
    kept = re.search(r"Test unit written to (\S+)", outcome.text)
    panic = re.search(r"^thread .* panicked at (.*?)\n(.*)$", outcome.text, re.MULTILINE)
    error = re.search(r"ERROR: (libFuzzer: .*)", outcome.text)
    what = error[1] if error else f"ended with status {outcome.status}"
    if panic:
        what = f"{panic[2]} ({panic[1].rstrip(':')})"
    if kept is None:
        return f"{what}; its log is {_relative(FOLDER / 'logs' / name)}.log"
    path = _relative(pathlib.Path(kept[1]))
    return (f"{what}\n         run it again: cargo run -p nvme_fuzz -- {name} {path}"
            f"\n         when it is mended: keep that file as tests/fuzz/corpus/{name}/<what it showed>")


def _shown(case: Case, note: str) -> Case:
    print(f"{case.line()}: {note}", flush=True)
    return case


def _relative(path: pathlib.Path) -> str:
    return str(path.relative_to(inside.PROJECT)) if path.is_relative_to(inside.PROJECT) else str(path)
