"""``pytest --m2bench`` as a user would type it, and that it asks the gate once. What it finds: test_gate_command.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import environment

from m2bench.gate import pytest_plugin
from m2bench.gate.pytest_plugin import ASPECTS, Gate


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a project of one test."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")
    alone = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("beside", [("-n", "2"), ("--dist", "load", "--tx", "2*popen")])
def test_beside_other_tests_it_is_refused(beside: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--m2bench", *beside)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "Run it with -n 0." in done.stderr
    assert "Traceback" not in done.stderr


def test_other_tests_may_run_side_by_side(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-n", "1")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("plugins", [(), ("-p", "no:timeout"), ("-p", "no:timeout", "-p", "no:xdist")])
def test_it_needs_no_other_plugin(plugins: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--m2bench", "--strict-markers", "--collect-only", *plugins)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"m2bench check: {aspect}" in done.stdout for aspect in ASPECTS)


def test_a_gate_that_fails_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def refused(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "error: the base 'nowhere' is no commit\n")

    monkeypatch.setattr(pytest_plugin.subprocess, "run", refused)
    gate = Gate(["--base", "nowhere"], tmp_path)
    for _ in ASPECTS:
        with pytest.raises(pytest.fail.Exception, match="the base 'nowhere' is no commit"):
            gate.document()
    assert len(commands) == 1
