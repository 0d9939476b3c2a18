# SPDX-License-Identifier: GPL-2.0
"""`make run`: two controllers, three disks, fio on each, a table and build/run.json."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import tempfile
from typing import List

from . import inside
from .fio import Figures, measure
from .guest import Guest, GuestFailure
from .kvm import choose_accelerator
from .log_net import read_reports
from .machine import Controller, Machine, Namespace, make_image

SECONDS = 0.8
# The images are in memory: figures do not depend on the host's disk, and nothing is left to remove.
IMAGE_BYTES = 128 << 20


def run_demo() -> int:
    """Boots, loads, lists, measures, writes the report."""
    folder = inside.BUILD / "run"
    shutil.rmtree(folder, ignore_errors=True)
    accel, why = choose_accelerator()
    print(f"QEMU runs with {accel.upper()} ({why})", flush=True)
    progress = inside.progress()
    images = pathlib.Path(tempfile.mkdtemp(prefix="disks-"))
    kernel = inside.kernels()[0]
    guest = Guest(folder, kernel, inside.make_initrd(kernel), Machine(), _controllers(images), inside.driver())
    with contextlib.closing(guest):
        with progress.step("guest boot"):
            guest.start()
        guest.load()
        guest.await_disks(3)
        print(guest.out("lsblk --output NAME,MODEL,SIZE,LOG-SEC,PHY-SEC,MAJ:MIN"), flush=True)
        disks = [guest.disk(0, 1), guest.disk(0, 2), guest.disk(1, 1)]
        with progress.step("fio"):
            figures = measure(guest, disks, SECONDS)
        guest.unload()
        log = guest.dmesg()
        (folder / "dmesg.log").write_text(log)
    print(table(figures), flush=True)
    report(figures, accel, guest.boot_seconds)
    reports = read_reports(log)
    if reports:
        raise GuestFailure(f"the guest's kernel complained: {reports[0].title} (all of it: build/run/dmesg.log)")
    return 0


def table(figures: List[Figures]) -> str:
    """The figures, aligned for reading."""
    head = ["disk", "job", "IOPS", "MiB/s", "mean us", "p99 us"]
    rows = [[f.disk, f.job, f"{f.iops:.0f}", f"{f.mib_per_s:.1f}", f"{f.mean_us:.0f}", f"{f.p99_us:.0f}"]
            for f in figures]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for number, row in enumerate([head, *rows]):
        # A gap between disks, and under the head.
        if number and (number == 1 or row[0] != rows[number - 2][0]):
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def report(figures: List[Figures], accel: str, boot_seconds: float) -> None:
    """Writes build/run.json."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True, text=True, stdout=subprocess.PIPE)
    data = {
        "driver": inside.driver(), "kernel": inside.kernels()[0].release, "commit": inside.commit(),
        "accelerator": accel,
        "qemu": version.stdout.splitlines()[0], "boot_seconds": round(boot_seconds, 2),
        "seconds_per_job": SECONDS, "results": [dataclasses.asdict(f) for f in figures]}
    (inside.BUILD / "run.json").write_text(json.dumps(data, indent=2) + "\n")
    print("the same is in build/run.json", flush=True)


def _controllers(folder: pathlib.Path) -> List[Controller]:
    return [
        Controller([Namespace(make_image(folder / "a.img", IMAGE_BYTES), 512),
                    Namespace(make_image(folder / "b.img", IMAGE_BYTES), 4096)]),
        Controller([Namespace(make_image(folder / "c.img", IMAGE_BYTES), 512)])]
