# SPDX-License-Identifier: GPL-2.0
"""A KDIR that cannot serve ends with one line that says what is wrong and how to mend it."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from typing import Callable, List

import pytest
from rnvme_tool.root import SERIES

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/rnvme.py"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def rnvme(tmp_path: pathlib.Path) -> Run:
    """Runs scripts/rnvme.py with a cache of its own, and a PATH when one is given."""
    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        words: List[str] = [sys.executable, str(SCRIPT), *arguments]
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path),
                     "RNVME_CACHE": str(tmp_path / "cache"), **env}
        return subprocess.run(words, env=variables, check=False, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              capture_output=True)
    return run


@pytest.fixture
def kdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder that looks like a prepared build folder, made by a compiler that nobody has."""
    folder = tmp_path / "kdir"
    (folder / "include/config").mkdir(parents=True)
    (folder / "rust").mkdir()
    (folder / "Makefile").touch()
    (folder / "rust/libkernel.rmeta").touch()
    (folder / "include/config/kernel.release").write_text(f"{SERIES}.4+test\n")
    (folder / ".config").write_text('CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT="rustc 0.0.0 (none)"\n')
    return folder


def message(rnvme: Run, folder: pathlib.Path, **env: str) -> str:
    """The one line that the tool ends with."""
    done = rnvme("module", "--kdir", str(folder), **env)
    print(done.stdout + done.stderr)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rnvme: ")
    return lines[0]


def test_kdir_that_does_not_exist_is_named(rnvme: Run, tmp_path: pathlib.Path) -> None:
    assert re.search(r"is no folder: give a prepared", message(rnvme, tmp_path / "nowhere"))


def test_kdir_that_is_no_kernel_is_told(rnvme: Run, tmp_path: pathlib.Path) -> None:
    assert "is no kernel build folder" in message(rnvme, tmp_path)


def test_kdir_without_configuration_is_told(rnvme: Run, kdir: pathlib.Path) -> None:
    (kdir / ".config").unlink()
    assert "is not configured" in message(rnvme, kdir)


def test_kdir_without_rust_is_told(rnvme: Run, kdir: pathlib.Path) -> None:
    (kdir / ".config").write_text("CONFIG_MODULES=y\n# CONFIG_RUST is not set\n")
    assert "configured without Rust" in message(rnvme, kdir)


def test_kdir_that_is_not_prepared_is_told(rnvme: Run, kdir: pathlib.Path) -> None:
    (kdir / "include/config/kernel.release").unlink()
    assert "is not prepared" in message(rnvme, kdir)


@pytest.mark.parametrize("release", ["6.12.1", SERIES + "0.1", "8.0.0-rc1"])
def test_kdir_of_another_version_is_told(rnvme: Run, kdir: pathlib.Path, release: str) -> None:
    (kdir / "include/config/kernel.release").write_text(release + "\n")
    assert f"is Linux {release}, and this version of rnvme is written for {SERIES}" in message(rnvme, kdir)


def test_kdir_without_rust_metadata_is_told(rnvme: Run, kdir: pathlib.Path) -> None:
    (kdir / "rust/libkernel.rmeta").unlink()
    assert "has no Rust metadata" in message(rnvme, kdir)


def test_kdir_of_another_rustc_is_told(rnvme: Run, kdir: pathlib.Path) -> None:
    assert re.search(r"was made by rustc 0\.0\.0 \(none\), and rustc here is rustc \d", message(rnvme, kdir))


def test_missing_rustc_is_told(rnvme: Run, kdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "rustc is not installed" in message(rnvme, kdir, PATH=os.fspath(empty))
