"""The gate's git worktrees: both sides are like copies; its own go in the end, and nobody else's do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from repository import git

from m2bench.gate.repository import remove_leftovers
from m2bench.gate.sides import base_code, head_code


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
        assert code.path is not None
        assert code.path.is_dir()
    assert known_to(repo) == {users}
    assert not (work / "tree").exists()
    away.rename(users)
    assert git(users, "status", "--porcelain") == ""


@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize("left", ["whole", "emptied", "gone", "locked"])
def test_leftovers_are_removed_in_whatever_state(left: str, side: str, repo: Path, tmp_path: Path) -> None:
    ours = tmp_path / "m2bench-gate-ab12_x9z" / side / "tree"
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


# --- both sides are like copies


def write(repo: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = repo / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit_all(repo: Path) -> None:
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "all of it")


@contextmanager
def both_sides(repo: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The folders of the base, which is HEAD, and of the head."""
    works = [tmp_path / side for side in ("base", "head")]
    for work in works:
        work.mkdir()
    with (
        base_code(repo, git(repo, "rev-parse", "HEAD"), works[0], tmp_path) as base,
        head_code(repo, works[1], tmp_path) as head,
    ):
        assert base.path is not None
        assert head.path is not None
        yield base.path, head.path
    assert known_to(repo) == set()
    assert not any((work / "tree").exists() for work in works)


def contents(folder: Path) -> dict[str, str]:
    """What lies in it, but for git's own: files by their texts, links by what they lead to, empty folders."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_text()
        elif not any(path.iterdir()):
            found[name] = "empty"
    del found[".git"]
    return found


def test_a_working_tree_without_changes_is_the_commit(repo: Path, tmp_path: Path) -> None:
    """With links to folders and files, a program, a submodule, and git's own name for the version."""
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet")
    git(library, "commit", "--quiet", "--allow-empty", "-m", "a commit")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "vendored")
    write(repo, src__package__module="x = 1\n", run="#!/bin/sh\n")
    (repo / "run").chmod(0o755)
    (repo / "package").symlink_to("src/package")
    (repo / "start").symlink_to("run")
    (repo / "dangling").symlink_to("nowhere")
    commit_all(repo)
    git(repo, "tag", "-a", "v1.2", "-m", "a release")
    with both_sides(repo, tmp_path) as (base, head):
        for side in (base, head):
            assert contents(side) == {
                "src/package/module": "x = 1\n", "run": "#!/bin/sh\n", "package": "-> src/package", "start": "-> run",
                "dangling": "-> nowhere", "vendored": "empty", ".gitmodules": (repo / ".gitmodules").read_text(),
            }  # fmt: skip
            assert (side / "run").stat().st_mode & 0o111
            assert git(side, "describe", "--dirty") == "v1.2"
            assert git(side, "status", "--porcelain") == ""


def test_the_head_is_the_working_tree_with_all_of_its_changes(repo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(repo, kept="1", changed="1", deleted="1", unstaged="1", folder__file="1", linked__file="1", single="1")
    commit_all(repo)
    git(repo, "tag", "-a", "v1.2", "-m", "a release")
    (repo / ".gitignore").write_text("ignored\nunstaged\n")
    write(repo, changed="2", new__file="2", ignored="2")
    (repo / "deleted").unlink()
    git(repo, "rm", "--quiet", "--cached", "unstaged")
    shutil.rmtree(repo / "folder")  # a folder becomes a file, another one a link, and a file a folder
    write(repo, folder="2")
    (repo / "linked").rename(outside)
    (repo / "linked").symlink_to(outside)
    (repo / "single").unlink()
    write(repo, single__file="2")
    with both_sides(repo, tmp_path) as (_, head):
        assert contents(head) == {
            "kept": "1", "changed": "2", "new/file": "2", "folder": "2", "linked": f"-> {outside}", "single/file": "2",
            ".gitignore": "ignored\nunstaged\n",
        }  # fmt: skip
        assert git(head, "describe", "--dirty") == "v1.2-dirty"
    assert (outside / "file").read_text() == "1"
