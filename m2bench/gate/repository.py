"""The git repository that a gate takes its code from: commits, worktrees, what belongs to the working tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m2bench.errors import UserError

WORK_PREFIX = "m2bench-gate-"  # of the temporary folders that gates work in
OUR_WORKTREE = re.compile(rf"/{WORK_PREFIX}[a-z0-9_]{{8}}/(base|head)/tree$")
NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")  # those of the user's are for checkouts of their own
SHORT = 10  # characters of a commit's name


def repository(folder: Path) -> Path:
    """The git repository that ``folder`` lies in; UserError when there is none, or git does not take it for one."""
    try:
        done = _git(folder, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise UserError("git is not installed, and m2bench check gets the code from it.", "Install git.") from None
    if done.returncode:
        raise UserError(
            f"{folder} is not in a git repository, and m2bench check gets the code from one.", "Run it in a clone."
        )
    return Path(done.stdout.strip())


def has_repository(folder: Path) -> bool:
    """Whether ``folder`` lies in a git repository, be git installed or not."""
    return any((above / ".git").exists() for above in (folder, *folder.parents))


def git_folder(repo: Path) -> Path:
    """Where git keeps what all worktrees of the repository share."""
    return (repo / git_answer(repo, "rev-parse", "--git-common-dir")).resolve()


def find_commit(repo: Path, ref: str) -> str:
    """The full name of the commit ``ref``; UserError, with what to fetch, when it is not there."""
    done = _git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if not done.returncode:
        return done.stdout.strip()
    if _git(repo, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise UserError(
            f"the base {ref!r} is not in this clone, which is a shallow one.",
            f"Fetch it: git fetch --depth=1 origin {ref} and use FETCH_HEAD, or git fetch --unshallow; with "
            "actions/checkout, set fetch-depth: 0.",
        )
    remote = _git(repo, "rev-parse", "--verify", "--quiet", f"origin/{ref}^{{commit}}").returncode == 0
    advice = (
        f"Did you mean origin/{ref}?" if remote else "Name a branch, tag or commit; git fetch brings those of others."
    )
    raise UserError(f"the base {ref!r} is not a commit in {repo}.", advice)


@contextmanager
def worktree(repo: Path, commit: str, folder: Path, *options: str) -> Iterator[Path]:
    try:
        done = _git(repo, *NO_HOOKS, "worktree", "add", "--detach", *options, str(folder), commit)
        if done.returncode:
            raise UserError(
                f"git cannot check out {commit[:SHORT]} into {folder}: {_last_line(done.stderr)}.",
                "Solve that, and run the check again.",
            )
        yield folder
    finally:
        _remove_worktree(repo, folder)


def remove_leftovers(repo: Path) -> None:
    """Remove the worktrees of gates that were killed; to be called by the only gate at work in the repository."""
    for line in git_answer(repo, "worktree", "list", "--porcelain").splitlines():
        kind, _, name = line.partition(" ")
        if kind == "worktree" and OUR_WORKTREE.search(name):
            folder = Path(name)
            _remove_worktree(repo, folder)
            shutil.rmtree(folder.parent.parent, ignore_errors=True)


def own_files(repo: Path) -> list[str]:
    """What belongs to the working tree: tracked files and new ones that git does not ignore, relative to it."""
    names = git_answer(repo, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return sorted({name for name in names.split("\0") if name})  # one in conflict is there three times


def _remove_worktree(repo: Path, folder: Path) -> None:
    """Remove this worktree alone: to prune them would forget those of users that are not there at the moment."""
    shutil.rmtree(folder, ignore_errors=True)
    _git(repo, "worktree", "remove", "--force", "--force", str(folder))  # once is not enough for a locked one


def git_answer(repo: Path, *arguments: str) -> str:
    done = _git(repo, *arguments)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)} failed: {_last_line(done.stderr)}.", f"Look at {repo}.")
    return done.stdout.strip()


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False, errors="surrogateescape"
    )


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "no reason was given"
