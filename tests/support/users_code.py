"""A user's trainer, from its source, as a worker loads it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import CompletedWorkload
from m2bench.systems.function.system import FunctionWorkload, load_workload

FILE = "my_trainer.py"


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """What a process that works for one user's trainer alone does to itself is undone at the end."""
    known = {*sys.modules}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "argv", [*sys.argv])
        yield
    for name in {*sys.modules} - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def loaded(source: str, name: str = f"{FILE}:train", device: str = "auto") -> FunctionWorkload:
    """The trainer with this source, in the folder that this process works in."""
    Path(FILE).write_text(source)
    return load_workload(WorkloadSpec(device=device, options={"trainer": name}, folder=str(Path.cwd())))


def workload(source: str, name: str = f"{FILE}:train") -> tuple[CompletedWorkload, WorkloadSpec]:
    """The same with all that the harness asks of a workload, and what was asked for."""
    return CompletedWorkload(loaded(source, name)), WorkloadSpec(folder=str(Path.cwd()))
