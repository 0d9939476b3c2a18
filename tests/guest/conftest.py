# SPDX-License-Identifier: GPL-2.0
"""The fixtures of the guest tests; what they offer is told in harness/__init__.py."""

from __future__ import annotations

import pathlib
import re
import shutil
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence

import pytest
from harness import Boot, Controller, Guest, GuestFailure, Machine, make_image
from rnvme_tool import inside

TEXT_PATCHING_RACE = "Oops: int3"
AGAIN = "-again"
REPORTS = pytest.StashKey[Dict[str, pytest.TestReport]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps each phase's outcome where the fixtures find it."""
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when or ""] = report
    return report


@pytest.fixture(scope="session")
def initrd() -> pathlib.Path:
    """The initramfs, with the module under test in it."""
    return inside.make_initrd()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[pathlib.Path]:
    """The test's own folder; its images are removed when the test passed."""
    path = inside.BUILD / "test" / re.sub(r"[^\w.-]+", "_", request.node.name)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    if _passed(request.node):
        for image in path.glob("*.img"):
            image.unlink()


@pytest.fixture
def new_image(folder: pathlib.Path) -> Callable[[str, int], pathlib.Path]:
    """Makes sparse images in the test's folder."""
    return lambda name, size: make_image(folder / f"{name}.img", size)


@pytest.fixture
def boot(request: pytest.FixtureRequest, folder: pathlib.Path, initrd: pathlib.Path) -> Iterator[Boot]:
    """Boots guests for one test and ends them with it."""
    guests: List[Guest] = []

    def start_one(home: pathlib.Path, controllers: Sequence[Controller], machine: Optional[Machine]) -> Guest:
        guest = Guest(home, initrd, machine, controllers, inside.driver())
        guests.append(guest)
        try:
            guest.start()
        except GuestFailure:
            # QEMU's threads can lose a race with the kernel's patching of its own text, long before any module.
            if home.name.endswith(AGAIN) or TEXT_PATCHING_RACE not in guest.serial():
                raise
            print(f"the guest died while it booted ({TEXT_PATCHING_RACE}): once more")
            guests.remove(guest)
            return start_one(home.with_name(home.name + AGAIN), controllers, machine)
        return guest

    def boot_one(controllers: Sequence[Controller] = (), machine: Optional[Machine] = None, load: bool = True,
                 parameters: str = "", disks: Optional[int] = None) -> Guest:
        guest = start_one(folder / f"guest{len(guests)}", controllers, machine)
        if load:
            guest.load(parameters)
            guest.await_disks(sum(len(c.namespaces) for c in controllers) if disks is None else disks)
        return guest

    try:
        yield boot_one
        complaints = [line for guest in guests if guest.running for line in guest.complaints()]
    finally:
        for guest in guests:
            _keep_log(guest)
            guest.close()
    if complaints and request.node.get_closest_marker("expects_complaints") is None:
        pytest.fail("the kernel complained:\n" + "\n".join(complaints))


def _keep_log(guest: Guest) -> None:
    if guest.running:
        try:
            (guest.folder / "dmesg.log").write_text(guest.dmesg())
        except Exception as error:  # A hung guest must not hide the test's own failure.
            (guest.folder / "dmesg.log").write_text(f"not to be had: {error}\n")


def _passed(node: pytest.Item) -> bool:
    reports = node.stash.get(REPORTS, {})
    return "call" in reports and reports["call"].passed
