"""Launchers that start at once (prepared_launcher.py), for a command in a process of its own: see commands.AT_ONCE."""

from __future__ import annotations

import sys
from pathlib import Path

if Path(sys.orig_argv[1]).name == "m2bench":
    import prepared_launcher
    import pytest

    prepared_launcher.prepare(pytest.MonkeyPatch())
