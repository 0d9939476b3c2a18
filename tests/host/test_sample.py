# SPDX-License-Identifier: GPL-2.0
"""Samples of a matrix hold what they promise, and a seed draws the same one again."""

from __future__ import annotations

import itertools
import random
from typing import Dict, List

import pytest
from harness.sample import each_value_once, left_out, pairs, pairwise
from rnvme_tool.machine import Option

MATRIX: Dict[str, List[Option]] = {"block": [512, 4096], "size": ["4k", "20k", "512k"], "depth": [1, 2, 33, 1024],
                                   "engine": ["psync", "libaio", "io_uring"], "mdts": [1, 5, 9]}


def test_every_two_values_meet_in_far_fewer_rows_than_there_are() -> None:
    rows = pairwise(MATRIX, random.Random(7))
    met = set().union(*(pairs(row) for row in rows))
    wanted = {frozenset(((a, x), (b, y))) for a, b in itertools.combinations(MATRIX, 2)
              for x in MATRIX[a] for y in MATRIX[b]}
    print(f"{len(rows)} rows")
    assert met == wanted
    assert len(rows) <= 24 < 2 * 3 * 4 * 3 * 3


def test_every_value_is_used_in_the_smallest_sample() -> None:
    rows = each_value_once(MATRIX, random.Random(7))
    assert len(rows) == 4
    for name, values in MATRIX.items():
        assert {row[name] for row in rows} == set(values)


def test_seed_draws_the_same_sample_again() -> None:
    for sample in (pairwise, each_value_once):
        assert sample(MATRIX, random.Random(3)) == sample(MATRIX, random.Random(3))
        assert sample(MATRIX, random.Random(3)) != sample(MATRIX, random.Random(4))


def test_one_variant_is_drawn_by_the_seed_and_each_comes_to_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = ["a", "b", "c"]
    drawn = set()
    for seed in range(40):
        monkeypatch.setenv("RNVME_SEED", str(seed))
        left = left_out(cases, 1, "test_story")
        assert len(left) == 2 and left == left_out(cases, 1, "test_story")
        drawn |= set(cases) - set(left)
    assert drawn == set(cases)
