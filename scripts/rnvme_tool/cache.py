# SPDX-License-Identifier: GPL-2.0
"""The cache: finished things under a name and the key of what made them.

A thing is made under a temporary name and renamed when it is whole, under a lock
of its own; so an interrupted run leaves nothing that could be taken for finished,
and a parallel run waits and then uses what the first one made. Every run holds
the `in-use` lock shared, so that `make distclean` and the removal of outdated
things never pull a root away from under somebody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
from typing import IO, Callable, Iterator, Optional

from .failure import Failure


def cache_folder() -> pathlib.Path:
    """Where the cache is, as the environment says."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    return pathlib.Path(os.environ.get("RNVME_CACHE") or pathlib.Path(home, "rnvme")).absolute()


def key_of(*recipe: object) -> str:
    """A short hash of everything that a thing is made from."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


class Cache:
    """A cache folder that this run uses."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._in_use = open(folder / "in-use.lock", "w", encoding="ascii")
        except OSError as error:
            raise Failure(f"the cache folder {folder} cannot be written ({error.strerror}): "
                          "set RNVME_CACHE to a folder that can") from error
        fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Ends the use; what is in the cache may go now."""
        self._in_use.close()

    def path(self, name: str, key: str) -> pathlib.Path:
        """Where a thing is once it is finished."""
        return self.folder / f"{name}-{key}"

    def find(self, name: str, key: str) -> Optional[pathlib.Path]:
        """The finished thing, if it is there."""
        path = self.path(name, key)
        return path if path.exists() else None

    def make(self, name: str, key: str, maker: Callable[[pathlib.Path], None]) -> pathlib.Path:
        """The thing; made by `maker` in an empty folder when nobody has made it yet."""
        path = self.path(name, key)
        with locked(self.folder / f"{name}.lock", f"the {name}"):
            if not path.exists():
                unfinished = path.with_name(path.name + ".tmp")
                remove_tree(unfinished)
                unfinished.mkdir()
                maker(unfinished)
                unfinished.rename(path)
                self._drop_outdated(name, path)
        return path

    def remove(self) -> None:
        """Removes the whole cache, unless another run uses it."""
        if not self._try_alone():
            raise Failure(f"the cache {self.folder} is in use by another run: wait for its end and try again")
        remove_tree(self.folder)

    def _drop_outdated(self, name: str, current: pathlib.Path) -> None:
        if self._try_alone():
            for old in self.folder.glob(f"{name}-*"):
                if old != current and old.is_dir():
                    remove_tree(old)
        fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def _try_alone(self) -> bool:
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False


@contextlib.contextmanager
def locked(path: pathlib.Path, what: str) -> Iterator[IO[str]]:
    """Holds a lock file; says so when another run holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"waiting for another run that makes {what}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def remove_tree(path: pathlib.Path) -> None:
    """Removes a folder that may not be there."""
    if path.exists():
        shutil.rmtree(path)


def need_space(folder: pathlib.Path, gigabytes: float, what: str) -> None:
    """Ends with one line when the disk is too full for what comes."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise Failure(f"the disk of {folder} is too full: {free:.1f} GB are free and {what} needs "
                      f"{gigabytes:g} GB; free some, or set RNVME_CACHE to a folder on another disk")
