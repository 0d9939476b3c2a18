# SPDX-License-Identifier: GPL-2.0
"""How much of a matrix or of a repetition a run can afford: a sample in `make test`, more in `make soak`.

A sample is drawn with a seed that is printed; RNVME_SEED=n draws the same again.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import Dict, FrozenSet, List, Mapping, Sequence, Set, Tuple, TypeVar

from rnvme_tool.guest import Guest
from rnvme_tool.kernel import DEBUG, Kernel
from rnvme_tool.machine import Option

from .machines import bounced

CANDIDATES = 20
Row = Dict[str, Option]
T = TypeVar("T")
Pair = FrozenSet[Tuple[str, Option]]


def soaking() -> bool:
    """Whether this is `make soak`."""
    return os.environ.get("RNVME_SOAK") == "1"


def most_rounds() -> int:
    """How many rounds of a story a soak has at most: ROUNDS."""
    return int(os.environ.get("ROUNDS") or 1 << 30)


def rounds(guest: Guest, stock: int, debug: int, soak: int) -> int:
    """How often to repeat something: the debug kernel takes several times as long for each round."""
    if soaking():
        return min(soak, most_rounds())
    return debug if takes_a_sample(guest) else stock


def takes_a_sample(guest: Guest) -> bool:
    """Whether a story is told shortly in this guest: it is slow, or another one tells the same in full."""
    return not soaking() and (guest.kernel.name == DEBUG or bounced(guest))


def seed() -> int:
    """The seed of this run's samples, printed."""
    chosen = int(os.environ.get("RNVME_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"RNVME_SEED={chosen}")
    return chosen


def some(cases: Sequence[T], kernel: Kernel, debug: int = 4) -> List[T]:
    """All cases on the stock kernel and in a soak; a few of them, drawn anew in each run, on the debug kernel."""
    if soaking() or kernel.name != DEBUG:
        return list(cases)
    return random.Random(seed()).sample(list(cases), debug)


def left_out(cases: Sequence[T], count: int, name: str) -> List[T]:
    """What is left of the cases called `name` when `count` are drawn: the same in each process of a run."""
    draw = random.Random(f"{os.environ.get('RNVME_SEED')} {name}")
    drawn = set(draw.sample(range(len(cases)), min(count, len(cases))))
    return [case for index, case in enumerate(cases) if index not in drawn]


def each_value_once(matrix: Mapping[str, Sequence[Option]], draw: random.Random) -> List[Row]:
    """As few rows as there are values in the longest column: every value is in one of them."""
    count = max(len(values) for values in matrix.values())
    columns = {name: [values[index % len(values)] for index in range(count)] for name, values in matrix.items()}
    for column in columns.values():
        draw.shuffle(column)
    return [{name: column[index] for name, column in columns.items()} for index in range(count)]


def pairwise(matrix: Mapping[str, Sequence[Option]], draw: random.Random) -> List[Row]:
    """Rows in which every two values of different columns meet at least once.

    Greedy: each row begins with a pair that is still missing, and of several ways to fill the rest the one that
    brings the most missing pairs is taken.
    """
    missing: Set[Pair] = {frozenset(((a, x), (b, y))) for a, b in itertools.combinations(matrix, 2)
                          for x in matrix[a] for y in matrix[b]}
    rows: List[Row] = []
    while missing:
        # Sets have no order of their own that a seed could repeat.
        begin = dict(min(missing, key=lambda pair: sorted(map(str, pair))))
        candidates = []
        for _ in range(CANDIDATES):
            row = {name: begin.get(name, draw.choice(list(values))) for name, values in matrix.items()}
            candidates.append((len(pairs(row) & missing), row))
        _, best = max(candidates, key=lambda candidate: candidate[0])
        rows.append(best)
        missing -= pairs(best)
    return rows


def pairs(row: Row) -> Set[Pair]:
    """All pairs that meet in a row."""
    return {frozenset(two) for two in itertools.combinations(row.items(), 2)}
