# SPDX-License-Identifier: GPL-2.0
"""What stands behind the `make` targets: see scripts/rnvme.py.

The host stage (Python 3.9, standard library only) prepares the build root, the
kernel's build folder, the guest image and the module; the inside stage runs in
the build root, where Debian's pytest and qemu.qmp are, and boots guests.
"""
