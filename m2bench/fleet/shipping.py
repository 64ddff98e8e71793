"""What is sent to the machines: the files of a user's trainer, and the market."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from m2bench.errors import UserError
from m2bench.options.known_systems import DOORS, PROGRAMS
from m2bench.records.spec import WorkloadSpec

LARGEST_MB = 256.0
"""Larger market files are to be copied to the machines by other means."""
CODE, DATA = "code", "data"
"""Folders on the machine."""


@dataclass(frozen=True)
class Shipped:
    """Files by their paths from the folder that the trainer works in, and the market's file by its name."""

    code: tuple[tuple[str, bytes], ...] = ()
    data: tuple[str, bytes] | None = None

    def unpack(self, workload: WorkloadSpec, folder: Path) -> WorkloadSpec:
        """Write the files below ``folder``; the workload that finds them there."""
        for name, content in self.code:
            _write(folder / CODE / name, content)
        if self.code:
            workload = replace(workload, folder=str(folder / CODE))
        if self.data is not None:
            name, content = self.data
            _write(folder / DATA / name, content)
            symbol = workload.data.rpartition(name)[2]
            workload = replace(workload, data=f"{folder / DATA / name}{symbol}")
        return workload


def shipped_for(workload: WorkloadSpec) -> Shipped:
    """What the machines need to have of this workload.

    Of a function the Python files that it imports from its folder; nothing of a command, which may use any file. Raises
    UserError for a market file that is too large.
    """
    return Shipped(tuple(_code(workload)), _data(workload.data))


def _code(workload: WorkloadSpec) -> Iterator[tuple[str, bytes]]:
    if workload.module not in DOORS or workload.module in PROGRAMS:
        return
    folder = Path(workload.folder)
    place = str(workload.options["trainer"]).rpartition(":")[0]
    first = folder / place if place.endswith(".py") else _file_of(place, [folder])
    for file in sorted(_with_imports(first, folder)):
        if file.resolve().is_relative_to(folder.resolve()):
            yield str(file.resolve().relative_to(folder.resolve())), file.read_bytes()


def _with_imports(first: Path | None, folder: Path) -> set[Path]:
    """The file and those that it and they import, from their own folders or this one."""
    found: set[Path] = set()
    waiting = [first]
    while waiting:
        file = waiting.pop()
        if file is None or file in found or not file.is_file():
            continue
        found.add(file)
        waiting += [parent / "__init__.py" for parent in file.parents if parent.is_relative_to(folder)]
        waiting += [_file_of(name, [file.parent, folder]) for name in _imported(file)]
    return found


def _imported(file: Path) -> Iterator[str]:
    """Names of all that may be a module among what a file imports; of relative imports from the file's own package."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return  # the worker tells of it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = [".."] * max(0, node.level - 1)
            module = [node.module] if node.module else []
            yield from ("/".join((*above, ".".join((*module, alias.name)))) for alias in node.names)
            if module:
                yield "/".join((*above, *module))


def _file_of(module: str, folders: Iterable[Path]) -> Path | None:
    """The file of a module that lies in one of these folders."""
    *above, name = module.split("/")
    for folder in folders:
        path = Path(folder, *above, *name.split("."))
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _data(data: str) -> tuple[str, bytes] | None:
    """The market's file where there is one here: FILE, or FILE#SYMBOL."""
    file = next((Path(name) for name in (data, data.partition("#")[0]) if Path(name).is_file()), None)
    if file is None:
        return None
    size_mb = file.stat().st_size / 1e6
    if size_mb > LARGEST_MB:
        raise UserError(
            f"{file} has {size_mb:,.0f} MB, and at most {LARGEST_MB:,.0f} MB are sent to the machines.",
            "Copy it to the same path on each of them, and start this command where that path is not.",
        )
    return file.name, file.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
