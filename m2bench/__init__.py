"""m2bench: which optimizations of a reinforcement-learning trainer pay, on the machine in front of you."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .findings.frames import Run

__version__ = "0.1.0"


def load_run(folder: str | Path) -> Run:
    """Read the run in a folder that ``m2bench ablate`` wrote, finished or not.

    Its trials, effects, combinations and interactions are pandas frames; docs/python.md has their columns. Raises
    ``m2bench.errors.UserError`` when there is no run, or it cannot be read.
    """
    from .findings.frames import read_run  # pandas and SciPy take a second, which `import m2bench` must not

    return read_run(Path(folder))
