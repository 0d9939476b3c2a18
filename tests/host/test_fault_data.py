# SPDX-License-Identifier: GPL-2.0
"""What `make faults` reads of fio: what was acknowledged, what is not what was written, what brought nothing."""

from __future__ import annotations

import json

from rnvme_tool.fault_data import (
    MISMATCH,
    READ_BEFORE,
    READ_DURING,
    WRITE_AFTER,
    WRITE_DURING,
    Disk,
    command,
    read_answer,
    read_disks,
)

ONE, TWO = Disk("nvme0n2", 1, 512), Disk("nvme0n1", 2, 4096)
MIB = 1 << 20
# How fio says that a block is another, at an offset.
WRONG = ("verify: bad magic header 0, wanted acca at file /dev/nvme0n2 offset {0}, length 4096 "
         "(requested block: offset={0}, length=4096)\n")
EMPTY = "/tmp/fio-logs/0.nvme0n2_clat.1.log:12, 1502677, 0, 0, {0}, 0\n"


def test_disk_is_known_by_its_namespace_and_not_by_the_name_that_it_has_now() -> None:
    assert read_disks("nvme0n1 2 4096\nnvme0n2 1 512\nnonsense\n") == [ONE, TWO]
    assert (ONE.request, TWO.request) == (4096, 16384)


def test_block_that_is_another_is_data_lost() -> None:
    found = read_answer([WRITE_DURING], json.dumps({"jobs": [{"jobname": "0.nvme0n2", "error": MISMATCH}]}),
                        WRONG.format(2 * MIB), 1)
    assert found.mismatches == ["with the fault: nvme0n2 is not what was written"] and not found.good


def test_read_that_brought_nothing_is_an_error_and_no_lost_data() -> None:
    job = json.dumps({"jobs": [{"jobname": "0.nvme0n2", "error": MISMATCH}]})
    at, other = 2 * MIB, 2 * MIB + 4096
    found = read_answer([WRITE_DURING], job + "\n" + EMPTY.format(at), WRONG.format(at), 1)
    assert found.mismatches == [] and len(found.errors) == 1, "the disk has no size: nothing wrong was read"
    found = read_answer([WRITE_DURING], job + "\n" + EMPTY.format(at), WRONG.format(at) + WRONG.format(other), 1)
    assert len(found.mismatches) == 1, "of two blocks that are others, one was read in full"
    found = read_answer([WRITE_DURING], job + "\n" + EMPTY.format(at), "", 1)
    assert len(found.mismatches) == 1, "nobody knows which block it was"


def test_mismatch_belongs_to_the_part_whose_blocks_it_names() -> None:
    jobs = {"jobs": [{"jobname": "0.nvme0n2", "error": MISMATCH}, {"jobname": "1.nvme0n2", "error": MISMATCH}]}
    found = read_answer([READ_BEFORE, WRITE_DURING], json.dumps(jobs) + "\n" + EMPTY.format(2 * MIB),
                        WRONG.format(0) + WRONG.format(2 * MIB), 1)
    assert found.mismatches == ["what was there before: nvme0n2 is not what was written"]
    assert len(found.errors) == 1


def test_fio_that_says_nothing_or_fails_for_no_job_is_an_error() -> None:
    assert read_answer([WRITE_AFTER], "", "Killed", 137).errors == ["after: fio ended with status 137"]
    job = json.dumps({"jobs": [{"jobname": "0.nvme0n2", "error": 0}]})
    assert read_answer([WRITE_AFTER], job, "", 1).errors == ["after: fio ended with status 1"]
    assert read_answer([WRITE_AFTER], job, "", 0).good


def test_requests_that_failed_and_were_gone_on_after_are_told() -> None:
    job = {"jobname": "0.nvme0n2", "error": 0, "total_err": 3, "first_error": 5, "write": {"total_ios": 509}}
    found = read_answer([WRITE_DURING], json.dumps({"jobs": [job]}) + "\nacknowledged 1 509\nacknowledged 2 0\n", "", 0)
    assert found.errors == ["with the fault: nvme0n2 error 5, 3 in all"]
    assert found.acknowledged == {1: 509, 2: 0} and found.written == {"nvme0n2": 509}


def test_what_was_acknowledged_is_read_again_and_nothing_else() -> None:
    line = command([READ_DURING, WRITE_AFTER], [ONE, TWO], {1: 509, 2: 0}, seed=3)
    print(line)
    assert "--read_iolog=/tmp/fio-logs/1.replay" in line and "2.replay" not in line
    assert line.count("--stonewall") == 1, "more is written when all has been read"
    assert "/dev/nvme0n2 read" in line, "the namespace's disk as it is called now"
    assert command([READ_DURING, WRITE_AFTER], [ONE, TWO], {}, seed=3).count("--stonewall") == 0
