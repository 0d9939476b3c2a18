# SPDX-License-Identifier: GPL-2.0
"""The fault controller's process, as the runner starts it: one that does not come up is no secret, nor left behind."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any, List

import pytest
from rnvme_tool import fault_controller
from rnvme_tool.failure import Failure
from rnvme_tool.fault_controller import FaultController


@pytest.mark.parametrize("does", ["exec sleep 100", "echo no such kind >&2; exit 2"])
def test_controller_that_does_not_start_is_a_failure_and_leaves_no_process(
        does: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    started: List[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(fault_controller, "build", lambda: program)
    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(fault_controller, "START_SECONDS", 0.3)
    with pytest.raises(Failure, match="did not start"):
        FaultController(tmp_path / "case", [])
    assert [process.poll() is not None for process in started] == [True]
