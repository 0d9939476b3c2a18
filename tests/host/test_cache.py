# SPDX-License-Identifier: GPL-2.0
"""The cache never shows a half-made thing, whoever interrupts or runs beside."""

from __future__ import annotations

import pathlib
import threading
from typing import List

import pytest
from rnvme_tool.cache import Cache, key_of, need_space
from rnvme_tool.failure import Failure


def test_key_follows_the_recipe() -> None:
    assert key_of("a", ["b"]) == key_of("a", ["b"])
    assert key_of("a", ["b"]) != key_of("a", ["c"])


def test_interrupted_making_leaves_nothing_that_looks_finished(tmp_path: pathlib.Path) -> None:
    cache = Cache(tmp_path)

    def interrupted(folder: pathlib.Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.make("thing", "k", interrupted)
    assert cache.find("thing", "k") is None
    made = cache.make("thing", "k", lambda folder: (folder / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]


def test_parallel_runs_make_a_thing_once(tmp_path: pathlib.Path) -> None:
    made: List[str] = []
    both_are_here = threading.Barrier(2, timeout=10)

    def run() -> None:
        cache = Cache(tmp_path)
        both_are_here.wait()
        cache.make("thing", "k", lambda folder: made.append(folder.name))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    print(made)
    assert len(made) == 1


def test_outdated_things_go_only_when_nobody_else_is_there(tmp_path: pathlib.Path) -> None:
    first = Cache(tmp_path)
    old = first.make("thing", "1", lambda folder: None)
    other = Cache(tmp_path)
    first.make("thing", "2", lambda folder: None)
    assert old.exists()
    other.leave()
    first.make("thing", "3", lambda folder: None)
    assert sorted(path.name for path in tmp_path.glob("thing-*")) == ["thing-3"]


def test_distclean_waits_for_nobody_and_harms_nobody(tmp_path: pathlib.Path) -> None:
    user, cleaner = Cache(tmp_path / "c"), Cache(tmp_path / "c")
    with pytest.raises(Failure, match="in use by another run"):
        cleaner.remove()
    user.leave()
    cleaner.remove()
    assert not (tmp_path / "c").exists()


def test_full_disk_is_told_with_numbers_and_a_way_out(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match=r"too full: [\d.]+ GB are free and the moon needs 1e\+09 GB; free some"):
        need_space(tmp_path, 1e9, "the moon")


def test_unwritable_cache_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"cannot be written .* set RNVME_CACHE"):
        Cache(tmp_path / "file")
