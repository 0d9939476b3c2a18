# SPDX-License-Identifier: GPL-2.0
"""Rust source without its comments and the content of its strings, so that a word found in it is code.

It knows the tokens of the Rust Reference that can hide a word: line comments, nested
block comments, strings (plain, raw, of bytes, of C), characters; and that a lifetime
is no character. Every line keeps its number.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Counter, Iterator, Tuple

# What begins a token that can hide words. An identifier is one as well, so that the b of `grab"` begins no string.
TOKEN = re.compile(r"""
    (?P<line>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>(?:br|cr|r)(?P<hashes>\#*)")
  | (?P<string>(?:b|c)?"(?:[^"\\]|\\.)*")
  | (?P<char>b?'(?:[^'\\\n]|\\[^\n]+?)')
  | (?P<word>(?:r\#)?\w+|'\w+)
""", re.VERBOSE | re.DOTALL)
UNSAFE = re.compile(r"(?<![\w#'])unsafe\b(?:\s+|(?=[({]))"
                    r"(?P<what>\{|impl\b|trait\b|(?:extern\s*\"\s*\"\s*)?fn\s+\w|extern\b|\()?")


def code_only(source: str) -> str:
    """The source with spaces for what is comment or text; strings keep their quotes."""
    parts = []
    at = 0
    for start, end, kept in _tokens(source):
        parts += [source[at:start], kept]
        at = end
    return "".join(parts) + source[at:]


def _tokens(source: str) -> Iterator[Tuple[int, int, str]]:
    at = 0
    while True:
        found = TOKEN.search(source, at)
        if found is None:
            return
        start, at = found.start(), found.end()
        if found["word"]:
            continue
        if found["block"]:
            at = _end_of_block(source, at)
        elif found["raw"]:
            end = source.find('"' + found["hashes"], at)
            at = len(source) if end < 0 else end + 1 + len(found["hashes"])
        text = re.sub(r"[^\n]", " ", source[start:at])
        yield start, at, '"' + text[1:-1] + '"' if found["raw"] or found["string"] else text


def _end_of_block(source: str, at: int) -> int:
    depth = 1
    while depth:
        found = re.compile(r"/\*|\*/").search(source, at)
        if found is None:
            return len(source)
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return at


@dataclasses.dataclass(frozen=True)
class Unsafe:
    """One use of the keyword: its line, and whether it is a block, an impl, a fn, or something other."""

    line: int
    what: str


def unsafe_uses(source: str) -> Iterator[Unsafe]:
    """Every `unsafe` that is code."""
    code = code_only(source)
    for found in UNSAFE.finditer(code):
        what = found["what"] or "other"
        name = "block" if what == "{" else "impl" if what == "impl" else "fn" if "fn" in what else "other"
        yield Unsafe(code.count("\n", 0, found.start()) + 1, name)


def count_unsafe(source: str) -> Counter[str]:
    """How many uses of each kind there are."""
    return Counter(use.what for use in unsafe_uses(source))
