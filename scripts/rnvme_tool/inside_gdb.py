# SPDX-License-Identifier: GPL-2.0
"""`make gdb`: gdb on a running guest, with the symbols of the kernel and of rnvme.ko where the guest has loaded them.

QEMU's gdb stub listens on a Unix socket. The module's symbols are put at the
addresses that the guest's sysfs tells. The debug kernel's vmlinux has symbols; the
stock kernel's has none, so there only the module's own frames have names.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import List, Sequence

from . import inside
from .failure import Failure
from .guest import Guest, GuestFailure
from .kernel import DEBUG
from .machine import Controller, Machine, Namespace, make_image

IMAGE_BYTES = 256 << 20
# What of the module can be asked for; its other sections are tables.
SECTIONS = re.compile(r"\.(?:init\.|exit\.|noinstr\.)?(?:text|data|rodata|bss)\b.*")
READY = "the breakpoints are set"
# A guest may be held at a breakpoint as long as its user wants.
FOREVER = 7 * 86400.0
ASK_SECTIONS = "cd /sys/module/{0}/sections && for name in $(ls -A); do echo $name $(cat $name); done"

# A command of gdb's: each line written into the pipe is run in the guest.
GUEST_COMMAND = """python
class InGuest(gdb.Command):
    \"\"\"guest LINE: run a line of shell in the guest as soon as it goes on; its output is in serial.log.\"\"\"
    def __init__(self):
        super().__init__("guest", gdb.COMMAND_USER)
    def invoke(self, line, from_tty):
        with open({0!r}, "w") as pipe:
            pipe.write(line + "\\n")
InGuest()
end"""
INTRODUCTION = """
The guest is stopped; `continue` lets it run, Ctrl-C stops it again, `quit` ends it.
  break drivers/nvme/FILE.rs:LINE     stop there
  backtrace                           who called
  guest LINE                          run a line of shell in the guest once it goes on, such as
                                      guest dd if=/dev/{disk} of=/dev/null bs=4k count=1 iflag=direct
                                      guest echo {address} >{driver}/unbind; echo {address} >{driver}/bind
What the guest says is in build/gdb/serial.log.
"""


def stub(socket: pathlib.Path) -> List[str]:
    """QEMU's arguments for a gdb stub on this socket."""
    return ["-gdb", f"unix:{socket},server=on,wait=off"]


def attach_commands(guest: Guest, socket: pathlib.Path) -> List[str]:
    """gdb's commands that stop a guest with the module loaded and know its code."""
    module = inside.module(guest.kernel)
    if not module.exists():
        raise Failure(f"{module} is missing: build it first")
    known = ["file " + guest.kernel.image] if guest.kernel.name == DEBUG else ["set architecture i386:x86-64"]
    return ["set confirm off", "set pagination off", *known, f"target remote {socket}",
            f"add-symbol-file {module} {section_arguments(guest.out(ASK_SECTIONS.format(guest.driver)))}"]


def section_arguments(listing: str) -> str:
    """add-symbol-file's arguments, from lines of name and address."""
    placed = [line.split() for line in listing.splitlines()]
    return " ".join(f"-s {name} {address}" for name, address in placed if SECTIONS.fullmatch(name))


def batch(guest: Guest, socket: pathlib.Path, breakpoints: Sequence[str],
          then: Sequence[str]) -> subprocess.Popen[str]:
    """Starts gdb on a guest: sets breakpoints, lets it run, does `then` where it stops, and lets go of it.

    Returns once the breakpoints are set; what gdb says after that is on its standard output.
    """
    commands = [*attach_commands(guest, socket), *(f"break {place}" for place in breakpoints), f"echo {READY}\\n",
                "continue", *then, "delete", "detach"]
    line = ["gdb", "--batch", "--nx"]
    for command in commands:
        line += ["-ex", command]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace")
    said = []
    for text in process.stdout or ():
        said.append(text)
        if READY in text:
            return process
    raise GuestFailure(f"gdb ended with status {process.wait()} before it let the guest run: {''.join(said)}")


def run_gdb() -> int:
    """An interactive gdb on a guest with the module loaded and two disks."""
    if not sys.stdin.isatty():
        raise Failure("make gdb needs a terminal: run it from one")
    folder = inside.BUILD / "gdb"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        # The path of a socket must be short, wherever the project is.
        sockets = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kernel = inside.kernels()[0]
        namespaces = [Namespace(make_image(folder / "a.img", IMAGE_BYTES), 512),
                      Namespace(make_image(folder / "b.img", IMAGE_BYTES), 4096)]
        guest = Guest(folder, kernel, inside.make_initrd(kernel), Machine(process_args=stub(sockets / "stub")),
                      [Controller(namespaces)])
        print(f"booting the {kernel.name} kernel", flush=True)
        stack.enter_context(guest)
        guest.load()
        guest.await_disks(2)
        pipe = sockets / "commands"
        os.mkfifo(pipe)
        threading.Thread(target=_serve, args=(guest, pipe), daemon=True).start()
        script = folder / "attach.gdb"
        script.write_text("\n".join([*attach_commands(guest, sockets / "stub"),
                                     GUEST_COMMAND.format(str(pipe))]) + "\n")
        print(INTRODUCTION.format(disk=guest.disk(), address=guest.pci_address(), driver="/sys/bus/pci/drivers/rnvme"),
              flush=True)
        _on_own_terminal(["gdb", "--quiet", "--nx", "--command", str(script)])
    return 0


def _on_own_terminal(command: List[str]) -> None:
    # Ctrl-C is for gdb alone: on a terminal shared with QEMU and with make, it would end them too. What status gdb
    # ends with is its user's affair.
    subprocess.run(["script", "--quiet", "--command", shlex.join(command), "/dev/null"], check=False)


def _serve(guest: Guest, pipe: pathlib.Path) -> None:
    # Open for writing as well, so that the end of one writer is not the end of all.
    with os.fdopen(os.open(pipe, os.O_RDWR), encoding="utf-8") as lines, contextlib.suppress(GuestFailure):
        for line in lines:
            guest.agent("guest-exec", FOREVER, path="bash", arg=["-c", f"exec >/dev/ttyS0 2>&1; {line}"],
                        env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
