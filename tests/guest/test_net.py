# SPDX-License-Identifier: GPL-2.0
"""The net holds: what the debug kernel's checks are for is provoked, caught, and called by its name.

Relies on the self-test build of the module, which commits a mistake when the file of
its name is read, and for what Rust cannot do wrong on the kernel's own LKDTM.
"""

from __future__ import annotations

import pathlib
from typing import Callable, List, Sequence, Tuple

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.machines import looking_for_leaks
from harness.observe import MIB, assert_orderly, reads_well, rebind, verified
from harness.verdict import KMEMLEAK, LEAK_AGE
from rnvme_tool.log_net import ASK_NET, Report, net_faults, read_leaks, read_reports

NewImage = Callable[[str, int], pathlib.Path]
ORDINARY = "/lib/rnvme/rnvme.ko"
# In this order, in one guest: an oops is the end of much.
OTHERS: Sequence[Tuple[str, str]] = (
    ("sleep_in_atomic", "atomic-sleep"), ("warning", "warn"), ("refcount_underflow", "refcount"),
    ("freed_timer", "debugobjects"), ("hung_task", "hung-task"), ("busy_cpu", "stall"), ("out_of_bounds", "kasan"),
    ("rust_panic", "rust-panic"))
# What LKDTM is asked for, the kind, and the function of LKDTM's that must be in the text.
LKDTM: Sequence[Tuple[str, str]] = (
    ("ARRAY_BOUNDS", "ubsan"), ("WARNING_MESSAGE", "warn"), ("CORRUPT_LIST_ADD", "list-corruption"),
    ("BUG", "bug"), ("EXCEPTION", "oops"))


def boot_self_test(boot: Boot, new_image: NewImage, module: str, machine: Machine) -> Guest:
    """A guest with the self-test module and one disk."""
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], machine, load=False)
    guest.run(f"insmod {module}", 60)
    guest.await_disks(1)
    assert net_faults(guest.out(ASK_NET), "kmemleak=on" in machine.kernel_args) == []
    return guest


def commit(guest: Guest, name: str, said: str = "committed") -> None:
    """Commits one mistake; its reader may not live to tell."""
    told = guest.run(f"cat /sys/bus/pci/drivers/rnvme/*/mistakes/{name}", 60, check=False)
    assert told.out.strip() in ("" if name == "rust_panic" else said, said), told


def reports_of(guest: Guest) -> List[Report]:
    """What the log says since the last time, as reports."""
    return read_reports(guest.out("dmesg -c"))


def assert_only(reports: Sequence[Report], kind: str, word: str) -> None:
    """There is a report of this kind with this word in its text, and none of another kind."""
    for report in reports:
        print(f"{report.kind}: {report.title} ({len(report.text.splitlines())} lines)")
    assert {report.kind for report in reports} == {kind}, "\n".join(map(str, reports)) or "nothing was reported"
    assert any(word in report.text for report in reports), f"{word} is in no text:\n{reports[0]}"


@pytest.mark.debug_only
@pytest.mark.expects_complaints
@pytest.mark.every_variant
@pytest.mark.parametrize("mistake,kind", [("use_after_free", "kasan"), ("lock_inversion", "lockdep")])
def test_mistake_is_caught_by_name(boot: Boot, new_image: NewImage, self_test_module: str, mistake: str,
                                   kind: str) -> None:
    guest = boot_self_test(boot, new_image, self_test_module, Machine())
    assert reports_of(guest) == [], "the net is empty before"
    commit(guest, mistake)
    assert_only(reports_of(guest), kind, mistake)
    assert any("lockdep" in fault for fault in net_faults(guest.out(ASK_NET))), "a torn net says so"


@pytest.mark.debug_only
@pytest.mark.expects_complaints
def test_dma_leak_is_caught_by_name(boot: Boot, new_image: NewImage, self_test_module: str) -> None:
    guest = boot_self_test(boot, new_image, self_test_module, Machine())
    commit(guest, "dma_leak", "at the next probe")
    rebind(guest)
    assert reports_of(guest) == [], "it is a leak only when the device is unbound"
    rebind(guest)
    assert_only(reports_of(guest), "dma-api", "dma_leak")
    assert any("DMA-API" in fault for fault in net_faults(guest.out(ASK_NET)))


@pytest.mark.debug_only
@pytest.mark.expects_complaints
def test_memory_leak_is_caught_by_name(boot: Boot, new_image: NewImage, self_test_module: str) -> None:
    guest = boot_self_test(boot, new_image, self_test_module, looking_for_leaks())
    scan = f"echo scan >{KMEMLEAK}"
    guest.run("dmesg -c >/dev/null")
    commit(guest, "memory_leak")
    guest.run(f"sleep {LEAK_AGE + 1} && {scan} && {scan}", 120)
    assert_only(reports_of(guest), "kmemleak", "new suspected memory leaks")
    assert_only(read_leaks(guest.out(f"cat {KMEMLEAK}")), "kmemleak", "memory_leak")


@pytest.mark.debug_only
@pytest.mark.expects_complaints
def test_every_other_kind_of_report_is_caught_by_name(boot: Boot, new_image: NewImage, self_test_module: str) -> None:
    guest = boot_self_test(boot, new_image, self_test_module, Machine())
    guest.run("echo 1 >/proc/sys/kernel/hung_task_timeout_secs && echo 1 >/proc/sys/kernel/watchdog_thresh")
    for mistake, kind in OTHERS:
        reports_of(guest)
        commit(guest, mistake)
        assert_only(reports_of(guest), kind, mistake)


@pytest.mark.debug_only
@pytest.mark.expects_complaints
def test_kinds_that_only_c_can_provoke_are_caught_by_name(boot: Boot) -> None:
    guest = boot(load=False)
    for crash, kind in LKDTM:
        reports_of(guest)
        guest.run(f"echo {crash} >/sys/kernel/debug/provoke-crash/DIRECT", check=False)
        assert_only(reports_of(guest), kind, f"lkdtm_{crash}")


@pytest.mark.debug_only
def test_ordinary_use_leaves_the_net_empty_and_up(boot: Boot, new_image: NewImage) -> None:
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])])
    verified(guest, guest.disk(), [{"bs": "64k", "iodepth": 8, "size": "4m"}])
    assert_orderly(guest)
    rebind(guest)
    reads_well(guest, guest.disk())
    guest.unload()
    assert read_reports(guest.dmesg()) == []
    assert net_faults(guest.out(ASK_NET)) == []


@pytest.mark.debug_only
def test_ordinary_module_holds_no_mistakes(boot: Boot, self_test_module: str) -> None:
    guest = boot(load=False)
    names = "tr -c 'a-z0-9_' '\\n' <{} | grep -o -E 'mistakes[0-9]+[a-z_]+' | sort -u"
    assert guest.out(names.format(ORDINARY)) == ""
    found = guest.out(names.format(self_test_module)).split()
    print(found)
    assert any("use_after_free" in name for name in found) and any("dma_leak" in name for name in found)
