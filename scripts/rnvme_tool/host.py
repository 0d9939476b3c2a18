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
from typing import Callable, Dict, List, Sequence, Tuple

from . import module as module_build
from .cache import Cache, cache_folder, key_of, need_space, remove_tree
from .enter import PASSED_ON, Root, environment
from .failure import Failure
from .kernel import DEBUG, MOUNTED, NAMES, STOCK, Kernel, prepare_debug, prepare_stock, read_kernel
from .miri import run_miri
from .root import BuildRoot, prepare_root
from .steps import Progress, Step, wait_or_kill
from .uml import MOUNTED as UML_MOUNTED
from .uml import prepare_uml

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build"
# What runs inside the build root; the first two need the terminal.
INSIDE = ("shell", "gdb", "run", "test", "check", "fuzz", "kunit", "oops", "soak", "faults")
INTERACTIVE = INSIDE[:2]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is ready for commands inside the root."""

    root: Root
    kernels: List[Kernel]
    image: pathlib.Path
    progress: Progress


def kernel_names(default: Sequence[str]) -> List[str]:
    """The kernels that the environment's KERNEL picks; `default` when it picks none."""
    chosen = os.environ.get("KERNEL", "")
    if not chosen:
        return list(default)
    if chosen not in NAMES:
        raise Failure(f"KERNEL={chosen} is none of the kernels: give one of {', '.join(NAMES)}")
    return [chosen]


def prepare(names: Sequence[str], own_steps: int, mistakes: bool = False) -> Prepared:
    """Makes, or finds, everything that guests with these kernels need; `mistakes` adds the self-test module."""
    mistakes = mistakes and DEBUG in names
    total = 3 + (DEBUG in names) + len(names) + mistakes + own_steps
    cache, base, prepared = prepare_kernels(names, total)
    image = _prepare_image(cache, base, prepared.root, prepared.progress)
    for kernel in prepared.kernels:
        if (os.environ.get("RNVME_DRIVER") or "rnvme") == "rnvme":
            module_build.build_in_root(PROJECT, prepared.root, kernel, prepared.progress)
        else:
            prepared.progress.kept(f"module for the {kernel.name} kernel", "not needed here")
        if mistakes and kernel.name == DEBUG:
            module_build.build_self_test(PROJECT, prepared.root, kernel, prepared.progress)
    return dataclasses.replace(prepared, image=image)


def prepare_kernels(names: Sequence[str], total: int) -> Tuple[Cache, BuildRoot, Prepared]:
    """The build root and these kernels, with this project mounted."""
    become_root()
    cache = Cache(cache_folder())
    BUILD.mkdir(exist_ok=True)
    need_space(BUILD, 0.5, "the build")
    progress = Progress(total, BUILD / "logs")
    base = prepare_root(cache, progress)
    # The debug kernel is built from the source in the stock kernel's folder.
    root = prepare_stock(cache, base, progress)
    if DEBUG in names:
        root = prepare_debug(cache, base, root, PROJECT, progress)
    folders = {target: source for source, target in root.binds}
    kernels = [read_kernel(folders[MOUNTED[name]]) for name in names]
    root = root.with_bind(PROJECT, "/rnvme").with_bind(cache.folder, "/cache")
    return cache, base, Prepared(root, kernels, pathlib.Path(), progress)


def become_root() -> None:
    """Goes on as root, through sudo when need be: chroot and mounts want it."""
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise Failure("this needs root (for mmdebstrap and chroot) and there is no sudo: run it as root")
    print("this needs root (for mmdebstrap and chroot): going on through sudo", flush=True)
    kept = [f"RNVME_CACHE={cache_folder()}"]
    kept += [f"{name}={os.environ[name]}" for name in PASSED_ON if os.environ.get(name)]
    os.execvp("sudo", ["sudo", "env", *kept, sys.executable, *sys.argv])


def _prepare_image(cache: Cache, base: BuildRoot, root: Root, progress: Progress) -> pathlib.Path:
    recipes = [PROJECT / name for name in ("scripts/rnvme_tool/guest_image.py", "scripts/rnvme_tool/hollow.py",
                                           "scripts/guest/init")]
    key = key_of(base.key, base.release, [path.read_text() for path in recipes])
    if cache.find("guest", key) is None:
        with progress.step("guest image") as step:
            cache.make("guest", key, lambda folder: _make_image(folder, base, root, step))
    else:
        progress.kept("guest image")
    return cache.path("guest", key) / "base.cpio"


def _make_image(folder: pathlib.Path, base: BuildRoot, root: Root, step: Step) -> None:
    step.run(root.with_bind(folder, "/cache").command(["python3", "/rnvme/scripts/rnvme.py", "inside", "image"]),
             env=environment())


def run_inside(prepared: Prepared, work: str) -> int:
    """Runs one of the inside commands, and hands what it built back to who called sudo."""
    progress = prepared.progress
    env = environment(
        RNVME_KERNELS=" ".join(kernel.name for kernel in prepared.kernels), RNVME_COMMIT=_commit(),
        RNVME_GUEST_IMAGE=f"/cache/{prepared.image.parent.name}/{prepared.image.name}",
        RNVME_FIRST_STEP=str(progress.next), RNVME_STEPS=str(progress.total))
    command = prepared.root.command(["python3", "/rnvme/scripts/rnvme.py", "inside", work])
    try:
        # The interactive guest needs the terminal; nothing else may read from it.
        interactive = work in INTERACTIVE
        stdin = None if interactive else subprocess.DEVNULL
        return wait_or_kill(subprocess.Popen(command, env=env, stdin=stdin, start_new_session=not interactive))
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


def _command_inside(work: str, own_steps: int, kernels: Sequence[str] = (STOCK,),
                    mistakes: bool = False) -> Callable[[argparse.Namespace], int]:
    def command(_: argparse.Namespace) -> int:
        return run_inside(prepare(kernel_names(kernels), own_steps, mistakes), work)
    return command


def command_test(arguments: argparse.Namespace) -> int:
    """Runs every test; Miri, where the host has it, before the rest."""
    prepared = prepare(kernel_names(NAMES), 0, mistakes=True)
    failed = 0 if os.environ.get("TESTS") else run_miri()[1]
    return run_inside(prepared, "test") or int(failed != 0)


def command_tools(arguments: argparse.Namespace) -> int:
    """Runs what needs the build root and no guest."""
    _cache, _base, prepared = prepare_kernels([STOCK], 2)
    if arguments.command == "oops":
        try:
            shutil.copy(arguments.log, BUILD / "oops.log")
        except OSError as error:
            raise Failure(f"the log {arguments.log} cannot be read ({error.strerror}): give LOG=file") from error
    return run_inside(prepared, arguments.command)


def command_kunit(_: argparse.Namespace) -> int:
    """Runs the KUnit suites: in User Mode Linux, or in a guest if KERNEL=debug."""
    if kernel_names([""]) == [DEBUG]:
        return run_inside(prepare([DEBUG], 0), "kunit")
    cache, base, prepared = prepare_kernels([STOCK], 4)
    root = prepare_uml(cache, base, prepared.root, PROJECT, prepared.progress)
    kernel = read_kernel({target: source for source, target in root.binds}[UML_MOUNTED])
    module_build.build_in_root(PROJECT, root, kernel, prepared.progress)
    return run_inside(dataclasses.replace(prepared, root=root), "kunit")


def command_module(arguments: argparse.Namespace) -> int:
    """Builds the module only."""
    if arguments.kdir is not None:
        built = module_build.build_against(PROJECT, arguments.kdir.absolute(), arguments.variables)
    else:
        names = kernel_names([STOCK])
        _cache, _base, prepared = prepare_kernels(names, 3 + (DEBUG in names))
        built = module_build.build_in_root(PROJECT, prepared.root, prepared.kernels[0], prepared.progress,
                                           *arguments.variables)
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
    "test": (command_test, "run every test, on both kernels"),
    "soak": (_command_inside("soak", 0, NAMES, mistakes=True), "run what make test has no time for; keep the results"),
    "faults": (_command_inside("faults", 0), "try the driver with a controller that misbehaves"),
    "fuzz": (command_tools, "fuzz the parsers"),
    "kunit": (command_kunit, "run the KUnit suites in User Mode Linux, or in a guest"),
    "gdb": (_command_inside("gdb", 0), "a guest with the module loaded, in gdb"),
    "oops": (command_tools, "add file and line to a kernel log's frames in rnvme.ko"),
    "shell": (_command_inside("shell", 0), "an interactive guest with the module loaded"),
    "check": (_command_inside("check", 0), "formatting, lints and the tests that need no guest"),
    "clean": (command_clean, "remove what was built"),
    "distclean": (command_distclean, "remove what was built and the cache"),
}
