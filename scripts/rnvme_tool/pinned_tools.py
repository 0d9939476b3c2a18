# SPDX-License-Identifier: GPL-2.0
"""Tools that Debian does not have: from PyPI, in the versions and with the hashes of scripts/requirements.txt.

They are put into the cache by the build root's own pip, once for each content of
that file, and touch neither the root nor the host. This runs inside the build root.
"""

from __future__ import annotations

import functools
import pathlib
import re
import subprocess

from .cache import Cache, key_of
from .failure import Failure

REQUIREMENTS = pathlib.Path(__file__).resolve().parents[1] / "requirements.txt"
CACHE = pathlib.Path("/cache")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Wheels only, and nothing that is not in the file: no code of a package is run here to install it.
PIP = ["python3", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir",
       "--root-user-action=ignore", "--cert", CERTIFICATES, "--retries", "2", "--timeout", "30",
       "--require-hashes", "--no-deps", "--only-binary=:all:"]
UNREACHABLE = re.compile(r"NewConnectionError|NameResolutionError|ProxyError|SSLError|ConnectTimeout|ReadTimeout|"
                         r"ConnectionReset|Connection (?:refused|aborted)|Could not fetch|Network is unreachable")
OTHER_FILE = re.compile(r"DO NOT MATCH THE HASHES")


@functools.cache
def tool(name: str) -> str:
    """The path of a tool, installed when it is not there yet."""
    program = prepare(CACHE, REQUIREMENTS) / "bin" / name
    if not program.exists():
        raise Failure(f"{REQUIREMENTS.name} brings no program {name}: add the package that has it")
    return str(program)


def prepare(cache: pathlib.Path, requirements: pathlib.Path) -> pathlib.Path:
    """The folder with all tools of the file."""
    shared = Cache(cache)
    try:
        return shared.make("tools", key_of(requirements.read_text(), PIP),
                           lambda folder: install(requirements, folder))
    finally:
        shared.leave()


def install(requirements: pathlib.Path, folder: pathlib.Path) -> None:
    """Installs all that the file names into an empty folder."""
    done = subprocess.run([*PIP, "--requirement", str(requirements), "--target", str(folder)], check=False, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failure(explain(done.stdout, requirements.name))


def explain(said: str, requirements: str) -> str:
    """One line about why pip failed, and how to mend it."""
    if OTHER_FILE.search(said):
        return (f"what PyPI gave is not what scripts/{requirements} pins by its hash, so it is not installed: look "
                "for a mirror or proxy that changes files, or pin the new hash after looking at what changed")
    if UNREACHABLE.search(said):
        return ("PyPI cannot be reached, from where ruff is taken once: check the network (and https_proxy, if there "
                "is a proxy) and run again")
    lines = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or ["no message"]
    return f"pip could not install what scripts/{requirements} names: {lines[-1].strip()}"
