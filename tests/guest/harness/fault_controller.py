# SPDX-License-Identifier: GPL-2.0
"""The fault controller for tests: the same that `make faults` uses (rnvme_tool/fault_controller.py)."""

from rnvme_tool.fault_controller import FaultController, reachable

__all__ = ["FaultController", "reachable"]
