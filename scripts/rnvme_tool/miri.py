# SPDX-License-Identifier: GPL-2.0
"""Runs the protocol crate's tests under Miri, where a nightly toolchain with Miri is on the host.

Debian has none, so this runs on the host and not in the build root, and it is never
required: without Miri one line says so. Random tests run few cases each, since Miri
is a thousand times slower, and the whole has a limit of time: what did not get its
turn is said. The order is another one each time.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import Dict, List, Optional, Tuple

PROJECT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 30.0
# How many cases a random test gets at most (tests/protocol/support.rs).
CASES = "2"
# These lay out gigabytes, count to millions or need thousands of cases: hours under Miri, and the smaller tests
# run the same code.
TOO_LONG = [
    "every_offset_in_a_page_lays_out_at_every_list_border", "every_length_in_sectors_up_to_8_mib_and_a_page_lays_out",
    "single_pages_from_all_over_memory_lay_out_at_every_offset", "an_offset_that_no_entry_can_hold_is_refused",
    "a_list_that_begins_inside_a_page_goes_on_at_the_next_base", "the_largest_rings_wrap_like_small_ones",
    "whatever_the_segments_a_layout_is_right_or_refused", "every_number_of_segments_up_to_4200_lays_out",
    "the_most_segments_of_all_lay_out", "a_list_may_be_told_to_go_on_early",
]


def run_miri() -> Tuple[int, int]:
    """How many tests passed and failed; none of either where Miri is not there."""
    found = find_miri()
    if found is None:
        print("Miri: not on this host, left out (to have it: rustup component add --toolchain nightly miri rust-src)",
              flush=True)
        return 0, 0
    cargo, version = found
    why = _set_up(cargo)
    if why:
        print(f"Miri: {version} is there but cannot be set up, left out ({why})", flush=True)
        return 0, 0
    print(f"Miri: {version}, at most {CASES} cases a random test, at most {SECONDS:.0f} s", flush=True)
    began = time.monotonic()
    passed, failed, text, ended = _run(cargo)
    log = PROJECT / "build/logs/miri.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    for line in text.splitlines():
        if re.match(r"test \S+ \.\.\. FAILED|error: Undefined Behavior|error\b.*unsupported", line):
            print("  " + line, flush=True)
    left = "" if ended else "; the rest had no time left"
    print(f"Miri: {passed} passed, {failed} failed in {time.monotonic() - began:.0f} s{left} "
          f"(all of it: {log.relative_to(PROJECT)})", flush=True)
    return passed, failed


def find_miri() -> Optional[Tuple[List[str], str]]:
    """The command that is Cargo of a nightly toolchain with Miri, and Miri's version."""
    own = pathlib.Path.home() / ".cargo/bin/rustup"
    rustup = shutil.which("rustup") or (str(own) if own.exists() else None)
    if rustup is None:
        return None
    cargo = [rustup, "run", "nightly", "cargo"]
    asked = subprocess.run([*cargo, "miri", "--version"], check=False, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return (cargo, asked.stdout.strip()) if asked.returncode == 0 and asked.stdout.startswith("miri") else None


def _set_up(cargo: List[str]) -> str:
    """Has Miri build its standard library, which needs the toolchain's source; what went wrong, if something did."""
    try:
        done = subprocess.run([*cargo, "miri", "setup"], check=False, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS:.0f} s"
    return "" if done.returncode == 0 else (done.stdout.strip().splitlines() or ["it does not say why"])[-1]


def _run(cargo: List[str]) -> Tuple[int, int, str, bool]:
    """Passed, failed, all that was printed, and whether it came to its end."""
    skipped = [part for name in TOO_LONG for part in ("--skip", name)]
    command = [*cargo, "miri", "test", "--locked", "--manifest-path", str(PROJECT / "Cargo.toml"),
               "--package", "nvme_proto", "--lib", "--test", "protocol", "--", "--test-threads=1",
               "-Z", "unstable-options", "--shuffle", *skipped]
    # Isolation hides the clock and the environment, from which the random tests take their seed.
    env: Dict[str, str] = dict(os.environ, MIRIFLAGS="-Zmiri-disable-isolation", RNVME_CASES=CASES,
                               CARGO_TARGET_DIR=str(PROJECT / "build/miri"))
    process = subprocess.Popen(command, env=env, text=True, errors="replace", stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    ended = True
    try:
        text, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        ended = False
        # Cargo's children hold the pipe open: the whole group goes.
        os.killpg(process.pid, 9)
        text, _ = process.communicate()
    results = re.findall(r"^test \S+ \.\.\. (ok|FAILED)$", text, re.MULTILINE)
    failed = results.count("FAILED")
    # Miri ends the whole program at undefined behaviour; what does not build prints no result at all.
    if ended and process.returncode != 0:
        failed = max(failed, 1)
    return results.count("ok"), failed, text, ended


if __name__ == "__main__":
    sys.exit(1 if run_miri()[1] else 0)
