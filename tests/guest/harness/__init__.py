# SPDX-License-Identifier: GPL-2.0
"""How a test gets a guest, and what it can do with it.

    def test_disks_have_the_right_size(boot, new_image):
        guest = boot([Controller([Namespace(new_image("a", 64 << 20), block=4096)])])
        assert guest.out(f"blockdev --getsize64 /dev/{guest.disk(0, 1)}") == str(64 << 20)

Fixtures (tests/guest/conftest.py):
  boot(controllers, machine=Machine(...), load=True, parameters="", disks=None) -> Guest
      Restores a booted machine (or boots one that is `cold`), loads the driver under test
      and waits for its disks (one a namespace, or as many as `disks` says). When the test
      ends the kernel's log is read, and a report in it fails the test, unless the test is
      marked `expects_complaints`; then QEMU is killed. May be called several times in one test.
  kernel -> Kernel                 the kernel of this test's guests: every test runs on both, see the marks
                                   stock_only, debug_only, io_suite and the others in pyproject.toml
  self_test_module -> str          where in the guest the module with deliberate mistakes is (debug kernel)
  new_image(name, size) -> Path    a sparse raw image, removed when the test passed
  folder -> Path                   this test's own folder (build/test/NAME), where serial.log is

On a Guest: run(command, timeout, check, stdin) -> Result(status, out, err); out(command);
spawn(command) -> Job with poll() and wait(timeout); qmp(command, **arguments);
device_add(driver, **properties); wait_event(name, timeout, matches); load(parameters) and
unload(); disks(), disk(controller, nsid), await_disks(count); dmesg(), serial();
write_file(path, data); kill() (a power cut: images then hold what was written). A command given as
text goes to bash, as a list straight to the program. Commands are bounded by `timeout` seconds.
Each controller is behind a root port of its own named rp<index>; pci_address(index) asks where. QEMU's
device ids are nvme<index>, block nodes nvme<index>n<nsid>, namespaces nvme<index>n<nsid>-ns.
How often to repeat something and how to sample a matrix: harness/sample.py; machines behind an IOMMU, with
bounce buffers, or that look for leaks: harness/machines.py.
Tests in the guest itself (tests/kselftest, KTAP): kselftest(guest) runs them and returns the report.

`make test RNVME_DRIVER=nvme` tries the tests on the stock driver; `make test TESTS=words` picks some.
"""

from typing import Callable

from rnvme_tool.guest import Guest, GuestFailure, Job, Result
from rnvme_tool.machine import Controller, Machine, Namespace, make_image

from .ktap import Report, kselftest, parse_ktap

# What the fixture `boot` is; its arguments are told above.
Boot = Callable[..., Guest]

__all__ = ["Boot", "Controller", "Guest", "GuestFailure", "Job", "Machine", "Namespace", "Report", "Result",
           "kselftest", "make_image", "parse_ktap"]
