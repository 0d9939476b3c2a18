# SPDX-License-Identifier: GPL-2.0
"""Metadata and protection information: data is guarded on its way, and what does not fit its guard is no data.

The tuples are made and checked by the block layer (`integrity/` in sysfs), and by QEMU's controller. Relies on QEMU
laying all metadata behind all data in the image, block after block, and on its trace for what commands asked for.
Tuples are looked at from the host, with checksums of the test's own.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Callable, Dict, List, Set, Tuple

import pytest
from harness import Boot, Controller, Guest, Machine, Namespace
from harness.observe import MIB, assert_orderly, counters, fio, traced, verified, watch
from harness.peer import under_the_c_driver
from harness.sample import some
from rnvme_tool.kernel import Kernel

pytestmark = pytest.mark.io_suite
NewImage = Callable[[str, int], pathlib.Path]
SIZE = 8 * MIB
TOLD = ("pci_nvme_dif_rw",)
EILSEQ = "Invalid or incomplete multibyte or wide character"
GUARD, REFERENCE = "Guard Check Error", "Reference Tag Check Error"
# PRINFO as QEMU's trace has it: action, then the checks of guard, application tag and reference tag.
PRACT, CHECK_GUARD, CHECK_REFERENCE = 8, 4, 1


@dataclasses.dataclass(frozen=True)
class Format:
    """A namespace's format; `wide` has the 64-bit guard, `first` the tuple before the rest of the metadata."""

    block: int
    ms: int
    pi: int
    wide: bool = False
    first: bool = False
    interleaved: bool = False

    def namespace(self, image: pathlib.Path) -> Namespace:
        """A namespace of this format."""
        return Namespace(image, self.block, {"ms": self.ms, "pi": self.pi, "pif": 2 * self.wide, "pil": int(self.first),
                                             "mset": int(self.interleaved)})

    def __str__(self) -> str:
        return f"{self.block}+{self.ms}-{'64b' if self.wide else '16b'}-type{self.pi}{'-first' * self.first}"

    @property
    def blocks(self) -> int:
        """Logical blocks of an image."""
        return SIZE // (self.block + self.ms)

    @property
    def tuple_size(self) -> int:
        """Bytes of a tuple."""
        return 16 if self.wide else 8

    @property
    def padding(self) -> int:
        """Metadata before the tuple."""
        return 0 if self.first else self.ms - self.tuple_size

    def metadata(self, lba: int) -> int:
        """Where in the image a block's metadata begins."""
        return self.blocks * self.block + lba * self.ms


FORMATS = [
    Format(512, 8, 1), Format(512, 8, 3), Format(512, 16, 2, wide=True), Format(512, 16, 1),
    Format(4096, 8, 2), Format(4096, 16, 1, wide=True), Format(4096, 16, 3, wide=True), Format(4096, 64, 1, first=True),
]


def crc16(data: bytes) -> int:
    """T10's CRC: polynomial 8bb7h, highest bit first."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8BB7 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def crc64(data: bytes) -> int:
    """NVMe's CRC: polynomial ad93d23594c93659h, lowest bit first, complemented before and after."""
    value = ~0 & (1 << 64) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x9A6C9329AC4BC9B5 if value & 1 else value >> 1
    return ~value & (1 << 64) - 1


def expected_tuple(form: Format, lba: int, guarded: bytes) -> bytes:
    """What a block's protection information must be, with an application tag of 0; Linux counts in type 3 as well."""
    if form.wide:
        return crc64(guarded).to_bytes(8, "big") + bytes(2) + lba.to_bytes(6, "big")
    return crc16(guarded).to_bytes(2, "big") + bytes(2) + lba.to_bytes(4, "big")


def assert_tuples(form: Format, image: pathlib.Path, lbas: range) -> None:
    """The image has each block's tuple, as the host computes it."""
    with open(image, "rb") as file:
        for lba in lbas:
            file.seek(lba * form.block)
            data = file.read(form.block)
            file.seek(form.metadata(lba))
            metadata = file.read(form.ms)
            found = metadata[form.padding:form.padding + form.tuple_size]
            expected = expected_tuple(form, lba, data + metadata[:form.padding])
            if form.pi == 3:  # Its reference tag is free.
                size = 8 if form.wide else 2
                found, expected = found[:size], expected[:size]
            assert found == expected, f"{form}, block {lba}: {found.hex()} instead of {expected.hex()}"
            rest = metadata[:form.padding] + metadata[form.padding + form.tuple_size:]
            assert not any(rest), f"{form}, block {lba}: what is left of the metadata is not 0"


def flip(image: pathlib.Path, at: int) -> None:
    """Flips a bit of an image's byte."""
    with open(image, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def said_by_read(guest: Guest, disk: str, form: Format, lba: int) -> str:
    """Reads one block past the page cache; what is said of it, nothing if all is well."""
    line = f"LC_ALL=C dd if=/dev/{disk} of=/dev/null bs={form.block} skip={lba} count=1 iflag=direct status=none"
    return guest.run(line, 30, check=False).err.strip()


def integrity(guest: Guest, disk: str) -> Dict[str, str]:
    """What sysfs says of a disk's metadata."""
    lines = guest.out(f"cd /sys/block/{disk}/integrity && grep . *").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def protected(formats: List[Format], folder: pathlib.Path, boot: Boot, new_image: NewImage,
              size: int = SIZE) -> Tuple[Guest, List[Tuple[str, Format, pathlib.Path]]]:
    """A guest whose one controller has a namespace of each format: their disks, formats and images."""
    images = [new_image(f"disk{index}", size) for index in range(len(formats))]
    namespaces = [form.namespace(image) for form, image in zip(formats, images)]
    guest = boot([Controller(namespaces)], Machine(process_args=traced(folder)))
    return guest, [(guest.disk(0, nsid), form, image) for nsid, (form, image) in enumerate(zip(formats, images), 1)]


def all_verified(guest: Guest, disks: List[str], sizes: str) -> None:
    """Writes the first 512 KiB of each disk, all at once, and reads back and checks what was written."""
    jobs = [{"filename": f"/dev/{disk}"} for disk in disks]
    for job in fio(guest, jobs, rw="randwrite", bsrange=sizes, iodepth=8, size="512k", verify="crc32c", verify_fatal=1):
        assert job["read"]["io_bytes"] == job["write"]["io_bytes"] > 0, f"not all was read back: {job}"


def prinfo(lines: List[str]) -> Set[int]:
    """Every PRINFO of the commands in a trace of pci_nvme_dif_rw."""
    return {int(found[1], 16) for line in lines for found in [re.search(r"prinfo (0x[0-9a-f]+)", line)] if found}


def test_disks_say_what_protects_them_as_the_c_driver_does(boot: Boot, new_image: NewImage,
                                                           folder: pathlib.Path, kernel: Kernel) -> None:
    formats = some([*FORMATS, Format(4096, 64, 0), Format(512, 8, 1, interleaved=True), Format(512, 0, 0)], kernel)
    guest, disks = protected(formats, folder, boot, new_image)
    ours = [integrity(guest, disk) for disk, _, _ in disks]
    with under_the_c_driver(guest, len(formats)):
        for nsid, (form, our) in enumerate(zip(formats, ours), start=1):
            print(form, our)
            if form.pi and not form.interleaved:
                assert our["format"] == (f"{'EXT' if form.wide else 'T10'}-DIF-TYPE{3 if form.pi == 3 else 1}-"
                                         f"{'CRC64' if form.wide else 'CRC'}")
            assert our == integrity(guest, guest.disk(0, nsid)), f"{form}: not what the C driver says"


def test_what_is_written_is_guarded_in_the_image(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                 kernel: Kernel) -> None:
    guest, disks = protected(some(FORMATS, kernel), folder, boot, new_image)
    with watch(guest, folder, *TOLD) as trace:
        all_verified(guest, [disk for disk, _, _ in disks], "4k-64k")
    for _, form, image in disks:
        assert_tuples(form, image, range(8))
        assert_tuples(form, image, range((512 << 10) // form.block - 8, (512 << 10) // form.block))
    references = {CHECK_REFERENCE if form.pi != 3 else 0 for _, form, _ in disks}
    assert prinfo(trace.of("pci_nvme_dif_rw")) == {CHECK_GUARD | reference for reference in references}
    assert counters(guest)["failed_requests"] == 0
    assert_orderly(guest)


def test_what_does_not_fit_its_guard_is_not_read(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                 kernel: Kernel) -> None:
    guest, disks = protected(some(FORMATS, kernel), folder, boot, new_image)
    failed = 0
    for disk, form, image in disks:
        guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=64k count=1 oflag=direct status=none")
        first = form.metadata(5) + form.padding
        places = {"guard": first, "data": 5 * form.block + 77, "reference": first + form.tuple_size - 1}
        if form.padding:
            places["padding"] = first - 1
        for name, place in places.items():
            flip(image, place)
            said = said_by_read(guest, disk, form, 5)
            flip(image, place)
            if name == "reference" and form.pi == 3:
                assert not said, f"{form}: a reference tag without meaning was checked: {said}"
                continue
            failed += 1
            assert EILSEQ in said, f"{form}, {name}: {said!r}"
        assert not said_by_read(guest, disk, form, 5), f"{form}: what was put right is still not read"
    assert counters(guest)["failed_requests"] == failed
    told = [line for line in guest.dmesg().splitlines() if "End-to-end" in line]
    print("\n".join(told))
    disk, form, _ = disks[0]
    assert re.search(rf"{disk}: Read of {form.block} bytes at sector {5 * form.block // 512}, .*{GUARD}", told[0])
    # The log has eight of such lines, then the counter alone goes on.
    assert len(told) == min(failed, 8)
    assert_orderly(guest)


@pytest.mark.parametrize("form", [Format(512, 8, 1), Format(4096, 8, 3)], ids=str)
def test_controller_makes_what_the_host_leaves_out(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                   form: Format) -> None:
    guest, [(disk, _, image)] = protected([form], folder, boot, new_image)
    switches = f"/sys/block/{disk}/integrity"
    guest.run(f"echo 0 >{switches}/write_generate; echo 0 >{switches}/read_verify")
    with watch(guest, folder, *TOLD) as trace:
        verified(guest, disk, [{"bs": "64k", "iodepth": 4, "size": "512k"}])
    assert prinfo(trace.of("pci_nvme_dif_rw")) == {PRACT}
    assert_tuples(form, image, range(8))
    flip(image, form.metadata(5))
    assert not said_by_read(guest, disk, form, 5), "somebody checked what nobody was to check"
    guest.run(f"echo 1 >{switches}/read_verify")
    assert EILSEQ in said_by_read(guest, disk, form, 5)
    flip(image, form.metadata(5))
    # What the controller has made is what the host expects.
    guest.run(f"dd if=/dev/{disk} of=/dev/null bs=64k count=8 iflag=direct status=none")
    assert_orderly(guest)


@pytest.mark.parametrize("form", [Format(4096, 8, 1, interleaved=True), Format(16384, 8, 1)], ids=str)
def test_tuples_that_the_host_cannot_carry_are_the_controllers(boot: Boot, new_image: NewImage, folder: pathlib.Path,
                                                               form: Format) -> None:
    """Among the data, or with blocks so large that the block layer miscounts: its limit of a transfer would be 0."""
    guest, [(disk, _, image)] = protected([form], folder, boot, new_image)
    with watch(guest, folder, *TOLD) as trace:
        verified(guest, disk, [{"bs": "64k", "iodepth": 4, "size": "512k"}])
    assert prinfo(trace.of("pci_nvme_dif_rw")) == {PRACT, PRACT | CHECK_GUARD | CHECK_REFERENCE}
    assert_tuples(form, image, range(4))
    for place in (1, 7):
        flip(image, form.metadata(5) + place)
        assert EILSEQ in said_by_read(guest, disk, form, 5)
        flip(image, form.metadata(5) + place)
    told = guest.dmesg()
    assert GUARD in told and REFERENCE in told
    assert_orderly(guest)


def test_metadata_among_the_data_makes_no_disk(boot: Boot, new_image: NewImage) -> None:
    forms = [Format(512, 8, 0, interleaved=True), Format(4096, 16, 2, interleaved=True)]
    namespaces = [form.namespace(new_image(f"disk{form.ms}", SIZE)) for form in forms]
    guest = boot([Controller([*namespaces, Namespace(new_image("plain", SIZE))])], disks=1)
    told = [line for line in guest.dmesg().splitlines() if "left out" in line]
    print(told)
    assert len(told) == 2
    for nsid, (form, line) in enumerate(zip(forms, told), start=1):
        assert re.search(rf"rnvme .*: namespace {nsid}: left out: has {form.ms} bytes of metadata among the data", line)
    assert guest.disks() == [guest.disk(0, 3)]


def test_metadata_without_meaning_is_carried(boot: Boot, new_image: NewImage, folder: pathlib.Path) -> None:
    guest, disks = protected([Format(512, 8, 0), Format(4096, 64, 0)], folder, boot, new_image)
    for _, form, image in disks:
        with open(image, "r+b") as file:
            file.seek(form.metadata(0))
            file.write(b"\xa5" * form.ms * form.blocks)
    all_verified(guest, [disk for disk, _, _ in disks], "64k-64k")
    for _, form, image in disks:
        left = image.read_bytes()[form.metadata(0):][:form.ms * form.blocks]
        written = (512 << 10) // form.block * form.ms
        # Whoever writes without bringing some along writes zeros.
        assert left[:written] == bytes(written) and left[written:] == b"\xa5" * (len(left) - written), str(form)
    assert_orderly(guest)


def test_discarded_and_zeroed_blocks_are_read_in_spite_of_their_tuples(boot: Boot, new_image: NewImage,
                                                                      folder: pathlib.Path) -> None:
    guest, disks = protected([Format(4096, 16, 1), Format(4096, 16, 1, wide=True)], folder, boot, new_image)
    for disk, form, _ in disks:
        print(form)
        fill = f"dd if=/dev/urandom of=/dev/{disk} bs=64k count=4 oflag=direct status=none"
        look = f"cmp -n 262144 /dev/zero <(dd if=/dev/{disk} bs=64k count=4 iflag=direct status=none)"
        guest.run(f"for empty in blkdiscard 'blkdiscard -z' 'fallocate -z'; do "
                  f"{fill} && $empty -o 0 -l 262144 /dev/{disk} && {look} || exit 1; done", 60)
    assert counters(guest)["failed_requests"] == 0
    assert_orderly(guest)


def test_file_system_on_a_protected_disk_survives_buffered_writes(boot: Boot, new_image: NewImage,
                                                                  folder: pathlib.Path) -> None:
    guest, [(disk, _, _)] = protected([Format(4096, 8, 1)], folder, boot, new_image, 24 * MIB)
    mount = f"mount -t ext4 /dev/{disk} /tmp/m"
    # Without a journal ext4 changes its metadata while that is written, and the guard is one of the old. mke2fs makes
    # none by itself without its configuration, nor, without a word, where there are fewer than 2,048 blocks.
    guest.run(f"mkfs.ext4 -q -E nodiscard -O has_journal -J size=4 /dev/{disk} && mkdir /tmp/m && {mount}")
    assert "without journal" not in guest.dmesg()
    guest.run("for n in $(seq 10); do head -c 100000 /dev/urandom >/tmp/m/$n; done; sync")
    kept = guest.out("cd /tmp/m && sha256sum *[0-9]")
    guest.run(f"umount /tmp/m && {mount}")
    assert guest.out("cd /tmp/m && sha256sum *[0-9]") == kept
    guest.run(f"umount /tmp/m && e2fsck -fn /dev/{disk}")
    assert counters(guest)["failed_requests"] == 0
    assert_orderly(guest)
