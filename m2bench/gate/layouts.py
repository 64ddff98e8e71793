"""What a side's workers import: where its m2bench keeps things, what that knows, and whether it is the side's own.

Asked of a Python with the side's code on its path, since a base may be of any version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from m2bench.errors import UserError
from m2bench.processes.client import LAUNCHER
from m2bench.processes.environment import SAFE_PATH
from m2bench.records.spec import WorkloadSpec

from .repository import own_files
from .sides import Code


@dataclass(frozen=True)
class Layout:
    """Where a version of m2bench keeps the modules that a gate needs.

    They are the launcher of workers, the specifications of trials, the turns that trials take, and the trading system.
    """

    launcher: str
    spec: str
    turns: str
    trading: str

    def module_of(self, module: str) -> str:
        """Where this m2bench keeps the module of a system under test."""
        return self.trading if module == LAYOUTS[0].trading else module


LAYOUTS = (
    Layout(LAUNCHER, "m2bench.records.spec", "m2bench.processes.turns", WorkloadSpec.module),
    Layout("m2bench.launcher", "m2bench.spec", "m2bench.turns", "m2bench.workload"),  # until 0.1 had rooms
)


def layout_of(code: Code) -> Layout:
    """The layout of the m2bench that the side's workers would import; UserError where it is none that is known."""
    for layout in LAYOUTS:
        if has_module(code, layout.launcher):
            return layout
    raise _unknown_version(code)


def _unknown_version(code: Code) -> UserError:
    return UserError(
        f"the m2bench of {code.side} {code.name} is too old, or not whole: it cannot be asked for trials.",
        "Name a later base.",
    )


@cache
def origin(code: Code, module: str) -> Path | None:
    """The file that the side's workers would import ``module`` from; None when they would find none."""
    program = "import importlib.util as u, sys; s = u.find_spec(sys.argv[1]); print(s and s.origin or '')"
    found = _told(code, program, module)
    return Path(found).resolve() if found else None


def has_module(code: Code, module: str) -> bool:
    """Whether the package that the side's workers would import has this module itself.

    An editable installation of another version lends a package the modules that it lacks.
    """
    own, found = origin(code, module.partition(".")[0]), origin(code, module)
    return own is not None and found is not None and own.parent in found.parents


def spec_fields(code: Code, module: str) -> dict[str, list[str]]:
    """The fields that the side's workers know of each specification in ``module``."""
    program = (
        "import dataclasses, importlib, json, sys; s = importlib.import_module(sys.argv[1]); "
        "names = 'WorkloadSpec', 'WindowSpec', 'TrialSpec'; "
        "print(json.dumps({n: [f.name for f in dataclasses.fields(getattr(s, n))] for n in names}))"
    )
    answer = _told(code, program, module)
    if not answer:
        raise _unknown_version(code)
    found: dict[str, list[str]] = json.loads(answer)
    return found


def _told(code: Code, program: str, *arguments: str) -> str:
    """What a program prints with this side's code on its path; nothing when it fails."""
    return subprocess.run(
        [sys.executable, SAFE_PATH, "-c", program, *arguments],
        env=os.environ | code.environment, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip


def refuse_foreign_code(code: Code, module: str, repo: Path) -> None:
    """UserError unless the side's workers would import ``module``, and what it imports, from this side's own code.

    Both sides would otherwise run the same code, and nothing would ever be found.
    """
    found = origin(code, module)
    if found is None or code.path is None or code.path.resolve() not in found.parents:
        package = module.partition(".")[0]
        raise UserError(
            f"{code.side} {code.name} has no {package}: the module {module} is not among its code.",
            "Name a base that has it." if code.side == "base" else "Run the gate in the repository that holds it.",
        )
    shared = {str(repo.resolve() / name) for name in own_files(repo)}.intersection(_imported(code, module))
    if shared:
        raise UserError(
            f"{code.side} {code.name} would import {min(shared)} from the working tree itself, so that both sides run "
            "the same code.",
            "Let the repository's pyproject.toml install it, name its folder in PYTHONPATH, or take it off the import "
            "path (an editable installation puts it there).",
        )


def refuse_shared_copy(code: Code, workload: WorkloadSpec) -> None:
    """UserError unless the side has a copy of its own of the user's trainer, in the folder in which it runs.

    Both sides would otherwise run what lies there now, and nothing would ever be found.
    """
    folder, named = workload.folder, str(workload.options.get("trainer") or workload.options.get("command"))
    if code.repo is not None and (Path(named).is_absolute() or str(code.repo.resolve()) in named):
        raise UserError(
            f"{named} names a file by its absolute path, so that both sides would run the same one.",
            "Name it from the folder in which you run the check.",
        )
    place = code.place_of(folder)
    if place == folder:
        raise UserError(f"{folder} is not in the repository {code.repo}.", "Run the check in a folder of it.")
    if not Path(place).is_dir():
        raise UserError(f"{code.side} {code.name} has no folder {Path(folder).name}.", "Name a base that has it.")
    file = named.rpartition(":")[0]
    if file.endswith(".py") and not Path(place, file).is_file():
        advice = {
            "base": "Name a base that has it, or hold the working tree against a floor with --min.",
            "head": "Name one that is there, and that git does not ignore.",
        }
        raise UserError(f"{code.side} {code.name} has no {file}.", advice[code.side])


def _imported(code: Code, module: str) -> list[str]:
    """The files that the side's workers have imported after ``module``; none when it does not import."""
    program = (
        "import importlib, json, os, sys; importlib.import_module(sys.argv[1]); files = [getattr(m, '__file__', None) "
        "for m in list(sys.modules.values())]; print(json.dumps([os.path.realpath(f) for f in files if f]))"
    )
    answer = _told(code, program, module)
    files: list[str] = json.loads(answer.splitlines()[-1]) if answer else []
    return files
