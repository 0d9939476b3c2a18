# SPDX-License-Identifier: GPL-2.0
"""The net reads a kernel's log: every kind of report is found, whole and by its name; what only looks like one is not.

The texts in data/log_net were captured in guests of the debug kernel, where each
was provoked on purpose, and shortened in the middle of their traces.
"""

from __future__ import annotations

import pathlib
import re
from typing import List

import pytest
from rnvme_tool.log_net import MAX_LINES, NET_OFF, Report, net_faults, read_leaks, read_reports

DATA = pathlib.Path(__file__).with_name("data") / "log_net"
# The kind, the beginning of the title, and what is in the text of the report to its end.
CAPTURED = (
    ("kasan", "BUG: KASAN: slab-use-after-free in", "Freed by task"),
    ("lockdep", "WARNING: possible circular locking dependency", "lock_inversion"),
    ("dma-api", "DMA-API: pci 0000:01:00.0: device driver has pending DMA", "dma_leak"),
    ("refcount", "refcount_t: underflow", "end trace"),
    ("warn", "WARNING: drivers/nvme/mistakes.rs", "end trace"),
    ("atomic-sleep", "BUG: sleeping function called from invalid context", "</TASK>"),
    ("debugobjects", "ODEBUG: free active", "end trace"),
    ("hung-task", "INFO: task cat:138 blocked for more than 2 seconds", "hung_task"),
    ("stall", "watchdog: BUG: soft lockup", "</TASK>"),
    ("dmar", "DMAR: [DMA Read NO_PASID] Request device [0000:01:00.0]", "page table not present"),
)


def captured(kind: str) -> str:
    """The captured log of one kind."""
    return (DATA / f"{kind}.log").read_text()


def kinds(reports: List[Report]) -> List[str]:
    """The kinds, in order."""
    return [report.kind for report in reports]


@pytest.mark.parametrize("kind,title,end", CAPTURED, ids=[one[0] for one in CAPTURED])
def test_captured_report_is_named_and_whole(kind: str, title: str, end: str) -> None:
    reports = read_reports(captured(kind))
    print(*reports, sep="\n")
    assert set(kinds(reports)) == {kind}
    assert reports[0].title.startswith(title)
    assert end in reports[0].text and "[   " not in reports[0].text


def test_every_captured_text_is_tried() -> None:
    tried = {kind for kind, _, _ in CAPTURED} | {"harmless", "kmemleak-listing"}
    assert {path.stem for path in DATA.iterdir()} == tried


def test_three_rounds_of_one_hung_task_are_three_reports() -> None:
    assert kinds(read_reports(captured("hung-task"))) == ["hung-task"] * 3


def test_reports_one_after_another_are_told_apart() -> None:
    order = ["warn", "kasan", "dma-api", "dmar", "lockdep", "refcount"]
    assert kinds(read_reports("".join(map(captured, order)))) == order


def test_lines_of_other_tasks_between_do_not_cut_a_report() -> None:
    ours, others = captured("kasan").splitlines(), captured("refcount").splitlines()
    mixed = [line for pair in zip(ours, others) for line in pair] + ours[len(others):] + others[len(ours):]
    reports = {report.kind: report.text for report in read_reports("\n".join(mixed))}
    alone = {kind: read_reports(captured(kind))[0].text for kind in ("kasan", "refcount")}
    assert reports == alone


def test_log_without_callers_is_read_as_well() -> None:
    for kind in ("kasan", "dma-api", "lockdep"):
        plain = re.sub(r"^(\[ *[\d.]+\])\[[^]]*\]", r"\1", captured(kind), flags=re.MULTILINE)
        assert kinds(read_reports(plain)) == [kind]


def test_report_whose_end_was_lost_is_bounded_and_hides_no_other() -> None:
    head = captured("atomic-sleep").splitlines()[0]
    noise = [f"[   50.000000][  T109] line {number}" for number in range(2 * MAX_LINES)]
    lost = read_reports("\n".join([head, *noise]))
    assert kinds(lost) == ["atomic-sleep"] and len(lost[0].text.splitlines()) == MAX_LINES
    next_one = "[   51.000000][  T109] WARNING: possible recursive locking detected"
    assert kinds(read_reports("\n".join([head, *noise[:10], next_one]))) == ["atomic-sleep", "lockdep"]


def test_boot_and_ordinary_work_trip_nothing() -> None:
    assert read_reports((DATA / "harmless.log").read_text()) == []


@pytest.mark.parametrize("line", [
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible",
    "FAULT_INJECTION: forcing a failure.", "INFO: lockdep is turned off.",
    "DMA-API: dma_debug_entry pool grown to 131072 (200%)", "kmemleak: Automatic memory scanning thread started",
    "kmemleak: Kernel memory leak detector disabled", "DMAR: DRHD: handling fault status reg 2",
    "workqueue: blk_mq_run_work_fn hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
    "| Locking API testsuite:", "hung_task: khungtaskd started", "rnvme 0000:01:00.0: BUG: in a disk's name"])
def test_line_that_only_looks_like_a_report_trips_nothing(line: str) -> None:
    assert read_reports(f"[    9.000000][   T1] {line}\n[    9.000000] {line}") == []


@pytest.mark.parametrize("line", [
    "BUG: MAX_LOCKDEP_CHAINS too low!", "BUG: MAX_LOCK_DEPTH too low!", "BUG: MAX_STACK_TRACE_ENTRIES too low!",
    "DMA-API: debugging out of memory - disabling", "DMA-API: cacheline tracking ENOMEM, dma-debug disabled",
    "kmemleak: Cannot allocate a kmemleak_object structure", "ODEBUG: Out of memory. ODEBUG disabled",
    "Future hung task reports are suppressed, see sysctl kernel.hung_task_warnings"])
def test_check_that_switches_itself_off_is_a_report(line: str) -> None:
    log = f"[    9.000000][   T1] {line}\n[    9.000001][   T1] turning off the locking correctness validator.\n"
    assert kinds(read_reports(log)) == [NET_OFF]


@pytest.mark.parametrize("line,kind", [
    ("BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 [rnvme]", "kasan"),
    ("WARNING: possible recursive locking detected", "lockdep"),
    ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "lockdep"),
    ("WARNING: cat/1 still has locks held!", "lockdep"),
    ("WARNING: suspicious RCU usage", "lockdep"),
    ("[ BUG: Invalid wait context ]", "lockdep"),
    ("INFO: trying to register non-static key.", "lockdep"),
    ("BUG: scheduling while atomic: kworker/0:1/12/0x00000002", "atomic-sleep"),
    ("INFO: task fio:77 blocked in I/O wait for more than 20 seconds.", "hung-task"),
    ("rcu: INFO: rcu_preempt self-detected stall on CPU", "stall"),
    ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "stall"),
    ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!", "stall"),
    ("UBSAN: shift-out-of-bounds in drivers/x.c:12:3", "ubsan"),
    ("list_del corruption. prev->next should be ffff888, but was 0000", "list-corruption"),
    ("rust_kernel: panicked at drivers/nvme/io.rs:10:5:", "rust-panic"),
    ("kernel BUG at rust/helpers/bug.c:7!", "bug"),
    ("BUG: Bad page state in process fio  pfn:0dead", "bug"),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000008", "oops"),
    ("BUG: unable to handle page fault for address: ffffc90000000000", "oops"),
    ("Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] SMP", "oops"),
    ("Kernel panic - not syncing: Fatal exception", "panic"),
    ("BUG kmalloc-64 (Tainted: G           O     N ): Poison overwritten", "slab"),
    ("DMA-API: rnvme 0000:01:00.0: device driver frees DMA memory with different size", "dma-api"),
    ("DMAR: ERROR: DMA PTE for vPFN 0x1 already set", "dmar"),
    ("kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", "kmemleak"),
    ("irq 24: nobody cared (try booting with the \"irqpoll\" option)", "irq"),
    ("sysfs: cannot create duplicate filename '/devices/pci0000:00/x'", "sysfs")])
def test_title_alone_names_the_kind(line: str, kind: str) -> None:
    assert kinds(read_reports(f"[    9.000000][   T1] {line}")) == [kind]
    assert kinds(read_reports(f"[    9.000000] {line}")) == [kind], "the stock kernel does not tell the caller"
    assert read_reports(f"[    9.000000] somebody said: {line}") == [], "only the kernel's own lines count"


def test_message_of_a_warning_is_its_title() -> None:
    log = "\n".join(f"[    9.0{number:05}] {text}" for number, text in enumerate((
        "------------[ cut here ]------------", "the message", "WARNING: lib/x.c:1 at f+0x1/0x2, CPU#0: cat/1",
        "---[ end trace 0000000000000000 ]---", "afterwards")))
    report, = read_reports(log)
    assert (report.kind, report.title) == ("warn", "the message")
    assert "afterwards" not in report.text


def test_each_leaked_object_is_a_report() -> None:
    leaks = read_leaks((DATA / "kmemleak-listing.log").read_text())
    print(*leaks, sep="\n")
    assert len(leaks) >= 2 and set(kinds(leaks)) == {"kmemleak"}
    assert all("memory_leak" in leak.text and leak.title.startswith("unreferenced object") for leak in leaks)
    assert read_leaks("") == []


GOOD = "lockdep=1\ndma_api=N\ndma_api_errors=0\nkmemleak=on"


@pytest.mark.parametrize("bad,words", [
    ("lockdep=0", "lockdep is off"), ("lockdep=", "lockdep is off"), ("dma_api=Y", "DMA-API debugging is off"),
    ("dma_api_errors=2", "counted errors"), ("kmemleak=off", "kmemleak is off")])
def test_torn_net_is_told_in_one_line(bad: str, words: str) -> None:
    assert net_faults(GOOD, leaks=True) == []
    name = bad.split("=")[0]
    answer = "\n".join(bad if line.startswith(name + "=") else line for line in GOOD.splitlines())
    fault, = net_faults(answer, leaks=True)
    print(fault)
    assert words in fault and "\n" not in fault
    assert len(net_faults("", leaks=True)) == 4, "a guest that says nothing has no net"
    assert net_faults(GOOD.replace("kmemleak=on", "kmemleak=off")) == [], "kmemleak is not always asked for"
