"""What stands in shell: the base that the action chooses, and the gate at the end of ``.ci/run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import typed
from github_action import run_action, run_bash
from repository import ROOT, git

NEVER = "0" * 40
TELLS = '#!/bin/sh\nprintf "%s\\n" "$@"\n'  # in place of m2bench: says what it was asked, a line for every word


def commit(repo: Path, name: str) -> str:
    git(repo, "commit", "--quiet", "--allow-empty", "-m", name)
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def commits(tmp_path: Path) -> dict[str, str]:
    """A pull request that parted at "old", while others took main on to "main"; "merge" is GitHub's."""
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "--quiet")
    found = {"first": commit(repo, "first"), "old": commit(repo, "old")}
    git(repo, "checkout", "--quiet", "-b", "pull")
    found["pull"] = commit(repo, "pull")
    git(repo, "checkout", "--quiet", "main")
    found["main"] = commit(repo, "main")
    git(repo, "merge", "--quiet", "--no-ff", "-m", "merge", "pull")
    return found | {"merge": git(repo, "rev-parse", "HEAD")}


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def python_of(m2bench: str, tmp_path: Path) -> str:
    """A Python that says that this script is its m2bench."""
    scripts = executable(tmp_path / "scripts" / "m2bench", m2bench).parent
    answer = f'case "$2" in *sysconfig*) echo {scripts};; *) exec {sys.executable} "$@";; esac'
    return str(executable(tmp_path / "python", f"#!/bin/sh\n{answer}\n"))


EVENTS: dict[str, tuple[str, dict[str, str], str]] = {
    "asked for": ("merge", {"BASE": "first", "PULL_BASE": "old", "PULL_HEAD": "pull"}, "first"),
    "a pull request, merged by GitHub": ("merge", {"PULL_BASE": "old", "PULL_HEAD": "pull"}, "main"),
    "its later push, whose before is its own": (
        "merge", {"PULL_BASE": "old", "PULL_HEAD": "pull", "BEFORE": "first"}, "main",
    ),
    "its head, checked out instead": ("pull", {"PULL_BASE": "main", "PULL_HEAD": "pull"}, "old"),
    "a pull request that is a merge itself": ("merge", {"PULL_BASE": "main", "PULL_HEAD": "merge"}, "main"),
    "a push of two commits": ("pull", {"BEFORE": "first"}, "first"),
    "the first push": ("pull", {"BEFORE": NEVER}, "HEAD~1"),
    "no push": ("pull", {}, "HEAD~1"),
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_the_action_blames_nobody_for_the_commits_of_others(
    event: str, commits: dict[str, str], tmp_path: Path
) -> None:
    head, given, base = EVENTS[event]
    git(tmp_path / "repo", "checkout", "--quiet", commits[head])
    inputs = {name: commits.get(value, value) for name, value in given.items()}
    inputs["PYTHON"] = python_of(TELLS, tmp_path)
    code, printed, _ = run_action(tmp_path / "repo", os.environ, **inputs)
    assert code == 0, printed
    assert printed.splitlines()[:3] == ["check", "--base", commits.get(base, base)]


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_action_ends_as_the_gate_does(code: int, strict: str, commits: dict[str, str], tmp_path: Path) -> None:
    """What is inconclusive fails it only where it is asked to be strict. Its options are words of their own."""
    python = python_of(f"{TELLS}exit {code}\n", tmp_path)
    options = "--delta 5% --layers batching"
    ended, printed, told = run_action(tmp_path / "repo", PYTHON=python, STRICT=strict, OPTIONS=options, OUT="the gate")
    assert ended == (0 if (code, strict) == (3, "false") else code)
    assert told == f"exit-code={code}\n"
    asked = printed.splitlines()
    written = ["--out", "the gate", "--junit", "the gate.xml"]
    more = ["--delta", "5%", "--layers", "batching", *["--strict"] * (strict == "true")]
    assert asked[1:] == ["--base", "HEAD~1", *written, *more]
    known = typed(asked[0], "--help", cwd=tmp_path).stdout.split()
    assert {word for word in asked if word.startswith("--")} <= set(known)


def last_part(tmp_path: Path) -> str:
    """The gate of ``.ci/run``, with what stands in for the variables and m2bench of the rest."""
    executable(tmp_path / "scratch" / ".venv" / "bin" / "m2bench", TELLS)
    text = (ROOT / ".ci" / "run").read_text()
    return f"repository={tmp_path / 'repo'}; scratch={tmp_path / 'scratch'}\n" + text[text.index('echo "== the gate') :]


def test_the_run_compares_with_the_commit_before(commits: dict[str, str], tmp_path: Path) -> None:
    done = run_bash(last_part(tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"check\n--base\n{commits['main']}\n" in done.stdout


def test_the_run_says_that_there_is_no_commit_before(commits: dict[str, str], tmp_path: Path) -> None:
    git(tmp_path / "repo", "checkout", "--quiet", commits["first"])
    done = run_bash(last_part(tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no commit before HEAD" in done.stdout
    assert "check\n--base" not in done.stdout


def test_where_the_run_is_started_there_is_a_commit_before() -> None:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (steps,) = [job["steps"] for job in workflow["jobs"].values() if {"run": ".ci/run"} in job["steps"]]
    (checkout,) = [step for step in steps if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["fetch-depth"] == 2


def macos_steps() -> list[dict[str, Any]]:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps: list[dict[str, Any]] = workflow["jobs"]["macos"]["steps"]
    return steps


def test_what_the_macos_job_asks_of_m2bench_is_known(tmp_path: Path) -> None:
    script = "\n".join(step.get("run", "") for step in macos_steps())
    asked = {
        words[0]: words[1:] for line in script.split(".venv/bin/m2bench ")[1:] if (words := line.split("\n")[0].split())
    }
    assert {*asked} == {"ablate", "profile", "doctor"}
    for command, words in asked.items():
        known = typed(command, "--help", cwd=tmp_path).stdout.split()
        assert {word for word in words if word.startswith("--")} <= {*known}


def test_the_macos_job_keeps_what_the_tools_print(tmp_path: Path) -> None:
    """Its shell, with tools that say what they were asked, one that fails and one that is not there."""
    (step,) = [step for step in macos_steps() if step.get("name", "").startswith("what the system's tools print")]
    for name in ("ioreg", "pmset", "notifyutil", "sysctl"):
        executable(tmp_path / "bin" / name, f"{TELLS}exit {int(name == 'pmset')}\n")
    executable(tmp_path / "bin" / "sleep", "#!/bin/sh\n")
    executable(tmp_path / ".venv" / "bin" / "python", "#!/bin/sh\necho tensor\n")
    done = run_bash(f"PATH={tmp_path / 'bin'}:$PATH\n{step['run']}\nwait\n", tmp_path)
    assert done.returncode == 0, done.stderr
    kept = {path.stem: path.read_text() for path in (tmp_path / "mac" / "tools").iterdir()}
    assert kept["ioreg-clients"].splitlines() == ["-r", "-l", "-w", "0", "-c", "AGXDeviceUserClient"]
    assert kept["notifyutil"].splitlines() == ["-g", "com.apple.system.thermalpressurelevel"]
    assert kept["pmset"].splitlines() == ["-g", "exit code 1"]
    assert "exit code 127" in kept["sw_vers"]
    assert kept["process"] == "tensor\n"
    (upload,) = [step["with"] for step in macos_steps() if "upload-artifact" in step.get("uses", "")]
    assert upload["path"] == "mac"
