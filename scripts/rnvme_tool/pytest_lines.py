# SPDX-License-Identifier: GPL-2.0
"""A pytest plugin: one line a test, when it ends, in place of pytest's own progress."""

from __future__ import annotations

from typing import Any, Tuple

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> Tuple[str, str, str]:
    """Categories as pytest has them, but without its letters and dots."""
    if report.when in ("setup", "teardown"):
        return ("error" if report.failed else report.outcome if report.skipped else "", "", "")
    return report.outcome, "", ""


class Lines:
    """Prints the lines; under xdist only the controlling process does."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test is told of once: when its body ends, or when its set-up or end fails."""
        if report.when == "call" or report.outcome != "passed":
            terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            word = {"passed": "ok    ", "failed": "FAILED", "skipped": "SKIP  "}[report.outcome]
            where = "" if report.when == "call" else f" ({report.when})"
            terminal.write_line(f"  {word} {report.duration:6.1f} s  {report.nodeid}{where}")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the printer, once."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Lines(config))
