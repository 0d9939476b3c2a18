#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The one entry for people and for make: `scripts/rnvme.py COMMAND`; see `make help`.

Needs Python 3.9 and nothing else. What a command needs is prepared first (see
rnvme_tool/host.py), then it runs; inside the build root where it boots guests.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rnvme_tool import host  # noqa: E402
from rnvme_tool.failure import Failure  # noqa: E402


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="rnvme.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in host.COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == "module":
            command.add_argument("--kdir", type=pathlib.Path, help="a prepared kernel build folder")
            command.add_argument("variables", nargs="*", help="further NAME=VALUE for kbuild")
        if name == "oops":
            command.add_argument("log", type=pathlib.Path, help="a file with the kernel's log")
    inside = commands.add_parser("inside", help="(what the commands above run in the build root)")
    inside.add_argument("work", choices=sorted([*host.INSIDE, "image"]))
    return parser.parse_args()


def main() -> int:
    """Runs one command; an error is one line, the last one."""
    arguments = parse()
    try:
        if arguments.command == "inside":
            # Imported late: it needs what only the build root has.
            from rnvme_tool import inside_commands
            return inside_commands.COMMANDS[arguments.work]()
        return host.COMMANDS[arguments.command][0](arguments)
    except Failure as failure:
        print(f"rnvme: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrnvme: interrupted; what was unfinished is made again next time", file=sys.stderr)
        return 130


if __name__ == "__main__":
    # A polite end must take what we started with it, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # A closed pipe (`make run | head`) is no error of ours worth a traceback.
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
