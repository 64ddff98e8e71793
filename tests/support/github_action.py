"""The step of ``action.yml``, run as GitHub runs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from repository import ROOT


def action() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return document


def run_bash(script: str, folder: Path, variables: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=dict(variables), capture_output=True, text=True, check=False)


def run_action(folder: Path, variables: Mapping[str, str] = os.environ, **inputs: str) -> tuple[int, str, str]:
    """Its exit code, what it prints, and what it sets as its outputs. ``inputs``: by the names in its environment."""
    (step,) = action()["runs"]["steps"]
    assert set(inputs) <= set(step["env"])
    told = folder.parent / "action-output"
    given = {**variables, **dict.fromkeys(step["env"], ""), "OUT": "out", **inputs, "GITHUB_OUTPUT": str(told)}
    done = run_bash(step["run"], folder, given)
    return done.returncode, done.stdout + done.stderr, told.read_text() if told.exists() else ""
