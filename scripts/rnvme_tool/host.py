# SPDX-License-Identifier: GPL-2.0
"""The host stage: becomes root, prepares what a command needs, and runs it.

Everything kept is in the cache (see cache.py), everything built in build/.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Callable, Dict, Tuple

from . import module as module_build
from .cache import Cache, cache_folder, key_of, need_space, remove_tree
from .enter import Root, environment
from .failure import Failure
from .kernel import prepare_kernel
from .root import BuildRoot, prepare_root
from .steps import Progress, Step, wait_or_kill

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build"
PREPARING = 4


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is ready for commands inside the root."""

    root: Root
    release: str
    image: pathlib.Path
    module: pathlib.Path


def prepare(total: int, with_module: bool = True) -> Tuple[Prepared, Progress]:
    """Makes, or finds, everything that a guest needs."""
    cache, progress, base, root = prepare_kernel_only(total)
    image = _prepare_image(cache, base, root, progress)
    if with_module and (os.environ.get("RNVME_DRIVER") or "rnvme") == "rnvme":
        module = module_build.build_in_root(PROJECT, root, base.release, progress)
    else:
        module = module_build.output_folder(PROJECT, base.release) / "rnvme.ko"
        progress.kept("module", "not needed here")
    return Prepared(root.with_bind(cache.folder, "/cache"), base.release, image, module), progress


def prepare_kernel_only(total: int) -> Tuple[Cache, Progress, BuildRoot, Root]:
    """The build root and the kernel's build folder, with this project mounted."""
    become_root()
    cache = Cache(cache_folder())
    BUILD.mkdir(exist_ok=True)
    need_space(BUILD, 0.5, "the build")
    progress = Progress(total, BUILD / "logs")
    base = prepare_root(cache, progress)
    root = prepare_kernel(cache, base, progress).with_bind(PROJECT, "/rnvme")
    return cache, progress, base, root


def become_root() -> None:
    """Goes on as root, through sudo when need be: chroot and mounts want it."""
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise Failure("this needs root (for mmdebstrap and chroot) and there is no sudo: run it as root")
    print("this needs root (for mmdebstrap and chroot): going on through sudo", flush=True)
    kept = [f"RNVME_CACHE={cache_folder()}"]
    kept += [f"{name}={os.environ[name]}" for name in ("http_proxy", "https_proxy", "no_proxy", "TESTS", "RNVME_DRIVER")
             if os.environ.get(name)]
    os.execvp("sudo", ["sudo", "env", *kept, sys.executable, *sys.argv])


def _prepare_image(cache: Cache, base: BuildRoot, root: Root, progress: Progress) -> pathlib.Path:
    recipes = [PROJECT / "scripts/rnvme_tool/guest_image.py", PROJECT / "scripts/guest/init"]
    key = key_of(base.key, base.release, [path.read_text() for path in recipes])
    if cache.find("guest", key) is None:
        with progress.step("guest image") as step:
            cache.make("guest", key, lambda folder: _make_image(folder, base, root, step))
    else:
        progress.kept("guest image")
    return cache.path("guest", key) / "base.cpio"


def _make_image(folder: pathlib.Path, base: BuildRoot, root: Root, step: Step) -> None:
    step.run(root.with_bind(folder, "/cache").command(["python3", "/rnvme/scripts/rnvme.py", "inside", "image"]),
             env=environment(RNVME_RELEASE=base.release))


def run_inside(prepared: Prepared, work: str, first_step: int, total: int) -> int:
    """Runs one of the inside commands, and hands what it built back to who called sudo."""
    env = environment(
        RNVME_RELEASE=prepared.release, RNVME_COMMIT=_commit(),
        RNVME_GUEST_IMAGE=f"/cache/{prepared.image.parent.name}/{prepared.image.name}",
        RNVME_MODULE=f"/rnvme/{prepared.module.relative_to(PROJECT)}",
        RNVME_FIRST_STEP=str(first_step), RNVME_STEPS=str(total))
    command = prepared.root.command(["python3", "/rnvme/scripts/rnvme.py", "inside", work])
    try:
        # The interactive guest needs the terminal; nothing else may read from it.
        stdin = None if work == "shell" else subprocess.DEVNULL
        return wait_or_kill(subprocess.Popen(command, env=env, stdin=stdin, start_new_session=work != "shell"))
    finally:
        give_back(BUILD)


def give_back(folder: pathlib.Path) -> None:
    """After sudo, build/ belongs to the caller, who then can remove it."""
    if "SUDO_UID" in os.environ and folder.exists():
        owner = f"{os.environ['SUDO_UID']}:{os.environ.get('SUDO_GID', '')}"
        subprocess.run(["chown", "-R", owner, str(folder)], check=False)


def _commit() -> str:
    if not shutil.which("git"):
        return "unknown"
    # After sudo the tree belongs to somebody else, which git refuses unless it is told.
    done = subprocess.run(["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "describe", "--always",
                           "--dirty"], check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() or "unknown"


def _command_inside(work: str, own_steps: int) -> Callable[[argparse.Namespace], int]:
    def command(_: argparse.Namespace) -> int:
        total = PREPARING + own_steps
        prepared, _progress = prepare(total)
        return run_inside(prepared, work, PREPARING + 1, total)
    return command


def command_module(arguments: argparse.Namespace) -> int:
    """Builds the module only."""
    if arguments.kdir is not None:
        built = module_build.build_against(PROJECT, arguments.kdir.absolute(), arguments.variables)
    else:
        _cache, progress, base, root = prepare_kernel_only(3)
        built = module_build.build_in_root(PROJECT, root, base.release, progress, "module", *arguments.variables)
        give_back(BUILD)
    print(f"built {built.relative_to(PROJECT)}")
    return 0


def command_clean(_: argparse.Namespace) -> int:
    """Removes what was built."""
    if BUILD.exists() and BUILD.stat().st_uid != os.geteuid():
        become_root()
    remove_tree(BUILD)
    return 0


def command_distclean(arguments: argparse.Namespace) -> int:
    """Removes what was built and the cache."""
    folder = cache_folder()
    if folder.exists():
        become_root()
        Cache(folder).remove()
    return command_clean(arguments)


COMMANDS: Dict[str, Tuple[Callable[[argparse.Namespace], int], str]] = {
    "module": (command_module, "build rnvme.ko, for the stock kernel or against --kdir"),
    "run": (_command_inside("run", 2), "boot a guest, load the module, run fio, print a table"),
    "test": (_command_inside("test", 2), "run every test"),
    "shell": (_command_inside("shell", 0), "an interactive guest with the module loaded"),
    "check": (_command_inside("check", 1), "formatting, lints and the tests that need no guest"),
    "clean": (command_clean, "remove what was built"),
    "distclean": (command_distclean, "remove what was built and the cache"),
}
