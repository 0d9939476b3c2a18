# SPDX-License-Identifier: GPL-2.0
"""One fault in one guest: what is done to the driver, in bounded time, and what is seen of it.

The driver is loaded and its disks are written and read back with the fault armed, then the controller is reset. Then
it is well again: what was acknowledged must be there, I/O must work, and the driver must go. A step
that does not end in its time ends the case; the blocked tasks' stacks are kept in hang.txt in the case's folder.
Relies on fio for data that is checked, and on the fault controller's log for whether the fault happened.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shlex
import time
from typing import Any, Dict, List

from . import inside
from .failure import Failure
from .fault_controller import FaultController, reachable
from .faults import CONTROL, RUNNING, UNTRIED, Case, Outcome, Seen, judge
from .fio import FioJob, measure
from .guest import MODULE, Guest, GuestFailure, Result
from .kernel import DEBUG, Kernel
from .log_net import read_reports
from .machine import Namespace, make_image
from .snapshots import Snapshots

MIB = 1 << 20
IMAGE_BYTES = 16 * MIB
DISKS = 2
# What each step may take on the stock kernel, in seconds; the debug kernel has three times as much.
LOAD, DISKS_UP, FIO, RESET, UNBIND, UNLOAD = 40, 12, 30, 40, 40, 30
# What fio expects of all blocks after one whose write failed, which it leaves out: wrongly counted on.
COUNTED_WRONG = ("--verify_header_seed=0", "--verify_write_sequence=0")
# A guest is restored in that time where the host is not busy; no host is taken for slower than so many times that.
RESTORED_SECONDS, SLOWEST = 4.0, 4.0
# fio's error for a block that is not what was written (EILSEQ).
MISMATCH = 84
# The C driver's timeouts, in seconds: what its defaults of 30 and 60 show, these show sooner.
C_TIMEOUTS = """modprobe nvme_core; cd /sys/module/nvme_core/parameters && echo 5 >io_timeout &&
echo 5 >admin_timeout"""
MEASURED, MEASURED_SECONDS = FioJob("4 KiB random read, depth 32", "randread", "4k", 32), 3.0
# Half seconds that the controller says it may take to become ready: 2 s.
READY_UNITS = 4


@dataclasses.dataclass(frozen=True)
class Part:
    """What fio does with a part of each disk: from where on, how much, in MiB."""

    name: str
    how: str
    where: int
    megabytes: int


WRITE_BEFORE, READ_BEFORE = Part("before", "randwrite", 0, 1), Part("what was there before", "read", 0, 1)
WRITE_DURING, READ_DURING = Part("with the fault", "randwrite", 2, 2), Part("what was acknowledged", "read", 2, 2)
WRITE_AFTER = Part("after", "randwrite", 4, 1)
# The usable disks with their block sizes. The C driver keeps disks without a size for namespaces that it cannot use.
USABLE = """usable() { for d in /sys/block/{driver}*n*; do [ "$(cat $d/size 2>/dev/null || echo 0)" -gt 0 ] &&
echo ${d##*/} $(cat $d/queue/logical_block_size); done; true; }
"""


def slowness(restored: float) -> float:
    """How much longer everything takes on a host that took `restored` seconds to restore a guest."""
    return min(SLOWEST, max(1.0, restored / RESTORED_SECONDS))


class Hang(Exception):
    """A step did not end in its time."""


class Trial:
    """A case that is being tried."""

    def __init__(self, case: Case, guest: Guest, controller: FaultController, seed: int) -> None:
        self.case = case
        self.guest = guest
        self.controller = controller
        self.seed = seed
        self.seen = Seen(wanted=DISKS)
        self.address = ""
        self._lines_before = 0
        self.patience = (3.0 if guest.kernel.name == DEBUG else 1.0) * slowness(guest.boot_seconds)
        self._usable = USABLE.replace("{driver}", guest.driver)

    def run(self) -> None:
        """All of it; what hangs or kills the guest is seen, not raised."""
        try:
            self._run()
        except Hang as hang:
            self.seen.hang = str(hang)
        except GuestFailure:
            if self.guest.running:
                raise
            self.seen.died = True
        # A line is the fault's number, its kind, and where it was.
        self.seen.fired = sum(line.split()[1:2] == [self.case.kind] for line in self.controller.lines("fault"))
        if not self.controller.running:
            self.seen.notes.append("the controller's process ended")
        self.seen.complaints = self.controller.lines("judge")
        self._read_log()

    def _run(self) -> None:
        self.controller.plug(self.guest)
        self.address = self.guest.pci_address()
        self._lines_before = int(self.guest.out("dmesg | wc -l"))
        self._load()
        disks = self._await_disks()
        self.seen.disks = len(disks)
        if self.case.when == RUNNING:
            if len(disks) < DISKS or not self._fio(disks, [WRITE_BEFORE]):
                raise Failure(f"the driver has no use of the controller before the fault: {self.seen.errors}")
            if self.case == CONTROL:
                self._measure(disks)
            for spec in self.case.specs:
                self.controller.arm(spec)
        wrote = bool(disks) and self._fio(disks, [WRITE_DURING])
        if disks:
            self._reset()
        if self.controller.running:
            self.controller.tell("disarm")
            self._look_again(wrote)
        self._must("unbind", f"[ ! -e {self._driver}/{self.address} ] || echo {self.address} >{self._driver}/unbind",
                   UNBIND)
        self._must("unload", f"rmmod {self.guest.driver}", UNLOAD)

    @property
    def _driver(self) -> str:
        return f"/sys/bus/pci/drivers/{self.guest.driver}"

    # --- steps ---------------------------------------------------------------

    def _step(self, name: str, command: str, seconds: float) -> Result:
        try:
            result = self.guest.run(command, seconds * self.patience, check=False)
        except GuestFailure as failure:
            if not self.guest.running:
                raise
            (self.guest.folder / "hang.txt").write_text(f"{name}: {command}\n{failure}\n")
            raise Hang(name) from failure
        return result

    def _must(self, name: str, command: str, seconds: float) -> None:
        """A step whose failure is worth a note."""
        status = self._step(name, command, seconds).status
        if status != 0:
            self.seen.notes.append(f"{name}: status {status}")

    def _load(self) -> None:
        if self.guest.driver == "nvme":
            self.guest.run(C_TIMEOUTS)
            self._must("load", "modprobe nvme", LOAD)
        else:
            self._must("load", f"insmod {MODULE}", LOAD)

    def _await_disks(self) -> Dict[str, int]:
        """The usable disks with their block sizes: all, or those that are there when the time is over.

        A driver that has let go of the controller will make no more.
        """
        device = f"/sys/bus/pci/devices/{self.address}"
        wait = (f"until [ $(usable | wc -l) -ge {DISKS} ] || [ ! -e {device}/driver ]; do sleep 0.05; done")
        line = (f"timeout {DISKS_UP * self.patience:g} bash -c {shlex.quote(self._usable + wait)}; "
                f"{self._usable}usable")
        found = self._step("disks", line, DISKS_UP + 10).out.split("\n")
        return {name: int(block) for name, block in (row.split() for row in found if row.count(" ") == 1)}

    def _reset(self) -> None:
        """The C driver can be asked for a reset; ours is given the controller anew."""
        if self.guest.driver == "nvme":
            line = "for r in /sys/class/nvme/nvme*/reset_controller; do [ -e $r ] && echo 1 >$r; done"
            self._must("reset", line, RESET)
        else:
            self._bind("reset")

    def _bind(self, name: str) -> None:
        bound = f"{self._driver}/{self.address}"
        self._must(name, f"[ ! -e {bound} ] || echo {self.address} >{self._driver}/unbind; "
                   f"[ -e {bound} ] || echo {self.address} >{self._driver}/bind", RESET)

    def _look_again(self, wrote: bool) -> None:
        """With a controller that is well again: the disks must be of use, after a new bind at the latest."""
        disks = self._await_disks() if self.seen.disks == DISKS else {}
        if len(disks) < DISKS == self.seen.disks:
            self.seen.errors.append(f"{len(disks)} of {DISKS} disks after the reset")
        if len(disks) < DISKS or not self._useful(disks, wrote):
            self._bind("bind")
            disks = self._await_disks()
            self.seen.dead = len(disks) < DISKS or not self._useful(disks, wrote)
            if not self.seen.dead and self.seen.disks == DISKS:
                self.seen.notes.append("of use again after a new bind")

    def _useful(self, disks: Dict[str, int], wrote: bool) -> bool:
        """Whether what was acknowledged is there, and more can be written."""
        parts = [READ_BEFORE] if self.case.when == RUNNING else []
        if wrote and self.seen.disks == DISKS:
            parts.append(READ_DURING)
        return self._fio(disks, [*parts, WRITE_AFTER])

    # --- data ----------------------------------------------------------------

    def _fio(self, disks: Dict[str, int], parts: List[Part]) -> bool:
        """Writes or reads parts of the disks, one after the other, and compares; whether all went well."""
        line = ["fio", "--output-format=json", "--ioengine=libaio", "--direct=1", "--thread=1", "--iodepth=16",
                "--verify=crc32c", "--continue_on_error=io", *COUNTED_WRONG, f"--randseed={self.seed + 1}"]
        for number, part in enumerate(parts):
            for disk, block in sorted(disks.items()):
                # One with page lists, one without; the disks of a part at once.
                usual = 4096 if disk.endswith("n1") else 16384
                line += [f"--name={number}.{disk}", f"--filename=/dev/{disk}", f"--bs={max(usual, block)}",
                         f"--rw={part.how}", f"--offset={part.where}m", f"--size={part.megabytes}m",
                         *(["--stonewall"] if number and disk == min(disks) else [])]
        result = self._step(parts[-1].name, " ".join(line), FIO)
        text = result.out[result.out.find("{"):] if "{" in result.out else ""
        if result.status != 0:
            with open(self.guest.folder / "fio.txt", "a", encoding="utf-8") as file:
                file.write(f"{' '.join(line)}\n{result.err}\n{result.out}\n")
        try:
            jobs: List[Dict[str, Any]] = json.loads(text)["jobs"]
        except (ValueError, KeyError):
            self.seen.errors.append(f"{parts[-1].name}: fio ended with status {result.status}")
            return False
        good = [self._job(parts, job) for job in jobs]
        return all(good)

    def _job(self, parts: List[Part], job: Dict[str, Any]) -> bool:
        number, disk = str(job["jobname"]).split(".", 1)
        what, error, count = f"{parts[int(number)].name}: {disk}", int(job["error"]), int(job.get("total_err", 0))
        if error == MISMATCH:
            self.seen.mismatches.append(f"{what} is not what was written")
        elif error or count:
            self.seen.errors.append(f"{what} error {error or job.get('first_error')}"
                                    + (f", {count} in all" if count else ""))
        return not error and not count

    def _measure(self, disks: Dict[str, int]) -> None:
        """How fast the controller is, without a fault."""
        [figures] = measure(self.guest, sorted(disks)[:1], MEASURED_SECONDS, [MEASURED])
        self.seen.notes.append(f"{MEASURED.name}: {figures.iops:.0f} IOPS")

    def _read_log(self) -> None:
        text = self.guest.serial()
        if self.guest.running:
            # A guest that hangs may not tell; what came over the serial console is there in any case.
            with contextlib.suppress(GuestFailure):
                text = self.guest.dmesg()
                self.seen.lines = len(text.splitlines()) - self._lines_before
        self.seen.reports = [f"{report.kind}: {report.title}" for report in read_reports(text)]


def run_case(case: Case, folder: pathlib.Path, kernel: Kernel, driver: str, seed: int) -> Outcome:
    """Tries a case in a guest of its own; everything that it says is kept in `folder`."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    images = [make_image(folder / f"{name}.img", IMAGE_BYTES) for name in ("a", "b")]
    namespaces = [Namespace(images[0]), Namespace(images[1], block=4096)]
    snapshots = Snapshots(inside.BUILD / "snapshots", driver)
    with contextlib.ExitStack() as cleanup:
        for image in images:
            cleanup.callback(image.unlink)
        # The guest first: what is armed for the time of the probe may count seconds.
        guest = snapshots.start(folder, kernel, inside.make_initrd(kernel), reachable(kernel), [],
                                lambda one: _close_with(cleanup, one))
        guest.driver = driver
        controller = FaultController(folder, namespaces, [] if case.when == RUNNING else case.specs,
                                     ["--seed", str(seed), "--ready-units", str(READY_UNITS)])
        cleanup.callback(controller.close)
        trial = Trial(case, guest, controller, seed)
        trial.run()
    outcome = judge(case, trial.seen, time.monotonic() - began)
    (folder / "seen.json").write_text(json.dumps({"case": dataclasses.asdict(case), "seen": dataclasses.asdict(
        trial.seen), "outcome": dataclasses.asdict(outcome)}, indent=2) + "\n")
    return outcome


def _close_with(cleanup: contextlib.ExitStack, guest: Guest) -> None:
    cleanup.callback(guest.close)


def try_case(case: Case, folder: pathlib.Path, kernel: Kernel, driver: str, seed: int) -> Outcome:
    """As run_case; what fails beside the driver, twice, is an outcome as well, so that the others are tried."""
    began = time.monotonic()
    failed = ""
    for attempt in ("", "-again"):
        home = folder.with_name(folder.name + attempt)
        try:
            return run_case(case, home, kernel, driver, seed)
        except (Failure, OSError) as failure:
            failed = str(failure)
            (home / "failure.txt").write_text(f"{failed}\n")
    return Outcome(case.name, case.expects, UNTRIED, failed.splitlines()[0], time.monotonic() - began)

