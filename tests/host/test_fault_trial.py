# SPDX-License-Identifier: GPL-2.0
"""What a case saw is not lost by what fails beside the driver: guest and controller here only look like ones."""

from __future__ import annotations

import pathlib
from typing import Any, Callable, List, Optional

import pytest
from rnvme_tool import fault_guest
from rnvme_tool.failure import Failure
from rnvme_tool.fault_data import WRITE_BEFORE, Disk
from rnvme_tool.fault_guest import Trial, try_case
from rnvme_tool.faults import Case, Outcome
from rnvme_tool.guest import GuestFailure, Result
from rnvme_tool.kernel import STOCK

CASE = Case("completion-lost", "running", ("completion-lost:nth=20",), "survives")
REPORT = "[    1.0] BUG: KASAN: slab-use-after-free in nvme_x+0x1/0x2\n"


class _Kernel:
    name = STOCK


class _NoGuest:
    """A guest that answers what it is told to, and ends only when it is waited for."""

    kernel, driver, boot_seconds = _Kernel(), "nvme", 1.0

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.running = True
        self.is_ending = False
        self.log = ""
        self.answers: Callable[[str], Result] = lambda command: Result(command, 0, "", "")

    def run(self, command: str, timeout: float = 30, check: bool = True) -> Result:
        return self.answers(command)

    def ended(self, wait: float = 0.0) -> bool:
        self.running = self.running and not (self.is_ending and wait > 0)
        return not self.running

    def serial(self) -> str:
        return self.log

    def dmesg(self) -> str:
        return self.log

    def describe_hang(self) -> str:
        return "blocked: kworker"


class _NoController:
    """A controller that has said something, and ended with a status or runs."""

    def __init__(self) -> None:
        self.status: Optional[int] = None
        self.said = "0.1 fault 1 completion-lost arg=1 at queue 1\n"
        self.judged: List[str] = []

    @property
    def running(self) -> bool:
        return self.status is None

    def ended(self, wait: float = 0.0) -> Optional[int]:
        return self.status

    def last_words(self) -> str:
        return ""

    def log(self) -> str:
        return self.said

    def lines(self, word: str) -> List[str]:
        return self.judged if word == "judge" else []


class _OneTrial(Trial):
    """A trial whose steps are the test's."""

    def __init__(self, folder: pathlib.Path, steps: Callable[[_OneTrial], None]) -> None:
        self.no_guest, self.no_controller = _NoGuest(folder), _NoController()
        guest: Any = self.no_guest
        controller: Any = self.no_controller
        super().__init__(CASE, guest, controller, 7)
        self._steps = steps

    def _run(self) -> None:
        self._steps(self)


def fails(trial: _OneTrial) -> None:
    raise Failure("fio's log has 3 of 4 writes")


def lost(trial: _OneTrial) -> None:
    trial.seen.mismatches.append("data at 4096: nvme0n1")


def hung(trial: _OneTrial) -> None:
    trial.seen.hang = "unbind fails with status 1"


def reported(trial: _OneTrial) -> None:
    trial.no_guest.log = REPORT


def complained(trial: _OneTrial) -> None:
    trial.no_controller.judged.append("command id 3 is in use twice")


@pytest.mark.parametrize("saw", [lost, hung, reported, complained])
def test_failure_beside_the_driver_takes_nothing_of_what_was_seen(
        saw: Callable[[_OneTrial], None], tmp_path: pathlib.Path) -> None:
    def steps(trial: _OneTrial) -> None:
        saw(trial)
        fails(trial)

    trial = _OneTrial(tmp_path, steps)
    trial.run()
    print(trial.seen)
    assert trial.seen.is_bad
    assert trial.seen.notes == ["fio's log has 3 of 4 writes"]


def test_failure_after_which_nothing_was_seen_is_for_another_try(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="3 of 4"):
        _OneTrial(tmp_path, fails).run()


@pytest.mark.parametrize("answer", [ConnectionRefusedError(), Failure("the fault controller: disarm: ")])
def test_machine_that_dies_before_its_end_is_to_be_seen_is_no_broken_controller(
        answer: Exception, tmp_path: pathlib.Path) -> None:
    def steps(trial: _OneTrial) -> None:
        trial.no_controller.status, trial.no_guest.is_ending = 0, True
        raise answer

    trial = _OneTrial(tmp_path, steps)
    trial.run()
    assert (trial.seen.died, trial.seen.broken) == (True, "")


def test_machine_that_does_not_bear_the_death_of_its_controller_is_for_another_try(tmp_path: pathlib.Path) -> None:
    def steps(trial: _OneTrial) -> None:
        trial.no_controller.said = "0.1 fault 1 death arg=0 at queue 1\n"
        trial.no_controller.status, trial.no_guest.is_ending = 1, True
        raise GuestFailure("QEMU ended")

    with pytest.raises(GuestFailure, match="QEMU ended"):
        _OneTrial(tmp_path, steps).run()


def test_controller_that_ends_under_a_machine_that_lives_is_broken(tmp_path: pathlib.Path) -> None:
    def steps(trial: _OneTrial) -> None:
        trial.no_controller.status = -6
        raise ConnectionRefusedError

    trial = _OneTrial(tmp_path, steps)
    trial.run()
    assert not trial.seen.died and "status -6" in trial.seen.broken


def test_first_hang_is_the_one_that_is_told_and_the_stacks_of_all_are_kept(tmp_path: pathlib.Path) -> None:
    def answer(command: str) -> Result:
        if "rmmod" in command:
            raise GuestFailure("did not end within 30 s\nblocked: rmmod")
        return Result(command, 1, "", "")

    def steps(trial: _OneTrial) -> None:
        trial.no_guest.answers = answer
        trial._go("unbind", "echo 0000:01:00.0 >unbind", 1)
        trial._go("unload", "rmmod nvme", 1)

    trial = _OneTrial(tmp_path, steps)
    trial.run()
    kept = (tmp_path / "hang.txt").read_text()
    print(kept)
    assert trial.seen.hang == "unbind fails with status 1"
    assert kept.index("blocked: kworker") < kept.index("blocked: rmmod")


class EarlyTrial(Trial):
    """A trial with two disks, before whose fault fio sees what it is given."""

    def _load(self) -> None:
        pass

    def _await_disks(self) -> List[Disk]:
        return [Disk("nvme0n1", 1, 512), Disk("nvme0n2", 2, 4096)]

    def _fio(self, disks: Any, parts: Any) -> bool:
        assert parts == [WRITE_BEFORE]
        self.seen.mismatches.append("before the fault: nvme0n1 at 4096")
        return False


def test_data_lost_before_the_fault_is_the_reason_and_not_tried_away(tmp_path: pathlib.Path) -> None:
    guest: Any = _NoGuest(tmp_path)
    guest.pci_address, guest.out = lambda: "0000:01:00.0", lambda command: "0"
    controller: Any = _NoController()
    controller.plug = lambda plugged: None
    trial = EarlyTrial(CASE, guest, controller, 7)
    trial.run()
    print(trial.seen)
    assert trial.seen.mismatches
    assert trial.seen.notes[0].startswith("before the fault: nvme0n1 at 4096")


def test_note_of_a_second_try_has_the_reason_of_the_first(tmp_path: pathlib.Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def run_case(case: Case, folder: pathlib.Path, *others: Any) -> Outcome:
        folder.mkdir()
        if not folder.name.endswith("-again"):
            raise Failure(f"{'x' * 60} input/output error: no use of the controller before the fault")
        return Outcome(case.name, case.expects, "survived", "", 1.0)

    monkeypatch.setattr(fault_guest, "run_case", run_case)
    kernel: Any = _Kernel()
    outcome = try_case(CASE, tmp_path / "case", kernel, "nvme", 7)
    print(outcome.note)
    assert outcome.verdict == "survived" and "input/output error" in outcome.note
