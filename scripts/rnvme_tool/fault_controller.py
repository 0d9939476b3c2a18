# SPDX-License-Identifier: GPL-2.0
"""The fault controller (tests/fault_controller) as a guest's device: built, started, plugged in, told what to do.

Relies on QEMU's vfio-user-pci; the guest's memory must be a file that both processes map (`reachable`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import time
from typing import Any, Dict, List, Optional, Sequence

from . import cargo_tests
from .failure import Failure
from .guest import Guest
from .kernel import DEBUG, Kernel
from .machine import Machine, Namespace

START_SECONDS = 10.0


@functools.cache
def build() -> pathlib.Path:
    """The program, built once in a run: what is changed meanwhile is for the next."""
    return cargo_tests.binary("nvme_fault_controller")


def kinds() -> List[Dict[str, Any]]:
    """The program's own table of all kinds of faults."""
    done = subprocess.run([str(build()), "--kinds"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failure(f"the fault controller does not tell its kinds:\n{done.stderr}")
    table: List[Dict[str, Any]] = json.loads(done.stdout)
    return table


def reachable(kernel: Kernel, machine: Optional[Machine] = None) -> Machine:
    """A machine whose memory another process can map."""
    base = machine or Machine()
    size = base.memory or ("1536M" if kernel.name == DEBUG else "1G")
    return dataclasses.replace(base, memory=size, machine=base.machine + ",memory-backend=ram", qemu_args=[
        *base.qemu_args, "-object", f"memory-backend-memfd,id=ram,size={size},share=on"])


class FaultController:
    """One controller's process. Its log is `log` in `folder`."""

    def __init__(self, folder: pathlib.Path, namespaces: Sequence[Namespace], faults: Sequence[str] = (),
                 options: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "controller.log"
        # A socket's path is short.
        self._sockets = tempfile.TemporaryDirectory()
        self.socket = pathlib.Path(self._sockets.name) / "vfio"
        self._control = pathlib.Path(self._sockets.name) / "control"
        line: List[str] = [str(build()), "--socket", str(self.socket), "--control", str(self._control),
                           "--log", str(self.path), *options]
        for namespace in namespaces:
            size = namespace.image.stat().st_size
            protected = f",pi={namespace.options['pi']}" if "pi" in namespace.options else ""
            line += ["--namespace", f"{namespace.image},{size},{namespace.block}{protected}"]
        for fault in faults:
            line += ["--fault", fault]
        with open(folder / "controller.err", "wb") as errors:
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            self._await(self.socket)
        except BaseException:
            self.close()
            raise

    def _await(self, path: pathlib.Path) -> None:
        end = time.monotonic() + START_SECONDS
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failure(f"the fault controller did not start; see {self.path.parent}")
            time.sleep(0.01)

    def plug(self, guest: Guest, index: int = 0) -> None:
        """Plugs the device into root port `index`, and has the guest find it."""
        guest.device_add("vfio-user-pci", id=f"fault{index}", bus=f"rp{index}",
                         socket={"type": "unix", "path": str(self.socket)})
        guest.run("echo 1 >/sys/bus/pci/rescan", 30)

    def tell(self, line: str) -> str:
        """A line to the control socket; its answer. An error is a Failure."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._control))
            connection.sendall(line.encode() + b"\n")
            with connection.makefile() as answers:
                word, _, answer = answers.readline().rstrip("\n").partition(" ")
        if word != "ok":
            raise Failure(f"the fault controller: {line}: {answer}")
        return answer

    def arm(self, spec: str) -> int:
        """Arms a fault; its number."""
        return int(self.tell(f"arm {spec}"))

    def status(self) -> Dict[str, Any]:
        """What `status` tells: complaints of the judge, faults with how often each fired."""
        found: Dict[str, Any] = json.loads(self.tell("status"))
        return found

    def log(self) -> str:
        """All that it has logged."""
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    def lines(self, word: str) -> List[str]:
        """The log's lines of one kind (fault, judge, ...), without time and word."""
        return [str(line) for line in re.findall(rf"^[0-9.]+ {word} (.*)$", self.log(), re.MULTILINE)]

    def last_words(self) -> str:
        """What it said to its standard error, where a panic is told."""
        path = self.path.with_name("controller.err")
        return path.read_text(errors="replace").strip() if path.exists() else ""

    def ended(self, wait: float = 0.0) -> Optional[int]:
        """The status that its process ended with, within that time; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(wait)
        return None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self._sockets.cleanup()
