"""Imports a user's function, and says where in their code something was raised."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from m2bench.records.errors import TrainerError, UserError


def import_function(name: str, folder: Path) -> Callable[..., Any]:
    """The generator function ``file.py:function`` or ``package.module:function``, from ``folder``.

    Raises UserError where it is not there, cannot be imported, or is no generator.
    """
    place, _, function = name.rpartition(":")
    module = _import_file(folder / place) if place.endswith(".py") else _import_module(place)
    found = getattr(module, function, None)
    if found is None:
        there = [n for n, value in vars(module).items() if inspect.isgeneratorfunction(value)]
        raise UserError(
            f"{place} has no function {function}.",
            f"It has: {', '.join(there)}." if there else "It has no generator function at all: one with a yield.",
        )
    if not inspect.isgeneratorfunction(found):
        raise UserError(f"{name} is no generator.", "Let it yield after every optimizer step, as in: yield len(batch).")
    return found  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path} is not there.", "Name a Python file, as in my_trainer.py:train.")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # data loaders' processes and pickle find what is defined there
    with _imported(str(path)):
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    with _imported(name):
        return importlib.import_module(name)


@contextmanager
def _imported(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UserError(f"{name} cannot be imported: {_said(error)}.", "Mend it, and run again.") from error


@contextmanager
def told_by(function: Callable[..., Any]) -> Iterator[None]:
    """Turn what the user's code raises into a TrainerError with the line of their code."""
    try:
        yield
    except (TrainerError, UserError):
        raise
    except Exception as error:
        raise TrainerError(_said(error)) from error


def _said(error: Exception) -> str:
    """An error with the last line of the user's code that it came through."""
    lines = str(error).strip().splitlines() or ["(no message)"]
    ours = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((ours, "<"))]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {lines[0]}{where}"
