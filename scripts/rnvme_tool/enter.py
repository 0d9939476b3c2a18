# SPDX-License-Identifier: GPL-2.0
"""Runs commands inside the build root.

Each command gets a mount and a pid namespace of its own: nothing is ever mounted
where the host sees it, and when the command is interrupted, everything that it
started dies with it. Fixed paths inside, so that no path of the host gets into
what is built: /rnvme (the project), /kernel (source and the stock kernel's build
folder), /debug and /uml (the build folders of the kernels that we make), /cache.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
from typing import Dict, List, Tuple

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
MOUNT_POINTS = ("rnvme", "kernel", "debug", "uml", "cache", "dev", "proc", "sys", "tmp")
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
             "TERM", "COLUMNS", "TESTS", "KERNEL", "TIME", "ROUNDS", "MINUTES", "GROW", "FAULT", "GUESTS", "KEEP",
             "RNVME_DRIVER", "RNVME_SEED", "RNVME_COMMIT", "SOURCE_DATE_EPOCH")

# Whoever runs this may die in any way: the namespaces, and all in them, die with it.
CONTAINED = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]

# Arguments: the root, "ro" or "rw", then pairs of folder and mount point, "--", the command.
ENTER = """
root=$1 mode=$2; shift 2
mount --bind "$root" "$root"
cd "$root"
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
exec chroot "$root" "$@"
"""


@dataclasses.dataclass(frozen=True)
class Root:
    """A build root and what is mounted into it."""

    path: pathlib.Path
    binds: Tuple[Tuple[pathlib.Path, str], ...] = ()
    writable: bool = False

    def with_bind(self, source: pathlib.Path, target: str) -> Root:
        """The same root with one more folder in it."""
        return dataclasses.replace(self, binds=self.binds + ((source, target),))

    def command(self, command: List[str]) -> List[str]:
        """The command line that runs `command` inside."""
        line = [*CONTAINED, "--", "/bin/sh", "-euc", ENTER, "enter", str(self.path), "rw" if self.writable else "ro"]
        for source, target in self.binds + self._host_files():
            line += [str(source), target]
        return line + ["--"] + command

    def output(self, command: List[str]) -> str:
        """What a short command inside prints."""
        return subprocess.run(self.command(command), env=environment(), check=True, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def _host_files(self) -> Tuple[Tuple[pathlib.Path, str], ...]:
        # Name service and trusted authorities are the host's, also behind a proxy.
        files = []
        for name in ("etc/resolv.conf", "etc/hosts", CERTIFICATES):
            source = pathlib.Path(os.path.realpath("/" + name))
            if source.is_file() and (self.path / name).is_file():
                files.append((source, "/" + name))
        return tuple(files)


def environment(**extra: str) -> Dict[str, str]:
    """A clean environment for commands inside: nothing of the host but proxies."""
    env = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    env.update({
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
        "CARGO_HOME": "/cache/cargo", "CARGO_TARGET_DIR": "/rnvme/build/cargo",
        "PYTHONDONTWRITEBYTECODE": "1",
    })
    env.update(extra)
    return env
