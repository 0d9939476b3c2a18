# SPDX-License-Identifier: GPL-2.0
"""The net under the tests: what the kernel's checks report, read from its log as whole texts.

Relies on the texts of Linux 7.3. A report begins with a title that names its kind (or
with "cut here", and the title follows) and ends with a line of its own, such as the
end of the stack trace. With CONFIG_PRINTK_CALLER each line tells which task or CPU
wrote it, so lines that others wrote in between are told apart. Lines that only look
like a report do not begin with a title: titles are taken at the beginning of a line.

What checks nothing any more reports nothing: notes by which the kernel says that it
switched a check off are reports of the kind NET_OFF, and `net_faults` asks it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Dict, List, Optional, Pattern, Tuple

# The longest report kept whole; lockdep's and KASAN's have about 130 lines.
MAX_LINES = 300
NET_OFF = "net-off"
PREFIX = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *([TC]\d+)\])? ?")
CUT = re.compile(r"^-+\[ cut here \]-+$")
RULE = re.compile(r"^={20,}$")
END_TRACE = re.compile(r"^---\[ end (?:trace|Kernel panic)")
END_STACK = re.compile(r"^ ?</TASK>$")
UNREFERENCED = re.compile(r"^unreferenced object ")

LOCKDEP = (r"^WARNING: (?:possible (?:circular|recursive|irq lock inversion)|"
           r"\S+-safe -> \S+-unsafe lock order|inconsistent lock state|bad (?:unlock balance|contention)|"
           r"Nested lock was not taken|held lock freed|lock held when returning|suspicious RCU usage|"
           r"chain_key collision|.* still has locks held)|^\[ BUG: Invalid wait context \]|"
           r"^INFO: trying to register non-static key|^DEBUG_LOCKS_WARN_ON")
# Kind and title; the first that matches names the report.
TITLES: List[Tuple[str, Pattern[str]]] = [(kind, re.compile(title)) for kind, title in (
    (NET_OFF, r"^BUG: MAX_(?:LOCK|STACK_TRACE)\w* too low|"
              r"^DMA-API: (?:debugging out of memory|cacheline tracking ENOMEM|dma_debug_add_bus: out of memory)|"
              r"^kmemleak: Cannot |^ODEBUG: Out of memory|^Future hung task reports are suppressed"),
    ("kasan", r"^BUG: K(?:ASAN|FENCE|MSAN|CSAN): "),
    ("lockdep", LOCKDEP),
    ("dma-api", r"^DMA-API: (?!preallocated|debugging (?:enabled|disabled)|dma_debug_entry pool grown|Mapped at)"),
    ("refcount", r"^refcount_t: "),
    ("ubsan", r"^UBSAN: "),
    ("debugobjects", r"^ODEBUG: "),
    ("list-corruption", r"^(?:list_(?:add|del)\w*|slab freelist|freelist) corruption|^hlist.* corruption"),
    ("kmemleak", r"^kmemleak: \d+ new suspected memory leaks|"
                 r"^kmemleak: .*(?:unknown object|larger than object|by alias)"),
    ("atomic-sleep", r"^BUG: (?:sleeping function called|scheduling while atomic|using \w+\(\) in preemptible|"
                     r"using smp_processor_id\(\) in preemptible|atomic scheduling while)"),
    ("hung-task", r"^INFO: task \S.* blocked.* for more than \d+ seconds"),
    ("stall", r"^(?:watchdog: )?(?:BUG: soft lockup|(?:CPU\d+: )?Watchdog detected hard LOCKUP)|"
              r"^(?:rcu: )?INFO: \S+ (?:self-)?detected (?:expedited )?stall|^BUG: workqueue lockup|"
              r"^BUG: spinlock lockup"),
    ("dmar", r"^DMAR: \[(?:DMA|INTR)\b.*fault|^DMAR: (?:ERROR|VT-d detected .*fault)|^AMD-Vi: Event logged \["),
    ("slab", r"^BUG \S+ \(.*\): "),
    ("rust-panic", r"^rust_kernel: panicked at "),
    ("oops", r"^BUG: (?:kernel NULL pointer|unable to handle)|^(?:Oops|general protection fault|int3|double fault|"
             r"stack segment|invalid opcode|divide error|traps: PANIC)\b.*: |^PANIC: "),
    ("panic", r"^Kernel panic - not syncing"),
    ("bug", r"^kernel BUG at |^(?:\w+: )?BUG: |^BUG at "),
    ("irq", r"^irq \d+: nobody cared"),
    ("sysfs", r"^sysfs: cannot create duplicate filename|"
              r"^kobject: kobject_add_internal failed for .* with -EEXIST"),
    ("warn", r"^WARNING: "))]
ONE_LINE = frozenset((NET_OFF, "kmemleak"))
# Their text goes on over a "cut here" and other titles, to the end of the trace.
TO_END_OF_TRACE = frozenset(("rust-panic", "oops", "panic"))


@dataclasses.dataclass(frozen=True)
class Report:
    """One report: what kind of check made it, its title, and its text without time stamps."""

    kind: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}\n{self.text}"


def read_reports(log: str) -> List[Report]:
    """All reports in a kernel log (dmesg or serial console), in order."""
    lines = [_split(line) for line in log.splitlines()]
    reports, taken = [], [False] * len(lines)
    for start, (_, text) in enumerate(lines):
        if taken[start] or not (CUT.match(text) or _kind(text)):
            continue
        indexes = _extent(lines, start)
        for index in indexes:
            taken[index] = True
        reports.append(_report([lines[index][1] for index in indexes]))
    return reports


def read_leaks(listing: str) -> List[Report]:
    """The reports in what kmemleak lists, one an object."""
    reports: List[Report] = []
    block: List[str] = []
    for line in [*listing.splitlines(), "unreferenced object "]:
        if UNREFERENCED.match(line):
            if block:
                reports.append(Report("kmemleak", block[0].rstrip(":"), "\n".join(block[:MAX_LINES])))
            block = []
        if block or UNREFERENCED.match(line):
            block.append(line)
    return reports


# Asks a guest whether its net is up; every line of the answer is `name=value`. What a kernel lacks is left empty. By
# the shell alone: each program that is started takes as long as the rest, and this is asked after every test.
ASK_NET = """exec 2>/dev/null; cd /sys/kernel/debug; memory=off
locks=$(</proc/lockdep_stats); set -- ${locks##*debug_locks:}; echo lockdep=$1
echo dma_api=$(<dma-api/disabled); echo dma_api_errors=$(<dma-api/error_count)
[ ! -e kmemleak ] || ! echo stack=on >kmemleak || memory=on; echo kmemleak=$memory"""
LEFT_OFF = {
    "lockdep": ("1", "lockdep is off: it reported something, met a taint or ran out of room, and checks nothing"),
    "dma_api": ("N", "DMA-API debugging is off: it ran out of entries; boot with a larger dma_debug_entries="),
    "dma_api_errors": ("0", "DMA-API debugging has counted errors, and prints only the first of them"),
    "kmemleak": ("on", "kmemleak is off: it was not asked for (kmemleak=on) or ran out of memory"),
}


def net_faults(answer: str, leaks: bool = False) -> List[str]:
    """What is wrong with the net, from the answer to ASK_NET; `leaks` says whether kmemleak should be on."""
    state: Dict[str, str] = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    wanted = {name: fault for name, fault in LEFT_OFF.items() if leaks or name != "kmemleak"}
    return [f"{fault} ({name} says {state.get(name, '') or 'nothing'})"
            for name, (good, fault) in wanted.items() if state.get(name) != good]


def _split(line: str) -> Tuple[str, str]:
    found = PREFIX.match(line)
    if not found:
        return "", line.rstrip()
    return found.group(1) or "", line[found.end():].rstrip()


def _kind(text: str) -> Optional[str]:
    return next((kind for kind, title in TITLES if title.match(text)), None)


def _extent(lines: List[Tuple[str, str]], start: int) -> List[int]:
    """The indexes of a report's lines: those of its writer, up to where its kind ends."""
    caller, first = lines[start]
    own = [index for index in range(start, len(lines)) if lines[index][0] == caller][:MAX_LINES]
    texts = [lines[index][1] for index in own]
    kind = _kind(first)
    if kind is None:
        length = _cut_here(texts)
    elif kind in ONE_LINE:
        length = 1
    elif kind in TO_END_OF_TRACE:
        length = _until(END_TRACE, texts)
    elif kind == "kasan":
        length = _until(RULE, texts)
    elif kind == "dmar":
        length = next((at for at in range(1, len(texts)) if not _goes_on(texts[at])), len(texts))
    else:
        length = _before_next(texts, _until(END_STACK, texts))
    return own[:length]


def _cut_here(texts: List[str]) -> int:
    length = _until(END_TRACE, texts)
    # DMA-API tells after the end of its warning where the memory was mapped.
    if length < len(texts) and texts[length].startswith("DMA-API: Mapped at:"):
        length += 1
        while length < len(texts) and texts[length].startswith(" "):
            length += 1
    return length


def _goes_on(text: str) -> bool:
    return text.startswith("DMAR: ") and _kind(text) is None and "handling fault status" not in text


def _until(end: Pattern[str], texts: List[str]) -> int:
    return next((at + 1 for at in range(1, len(texts)) if end.match(texts[at])), len(texts))


def _before_next(texts: List[str], length: int) -> int:
    """Cut where the next report begins, for one whose end did not make it into the log."""
    return next((at for at in range(1, length) if CUT.match(texts[at]) or _kind(texts[at])), length)


def _report(texts: List[str]) -> Report:
    kinds = [(kind, text) for text in texts for kind in [_kind(text)] if kind]
    # What was cut here is named by the message before "WARNING: file:line" or "kernel BUG at".
    kind, title = kinds[0] if kinds else ("warn", texts[1] if len(texts) > 1 else texts[0])
    if not kinds or kind == "warn" and CUT.match(texts[0]) and len(texts) > 1:
        title = next((text for text in texts[1:] if text), texts[0])
    return Report(kind, title, "\n".join(texts))
