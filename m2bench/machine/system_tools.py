"""Asking the tools that come with the system. Whoever wants to know something of them asks here."""

from __future__ import annotations

import os
import subprocess

# Where macOS keeps them. Not every PATH names the second, which has sysctl and ioreg.
FOLDERS = ("/usr/bin", "/usr/sbin")
TIMEOUT_S = 5.0


def output_of(*command: str) -> str:
    """What a tool prints. Raises OSError where there is none, subprocess.TimeoutExpired where it hangs."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *FOLDERS))
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment
    ).stdout


def answer_of(*command: str) -> str:
    """The same without the space around it; nothing where there is no such tool, or it hangs."""
    try:
        return output_of(*command).strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
