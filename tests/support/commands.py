"""The real command line: as a process of its own, or within this one."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import prepared_launcher
import pytest
from repository import SUPPORT

from m2bench.cli.app import main

COMMAND = str(Path(sys.executable).parent / "m2bench")
FAKE = ("--workload", "fake_workload", "--quick", "--learning", "off")


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SUPPORT), **changes}


def m2bench(*arguments: str, cwd: Path, timeout: float = 240, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def typed(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """The same command line in this process, with a launcher that starts at once: a small part of the time."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        for name, value in {"PYTHONPATH": str(SUPPORT), **changes}.items():  # for its workers
            patch.setenv(name, value)
        prepared_launcher.prepare(patch)
        patch.setattr(sys, "argv", ["m2bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())
