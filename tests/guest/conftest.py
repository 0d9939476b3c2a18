# SPDX-License-Identifier: GPL-2.0
"""The fixtures of the guest tests; what they offer is told in harness/__init__.py."""

from __future__ import annotations

import pathlib
import re
import shutil
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence, Tuple

import pytest
from harness import Boot, Controller, Guest, Machine, make_image
from harness.machines import behind_strict_iommu, looking_for_leaks, with_bounce_buffers
from harness.sample import left_out, soaking
from harness.verdict import complaints
from rnvme_tool import inside
from rnvme_tool.kernel import DEBUG, STOCK, Kernel
from rnvme_tool.snapshots import Snapshots

# What is added to the kernel's name where a guest's controllers are behind a strict IOMMU, or all data is bounced.
BEHIND_IOMMU, BOUNCED = "-iommu", "-bounced"
VARIANTS = {BEHIND_IOMMU: behind_strict_iommu, BOUNCED: with_bounce_buffers}
REPORTS = pytest.StashKey[Dict[str, pytest.TestReport]]()
# Set for a test that could look for leaks, when the lot fell on others.
SPARED_THE_LEAKS = pytest.StashKey[bool]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that boots a guest is run on both kernels, unless its mark names the one it needs."""
    if "kernel" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        names = [name for name in (STOCK, DEBUG) if not marks & {"stock_only", "debug_only"} or f"{name}_only" in marks]
        chosen: List[Any] = names
        if "io_suite" in marks and "one_machine" not in marks:
            chosen = [name + BEHIND_IOMMU if name == DEBUG and "no_iommu" not in marks else name for name in names]
            if STOCK in names:
                # A soak has them all.
                chosen.append(pytest.param(STOCK + BOUNCED, marks=[pytest.mark.soak] if soaking() else []))
        metafunc.parametrize("kernel", chosen, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Leaves out the kernel that is not in this run, and what `make test` draws no lot for.

    On the debug kernel and with bounce buffers that is all but one of a test's variants, and with bounce buffers
    four of five tests; and every other test that could look for leaks does not. A soak has them all, and the tests
    marked `soak` or `soak_only`; who names tests gets what they named. What fails fast comes first: tests without a
    guest, then stock.
    """
    order = ["", *(kernel.name for kernel in inside.kernels())]
    named = [(kernel_of(item), item) for item in items]
    chosen = [item for place in order for name, item in named if name == place]
    told = stories(chosen, lambda item: kernel_of(item) == DEBUG)
    bounced = stories(chosen, lambda item: machine_of(item)[1] == BOUNCED)
    if soaking():
        every = {item for group in told if len(group) > 1 for item in group}
        chosen = [item for item in chosen if item in every or item.get_closest_marker("soak")
                  or item.get_closest_marker("soak_only")]
        # The longest first, so that no CPU waits for it in the end.
        chosen.sort(key=lambda item: -own_timeout(item))
    elif not config.getoption("keyword"):
        spared = {item for group in told + bounced for item in left_out(group, 1, group[0].nodeid.split("[")[0])}
        spared |= {item for item in chosen if item.get_closest_marker("soak_only")}
        spared |= {item for group in left_out(bounced, len(bounced) // 5, BOUNCED) for item in group}
        chosen = [item for item in chosen if item not in spared]
        could = [item for item in chosen if kernel_of(item) == DEBUG and item.get_closest_marker("leaks")]
        for item in left_out(could, len(could) // 2, "leaks"):
            item.stash[SPARED_THE_LEAKS] = True
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def own_timeout(item: pytest.Item) -> float:
    """The time in seconds that a test is given by its mark; 0 if it has none."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def stories(items: Sequence[pytest.Item], where: Callable[[pytest.Item], bool]) -> List[List[pytest.Item]]:
    """The variants of each test on some machine, unless each of them is a story of its own."""
    groups: Dict[str, List[pytest.Item]] = {}
    for item in items:
        if where(item) and item.get_closest_marker("every_variant") is None:
            groups.setdefault(item.nodeid.split("[")[0], []).append(item)
    return list(groups.values())


def kernel_of(item: pytest.Item) -> str:
    """The name of the kernel that a test runs on; empty for one without a guest."""
    return machine_of(item)[0]


def machine_of(item: pytest.Item) -> Tuple[str, str]:
    """The name of a test's kernel, and what is added to it; both empty for a test without a guest."""
    callspec = getattr(item, "callspec", None)
    name, dash, variant = str(callspec.params.get("kernel", "") if callspec else "").partition("-")
    return name, dash + variant


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
    variant = VARIANTS.get(machine_of(request.node)[1])

    def boot_one(controllers: Sequence[Controller] = (), machine: Optional[Machine] = None, load: bool = True,
                 parameters: str = "", disks: Optional[int] = None) -> Guest:
        chosen = machine or Machine()
        # One with a command line of its own is about something that another one would change.
        if variant and not chosen.kernel_args:
            chosen = variant(chosen)
        if kernel.name == DEBUG and request.node.get_closest_marker("leaks") and (
                SPARED_THE_LEAKS not in request.node.stash):
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
