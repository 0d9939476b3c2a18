# SPDX-License-Identifier: GPL-2.0
"""`make gdb`: a breakpoint in the driver by file and line is hit, and the way there has Rust's names.

Relies on the debug information in build/, which the module in the guest was stripped of.
"""

from __future__ import annotations

import pathlib
import re
from typing import Callable

from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, reads_well
from rnvme_tool import inside
from rnvme_tool.inside_gdb import batch, section_arguments, stub

NewImage = Callable[[str, int], pathlib.Path]
SOURCE = "drivers/nvme/io.rs"
FUNCTION = "queue_rq"
# gdb reads the symbols of a whole kernel while the guest stands still.
PATIENCE = 90


def line_of(source: str, pattern: str) -> int:
    """The number of the only line of a source file that matches."""
    lines = (inside.PROJECT / source).read_text().splitlines()
    found = [number for number, line in enumerate(lines, start=1) if re.search(pattern, line)]
    assert len(found) == 1, f"{source}: one line was expected to match {pattern}, these do: {found}"
    return found[0]


def stops_where_it_was_told(guest: Guest, socket: pathlib.Path, line: int) -> None:
    """A read stops in the driver at this line, goes on when gdb lets go, and so does the next one."""
    disk = guest.disk()
    gdb = batch(guest, socket, [f"{SOURCE}:{line}"], ["backtrace 12"])
    try:
        # The guest answers no sooner than gdb has let go of it.
        job = guest.spawn(f"dd if=/dev/{disk} of=/dev/null bs=4k count=1 iflag=direct status=none")
        said, _ = gdb.communicate(timeout=PATIENCE)
    finally:
        gdb.kill()
    print(said)
    assert job.wait(PATIENCE).check()
    where = re.search(r"Breakpoint 1(?:\.\d)?, .* at (\S+):(\d+)", said.replace("\n    ", " "))
    assert where is not None, "no breakpoint was hit"
    assert where[1].endswith(SOURCE)
    assert re.search(rf"^#\d+ .*rnvme::io::.*{FUNCTION}", said, re.MULTILINE), "the driver's function has a name"
    assert re.search(r"^#\d+ .*kernel_ext::block::mq::", said, re.MULTILINE), "its caller in another crate as well"


def test_breakpoint_by_file_and_line_is_hit_and_backtrace_names_rust_functions(
        boot: Boot, new_image: NewImage, tmp_path: pathlib.Path) -> None:
    socket = tmp_path / "stub"
    guest = boot([Controller([Namespace(new_image("disk", 16 * MIB))])], Machine(process_args=stub(socket)))
    stops_where_it_was_told(guest, socket, line_of(SOURCE, r"if !submission\.usable \{"))
    reads_well(guest, guest.disk())


def test_only_code_and_data_are_placed() -> None:
    listing = ".text 0xffffffffc0000000\n.data 0xffffffffc0001000\n__patchable_function_entries 0x1\n.orc_unwind 0x2"
    assert section_arguments(listing) == "-s .text 0xffffffffc0000000 -s .data 0xffffffffc0001000"
