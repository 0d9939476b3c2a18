# SPDX-License-Identifier: GPL-2.0
"""What one fault's disks are written and read with: a line for the guest's shell, and what is read from its answer.

Relies on fio 3.39: it writes each block of a part once, with a checksum, and its log of latencies has a line for each
request that came back without an error. By that log what was acknowledged is read again, and nothing else; and a read
that brought nothing, since the disk had no size any more, is told from one that brought something wrong: fio
compares both.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

# What fio expects of all blocks after one whose write failed, which it leaves out: wrongly counted on.
COUNTED_WRONG = ("--verify_header_seed=0", "--verify_write_sequence=0")
# fio's error for a block that is not what was written (EILSEQ).
MISMATCH = 84
MIB = 1 << 20
# In the guest: the logs of the last run, and those of the writes that are to be read again.
LOGS, KEPT = "/tmp/fio-logs", "/tmp/fio-acknowledged"
COMPARED = re.compile(r"at file /dev/(\S+) offset \d+, length \d+ \(requested block: offset=(\d+), length=\d+")


@dataclasses.dataclass(frozen=True)
class Disk:
    """A disk of the driver's. Its name may be another after a new bind; its namespace is the same."""

    name: str
    nsid: int
    block: int

    @property
    def request(self) -> int:
        """The bytes of a request: one namespace with page lists, one without."""
        return max(4096 if self.nsid == 1 else 16384, self.block)


@dataclasses.dataclass(frozen=True)
class Part:
    """What is done with a part of each disk: from where on, how much, in MiB."""

    name: str
    how: str
    where: int
    megabytes: int
    kept: bool = False


WRITE_BEFORE, READ_BEFORE = Part("before", "randwrite", 0, 1), Part("what was there before", "read", 0, 1)
WRITE_DURING = Part("with the fault", "randwrite", 2, 2, kept=True)
READ_DURING = Part("what was acknowledged", "replay", 2, 2)
WRITE_AFTER = Part("after", "randwrite", 4, 1)


@dataclasses.dataclass
class Found:
    """What fio said of a run."""

    errors: List[str] = dataclasses.field(default_factory=list)
    mismatches: List[str] = dataclasses.field(default_factory=list)
    # By namespace, as the log has them; by disk, as fio counts them.
    acknowledged: Dict[int, int] = dataclasses.field(default_factory=dict)
    written: Dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether all that was asked for was done, and all that was read was right."""
        return not self.errors and not self.mismatches


def read_disks(text: str) -> List[Disk]:
    """The disks that a guest lists, one a line: name, namespace, bytes of a block."""
    rows = [line.split() for line in text.splitlines()]
    found = [Disk(row[0], int(row[1]), int(row[2])) for row in rows if len(row) == 3]
    return sorted(found, key=lambda disk: disk.nsid)


def command(parts: Sequence[Part], disks: Sequence[Disk], acknowledged: Mapping[int, int], seed: int) -> str:
    """The line for the shell: it does the parts one after the other, the disks of a part at once."""
    line = ["fio", "--output-format=json", "--ioengine=libaio", "--direct=1", "--thread=1", "--iodepth=16",
            "--verify=crc32c", "--continue_on_error=io", *COUNTED_WRONG, f"--randseed={seed + 1}",
            "--allow_file_create=0", "--log_offset=1", "--disable_slat=1"]
    before, behind = [f"rm -rf {LOGS}", f"mkdir -p {LOGS} {KEPT}", f"cd {LOGS}"], [f"grep -H ', 0, 0, ' {LOGS}/*_clat*"]
    first = True
    for number, part in enumerate(parts):
        chosen = [disk for disk in disks if part.how != "replay" or acknowledged.get(disk.nsid)]
        for disk in chosen:
            log = f"{KEPT if part.kept else LOGS}/{number}.{disk.name}"
            line += [f"--name={number}.{disk.name}", f"--bs={disk.request}", f"--write_lat_log={log}"]
            if part.how == "replay":
                before.append(replay(disk))
                line += [f"--read_iolog={LOGS}/{disk.nsid}.replay", "--rw=randread"]
            else:
                line += [f"--filename=/dev/{disk.name}", f"--rw={part.how}", f"--offset={part.where}m",
                         f"--size={part.megabytes}m"]
            line += ["--stonewall"] if disk == chosen[0] and not first else []
            if part.kept:
                before.append(f"rm -f {KEPT}/*")
                # A line: milliseconds, nanoseconds, 1 for a write, bytes, offset, priority.
                behind.append(f"awk -F', *' -v n={disk.request} '$3 == 1 && $4 == n' {log}_clat.*.log "
                              f">{KEPT}/{disk.nsid}")
                behind.append(f"echo acknowledged {disk.nsid} $(wc -l <{KEPT}/{disk.nsid})")
                behind.append(f"grep -H ', 0, 0, ' {log}_clat*")
        first = first and not chosen
    return "; ".join([*before, " ".join(line) + "; status=$?", *behind, "exit $status"])


def replay(disk: Disk) -> str:
    """Makes a list of reads, for fio, of the writes to a namespace that were acknowledged."""
    node = f"/dev/{disk.name}"
    return (f"{{ echo fio version 2 iolog; echo {node} add; echo {node} open; "
            f"awk -F', *' '{{ print \"{node} read \" $5 \" \" $4 }}' {KEPT}/{disk.nsid}; echo {node} close; }} "
            f">{LOGS}/{disk.nsid}.replay")


def read_answer(parts: Sequence[Part], out: str, err: str, status: int) -> Found:
    """What is to be said of a run, by what fio and the lines behind it print."""
    found = Found(acknowledged={int(nsid): int(count) for nsid, count in
                                re.findall(r"^acknowledged (\d+) (\d+)$", out, re.MULTILINE)})
    try:
        jobs: List[Dict[str, Any]] = json.JSONDecoder().raw_decode(out[out.find("{"):])[0]["jobs"]
    except (ValueError, KeyError, IndexError):
        jobs = []
    empty = {(disk, int(offset)) for disk, offset in
             re.findall(r"/\d+\.(\w+)_clat\.\d+\.log:\d+, \d+, 0, 0, (\d+)", out)}
    compared = [(disk, int(offset)) for disk, offset in COMPARED.findall(err)]
    for job in jobs:
        _read_job(parts, job, compared, empty, found)
    if not jobs or status != 0 and found.good:
        found.errors.append(f"{parts[-1].name}: fio ended with status {status}")
    return found


def _read_job(parts: Sequence[Part], job: Mapping[str, Any], compared: Sequence[Tuple[str, int]],
              empty: Set[Tuple[str, int]], found: Found) -> None:
    number, disk = str(job["jobname"]).split(".", 1)
    part = parts[int(number)]
    what, error, count = f"{part.name}: {disk}", int(job["error"]), int(job.get("total_err", 0))
    if part.kept:
        found.written[disk] = int(job.get("write", {}).get("total_ios", 0))
    where = range(part.where * MIB, (part.where + part.megabytes) * MIB)
    wrong = [place for place in compared if place[0] == disk and place[1] in where]
    if error == MISMATCH and wrong and all(place in empty for place in wrong):
        found.errors.append(f"{what} has come to its end: its reads bring nothing")
    elif error == MISMATCH:
        found.mismatches.append(f"{what} is not what was written")
    elif error or count:
        found.errors.append(f"{what} error {error or job.get('first_error')}"
                            + (f", {count} in all" if count else ""))
