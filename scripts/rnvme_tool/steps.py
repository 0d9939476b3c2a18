# SPDX-License-Identifier: GPL-2.0
"""Progress: which step of how many runs, for how long, and where its log is.

On a terminal the line of the running step counts its seconds; elsewhere each
step prints a line when it starts and one when it ends, so that a CI log shows
what hangs. What a step's commands print goes to its log file.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import subprocess
import sys
import threading
import time
from typing import IO, Dict, Iterator, List, Optional

from .failure import Failure

SHOWN_LINES = 15


class Step:
    """One step that is running: runs commands, keeps their output in one log."""

    def __init__(self, name: str, log: pathlib.Path) -> None:
        self.name = name
        self.log = log
        self.note = ""
        self._out: Optional[IO[bytes]] = None

    def write(self, text: str) -> None:
        """Adds a line of our own to the log."""
        self._file().write((text + "\n").encode())
        self._file().flush()

    def run(self, command: List[str], env: Optional[Dict[str, str]] = None) -> None:
        """Runs one command; its failure ends the step with the log's last lines."""
        self.write("$ " + " ".join(command))
        status = wait_or_kill(subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._file(), stderr=subprocess.STDOUT,
            env=env, start_new_session=True))
        if status != 0:
            raise StepFailed(f"{self.name} failed with status {status}", self)

    def text(self) -> str:
        """All that the step has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def last_lines(self) -> List[str]:
        """The end of the log: what is shown when the step fails."""
        return list(collections.deque(self.text().splitlines(), SHOWN_LINES))

    def close(self) -> None:
        """Closes the log."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def _file(self) -> IO[bytes]:
        if self._out is None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._out = open(self.log, "wb")
        return self._out


class StepFailed(Failure):
    """A command of a step failed; carries the step, for its log."""

    def __init__(self, text: str, step: Step) -> None:
        super().__init__(text)
        self.step = step


class Progress:
    """Counts the steps of one run."""

    def __init__(self, total: int, logs: pathlib.Path, first: int = 1) -> None:
        self.total = total
        self.logs = logs
        self.next = first

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Shows the step while the body runs, and how long it took."""
        title = f"[{self.next}/{self.total}] {name}"
        self.next += 1
        step = Step(name, self.logs / (name.replace(" ", "-") + ".log"))
        began = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(target=_tick, args=(title, began, done), daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield step
            outcome = "done in"
        except StepFailed as failed:
            raise Failure(f"{failed}; its full log is {failed.step.log}") from failed
        finally:
            done.set()
            ticker.join()
            step.close()
            note = f" ({step.note})" if step.note else ""
            _end_line(f"{title}: {outcome} {time.monotonic() - began:.0f} s{note}")
            if outcome != "done in":
                for line in step.last_lines():
                    print("    " + line, file=sys.stderr)

    def kept(self, name: str, note: str = "") -> None:
        """A step with nothing to do, since an earlier run did it."""
        print(f"[{self.next}/{self.total}] {name}: kept{' (' + note + ')' if note else ''}", flush=True)
        self.next += 1


def wait_or_kill(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process of ours; an interruption kills it (and its namespace, see enter.py)."""
    try:
        return process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise


def _tick(title: str, began: float, done: threading.Event) -> None:
    if not sys.stdout.isatty():
        if not done.wait(1.0):
            print(f"{title} ...", flush=True)
        return
    while not done.wait(1.0):
        print(f"\r{title} ... {time.monotonic() - began:.0f} s", end="", flush=True)


def _end_line(text: str) -> None:
    print(("\r\033[K" if sys.stdout.isatty() else "") + text, flush=True)
