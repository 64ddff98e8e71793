"""The two sides of a comparison: the code of a commit and that of the working tree, each ready to be run.

Each side is a git worktree of its own, so that what asks git while it is installed gets its answer on both. A tree that
can be installed is installed into a folder beside it; any other is used as it lies. That folder comes first on the
import path of the side's workers, and nothing else differs: interpreter, dependencies, environment and options are the
same.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from m2bench.errors import WorkerError, quoted

from .repository import NO_HOOKS, SHORT, git_answer, own_files, worktree

INSTALL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Code:
    """One side's code, to be imported from ``path``; where that is None, as it is installed.

    ``commit``: empty where it is in no repository. ``dirty``: it is not what was committed.
    ``also``: folders of the side that come after it, in place of those of the repository that PYTHONPATH names.
    ``repo``, ``tree``: the repository, and the side's own checkout of it; None where it is in none.
    """

    side: str
    commit: str
    dirty: bool
    path: Path | None
    also: tuple[Path, ...] = ()
    repo: Path | None = None
    tree: Path | None = None

    def place_of(self, folder: str) -> str:
        """Where a folder of the repository lies in this side's checkout; any other stays where it is."""
        if not folder or self.repo is None or self.tree is None:
            return folder
        root, asked = self.repo.resolve(), Path(folder).resolve()
        return str(self.tree / asked.relative_to(root)) if asked.is_relative_to(root) else folder

    @property
    def name(self) -> str:
        """The commit, or the working tree on top of it."""
        if not self.commit:
            return "in no git repository"
        return f"{self.commit[:SHORT]} with uncommitted changes" if self.dirty else self.commit[:SHORT]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a Python imports this side's code before anything else."""
        return {"PYTHONPATH": os.pathsep.join(map(str, (self.path, *self.also)))} if self.path else {}


def loose_code(folder: Path) -> Code:
    """The code of a folder in no repository: as it lies, or as it is installed where it is there to be installed."""
    is_package = _build_requirements(folder) is not None
    return Code("head", "", False, None if is_package else folder, _path_entries())


@contextmanager
def base_code(repo: Path, commit: str, work: Path, logs: Path) -> Iterator[Code]:
    """The code of a commit in a git worktree below ``work``, which is removed in the end."""
    with worktree(repo, commit, work / "tree") as folder:
        path = _installed(folder, work / "site", logs / "install-base.log", f"the base {commit[:SHORT]}")
        yield Code("base", commit, False, path, _python_path(repo, folder), repo, folder)


@contextmanager
def head_code(repo: Path, work: Path, logs: Path) -> Iterator[Code]:
    """The code of the working tree as it is now, as changes to a git worktree of HEAD below ``work``.

    The worktree is removed in the end.
    """
    commit = git_answer(repo, "rev-parse", "HEAD")
    dirty = bool(git_answer(repo, "status", "--porcelain"))
    with worktree(repo, commit, work / "tree", "--no-checkout") as folder:
        _copy_own_files(repo, folder)
        git_answer(folder, *NO_HOOKS, "reset", "--quiet")  # without a checkout git would take all files for new ones
        path = _installed(folder, work / "site", logs / "install-head.log", "the working tree")
        yield Code("head", commit, dirty, path, _python_path(repo, folder), repo, folder)


def _copy_own_files(repo: Path, folder: Path) -> None:
    """Tracked files and new ones that git does not ignore, as git sees them: a link is a link, whatever it leads to."""
    root = repo.resolve()
    for name in own_files(repo):
        source, target = root / name, folder / name
        if source.parent.resolve() != source.parent:
            continue  # deleted: a link has taken the place of its folder
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        elif source.is_dir() and not name.endswith("/"):  # a submodule, which git checks out empty; the others are new
            target.mkdir(parents=True, exist_ok=True)


def _python_path(repo: Path, tree: Path) -> tuple[Path, ...]:
    """The entries of PYTHONPATH; those that lie in the repository as they lie in a side's tree."""
    root = repo.resolve()
    return tuple(tree / entry.relative_to(root) if entry.is_relative_to(root) else entry for entry in _path_entries())


def _path_entries() -> tuple[Path, ...]:
    return tuple(Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)


def _installed(folder: Path, target: Path, log: Path, what: str) -> Path:
    """What to import the tree's code from: a folder that it is installed to, or the tree itself."""
    needed = _build_requirements(folder)
    if needed is None:
        return folder
    # Building in the environment as it is needs no network; where something is missing there, pip fetches all of it.
    here = ["--no-build-isolation"] if all(map(_is_met, needed)) else []
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *here,
               "--target", str(target), str(folder)]  # fmt: skip
    with log.open("wb") as stream:
        code = subprocess.run(
            command, stdout=stream, stderr=stream, timeout=INSTALL_TIMEOUT_S, check=False, env=_without_python_path()
        ).returncode
    if code:
        raise WorkerError(
            f"pip cannot install {what}.",
            f"Its output is in {quoted(log)}; the command was: {' '.join(command)}",
        )
    return target


def _build_requirements(folder: Path) -> list[Requirement] | None:
    """The packages that build the tree; None for a tree that is not there to be installed.

    A pyproject.toml may hold nothing but the settings of other tools. One that cannot be read is pip's to complain of.
    """
    path = folder / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text()) if path.exists() else {}
        if not project.keys() & {"project", "build-system"} and not (folder / "setup.py").exists():
            return None
        return list(map(Requirement, project.get("build-system", {}).get("requires", ["setuptools"])))
    except (ValueError, OSError):
        return []


def _is_met(requirement: Requirement) -> bool:
    """Whether the package is here in such a version; one that is not needed here is."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    versions = [found.version for found in importlib.metadata.distributions(name=requirement.name)]
    return bool(versions) and requirement.specifier.contains(versions[0], prereleases=True)


def _without_python_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
