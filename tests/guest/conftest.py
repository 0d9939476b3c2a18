# SPDX-License-Identifier: GPL-2.0
"""The fixtures of the guest tests; what they offer is told in harness/__init__.py."""

from __future__ import annotations

import pathlib
import re
import shutil
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence

import pytest
from harness import Boot, Controller, Guest, Machine, make_image
from harness.machines import behind_strict_iommu, looking_for_leaks
from harness.sample import all_but_one, soaking
from harness.verdict import complaints
from rnvme_tool import inside
from rnvme_tool.kernel import DEBUG, STOCK, Kernel
from rnvme_tool.snapshots import Snapshots

# What is added to the kernel's name where a guest's controllers are behind a strict IOMMU.
BEHIND_IOMMU = "-iommu"
REPORTS = pytest.StashKey[Dict[str, pytest.TestReport]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that boots a guest is run on both kernels, unless its mark names the one it needs."""
    if "kernel" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        names = [name for name in (STOCK, DEBUG) if not marks & {"stock_only", "debug_only"} or f"{name}_only" in marks]
        if "io_suite" in marks and "no_iommu" not in marks:
            names = [name + BEHIND_IOMMU if name == DEBUG else name for name in names]
        metafunc.parametrize("kernel", names, indirect=True, ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Leaves out the kernel that is not in this run, and of a test's variants on the debug kernel all but one.

    A soak has them all, and the tests marked `soak`; who names tests gets what they named. What fails fast comes
    first: tests without a guest, then stock.
    """
    order = ["", *(kernel.name for kernel in inside.kernels())]
    named = [(kernel_of(item), item) for item in items]
    chosen = [item for place in order for name, item in named if name == place]
    variants = variants_on_debug(chosen)
    if soaking():
        every = {item for group in variants for item in group}
        chosen = [item for item in chosen if item in every or item.get_closest_marker("soak")]
    elif not config.getoption("keyword"):
        spared = {item for group in variants for item in all_but_one(group, group[0].nodeid.split("[")[0])}
        chosen = [item for item in chosen if item not in spared]
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def variants_on_debug(items: Sequence[pytest.Item]) -> List[List[pytest.Item]]:
    """The variants of each test that has several on the debug kernel, unless each of them is a story of its own."""
    groups: Dict[str, List[pytest.Item]] = {}
    for item in items:
        if kernel_of(item) == DEBUG and item.get_closest_marker("every_variant") is None:
            groups.setdefault(item.nodeid.split("[")[0], []).append(item)
    return [group for group in groups.values() if len(group) > 1]


def kernel_of(item: pytest.Item) -> str:
    """The name of the kernel that a test runs on; empty for one without a guest."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("kernel", "")).replace(BEHIND_IOMMU, "") if callspec else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps each phase's outcome where the fixtures find it."""
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when or ""] = report
    return report


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel that this test's guests run."""
    return inside.kernel(kernel_of(request.node))


@pytest.fixture
def self_test_module(kernel: Kernel) -> str:
    """Where in the guest the module with deliberate mistakes is."""
    assert inside.self_test_module(kernel).exists(), f"it was not built for the {kernel.name} kernel"
    return "/lib/rnvme/self_test/rnvme.ko"


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
    iommu = BEHIND_IOMMU in request.node.callspec.params["kernel"]

    def boot_one(controllers: Sequence[Controller] = (), machine: Optional[Machine] = None, load: bool = True,
                 parameters: str = "", disks: Optional[int] = None) -> Guest:
        chosen = machine or Machine()
        # One with a command line of its own is about something that an IOMMU would change.
        if iommu and not chosen.kernel_args:
            chosen = behind_strict_iommu(chosen)
        if kernel.name == DEBUG and request.node.get_closest_marker("leaks"):
            chosen = looking_for_leaks(chosen)
        home = folder / f"guest{len(guests)}"
        guest = snapshots.start(home, kernel, inside.make_initrd(kernel), chosen, list(controllers), guests.append)
        if load:
            guest.load(parameters)
            guest.await_disks(sum(len(c.namespaces) for c in controllers) if disks is None else disks)
        return guest

    found: List[str] = []
    unread = guests
    try:
        yield boot_one
        if request.node.get_closest_marker("expects_complaints") is None:
            known = request.node.get_closest_marker("known_report")
            found = [text for guest in guests for text in complaints(guest, known.args[0] if known else "")]
            unread = []
    finally:
        for guest in unread:
            _keep_log(guest)
        for guest in guests:
            guest.close()
    if found:
        pytest.fail("the kernel complained:\n" + "\n".join(found))


def _keep_log(guest: Guest) -> None:
    if guest.running:
        try:
            guest.dmesg()
        except Exception as error:  # A hung guest must not hide the test's own failure.
            (guest.folder / "dmesg.log").write_text(f"not to be had: {error}\n")


def _passed(node: pytest.Item) -> bool:
    reports = node.stash.get(REPORTS, {})
    return "call" in reports and reports["call"].passed
