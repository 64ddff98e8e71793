"""The commands check and baseline, as a user would type them, on a repository of a few lines."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from commands import AT_ONCE, COMMAND, environment, interrupted, m2bench, typed
from github_action import action, run_action
from launched import wait_until, workers_of
from packaging.requirements import Requirement
from prepared_launcher import PREPARED
from repository import GATE, PAGES, ROOT, SUPPORT, git

from m2bench.gate.sides import _build_requirements, _is_met, loose_code

TOY = '''
"""A system under test of a few lines, whose every update takes {slower} times as long, and learns {learned}."""
import os
from dataclasses import replace
import fake_workload
from fake_workload import prepare
{imports}


def describe(spec, work):
    """Beside others it has a layer of its own."""
    described = fake_workload.describe(spec, work)
    return replace(described, layers=(replace(described.layers[0], name="fused"), *described.layers))


class Toy(fake_workload.FakeSystem):
    def update(self):
        return super().update() + {learned}

    def count(self):
        counted = super().count()
        counted.per_episode["syncs"] += {syncs}
        counted.lines["syncs"] = {{"toy/toy.py:9 value.item()": 1.0 + {syncs}}}
        return counted


def build(spec, work, layers, seed):
    system = Toy(layers, [])
    system.update_s *= {slower}
    print("started by process", os.getppid())
    return system
'''
# Three blocks on a machine that runs other tests beside: what is the same passes, what takes MUCH longer does not.
SHORT = ("--workload", "toy", "--window", "0.05", "--layers", "baseline", "--max-blocks", "3",
         "--delta", "50%", "--alpha", "10%")  # fmt: skip
MUCH = 30.0


def toy(slower: float = 1.0, learned: float = 0.0, syncs: int = 0, imports: str = "") -> str:
    return TOY.format(slower=slower, learned=learned, syncs=syncs, imports=imports)


def commit(repo: Path, text: str = "", **changes: Any) -> str:
    (repo / "toy.py").write_text(toy(**changes) + text)
    git(repo, "add", "toy.py")
    git(repo, "commit", "--quiet", "--allow-empty", "-m", "a change")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def check_json(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "check.json").read_text())
    return document


def worktrees(repo: Path) -> list[str]:
    return git(repo, "worktree", "list").splitlines()


def test_a_comment_is_no_change_and_the_action_writes_the_outputs(repo: Path, tmp_path: Path) -> None:
    commit(repo, text="# a comment\n")
    base, head = git(repo, "rev-parse", "HEAD~1"), git(repo, "rev-parse", "HEAD")
    asked = (*SHORT[:4], *SHORT[6:])  # no layers, as in the README's ten lines: the system may have none of m2bench's
    told = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": head, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    variables = environment(PYTHONPATH=AT_ONCE, **told)
    code, printed, output = run_action(repo, variables, PYTHON=sys.executable, BASE="HEAD~1", OPTIONS=" ".join(asked))
    assert (code, output) == (0, "exit-code=0\n"), printed
    assert "Passed after 3 blocks against base" in printed
    assert "::notice title=m2bench check::Passed" in printed
    assert "### m2bench check: pass" in (tmp_path / "summary").read_text()
    assert ElementTree.parse(repo / "out.xml").getroot()[0].get("failures") == "0"
    document = check_json(repo / "out")
    assert list(document["measured"]) == ["baseline"]
    assert (document["base"]["commit"], document["head"]["commit"]) == (base, head)
    # GitHub checks out merges that are on no branch, and that a clone must fetch first.
    assert document["reproduce"].startswith(f"git fetch origin {head} && git checkout {head} && m2bench check ")
    assert document["reproduce"].endswith(f" --base {base}")
    assert set(asked) <= set(document["reproduce"].split())
    for name in ("check.md", "bencher.json", "github-action-benchmark.json", "logs/base", "logs/head"):
        assert (repo / "out" / name).exists()
    assert len(worktrees(repo)) == 1
    assert git(repo, "status", "--porcelain") == "?? out.xml"  # the results hide themselves
    for side in ("base", "head"):
        logs = [log.read_text() for log in (repo / "out" / "logs" / side).glob("block*.log")]
        starters = re.findall(r"started by process (\d+)", "".join(logs))
        assert (
            len(set(starters)) == len(starters) == 3
        )  # none for two blocks, or what all of its trials share would tell


@pytest.fixture
def told_words(tmp_path: Path) -> dict[str, str]:
    """Variables with which the action runs an m2bench that prints each of its words on a line."""
    python, m2bench = tmp_path / "python", tmp_path / "m2bench"
    python.write_text(
        f'#!/bin/sh\ncase "$2" in *sysconfig*) echo {tmp_path} ;; *) exec {sys.executable} "$@" ;; esac\n'
    )
    m2bench.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
    for program in (python, m2bench):
        program.chmod(0o755)
    return environment(PYTHON=str(python))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ("--delta 5%", ["--delta", "5%"]),
        ('--command "sh a.sh"\n--metric \'SPS: (\\S+)\'', ["--command", "sh a.sh", "--metric", "SPS: (\\S+)"]),
        ("--toggle a='$HOME|*' --seed `id`", ["--toggle", "a=$HOME|*", "--seed", "`id`"]),
    ],
)  # fmt: skip
def test_the_actions_options_are_words_of_a_shell(
    options: str, words: list[str], repo: Path, told_words: dict[str, str]
) -> None:
    code, printed, told = run_action(repo, told_words, PYTHON=told_words["PYTHON"], BASE="HEAD", OPTIONS=options)
    asked = ["check", "--base", "HEAD", "--out", "out", "--junit", "out.xml", *words]
    assert (code, printed, told) == (0, "".join(f"<{word}>\n" for word in asked), "exit-code=0\n")


def test_the_actions_options_may_not_end_within_quotes(repo: Path, told_words: dict[str, str]) -> None:
    options = "--command 'python train.py"
    code, printed, told = run_action(repo, told_words, PYTHON=told_words["PYTHON"], BASE="HEAD", OPTIONS=options)
    assert (code, told) == (1, "exit-code=1\n")
    assert printed == (
        f"::error title=m2bench check::The options have a quotation mark that is never closed: {options}\n"
    )


def test_what_is_slower_learns_otherwise_and_waits_more_is_said(repo: Path) -> None:
    """All at once: learning is the exit code, and the others are named beside it."""
    commit(repo, slower=MUCH, learned=0.5, syncs=2)
    done = typed("check", "--base", "HEAD~1", *SHORT, "--json", "--out", "out", cwd=repo)
    assert done.returncode == 4, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "changed"
    assert "the training return differs from update 1 on (0 -> 0.5), in 3 of 3 pairs" in document["sentence"]
    assert [metric["name"] for metric in document["metrics"]] == ["episodes/min", "episodes/min of whole windows"]
    for metric in document["metrics"]:
        assert metric["state"] == "slower"
        assert (
            0.5 / MUCH <= metric["value"] <= 5 / MUCH
        )  # a base that sleeps for milliseconds is late on a busy machine
    assert document["phases"]["baseline"]["name"] == "sleep"
    (count,) = document["counts"]
    assert (count["name"], count["before"], count["after"]) == ("syncs", 1, 3)
    assert "toy/toy.py:9 value.item()" in count["sentence"]


@pytest.mark.slow
def test_uncommitted_changes_are_what_is_checked(repo: Path) -> None:
    (repo / "toy.py").write_text(toy(slower=MUCH))
    done = typed("check", "--base", "HEAD", *SHORT, "--out", "out", cwd=repo)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith("Regression against base")
    assert "the phase sleep takes" in done.stdout
    assert "Again: m2bench check" in done.stdout
    assert check_json(repo / "out")["head"]["dirty"]


def test_layers_of_ones_own_can_be_gated(repo: Path) -> None:
    commit(repo, text="# a comment\n")
    own = typed("check", "--base", "HEAD~1", *SHORT[:4], *SHORT[6:], "--layers", "fused", "--out", "own", cwd=repo)
    wrong = typed("check", "--base", "HEAD~1", *SHORT[:4], "--layers", "turbo", cwd=repo)
    assert own.returncode == 0, own.stderr
    assert list(check_json(repo / "own")["measured"]) == ["fused"]
    assert (wrong.returncode, "the head has no layer turbo." in wrong.stderr) == (1, True)


DIVERGES = """

def check_finite(self):
    raise FloatingPointError("update 2: the loss is not finite")


Toy.check_finite = check_finite
"""


def test_a_head_that_learns_nothing_but_nan_has_changed(repo: Path) -> None:
    commit(repo, text=DIVERGES)
    done = typed("check", "--base", "HEAD~1", *SHORT, "--out", "out", cwd=repo)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Learning or numerics changed against base" in done.stdout
    assert "update 2: the loss is not finite" in done.stdout
    back = typed("check", "--base", "HEAD", *SHORT, "--out", "back", cwd=repo)
    assert (back.returncode, "update 2: the loss is not finite" in back.stderr) == (1, True)


@pytest.mark.parametrize("way", ["PYTHONPATH", "editable"])
def test_what_the_code_under_test_imports_is_each_sides_own(way: str, repo: Path, tmp_path: Path) -> None:
    """Slower is only what it imports, from a folder that is no part of an installation."""
    (repo / "src").mkdir()
    for factor in (1.0, MUCH):
        (repo / "src" / "mylib.py").write_text(f"FACTOR = {factor}\n")
        git(repo, "add", ".")
        commit(repo, imports="import mylib", slower="mylib.FACTOR")
    path = str(repo / "src")
    if way == "editable":  # which is a line in a file that is read at the start of every Python
        path = str(tmp_path / "site")
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(f"import sys\nsys.path.append({str(repo / 'src')!r})\n")
    run = typed if way == "PYTHONPATH" else m2bench
    done = run("check", "--base", "HEAD~1", *SHORT, "--out", "out", cwd=repo, PYTHONPATH=f"{SUPPORT}:{path}")
    if way == "PYTHONPATH":
        assert done.returncode == 2, done.stdout + done.stderr
    else:
        assert done.returncode == 1
        assert "src/mylib.py from the working tree itself, so that both sides run the same code" in done.stderr


@pytest.mark.parametrize("arguments", [("--bogus",), ("--max-blocks", "abc")])
def test_a_mistyped_option_is_no_regression(arguments: tuple[str, ...], repo: Path) -> None:
    done = typed("check", "--base", "HEAD", *arguments, cwd=repo)
    assert (done.returncode, "Usage: m2bench check" in done.stderr) == (1, True)


BAD = {
    "unknown base": (("--base", "nowhere"), "the base 'nowhere' is not a commit"),
    "nothing asked": ((), "there is nothing to check against"),
    "two ways": (("--base", "HEAD", "--against", "x"), "exclude each other"),
    "no reference": (("--against", "release"), "there is no reference 'release'"),
    "no share": (("--base", "HEAD", "--delta", "much"), "--delta 'much' is not a share"),
    "whole share": (("--base", "HEAD", "--delta", "100%"), "--delta must be more than 0"),
    "no blocks": (("--base", "HEAD", "--max-blocks", "2"), "--max-blocks must be at least 3"),
    "unknown layer": (("--base", "HEAD", "--layers", "baseline,turbo"), "unknown layer 'turbo'"),
    "twice": (("--base", "HEAD", "--layers", "amp,amp"), "or one twice"),
    "no floor": (("--min", "beauty=1"), "--min 'beauty=1' is not a floor"),
    "no baseline": (("--min", "speedup=2", "--layers", "amp"), "--min speedup needs the baseline"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_message(case: str, repo: Path) -> None:
    arguments, message = BAD[case]
    done = typed("check", *arguments, cwd=repo)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert git(repo, "status", "--porcelain") == ""


def test_outside_of_a_repository_it_is_said(tmp_path: Path) -> None:
    done = typed("check", "--base", "HEAD", cwd=tmp_path)
    assert (done.returncode, "is not in a git repository" in done.stderr) == (1, True)


@pytest.mark.parametrize(("floor", "code"), [("1", 0), ("1e9", 2)])
def test_floors_need_no_repository(floor: str, code: int, tmp_path: Path) -> None:
    """What lies in the folder is measured: a module that is nowhere else."""
    (tmp_path / "toy.py").write_text(toy())
    done = typed("check", "--min", f"episodes_per_min={floor}", *SHORT, "--out", "out", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert check_json(tmp_path / "out")["head"] == {"commit": "", "dirty": False, "name": "in no git repository"}
    assert "Again: m2bench check --min" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"toy.py", "out", "__pycache__"}


def test_what_is_to_be_installed_is_measured_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert loose_code(tmp_path).environment == {"PYTHONPATH": str(tmp_path)}
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    assert loose_code(tmp_path).environment == {}


def test_a_base_without_the_code_under_test_is_said(repo: Path) -> None:
    git(repo, "rm", "--quiet", "toy.py")
    (repo / "other.txt").write_text("hello")
    git(repo, "add", "other.txt")
    git(repo, "commit", "--quiet", "-m", "nothing here")
    commit(repo)
    done = typed("check", "--base", "HEAD~1", *SHORT, cwd=repo)
    assert done.returncode == 1
    assert "has no toy: the module toy is not among its code. Name a base that has it." in done.stderr
    assert len(worktrees(repo)) == 1


def test_a_base_that_does_not_install_is_said(repo: Path) -> None:
    (repo / "pyproject.toml").write_text("[project\n")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "broken")
    git(repo, "rm", "--quiet", "pyproject.toml")
    git(repo, "commit", "--quiet", "-m", "mended")
    done = typed("check", "--base", "HEAD~1", *SHORT, "--out", "out", cwd=repo)
    assert done.returncode == 1
    assert "pip cannot install the base" in done.stderr
    assert (repo / "out" / "logs" / "install-base.log").stat().st_size > 0
    assert len(worktrees(repo)) == 1


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("packaging", True),
        ("packaging>=1", True),
        ("packaging>=999", False),
        ("no-such-package", False),
        ("no-such-package; python_version < '3'", True),
    ],
)
def test_a_tree_is_built_without_network_only_where_all_that_it_needs_is_here(requirement: str, is_met: bool) -> None:
    assert _is_met(Requirement(requirement)) is is_met


def build_requirements(tree: Path) -> list[str] | None:
    """Names of what builds the tree."""
    needed = _build_requirements(tree)
    return None if needed is None else [requirement.name for requirement in needed]


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ("[tool.ruff]\n", None),
        ("[project]\nname = 'x'\n", ["setuptools"]),
        (
            "[build-system]\nrequires = ['hatchling>=1; python_version > \"3\"', 'hatch-vcs']\n",
            ["hatchling", "hatch-vcs"],
        ),
        ("[project\n", []),
    ],
)
def test_only_what_is_to_be_installed_is_installed(settings: str, needed: list[str] | None, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(settings)
    assert build_requirements(tmp_path) == needed
    (tmp_path / "setup.py").touch()
    assert build_requirements(tmp_path) == (["setuptools"] if needed is None else needed)


def test_a_shallow_clone_is_told_what_to_fetch(repo: Path, tmp_path: Path) -> None:
    commit(repo, text="# second\n")
    git(tmp_path, "clone", "--quiet", "--depth", "1", repo.as_uri(), "shallow")
    done = typed("check", "--base", "HEAD~1", *SHORT, cwd=tmp_path / "shallow")
    assert done.returncode == 1
    assert "git fetch --unshallow" in done.stderr
    assert "fetch-depth: 0" in done.stderr


LONG = ("check", "--base", "HEAD", *SHORT[:2], "--window", "600", "--layers", "baseline", "--out", "out")


def is_at_work(repo: Path) -> bool:
    """Whether ``LONG`` has come to its trials."""
    return any((repo / "out" / "logs").glob("*/block1.*.log"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(
    number: signal.Signals, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(repo.parent))
    done = interrupted(*LONG, cwd=repo, when=lambda: is_at_work(repo), number=number)
    assert (done.returncode, "interrupted" in done.stderr, "Traceback" in done.stderr) == (130, True, False)
    assert len(worktrees(repo)) == 1
    assert not workers_of(repo.parent)
    assert {path.name for path in repo.parent.iterdir()} - {PREPARED} == {"repo"}
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_second_gate_is_refused_and_what_a_killed_one_left_is_removed_by_the_next(repo: Path) -> None:
    variables = environment(TMPDIR=str(repo.parent), PYTHONPATH=AT_ONCE)
    with subprocess.Popen([COMMAND, *LONG], cwd=repo, env=variables, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: is_at_work(repo))
        second = typed("check", "--base", "HEAD", *SHORT, cwd=repo)
        process.kill()
    assert second.returncode == 1
    assert "another m2bench check is running in" in second.stderr
    wait_until(lambda: not workers_of(repo.parent), 20)
    assert len(worktrees(repo)) == 3  # the user's, and one for each side
    refused = typed("check", "--base", "HEAD", *SHORT[:4], "--layers", "turbo", cwd=repo)
    assert (refused.returncode, "the head has no layer turbo." in refused.stderr) == (1, True)
    assert len(worktrees(repo)) == 1
    assert not list(repo.parent.glob("m2bench-gate-*"))


@pytest.mark.slow
def test_the_commands_of_the_readme(repo: Path) -> None:
    """In their order, with a system whose updates take milliseconds; then what became of the reference.

    A busy machine may leave a check undecided.
    """
    commit(repo)
    assert len(GATE) == 6
    for command in GATE:
        arguments, begin = shlex.split(command)[1:], time.monotonic()
        done = typed(*shortened(arguments), cwd=repo)
        assert done.returncode in (0, 3), done.stdout + done.stderr
        if "--against" in arguments:
            against = json.loads(done.stdout)
        time.sleep(max(0.0, 1 - (time.monotonic() - begin)))  # results are named by the second
    assert (repo / "gate.xml").exists()
    assert (repo / "reports" / "history" / "history.svg").stat().st_size > 1000
    assert [(m["name"], m["combination"], m["against"]) for m in against["metrics"]] == [
        ("episodes/min", "baseline", "reference"), ("speedup", "batching", "reference"),
        ("episodes/min", "batching", "reference"),
    ]  # fmt: skip
    again = typed("baseline", "save", "release", cwd=repo)
    assert (again.returncode, "there is already a reference 'release'" in again.stderr) == (1, True)
    assert "release: 2" in typed("baseline", "list", cwd=repo).stdout
    (repo / "checked").mkdir()
    (repo / "checked" / "check.json").write_text(json.dumps(against))
    promoted = typed("baseline", "promote", "release", "checked", cwd=repo)
    assert promoted.returncode == 0, promoted.stderr
    assert "promoted at" in typed("baseline", "show", "release", cwd=repo).stdout
    history = typed("baseline", "history", "release", "--out", "history", "--json", cwd=repo)
    assert {(s["combination"], s["metric"]) for s in json.loads(history.stdout)} == {
        ("baseline", "episodes_per_min"), ("batching", "episodes_per_min"), ("batching", "speedup"),
    }  # fmt: skip
    options = ("--workload", "toy", "--layers", "baseline,batching", "--episode-length", "64")
    other = typed("check", "--against", "release", *options, cwd=repo)
    assert (other.returncode, "of another workload (episode_length: not told and 64)" in other.stdout) == (3, True)


def shortened(arguments: list[str]) -> list[str]:
    """A command of the README's for the toy, with few blocks and a floor that it passes."""
    if "history" in arguments:
        return arguments
    short = [*SHORT[:4], "--blocks" if "save" in arguments else "--max-blocks", "3"]
    if {"save", "--against", "--min"} & set(arguments):
        short += ["--layers", "baseline,batching"]  # a system of one's own is gated by its baseline alone
    if "--against" in arguments:
        short += ["--delta", "50%", "--json"]
    return ["speedup=1.5" if argument == "speedup=10" else argument for argument in arguments] + short


@pytest.mark.slow
def test_the_gate_as_tests(repo: Path) -> None:
    """One each for speed, counts and learning."""
    commit(repo, slower=MUCH)
    alone = {name: value for name, value in environment(PYTHONPATH=AT_ONCE).items() if not name.startswith("PYTEST_")}
    options = f"--m2bench=--base HEAD~1 {shlex.join(SHORT)}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", options],
        cwd=repo,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr


def workflows() -> list[dict[str, Any]]:
    """This repository's own, and the one that the documentation tells others to save."""
    (readme,) = re.findall(r"```yaml\n(.*?)```", PAGES[ROOT / "docs" / "ci-gate.md"], flags=re.S)
    assert len(readme.strip().splitlines()) == 10
    return [yaml.safe_load(text) for text in (readme, (ROOT / ".github/workflows/ci.yml").read_text())]


def test_the_workflows_use_the_action_as_it_is() -> None:
    for workflow in workflows():
        steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
        (gate,) = [step for step in steps if step.get("uses", "").startswith(("./", "OWNER/m2bench"))]
        assert set(gate.get("with", {})) <= set(action()["inputs"])
        assert {"fetch-depth": 0} in [step.get("with") for step in steps]
