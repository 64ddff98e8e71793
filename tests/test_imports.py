"""Imports point one way, and the parent never imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import m2bench
import m2bench.baselines
import m2bench.optimizations

FOLDERS = {
    "m2bench": Path(str(m2bench.__file__)).parent,
    "m2bench.baselines": Path(str(m2bench.baselines.__file__)).parent,
    "m2bench.optimizations": Path(str(m2bench.optimizations.__file__)).parent,
}
CHILD_SIDE = {
    "worker",
    "trial",
    "workload",
    "training",
    "devices",
    "gates",
    "referee",
    "stream",
    "learning_trial",
    "thread_times",
    "energy",
    "counters",
    "profiling",
    "profiler_window",
    "audit",
    "dry_run",
    "forward_passes",
}
HEAVY = {"torch", "gymnasium"}


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
    return ".".join(("m2bench", *path.relative_to(FOLDERS["m2bench"]).parts[:-1]))


def parents() -> list[Path]:
    return [path for path in files("m2bench") if package_of(path) != "m2bench" or path.stem not in CHILD_SIDE]


@pytest.mark.parametrize("path", parents(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_parent_side_imports_neither_torch_nor_the_child_side(path: Path) -> None:
    names = imports_of(path, package_of(path))
    allowed = {"m2bench.worker.jobs"} if path.stem in ("launcher", "spawned_worker") else set()
    banned = {f"m2bench.{name}" for name in CHILD_SIDE} - allowed
    assert not {name.split(".")[0] for name in names} & HEAVY
    assert not names & banned


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
    assert harness <= {"m2bench", "m2bench.devices.torch_device"}


@pytest.mark.parametrize("package", ["m2bench.baselines", "m2bench.optimizations"])
def test_nobody_imports_the_top_level_folders(package: str) -> None:
    for path in files(package):
        assert not {n.split(".")[0] for n in imports_of(path, package)} & {"baselines", "optimizations"}


def test_only_the_devices_module_asks_which_device_it_is() -> None:
    for package in FOLDERS:
        for path in files(package):
            if path.stem in ("devices", "cli", "options", "kernel_tables"):
                continue
            words = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
            assert not words & {"mps", "cuda"}, path


def test_the_command_line_waits_for_no_library_that_a_command_may_not_need() -> None:
    code = "import sys, m2bench.cli.app; print(sorted({'numpy', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_parent_loads_no_torch() -> None:
    code = (
        "import sys; import m2bench.cli.app, m2bench.run.ablation, m2bench.inspect.train, m2bench.report, m2bench.gate.job; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
