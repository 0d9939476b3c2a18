# SPDX-License-Identifier: GPL-2.0
"""One fault in one guest: what is done to the driver, in bounded time, and what is seen of it.

The driver is loaded and its disks are written and read back with the fault armed, then the controller is reset, or the
driver unbound. Then the controller is well again: what was acknowledged must be there, I/O must work, and the driver
must go. A step that does not end in its time ends the case; the blocked tasks' stacks are kept in hang.txt in the
case's folder. Relies on fio for data that is checked (fault_data.py), and on the fault controller's log for whether the
fault happened.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shlex
import time
from typing import Dict, List, Optional, Sequence

from . import inside
from .failure import Failure
from .fault_controller import FaultController, reachable
from .fault_data import (
    MIB,
    READ_BEFORE,
    READ_DURING,
    WRITE_AFTER,
    WRITE_BEFORE,
    WRITE_DURING,
    Disk,
    Part,
    command,
    read_answer,
    read_disks,
)
from .faults import CONTROL, DEATH, RUNNING, UNBIND, UNTRIED, Case, Outcome, Seen, broken, happened, judge, shortened
from .fio import FioJob, measure
from .guest import MODULE, Guest, GuestFailure, Result
from .kernel import DEBUG, Kernel
from .log_net import read_reports
from .machine import Namespace, make_image
from .snapshots import Snapshots

IMAGE_BYTES = 16 * MIB
DISKS = 2
# What each step may take on the stock kernel, in seconds; the debug kernel has three times as much.
LOAD, DISKS_UP, FIO, RESET, LEAVE, UNLOAD = 40, 12, 30, 40, 40, 30
# An unbind under a fault: a driver may wait for a shutdown as long as RTD3E says, a minute at most.
LEAVE_UNDER_FAULT = 75
# A guest is restored in that time where the host is not busy; no host is taken for slower than so many times that.
RESTORED_SECONDS, SLOWEST = 4.0, 4.0
# Seconds until a process that is just ending has ended: after a failure, the controller; after the controller, QEMU.
CONTROLLER_ENDS, QEMU_ENDS = 1.0, 5.0
# Of a failure, the note of the try after it has so much: what led to it comes first.
LONGEST_REASON = 100
# The C driver's timeouts, in seconds: what its defaults of 30 and 60 show, these show sooner.
C_TIMEOUTS = """modprobe nvme_core; cd /sys/module/nvme_core/parameters && echo 5 >io_timeout &&
echo 5 >admin_timeout"""
MEASURED, MEASURED_SECONDS = FioJob("4 KiB random read, depth 32", "randread", "4k", 32), 3.0
# Half seconds that the controller says it may take to become ready: 2 s.
READY_UNITS = 4


# The usable disks with their namespaces and block sizes: ours ends a disk's name with the namespace. The C driver keeps
# disks without a size for namespaces that it cannot use. A disk without its node is none yet: fio would make a file.
USABLE = """usable() { for d in /sys/block/{driver}*n*; do [ "$(cat $d/size 2>/dev/null || echo 0)" -gt 0 ] &&
[ -b /dev/${d##*/} ] &&
echo ${d##*/} $(cat $d/nsid 2>/dev/null || echo ${d##*n}) $(cat $d/queue/logical_block_size); done
true; }
"""
# Where nothing is written that is read again. Zeroes are written by the kernel where the device cannot.
FURTHER = f"""status=0; for d in {{disks}}; do sync /dev/$d || status=1
[ $(cat /sys/block/$d/queue/discard_max_bytes) = 0 ] || blkdiscard -o {8 * MIB} -l 65536 /dev/$d || status=1
blkdiscard -z -o {9 * MIB} -l 65536 /dev/$d || status=1; done; exit $status"""


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
        # None until the driver is about to be loaded: what came before is not its doing.
        self._lines_before: Optional[int] = None
        # What was acknowledged under the fault: how many writes to each namespace, and its disk then.
        self._acknowledged: Dict[int, int] = {}
        self._written: Dict[int, Disk] = {}
        self.patience = (3.0 if guest.kernel.name == DEBUG else 1.0) * slowness(guest.boot_seconds)
        self._usable = USABLE.replace("{driver}", guest.driver)

    def run(self) -> None:
        """All of it; what hangs or kills the guest is seen, not raised.

        A failure beside the driver is raised only if nothing was seen of the driver before it that another try would
        lose.
        """
        failed: Optional[Exception] = None
        try:
            self._run()
        except Hang as hang:
            self.seen.hang = self.seen.hang or str(hang)
        except (Failure, OSError) as failure:
            failed = failure
            # The controller ends with QEMU, and whoever asks it may know that before QEMU's end is to be seen.
            ended = self.controller.ended(CONTROLLER_ENDS) is not None
            self.seen.died = self.guest.ended(QEMU_ENDS if ended else 0.0)
        self._take_stock()
        # QEMU may end when the controller's process does, which is its own affair.
        beside = not self.seen.died or self._has_died()
        if failed is not None and beside and not self.seen.broken:
            if not self.seen.is_bad:
                raise failed
            self.seen.notes.append(first_line(failed))

    def _take_stock(self) -> None:
        """What the controller and the kernel's log tell in the end."""
        log = self.controller.log()
        self.seen.broken = broken(self.controller.ended(), self.controller.last_words(), self._has_died(),
                                  self.seen.died)
        self.seen.silent = [kind for kind in self.case.kinds if happened(log, kind) < 1]
        if not self.controller.running:
            self.seen.notes.append("the controller's process ended")
        self.seen.complaints = self.controller.lines("judge")
        self._read_log()

    def _has_died(self) -> bool:
        """Whether the fault has happened whose point is the end of the controller's process."""
        return happened(self.controller.log(), DEATH) > 0

    def _run(self) -> None:
        self.controller.plug(self.guest)
        self.address = self.guest.pci_address()
        self._lines_before = int(self.guest.out("dmesg | wc -l"))
        self._load()
        disks = self._await_disks()
        self.seen.disks = len(disks)
        if self.case.when == RUNNING:
            if len(disks) < DISKS or not self._fio(disks, [WRITE_BEFORE]):
                reason = "; ".join([*self.seen.errors, *self.seen.mismatches]) or f"{len(disks)} of {DISKS} disks"
                raise Failure(f"{reason}: no use of the controller before the fault")
            if self.case == CONTROL:
                self._measure(disks)
            for spec in self.case.specs:
                self.controller.arm(spec)
        if disks:
            self._fio(disks, [WRITE_DURING])
            self._ask_further(disks)
        if self.case.when == UNBIND:
            self._leave("unbind under the fault", LEAVE_UNDER_FAULT)
        elif disks:
            self._reset()
        if self.controller.running:
            self.controller.tell("disarm")
            self._look_again()
        self._leave("unbind", LEAVE)
        self._go("unload", f"[ ! -e /sys/module/{self.guest.driver} ] || rmmod {self.guest.driver}", UNLOAD)

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
            self._keep_hang(f"{name}: {command}\n{failure}\n")
            raise Hang(f"{name} does not end") from failure
        return result

    def _keep_hang(self, story: str) -> None:
        """Behind what is there: the first of them led to the others."""
        with open(self.guest.folder / "hang.txt", "a", encoding="utf-8") as file:
            file.write(story)

    def _must(self, name: str, command: str, seconds: float) -> None:
        """A step whose failure is worth a note."""
        status = self._step(name, command, seconds).status
        if status != 0:
            self.seen.notes.append(f"{name}: status {status}")

    def _go(self, name: str, command: str, seconds: float) -> None:
        """A step by which the driver goes. One that will not go holds on to something: as bad as a hang."""
        status = self._step(name, command, seconds).status
        if status != 0:
            self._keep_hang(f"{name}: {command}: status {status}\n{self.guest.describe_hang()}\n")
            self.seen.hang = self.seen.hang or f"{name} fails with status {status}"

    def _leave(self, name: str, seconds: float) -> None:
        self._go(name, f"[ ! -e {self._driver}/{self.address} ] || echo {self.address} >{self._driver}/unbind", seconds)

    def _load(self) -> None:
        if self.guest.driver == "nvme":
            self.guest.run(C_TIMEOUTS)
            self._must("load", "modprobe nvme", LOAD)
        else:
            self._must("load", f"insmod {MODULE}", LOAD)

    def _await_disks(self) -> List[Disk]:
        """The usable disks: all, or those that are there when the time is over.

        A driver that has let go of the controller will make no more.
        """
        device = f"/sys/bus/pci/devices/{self.address}"
        wait = (f"until [ $(usable | wc -l) -ge {DISKS} ] || [ ! -e {device}/driver ]; do sleep 0.05; done")
        line = (f"timeout {DISKS_UP * self.patience:g} bash -c {shlex.quote(self._usable + wait)}; "
                f"{self._usable}usable")
        return read_disks(self._step("disks", line, DISKS_UP + 10).out)

    def _ask_further(self, disks: List[Disk]) -> None:
        """What fio does not ask for: a flush, a discard, zeroes."""
        line = FURTHER.replace("{disks}", " ".join(one.name for one in disks))
        result = self._step("flush, discard, zeroes", line, FIO)
        if result.status != 0:
            self.seen.errors.append(f"with the fault: {shortened(result.err.strip() or 'a flush fails')}")

    def _reset(self) -> None:
        """The C driver can be asked for a reset; ours is given the controller anew."""
        if self.guest.driver == "nvme":
            line = "for r in /sys/class/nvme/nvme*/reset_controller; do [ -e $r ] && echo 1 >$r; done"
            self._must("reset", line, RESET)
        else:
            self._bind("reset")

    def _bind(self, name: str) -> None:
        self._leave(name, RESET)
        self._must(name, f"[ -e {self._driver}/{self.address} ] || echo {self.address} >{self._driver}/bind", RESET)

    def _look_again(self) -> None:
        """With a controller that is well again: the disks must be of use, after a new bind at the latest."""
        bound = self.case.when != UNBIND
        disks = self._await_disks() if bound and self.seen.disks == DISKS else []
        if bound and len(disks) < DISKS == self.seen.disks:
            self.seen.errors.append(f"{len(disks)} of {DISKS} disks after the reset")
        if len(disks) < DISKS or not self._useful(disks):
            self._bind("bind")
            disks = self._await_disks()
            self.seen.dead = len(disks) < DISKS or not self._useful(disks)
            if bound and not self.seen.dead and self.seen.disks == DISKS:
                self.seen.notes.append("of use again after a new bind")

    def _useful(self, disks: List[Disk]) -> bool:
        """Whether what was acknowledged is there, and more can be written."""
        for disk in disks:
            written = self._written.get(disk.nsid, disk)
            if written.block != disk.block:
                # What was written under a wrong size of a block lies where the lie put it.
                self._written[disk.nsid] = disk
                self._acknowledged.pop(disk.nsid, None)
                self.seen.notes.append(f"{disk.name} has blocks of {disk.block} bytes, not {written.block}")
        return self._fio(disks, [*([READ_BEFORE] if self.case.when == RUNNING else []), READ_DURING, WRITE_AFTER])

    # --- data ----------------------------------------------------------------

    def _fio(self, disks: Sequence[Disk], parts: Sequence[Part]) -> bool:
        """Writes or reads parts of the disks, one after the other, and compares; whether all went well."""
        line = command(parts, disks, self._acknowledged, self.seed)
        result = self._step(parts[-1].name, line, FIO)
        if result.status != 0:
            with open(self.guest.folder / "fio.txt", "a", encoding="utf-8") as file:
                file.write(f"{line}\n{result.err}\n{result.out}\n")
        found = read_answer(parts, result.out, result.err, result.status)
        self.seen.errors += found.errors
        self.seen.mismatches += found.mismatches
        for disk in disks if WRITE_DURING in parts else []:
            self._written[disk.nsid] = disk
            self._acknowledged[disk.nsid] = found.acknowledged.get(disk.nsid, 0)
            if found.good and self._acknowledged[disk.nsid] != found.written[disk.name]:
                raise Failure(f"fio's log has {self._acknowledged[disk.nsid]} of {found.written[disk.name]} writes")
        return found.good

    def _measure(self, disks: Sequence[Disk]) -> None:
        """How fast the controller is, without a fault."""
        [figures] = measure(self.guest, [disks[0].name], MEASURED_SECONDS, [MEASURED])
        self.seen.notes.append(f"{MEASURED.name}: {figures.iops:.0f} IOPS")

    def _read_log(self) -> None:
        text = self.guest.serial()
        if self.guest.running:
            # A guest that hangs may not tell; what came over the serial console is there in any case.
            with contextlib.suppress(GuestFailure):
                text = self.guest.dmesg()
                if self._lines_before is not None:
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
    """As run_case; where something beside the driver fails, and nothing else was seen, once more; it is told.

    If it fails again, that is an outcome as well, so that the others are tried.
    """
    began = time.monotonic()
    failed: List[str] = []
    for attempt in ("", "-again"):
        home = folder.with_name(folder.name + attempt)
        try:
            outcome = run_case(case, home, kernel, driver, seed)
        except (Failure, OSError) as failure:
            failed.append(first_line(failure))
            (home / "failure.txt").write_text(f"{failure}\n")
        else:
            told = [f"tried again, for: {shortened(text, LONGEST_REASON)}" for text in failed]
            return dataclasses.replace(outcome, note="; ".join([*told, *([outcome.note] if outcome.note else [])]))
    return Outcome(case.name, case.expects, UNTRIED, "; and again: ".join(failed), time.monotonic() - began)


def first_line(failure: Exception) -> str:
    """What a failure says, for a table; one that says nothing is told by its kind."""
    return (str(failure).splitlines() or [type(failure).__name__])[0]
