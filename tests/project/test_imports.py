"""Imports point one way, and the parent never imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from repository import ROOT

import m2bench
import m2bench.baselines
import m2bench.optimizations

FOLDERS = {
    "m2bench": Path(str(m2bench.__file__)).parent,
    "m2bench.baselines": Path(str(m2bench.baselines.__file__)).parent,
    "m2bench.optimizations": Path(str(m2bench.optimizations.__file__)).parent,
}

# Which room may import which, in the order in which data flows. The parent's side never imports torch; systems.trading
# is the one room that knows the trading system and its layers.
MAY_IMPORT = {
    "records": "",
    "options": "records",
    "store": "records options",
    "summary": "records options",
    "text": "records options",
    "statistics": "records",
    "machine": "records",
    "plan": "records options store statistics machine",
    "processes": "records options store machine",
    "run": "records options store machine plan processes",
    "fleet": "records options store text machine plan processes run",
    "findings": "records options store summary text statistics machine plan",
    "report": "records options store summary text statistics machine findings",
    "inspect": "records options store summary text statistics machine plan processes run findings",
    "gate": "records options store text statistics processes run",
    "cli": "records options store text plan processes run fleet findings report inspect gate",
    "devices": "records store machine",
    "systems": "records devices",
    "baselines": "",
    "optimizations": "records options baselines devices",
    "systems.command": "records options store machine processes",
    "systems.function": "records options store devices systems",
    "systems.trading": "records options plan devices systems baselines optimizations",
    "worker": "records options store statistics machine processes devices systems",
}
TORCH = {
    "systems",
    "devices",
    "baselines",
    "optimizations",
    "systems.command",
    "systems.function",
    "systems.trading",
    "worker",
}
HEAVY = {"torch", "gymnasium"}
# Which modules name devices: those about the device itself, its name as an option, and its kernels.
KNOW_DEVICES = {"torch_device", "compiler", "device_speed", "device_description", "option", "kernel_tables"}


def imports_of(path: Path, package: str) -> set[str]:
    """Absolute names of all modules imported anywhere in the file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def files(package: str) -> list[Path]:
    """The package's modules, with those of its folders; the other two packages may lie within the first."""
    others = {folder for name, folder in FOLDERS.items() if name != package}
    return sorted(path for path in FOLDERS[package].rglob("*.py") if not others & {*path.parents})


def package_of(path: Path) -> str:
    for package in ("m2bench.baselines", "m2bench.optimizations"):
        if FOLDERS[package] in path.parents:
            return package
    return ".".join(("m2bench", *path.relative_to(FOLDERS["m2bench"]).parts[:-1]))


def room_of(module: str) -> str | None:
    """The room that a module of ours is in, the innermost one; None for another's, and for the package itself."""
    name = module.removeprefix("m2bench.")
    inside = [room for room in MAY_IMPORT if name == room or name.startswith(f"{room}.")]
    return max(inside, key=len, default=None) if module.startswith("m2bench.") else None


EVERY_FILE = [path for package in FOLDERS for path in files(package) if path.parent != FOLDERS["m2bench"]]


def test_every_file_lies_in_a_room_of_the_table() -> None:
    assert {room_of(package_of(path)) for path in EVERY_FILE} == {*MAY_IMPORT}


def test_the_table_has_no_cycle() -> None:
    """In the order of the table a room imports only rooms above it: first the parent's side, then the worker's."""
    above: set[str] = set()
    for room in [*(r for r in MAY_IMPORT if r not in TORCH), *(r for r in MAY_IMPORT if r in TORCH)]:
        beyond = {*MAY_IMPORT[room].split()} - above
        assert not beyond, f"{room} imports {beyond}"
        above.add(room)


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_room_imports_what_the_table_allows(path: Path) -> None:
    names = imports_of(path, package_of(path))
    room = room_of(package_of(path))
    assert room is not None
    assert {room_of(name) for name in names} - {None, room} <= {*MAY_IMPORT[room].split()}
    if room not in TORCH:
        assert not {name.split(".")[0] for name in names} & HEAVY
        assert not {name for name in names if room_of(name) in TORCH}


def test_the_table_allows_nothing_that_no_module_needs() -> None:
    needed: dict[str | None, set[str | None]] = defaultdict(set)
    for path in EVERY_FILE:
        needed[room_of(package_of(path))] |= {room_of(name) for name in imports_of(path, package_of(path))}
    for room, allowed in MAY_IMPORT.items():
        assert {*allowed.split()} <= needed[room], room


@pytest.mark.parametrize("path", files("m2bench.baselines"), ids=lambda path: path.stem)
def test_baselines_import_nothing_of_the_harness(path: Path) -> None:
    ours = {name for name in imports_of(path, "m2bench.baselines") if name.split(".")[0] == "m2bench"}
    assert all(name.startswith("m2bench.baselines") for name in ours), ours


@pytest.mark.parametrize("path", files("m2bench.optimizations"), ids=lambda path: path.stem)
def test_no_layer_imports_a_layer_or_the_harness(path: Path) -> None:
    names = {n for n in imports_of(path, "m2bench.optimizations") if n.startswith("m2bench")}
    layers = {f"m2bench.optimizations.{m}" for m in m2bench.optimizations.LAYERS.values()}
    assert not names & layers
    harness = {n for n in names if not n.startswith(("m2bench.baselines", "m2bench.optimizations"))}
    declaring = ("options.option", "records.description", "records.results", "records.rules")
    harness = {n for n in harness if not n.startswith(tuple(f"m2bench.{module}" for module in declaring))}
    devices = {f"m2bench.devices.{module}" for module in ("torch_device", "compiler")}
    assert harness <= {"m2bench", "m2bench.records", "m2bench.options", "m2bench.devices", *devices}


@pytest.mark.parametrize("package", ["m2bench.baselines", "m2bench.optimizations"])
def test_nobody_imports_the_top_level_folders(package: str) -> None:
    for path in files(package):
        assert not {n.split(".")[0] for n in imports_of(path, package)} & {"baselines", "optimizations"}


def test_only_some_modules_ask_which_device_it_is() -> None:
    for package in FOLDERS:
        for path in files(package):
            if path.stem in KNOW_DEVICES:
                continue
            words = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
            assert not words & {"mps", "cuda"}, path


def test_the_command_line_waits_for_no_library_that_a_command_may_not_need() -> None:
    heavy = {"numpy", "pandas", "scipy", "matplotlib", "rich.table", "torch"}
    code = f"import sys, m2bench.cli.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_parent_loads_no_torch() -> None:
    code = (
        "import sys; import m2bench.cli.app, m2bench.run.run_ablation, m2bench.inspect.train; "
        "import m2bench.report.write_report, m2bench.gate.run_check; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dask_is_imported_for_several_machines_alone() -> None:
    """Nor is it where their modules are imported, until a scheduler is asked for."""
    code = (
        "import sys; import m2bench.cli.app, m2bench.run.run_ablation, m2bench.fleet.parent; "
        "import m2bench.fleet.hosts, m2bench.report.write_report; "
        "sys.exit(bool({'dask', 'distributed', 'asyncssh'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tests_lie_in_folders_that_are_called_as_the_rooms_are() -> None:
    """But for what is about no room alone."""
    tests = ROOT / "tests"
    folders = {".".join(path.parent.relative_to(tests).parts) for path in tests.rglob("test_*.py")}
    assert folders - {*MAY_IMPORT} == {"project", "benchmarks"}


def test_no_test_module_imports_another() -> None:
    """What several of them use lies in tests/support."""
    for path in (ROOT / "tests").rglob("*.py"):
        names = imports_of(path, "")
        assert not [name for name in names if name.startswith(("test_", "conftest"))], path
