# SPDX-License-Identifier: GPL-2.0
"""What the archive may do to us: it is told in one line, or the newest kernel is taken."""

from __future__ import annotations

import pathlib
from typing import Dict, List

import pytest
from rnvme_tool import root as build_root
from rnvme_tool.enter import Root
from rnvme_tool.failure import Failure

SOURCE = f"linux-source-{build_root.SERIES}"


def archive(versions: Dict[str, List[str]], monkeypatch: pytest.MonkeyPatch) -> Root:
    """A root whose apt knows these packages in these versions, newest first."""
    def output(_: Root, command: List[str]) -> str:
        if "search" in command:
            return "".join(f"{name} - a package\n" for name in versions)
        return "".join(f" {name} | {version} | http://archive\n" for name in command if name in versions
                       for version in versions[name])
    monkeypatch.setattr(Root, "output", output)
    return Root(pathlib.Path("/nowhere"))


def kernel(release: str, version: str, image: str = "linux-binary-unsigned") -> Dict[str, List[str]]:
    """The packages of one kernel."""
    return {f"{name}-{release}": [version] for name in ("linux-headers", "linux-modules", image)}


def test_newest_patch_level_is_taken_whatever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = f"{build_root.SERIES}.4+deb13-amd64", f"{build_root.SERIES}.11+deb13-amd64"
    known = {SOURCE: ["11-1", "4-1"], **kernel(old, "4-1"), **kernel(new, "11-1")}
    release, version, packages = build_root._choose_kernel(archive(known, monkeypatch))
    assert (release, version) == (new, "11-1")
    assert f"linux-headers-{new}" in packages and SOURCE in packages


def test_other_flavours_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = f"{build_root.SERIES}.4+deb13-cloud-amd64"
    with pytest.raises(Failure, match="no longer whole"):
        build_root._choose_kernel(archive({SOURCE: ["4-1"], **kernel(cloud, "4-1")}, monkeypatch))


def test_image_package_serves_when_there_is_no_unsigned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{build_root.SERIES}.4+deb13-amd64"
    known = {SOURCE: ["4-1"], **kernel(name, "4-1", "linux-image")}
    assert f"linux-image-{name}" in build_root._choose_kernel(archive(known, monkeypatch))[2]


def test_series_that_is_gone_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=r"there is: nothing.*update rnvme"):
        build_root._choose_kernel(archive({}, monkeypatch))


@pytest.mark.parametrize("line", [
    "E: Failed to fetch http://deb.debian.org/debian/x  Temporary failure resolving 'deb.debian.org'",
    "Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
    "Cannot initiate the connection to deb.debian.org:80. - connect (101: Network is unreachable)"])
def test_words_of_apt_without_a_network_are_known(line: str) -> None:
    assert build_root.UNREACHABLE.search(line)


def test_trouble_among_packages_is_not_taken_for_a_network_without_life() -> None:
    assert not build_root.UNREACHABLE.search("The following information may help to resolve the situation:")


def test_missing_mmdebstrap_is_told_where_it_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Failure, match=r"mmdebstrap is missing.*install the package mmdebstrap"):
        build_root.need_mmdebstrap()
