"""Imports a user's function."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from m2bench.errors import TrainerError, UserError

from .raised import UsersCode, is_library
from .source import place_of, place_of_step, undecorated

RELATIVE_IMPORT = "attempted relative import with no known parent package"  # what Python says of it
Train = Callable[..., Iterator[Any]]


@dataclass(frozen=True)
class UserTrainer:
    """A user's generator function: as it was named, itself, and the module that was named."""

    name: str
    train: Train
    module: ModuleType

    @property
    def function(self) -> str:
        """The name of the function alone."""
        return self.name.rpartition(":")[2]


def import_trainer(name: str, folder: Path) -> UserTrainer:
    """The generator function ``file.py:function`` or ``package.module:function``, from ``folder``.

    Raises UserError where it is not there, cannot be imported, or is no generator.
    """
    place, _, function = name.rpartition(":")
    sys.argv = [place]  # the worker's own are nothing to the user's code
    try:
        module = _import_file(folder / place) if place.endswith(".py") else _import_module(place)
    except TrainerError as error:
        advice = "Correct it, and run again."
        if place.endswith(".py") and RELATIVE_IMPORT in str(error):
            module_name = ".".join(Path(place).with_suffix("").parts)
            advice = f"Name it as a module of its package: {module_name}:{function}."
        raise UserError(f"{place} cannot be imported: {error}.", advice) from error
    if not hasattr(module, function):
        raise UserError(f"{place} has no function {function}.", _functions_of(place, module))
    found = getattr(module, function)
    _refuse_no_generator(name, function, found)
    return UserTrainer(name, found, module)


def users_files(trainer: UserTrainer) -> list[Path]:
    """The trainer's file, and those of modules that it has imported from its folder or the one that it works in."""
    own = Path(str(trainer.module.__file__))
    imported = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    files = [Path(file) for file in imported if file and not is_library(file)]
    return [own, *(file for file in files if any(map(file.is_relative_to, (own.parent, Path.cwd()))))]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path} is not there.", "Name a Python file, as in my_trainer.py:train.")
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path):
        raise UserError(f"{path} has the name of a module that Python or torch uses: {name}.", "Give it another one.")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data-loading processes and pickle find by its name what is defined there
    with UsersCode():
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    with UsersCode():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UserError(
                f"there is no module {error.name}, neither here nor installed.",
                "Name a file, such as my_trainer.py:train, or a module as you would import it.",
            ) from error


def _functions_of(place: str, module: ModuleType) -> str:
    """Which functions there are to choose from: the generators, or where there are none, all that are its own."""
    own = [
        (name, value)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    generators = [name for name, value in own if inspect.isgeneratorfunction(undecorated(value))]
    if generators:
        return f"It has: {', '.join(f'{place}:{name}' for name in generators)}."
    there = ", ".join(name for name, _ in own)
    return f"It has {there or 'no function at all'}, of which none is a generator (a function with a yield)."


def _refuse_no_generator(name: str, function: str, found: Any) -> None:
    inner = undecorated(found) if callable(found) else found
    if inspect.isgeneratorfunction(inner):
        return
    if not inspect.isfunction(inner):
        what = f"a class ({place_of(found)})" if inspect.isclass(found) else f"no function, but {found!r:.80}"
        raise UserError(f"{name} is {what}.", "Name a function that trains, and yields after every optimizer step.")
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        raise UserError(f"{place_of(inner)}: {function} is async.", f"Write it with a plain def {function}.")
    step = place_of_step(inner)
    where = f"after the optimizer's step ({step})" if step else "after every optimizer step"
    raise UserError(
        f"{place_of(inner)}: {function} is no generator: it has no yield.",
        f"Add one {where}, inside the loop: yield len(batch), the number of samples of that step.",
    )
