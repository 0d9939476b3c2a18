# SPDX-License-Identifier: GPL-2.0
"""fio in a guest: a list of jobs in, figures out."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, List, Sequence

from .guest import Guest, GuestFailure


@dataclasses.dataclass(frozen=True)
class FioJob:
    """One measurement: how it reads or writes, block size and depth."""

    name: str
    rw: str
    block: str
    depth: int


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one job reached on one disk. Latencies are of whole requests, in microseconds."""

    disk: str
    job: str
    iops: float
    mib_per_s: float
    mean_us: float
    p99_us: float


JOBS = (
    FioJob("4 KiB random read, depth 1", "randread", "4k", 1),
    FioJob("4 KiB random read, depth 32", "randread", "4k", 32),
    FioJob("4 KiB random write, depth 1", "randwrite", "4k", 1),
    FioJob("4 KiB random write, depth 32", "randwrite", "4k", 32),
    FioJob("128 KiB sequential read", "read", "128k", 8),
    FioJob("128 KiB sequential write", "write", "128k", 8),
)


def measure(guest: Guest, disks: Sequence[str], seconds: float, jobs: Sequence[FioJob] = JOBS) -> List[Figures]:
    """Runs every job on every disk, one after the other, in one fio: its start costs as much as a short job."""
    pairs = [(disk, job) for disk in disks for job in jobs]
    lines = ["[global]", "ioengine=libaio", "direct=1", "time_based=1", f"runtime={round(seconds * 1000)}ms",
             "percentile_list=99", "randrepeat=1", "thread=1"]
    for number, (disk, job) in enumerate(pairs):
        lines += [f"[job{number}]", "stonewall", f"filename=/dev/{disk}", f"rw={job.rw}", f"bs={job.block}",
                  f"iodepth={job.depth}"]
    guest.write_file("/tmp/jobs.fio", "\n".join(lines) + "\n")
    text = guest.run("fio --output-format=json /tmp/jobs.fio", timeout=60 + 3 * seconds * len(pairs)).out
    reports = _json_part(text)["jobs"]
    if len(reports) != len(pairs):
        raise GuestFailure(f"fio reported {len(reports)} of {len(pairs)} jobs")
    return [_figures(disk, job, report) for (disk, job), report in zip(pairs, reports)]


def _json_part(text: str) -> Dict[str, Any]:
    # fio may print notes before the report.
    report: Dict[str, Any] = json.loads(text[text.index("{"):])
    return report


def _figures(disk: str, job: FioJob, report: Dict[str, Any]) -> Figures:
    side = report["read" if job.rw.endswith("read") else "write"]
    if report["error"] or not side["total_ios"]:
        raise GuestFailure(f"fio: {job.name} on {disk} did {side['total_ios']} requests and ended with error "
                           f"{report['error']}")
    completion = side["clat_ns"]
    return Figures(disk, job.name, side["iops"], side["bw_bytes"] / (1 << 20),
                   side["lat_ns"]["mean"] / 1000, completion["percentile"]["99.000000"] / 1000)
