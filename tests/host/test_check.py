# SPDX-License-Identifier: GPL-2.0
"""Each check of `make check` bites: a tree with one mistake of its kind is reported, the same tree without it is not.

Relies on the build root, where these tests run: its compilers, its checkers, and the
stock kernel's build folder.
"""

from __future__ import annotations

import pathlib
import shutil
from typing import Callable, Dict, List, Tuple

import pytest
from rnvme_tool import inside, pinned_tools
from rnvme_tool.checks import house, languages, rust
from rnvme_tool.checks.rust_code import code_only, count_unsafe, unsafe_uses
from rnvme_tool.failure import Failure
from rnvme_tool.kernel import SOURCE, STOCK

SPDX = "// SPDX-License-Identifier: GPL-2.0\n"
HASH = "# SPDX-License-Identifier: GPL-2.0\n"
EXT = "rust/kernel_ext/a.rs"
# The smallest tree that every check is content with.
GOOD: Dict[str, str] = {
    "drivers/nvme/rnvme.rs": f"{SPDX}#![forbid(unsafe_code)]\n",
    "rust/nvme/src/lib.rs": f"{SPDX}#![forbid(unsafe_code)]\n",
    EXT: SPDX + """
fn first(word: &[u8; 4]) -> u8 {
    // SAFETY: The array has four elements.
    unsafe { *word.get_unchecked(0) }
}
""",
    "rust/kernel_ext/ffi/a.h": "/* SPDX-License-Identifier: GPL-2.0 */\n#include <linux/types.h>\n",
    "scripts/a.sh": f'#!/bin/sh\n{HASH}echo "$1"\n',
    "scripts/a.py": HASH + '''"""Nothing."""

import os


def name() -> str:
    """A name."""
    return os.name
''',
}
Check = Callable[[pathlib.Path], List[str]]
# The check, the file in which the mistake is, what is replaced (all of it when empty), by what, and what is reported.
MISTAKES: List[Tuple[str, Check, str, str, str, str]] = [
    ("format", rust.rustfmt, EXT, "fn first(", "fn  first(", "a.rs"),
    ("unsafe_in_the_driver", rust.unsafe_home, "drivers/nvme/io.rs", "", "fn f() { unsafe { g() } }", "io.rs:1:"),
    ("unsafe_impl_in_a_test", rust.unsafe_home, "tests/a/b.rs", "", "\nunsafe impl Send for A {}", "b.rs:2:"),
    ("no_forbid", rust.unsafe_home, "rust/nvme/src/lib.rs", "#![forbid(unsafe_code)]", "", "lib.rs: the line"),
    ("no_driver", rust.unsafe_home, "drivers/nvme/rnvme.rs", "#![", "// #![", "rnvme.rs: the line"),
    ("macro", rust.no_macros, EXT, "fn first", "macro_rules! m { () => {} }\nfn first", "defines a macro"),
    ("no_safety_comment", rust.safety_comments, EXT, "SAFETY:", "It is safe:", "a.rs:5: an unsafe block"),
    ("no_safety_comment_on_an_impl", rust.safety_comments, "rust/kernel_ext/b.rs", "", "unsafe impl Send for A {}",
     "b.rs:1: an unsafe impl"),
    ("no_licence", house.house_rules, EXT, "SPDX-License-Identifier", "Licence", "no SPDX line"),
    ("too_long", house.house_rules, EXT, SPDX, SPDX + "\n" * 500, "more than 500"),
    ("a_path_of_a_machine", house.house_rules, "README.md", "", "see /wo" + "rk/main/x\n", "README.md:1: names a path"),
    ("unfinished", house.house_rules, EXT, "SAFETY", "TO" + "DO", "left to do"),
    ("c_style", lambda tree: languages.checkpatch(tree, pathlib.Path(SOURCE)), "rust/kernel_ext/ffi/a.h",
     "#include", "int  f( int a ) ;\n#include", "a.h:2:"),
    ("shell", languages.shell, "scripts/a.sh", '"$1"', "$1", "SC2086"),
    ("unused_import", languages.ruff, "scripts/a.py", "import os\n", "import os\nimport sys\n", "F401"),
    ("likely_bug", languages.ruff, "scripts/a.py", "def name()", "def name(given: list = [])", "B006"),
    ("no_docstring", languages.ruff, "scripts/a.py", '"""Nothing."""', "", "D100"),
    ("types", lambda tree: languages.mypy(tree, tree / "build/mypy"), "scripts/a.py", "os.name\n", "len(os.name)\n",
     "Incompatible return value"),
    ("no_types", lambda tree: languages.mypy(tree, tree / "build/mypy"), "scripts/a.py", "-> str", "",
     "no-untyped-def"),
]


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tree without a mistake, with this project's own settings of its tools."""
    for name, text in GOOD.items():
        put(tmp_path, name, text)
    for name in ("pyproject.toml", ".rustfmt.toml"):
        shutil.copy(inside.PROJECT / name, tmp_path)
    return tmp_path


def put(tree: pathlib.Path, name: str, text: str) -> None:
    """Writes one file of a tree."""
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


@pytest.mark.parametrize("check, name, old, new, told", [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_mistake_is_reported_and_its_absence_is_not(
        tree: pathlib.Path, check: Check, name: str, old: str, new: str, told: str) -> None:
    assert check(tree) == []
    text = GOOD.get(name, "")
    assert old in text
    put(tree, name, text.replace(old, new, 1) if old else new)
    found = check(tree)
    print(found)
    assert any(told in line for line in found), f"{told!r} was expected, there is: {found}"


def test_unsafe_is_counted_for_each_crate(tree: pathlib.Path) -> None:
    put(tree, "rust/kernel_ext/b.rs", 'unsafe impl Send for A {}\nunsafe extern "C" fn f() { unsafe { g() } }\n')
    table = rust.unsafe_table(tree)
    print("\n".join(table))
    assert [" ".join(line.split()) for line in table[1:]] == [
        "drivers/nvme 0 0 0 0", "rust/kernel_ext 2 1 1 0", "rust/nvme 0 0 0 0"]


@pytest.mark.parametrize("hidden", [
    "// unsafe {}", "/* unsafe { /* unsafe {} */ unsafe {} */", '"unsafe {}"', '"\\"unsafe {}"', 'r#"" unsafe {} "#',
    'br##"unsafe {} "# "##', 'c"unsafe {}"', '"\\\\", "unsafe {}"', "'\"', '\"', \"unsafe {}\"", "'\\'', \"unsafe {}\"",
    "r#unsafe", "#![forbid(unsafe_code)]", "//! unsafe impl"])
def test_unsafe_that_is_no_code_is_not_counted(hidden: str) -> None:
    assert not list(unsafe_uses(hidden))


@pytest.mark.parametrize("shown, kind", [
    ("'a'; unsafe { }", "block"), ("f::<'a>(); unsafe{}", "block"), ("/* */ unsafe // why\n{ }", "block"),
    ("'\"'; unsafe impl A for B {} // '\"'", "impl"), ('unsafe extern "C" fn f() {}', "fn"), ("unsafe fn f() {}", "fn"),
    ("type F = unsafe fn();", "other"), ("#[unsafe(no_mangle)]", "other"), ('unsafe extern "C" { }', "other"),
    ('r"\\"; unsafe { } //"', "block"), ("unsafe trait T {}", "other")])
def test_unsafe_that_is_code_is_counted_whatever_is_around_it(shown: str, kind: str) -> None:
    assert count_unsafe(shown) == {kind: 1}, code_only(shown)


def test_comments_and_texts_leave_every_line_where_it_was() -> None:
    source = 'a /* \n\n */ "x\n" r#"\n"# // c\nunsafe {}'
    assert code_only(source).count("\n") == source.count("\n")
    assert [use.line for use in unsafe_uses(source)] == [6]


def test_lints_of_the_host_crates_are_errors(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "Cargo.toml", '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n')
    put(tmp_path, "Cargo.lock", 'version = 4\n\n[[package]]\nname = "a"\nversion = "0.1.0"\n')
    text = "pub fn f(a: &[u8; 4]) -> u8 {\n    // SAFETY: In bounds.\n    unsafe { *a.as_ptr() }\n}\n"
    put(tmp_path, "src/lib.rs", text)
    assert rust.clippy_cargo(tmp_path) == []
    for old, new, told in (("// SAFETY: In bounds.", "", "missing a safety comment"),
                           ("unsafe { *a.as_ptr() }", "return unsafe { *a.as_ptr() };", "unneeded `return`")):
        put(tmp_path, "src/lib.rs", text.replace(old, new))
        found = rust.clippy_cargo(tmp_path)
        print("\n".join(found))
        assert any(told in line for line in found)


def test_unsafe_block_without_its_reason_is_an_error_of_the_kernels_own_build(tmp_path: pathlib.Path) -> None:
    kernel = inside.kernel(STOCK)
    module = SPDX + """
//! A module with nothing in it but one look past the borrow checker.

use kernel::prelude::*;

module! {
    type: Seed,
    name: "seed",
    authors: ["rnvme"],
    description: "A seed",
    license: "GPL",
}

struct Seed;

impl kernel::Module for Seed {
    fn init(_: &'static ThisModule) -> Result<Self> {
        let word = 1_u32;
        // SAFETY: The pointer comes from a reference.
        let same = unsafe { (&raw const word).read() };
        pr_info!("{same}\\n");
        Ok(Seed)
    }
}
"""
    put(tmp_path, "Kbuild", f"{HASH}obj-m := seed.o\n")
    put(tmp_path, "seed.rs", module)
    assert rust.clippy_kernel(tmp_path, tmp_path / "build/good", kernel, []) == []
    put(tmp_path, "seed.rs", module.replace("// SAFETY: ", "// "))
    found = rust.clippy_kernel(tmp_path, tmp_path / "build/bad", kernel, [])
    print("\n".join(found))
    assert any("unsafe block missing a safety comment" in line for line in found)


def test_tool_that_pypi_changed_is_not_installed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "seed-1.0-py3-none-any.whl").write_bytes(b"something else")
    put(tmp_path, "requirements.txt", f"seed==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(pinned_tools, "PIP", [*pinned_tools.PIP, "--no-index", "--find-links", str(wheels)])
    with pytest.raises(Failure, match=r"pins by its hash.*pin the new hash"):
        pinned_tools.prepare(tmp_path / "cache", tmp_path / "requirements.txt")
    assert not list((tmp_path / "cache").glob("tools-*[0-9a-f]")), "nothing half-made is kept"


def test_missing_network_is_told_in_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of this machine: nothing listens there, so pip is refused at once.
    put(tmp_path, "requirements.txt", f"seed==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(pinned_tools, "PIP", [*pinned_tools.PIP, "--retries", "1",
                                              "--index-url", "https://127.0.0.1:9/simple"])
    with pytest.raises(Failure, match=r"PyPI cannot be reached.*check the network"):
        pinned_tools.prepare(tmp_path / "cache", tmp_path / "requirements.txt")
