"""Every command in the README and in docs/ is one that works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment, typed
from repository import COMMANDS, GATE, PAGES, README, ROOT

# A reader's own command and several machines have tests of their own (test_command_page.py, tests/fleet).
ELSEWHERE = [c for c in COMMANDS if re.search("--command|--scheduler|--hosts", c)]
# Training to the target takes minutes however small it is, and a checkpoint is of a training of one's own: what these
# do is tested in test_factors.py and test_evaluating.py.
LONG = [c for c in COMMANDS if re.search("--factors|--evaluate", c)]
SHORT = [c for c in COMMANDS if c.startswith("m2bench ") and c not in {*GATE, *ELSEWHERE, *LONG}]


def test_the_readme_has_its_two_main_commands_and_the_how_tos() -> None:
    setups = [command for command in COMMANDS if "venv" in command]
    assert [command.split()[-2:] for command in setups] == [["ablate", "--all"], ["&&", ".venv/bin/pytest"]]
    assert len(SHORT) >= 10


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    options = ("--layers", "amp,batching", "--quick", "--blocks", "2", "--workload", "fake_workload", "--out", "run")
    done = typed("ablate", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


# What makes a command that takes minutes take seconds.
SMALLER = {
    "doctor": ("--workload", "fake_workload", "--seconds", "1"),
    "profile": ("--workload", "fake_workload", "--quick"),
    "forward": ("--passes", "20", "--batches", "8", "--compile-backend", "eager"),
    "audit": ("--episode-length", "3", "--layers", "amp"),
    "train": ("--episode-length", "8"),
    "scale": ("--workload", "fake_workload", "--quick", "--learning", "off"),
}
FEWER = {
    "--num-envs": "8",
    "--threads": "1",
    "--blocks": "1",
    "--more-blocks": "1",
    "--budget": "20s",
    "--wait-for-quiet": "1s",
    "--episodes": "64",
}


@pytest.fixture(scope="module")
def finished_scale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    done = typed("scale", *SMALLER["scale"], "--num-envs", "2", "--blocks", "1", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.parametrize("command", SHORT)
def test_a_command_of_the_readme_runs(command: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """As it stands there, but with a system whose updates take milliseconds, and few of them and few blocks."""
    arguments = shlex.split(command)[1:]
    folders = re.findall(r"reports/([\w-]+)", command)
    own = [word for word in arguments if re.search(r"\.py(:\w+)?$", word)]
    if own:
        _run_of_ones_own(arguments, tmp_path)
        return
    for name in folders:
        finished = request.getfixturevalue("finished_scale" if arguments[0] == "scale" else "finished_run")
        shutil.copytree(finished, tmp_path / "reports" / name)
    for option, value in FEWER.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = value
    changes = () if "--resume" in arguments else SMALLER.get(arguments[0], ())
    if arguments[0] == "scale" and "--num-envs" not in arguments and not folders:
        changes += ("--num-envs", "2", "--threads", "1", "--blocks", "1")
    if arguments[0] == "ablate" and not folders and "--dry-run" not in arguments:
        wanted = {"--workload": "fake_workload", "--quick": None, "--layers": "amp", "--learning": "off"}
        if "--budget" not in arguments:  # which chooses them
            wanted["--blocks"] = "1"
        missing = {option: value for option, value in wanted.items() if option not in arguments}
        changes = tuple(text for pair in missing.items() for text in pair if text is not None)
    done = typed(*arguments, *changes, cwd=tmp_path)
    # The doctor may well find that a machine that runs tests beside is not one to measure on.
    unfit = arguments[0] == "doctor" and done.returncode == 1 and "PROBLEM" in done.stdout
    assert done.returncode == 0 or unfit, done.stderr


def _run_of_ones_own(arguments: list[str], folder: Path) -> None:
    """A command about a function: what ``init`` writes is measured with one layer and block, of the examples the plan
    is shown. tests/systems measures these.
    """
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    if arguments[0] != "init":
        shutil.copy(ROOT / "m2bench" / "systems" / "function" / "template.py", folder / "my_trainer.py")
    one_layer = ("--layers", "fused", "--blocks", "1", "--learning", "off", "--threads", "1")
    is_example = any(word.startswith("docs/examples/") for word in arguments)
    fewer = {
        "ablate": ("--dry-run",) if is_example else one_layer,
        "profile": ("--quick",),
        "scale": ("--quick", "--blocks", "1", "--threads", "1"),
    }
    done = typed(*arguments, *fewer.get(arguments[0], ()), cwd=folder)
    assert done.returncode == 0, done.stderr


def test_the_benchmarks_command_collects_benchmarks() -> None:
    command = next(command for command in COMMANDS if command.startswith("pytest "))
    alone = {name: value for name, value in environment().items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), "--collect-only", "-q"], cwd=ROOT, env=alone,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "test_hot_pieces" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_pictures_and_links_exist(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in target]
    assert targets or page.parent != ROOT
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert not missing


def test_a_link_to_a_part_of_a_page_finds_its_heading() -> None:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^):]+#[^)]+)\)", text):
            path, _, anchor = target.partition("#")
            headings = re.findall(r"^#+ (.*)$", (page.parent / path).read_text(), flags=re.M)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_the_ci_script_finds_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -E '([^']+)' README.md", script)
    assert pattern is not None
    assert len(re.findall(pattern.group(1), README, flags=re.M)) == 1
