"""The gate's git worktrees: its own go, and nobody else's do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_gate_command import git

from m2bench.gate.sides import base_code, remove_leftovers


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "a commit")
    return folder


def known_to(repo: Path) -> set[Path]:
    """The worktrees that git knows of, there or not, without the first."""
    lines = git(repo, "worktree", "list", "--porcelain").splitlines()
    return {Path(line.partition(" ")[2]) for line in lines if line.startswith("worktree ")} - {repo}


def test_a_worktree_that_was_moved_away_for_a_moment_is_not_forgotten(repo: Path, tmp_path: Path) -> None:
    users, away, work = tmp_path / "users", tmp_path / "away", tmp_path / "work"
    git(repo, "worktree", "add", "--detach", str(users))
    users.rename(away)
    work.mkdir()
    with base_code(repo, git(repo, "rev-parse", "HEAD"), work, tmp_path) as code:
        assert known_to(repo) == {users, work / "tree"}
        assert code.path.is_dir()
    assert known_to(repo) == {users}
    assert not (work / "tree").exists()
    away.rename(users)
    assert git(users, "status", "--porcelain") == ""


@pytest.mark.parametrize("left", ["whole", "emptied", "gone", "locked"])
def test_leftovers_are_removed_in_whatever_state(left: str, repo: Path, tmp_path: Path) -> None:
    ours = tmp_path / "m2bench-gate-ab12_x9z" / "base" / "tree"
    git(repo, "worktree", "add", "--detach", str(ours))
    if left in ("emptied", "gone"):
        shutil.rmtree(ours)
    if left == "emptied":
        ours.mkdir()
    if left == "locked":
        git(repo, "worktree", "lock", str(ours))
    remove_leftovers(repo)
    assert known_to(repo) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


@pytest.mark.parametrize("name", ["m2bench-gate-fixes/tree", "m2bench-gate-fixes/base/tree", "m2bench-gate-ab12_x9z"])
def test_a_users_worktree_of_a_similar_name_stays(name: str, repo: Path, tmp_path: Path) -> None:
    users = tmp_path / name
    git(repo, "worktree", "add", "--detach", str(users))
    (users / "new.txt").write_text("not committed")
    remove_leftovers(repo)
    assert known_to(repo) == {users}
    assert (users / "new.txt").exists()
