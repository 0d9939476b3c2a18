# SPDX-License-Identifier: GPL-2.0
"""The fixtures of the guest tests; what they offer is told in harness/__init__.py."""

from __future__ import annotations

import pathlib
import re
import shutil
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence

import pytest
from harness import Boot, Controller, Guest, Machine, make_image
from rnvme_tool import inside
from rnvme_tool.kernel import DEBUG, STOCK, Kernel
from rnvme_tool.snapshots import Snapshots

REPORTS = pytest.StashKey[Dict[str, pytest.TestReport]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that boots a guest is run on each kernel of this run, unless its mark names the one it needs."""
    if "kernel" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        names = [kernel.name for kernel in inside.kernels()
                 if not (kernel.name == DEBUG and "stock_only" in marks or
                         kernel.name == STOCK and "debug_only" in marks)]
        metafunc.parametrize("kernel", names, indirect=True, ids=names)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """What fails fast comes first: tests without a guest, then the stock kernel's, then the debug kernel's."""
    def rank(item: pytest.Item) -> int:
        callspec = getattr(item, "callspec", None)
        order = [None, STOCK, DEBUG]
        return order.index(callspec.params.get("kernel") if callspec else None)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps each phase's outcome where the fixtures find it."""
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when or ""] = report
    return report


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel that this test's guests run."""
    return inside.kernel(request.param)


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
def boot(request: pytest.FixtureRequest, folder: pathlib.Path, kernel: Kernel) -> Iterator[Boot]:
    """Starts guests for one test, and ends them with it."""
    guests: List[Guest] = []
    snapshots = Snapshots(inside.BUILD / "snapshots", inside.driver())

    def boot_one(controllers: Sequence[Controller] = (), machine: Optional[Machine] = None, load: bool = True,
                 parameters: str = "", disks: Optional[int] = None) -> Guest:
        home = folder / f"guest{len(guests)}"
        guest = snapshots.start(home, kernel, inside.make_initrd(kernel), machine or Machine(), list(controllers),
                                guests.append)
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
