"""The real command line: as a process of its own, or within this one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import prepared_launcher
import pytest
from laid_out import leave_pictures_empty
from repository import SUPPORT

from m2bench.cli import ablate, command, scale
from m2bench.cli.app import app, main
from m2bench.cli.command import asked_by
from m2bench.inspect import doctor, forward
from m2bench.processes.client import Launcher
from m2bench.records.description import Prepared
from m2bench.records.spec import WindowSpec, WorkloadSpec
from m2bench.run import quiet
from m2bench.run.describe import prepare

COMMAND = str(Path(sys.executable).parent / "m2bench")
# The PYTHONPATH of a command that is a process of its own, and whose launchers start at once nevertheless.
AT_ONCE = os.pathsep.join(map(str, (SUPPORT, SUPPORT / "launchers_at_once")))
FAKE = ("--workload", "fake_workload", "--quick", "--learning", "off")
# Of updates that take milliseconds; what is asked for with --quick is five times as long.
QUICKER = WindowSpec(warmup_s=0.05, warmup_updates=1, timed_s=0.1, timed_updates=1, timed_most_s=0.1, timed_error=0.03)


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SUPPORT), **changes}


def m2bench(*arguments: str, cwd: Path, timeout: float = 240, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def typed(
    *arguments: str, cwd: Path, draws: bool = False, window: WindowSpec = QUICKER, **changes: str
) -> subprocess.CompletedProcess[str]:
    """The same command line in this process, at a small part of the time.

    A launcher starts at once (prepared_launcher.py), ``--quick`` and the doctor have this ``window``, other load is
    looked at for a moment, ``forward`` checks the device on short episodes, and of a report's charts only the pictures
    are empty, unless it ``draws`` them.
    """
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        for name, value in {"PYTHONPATH": str(SUPPORT), **changes}.items():  # for its workers
            patch.setenv(name, value)
        prepared_launcher.prepare(patch)
        for module in (ablate, scale):
            patch.setattr(module, "QUICK", window)
        patch.setattr(doctor, "WINDOW", window)
        patch.setattr(quiet, "SAMPLE_S", 0.1)
        patch.setattr(forward, "prepare", _prepare_on_short_episodes)
        if not draws:
            leave_pictures_empty(patch)
        patch.setattr(sys, "argv", ["m2bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


class _CommandRead(Exception):  # noqa: N818 (it is no error)
    """A command line was read; with what its command's function would have been called."""


def asked_for(command_line: str) -> dict[str, Any]:
    """What a command line asks of its command's function, which is not called.

    UsageError for what the command does not take, UserError for a value that cannot be.
    """

    def read(*given: Any) -> NoReturn:
        raise _CommandRead(asked_by(*given))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "asked_by", read)
        try:
            app(shlex.split(command_line)[1:], standalone_mode=False)
        except _CommandRead as found:
            arguments: dict[str, Any] = found.args[0]
            return arguments
    raise AssertionError(f"{command_line}: no command was called")


def _prepare_on_short_episodes(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> Prepared:
    """Passes have no episodes, and what checks the device takes as long as these are."""
    return prepare(launcher, replace(workload, options={**workload.options, "episode_length": 8}), logs)
