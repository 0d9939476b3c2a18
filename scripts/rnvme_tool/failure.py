# SPDX-License-Identifier: GPL-2.0
"""The one way to end with an error: one line, what happened and how to mend it."""

from __future__ import annotations


class Failure(Exception):
    """Ends the program with status 1; its text is the last line printed."""
