# SPDX-License-Identifier: GPL-2.0
"""Reads an oops: a kernel log with file and line below each line that names code of rnvme.ko.

Relies on the module that was loaded being still in build/, since a log names code as
symbol+offset; a frame that does not fit any of the modules there is left and said
to be so. Names of Rust functions become readable everywhere. `make oops LOG=file`;
this runs inside the build root, with the binary utilities of the compiler.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
import subprocess
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from . import inside
from .failure import Failure

LOG = inside.BUILD / "oops.log"
MODULE = "rnvme"
FRAME = re.compile(r"(?P<symbol>[A-Za-z_][\w.$]*)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
                   r"(?: \[(?P<module>\w+)[^\]]*\])?")
MANGLED = re.compile(r"\b_R[A-Za-z]\w+")
CRATE_HASH = re.compile(r"(?<=\w)\[[0-9a-f]{10,16}\]")
RELEASE = re.compile(r"(?:Not tainted|Tainted: [A-Z ]+?(?:\[[^\]]*\])?,?)\s*(\d+\.\d+\S*)|Linux version (\S+)")
# kallsyms ends a symbol where the next one begins: that adds alignment and the next one's prefix.
PADDING = 64
NO_CALL = "the end of it: what the stack holds is no address to return to"
OTHER_MODULE = f"some line: no {MODULE}.ko in build/ is the one that was loaded"


@dataclasses.dataclass(frozen=True)
class Frame:
    """A place that a log names. A return address is one past the call that it is about."""

    symbol: str
    offset: int
    size: int
    exact: bool


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A function of a module: the section that it is in, where, and how long."""

    section: str
    value: int
    size: int


def run_oops() -> int:
    """Prints the log with its lines decoded."""
    text = LOG.read_text(errors="replace")
    modules = sorted([*inside.BUILD.glob(f"module/*/{MODULE}.ko"), *inside.BUILD.glob(f"self-test/*/{MODULE}.ko")])
    if not any(found["module"] == MODULE for found in FRAME.finditer(text)):
        raise Failure(f"no line of this log names code of {MODULE}.ko (symbol+0x1/0x2 [{MODULE}]): give the log of an "
                      "oops or a warning in it")
    print(decode(text, modules))
    return 0


def decode(log: str, modules: Iterable[pathlib.Path]) -> str:
    """The log, with each frame of the module followed by its places in the sources, the innermost first."""
    places = locate(_frames(log), _of_this_kernel(log, list(modules)))
    lines = []
    for line in log.splitlines():
        lines.append(line)
        indent = " " * (len(line) - len(re.sub(r"^(?:\[[^\]]*\])*\s*", "", line)) + 4)
        for frame in _frames(line):
            lines += [f"{indent}at {place}" for place in places.get(frame, [OTHER_MODULE])]
    return demangle("\n".join(lines))


def locate(frames: Sequence[Frame], modules: Sequence[pathlib.Path]) -> Dict[Frame, List[str]]:
    """Where each frame is, from the first module that has such a function, of the same length."""
    places: Dict[Frame, List[str]] = {}
    for module in modules:
        wanted = [frame for frame in dict.fromkeys(frames) if frame not in places]
        known = symbols(module) if wanted else {}
        by_section: Dict[str, List[Tuple[Frame, int]]] = collections.defaultdict(list)
        for frame in wanted:
            symbol = _fitting(frame, known)
            if symbol is not None and frame.offset > symbol.size:
                places[frame] = [NO_CALL]
            elif symbol is not None:
                address = symbol.value + frame.offset - (0 if frame.exact or not frame.offset else 1)
                by_section[symbol.section].append((frame, address))
        for section, found in by_section.items():
            for (frame, _), lines in zip(found, _lines(module, section, [address for _, address in found])):
                places[frame] = lines
    return places


def symbols(module: pathlib.Path) -> Dict[str, List[Symbol]]:
    """The functions of a module; a name may be there more than once."""
    sections = dict(re.findall(r"^\s*\[\s*(\d+)\]\s+(\S+)", _output("readelf", "-SW", str(module)), re.MULTILINE))
    known: Dict[str, List[Symbol]] = collections.defaultdict(list)
    for line in _output("readelf", "-sW", str(module)).splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] in sections:
            known[fields[7]].append(Symbol(sections[fields[6]], int(fields[1], 16), int(fields[2], 0)))
    return known


def demangle(text: str) -> str:
    """The text with Rust's names as they are in the sources."""
    names = sorted(set(MANGLED.findall(text)))
    if not names:
        return text
    done = subprocess.run(["c++filt"], input="\n".join(names), check=True, text=True, stdout=subprocess.PIPE)
    readable = {name: CRATE_HASH.sub("", told) for name, told in zip(names, done.stdout.splitlines())}
    return MANGLED.sub(lambda found: readable[found[0]], text)


def _frames(text: str) -> List[Frame]:
    frames = []
    for line in text.splitlines():
        # An instruction that faulted is named itself; everything else on a stack is an address to return to.
        exact = any(word in line for word in ("RIP: ", "KASAN: ", "WARNING: "))
        frames += [Frame(found["symbol"], int(found["offset"], 16), int(found["size"], 16), exact)
                   for found in FRAME.finditer(line) if found["module"] == MODULE]
    return frames


def _of_this_kernel(log: str, modules: List[pathlib.Path]) -> List[pathlib.Path]:
    # The folder has the release's name. A log that names none may be of any.
    releases = {first or second for first, second in RELEASE.findall(log)}
    return [module for module in modules if module.parent.name in releases] or modules


def _fitting(frame: Frame, known: Dict[str, List[Symbol]]) -> Optional[Symbol]:
    for symbol in known.get(frame.symbol, []):
        if symbol.size <= frame.size <= symbol.size + PADDING:
            return symbol
    return None


def _lines(module: pathlib.Path, section: str, addresses: Sequence[int]) -> List[List[str]]:
    said = _output("addr2line", "--addresses", "--inlines", "--functions", "--exe", str(module), "--section", section,
                   *map(hex, addresses))
    blocks: List[List[str]] = []
    function = ""
    for line in said.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            blocks.append([])
            function = ""
        elif not function:
            function = line
        else:
            blocks[-1].append(f"{_short(line)} in {function}")
            function = ""
    return blocks


def _short(place: str) -> str:
    # As a reader of this tree or of the kernel's knows it.
    place = re.sub(r" \(discriminator \d+\)$", "", place)
    return re.sub(r"^\S*/(?=(?:drivers/nvme|rust/(?:nvme|kernel_ext))/)|^/kernel/source/|^\S*/rust/(?=library/)", "",
                  place)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
