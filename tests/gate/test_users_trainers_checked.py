"""``m2bench check --base`` of users' own trainers: what is planted is found, and a comment is no change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import typed
from repository import git

# Three blocks; so much slower that a machine which runs other tests beside cannot hide it.
SHORT = ("--max-blocks", "3", "--delta", "50%", "--alpha", "10%", "--json", "--out", "out")
FUNCTION = """
import time
def train(*, amp=False, seed=0):
    while True:
        time.sleep({seconds})
        yield {{"samples": 8, "loss": 0.5}}
"""
COMMAND = """
import time
begin = time.perf_counter()
time.sleep({seconds})
print("SPS:", 8 / (time.perf_counter() - begin))
"""
ASKED = {
    "function": ("my_trainer.py:train", "--window", "0.05", "--threads", "1"),
    "command": ("--command", "python3 my_trainer.py", "--toggle", "amp=--amp", "--metric", "SPS: (\\S+)"),
}
SOURCES = {"function": FUNCTION, "command": COMMAND}
UNITS = {"function": "samples/s", "command": "SPS"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository that is to get a trainer."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet")
    return folder


def commit(repo: Path, door: str, seconds: float, comment: str = "") -> None:
    (repo / "my_trainer.py").write_text(SOURCES[door].format(seconds=seconds) + comment)
    git(repo, "add", "my_trainer.py")
    git(repo, "commit", "--quiet", "-m", "a change")


def checked(repo: Path, door: str, *options: str) -> tuple[int, Any, str]:
    """The exit code, the document and what is said beside it."""
    done = typed("check", *ASKED[door], *options, *SHORT, cwd=repo)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.parametrize("door", ASKED)
def test_a_slower_trainer_is_a_regression_in_the_users_own_unit(door: str, repo: Path) -> None:
    commit(repo, door, seconds=0.002)
    commit(repo, door, seconds=0.06)
    code, found, said = checked(repo, door, "--base", "HEAD~1")
    assert code == 2, said
    (metric,) = found["metrics"]
    assert (metric["name"], metric["state"]) == (UNITS[door], "slower")
    assert 1 / 30 <= metric["value"] <= 0.3, "a base that sleeps for milliseconds is late on a busy machine"
    assert f"baseline: {UNITS[door]} 0." in found["sentence"]
    assert "/min" not in json.dumps({key: found[key] for key in ("sentence", "notes", "metrics")})


@pytest.mark.parametrize("door", ASKED)
def test_a_comment_is_no_change_and_a_floor_is_in_the_same_unit(door: str, repo: Path) -> None:
    """A floor that is far below what it does: 8 samples in some 20 ms."""
    commit(repo, door, seconds=0.02)
    commit(repo, door, seconds=0.02, comment="# a comment\n")
    code, found, said = checked(repo, door, "--base", "HEAD~1", "--min", f"10 {UNITS[door]}")
    assert code in (0, 3), said
    base, floor = found["metrics"]
    assert base["state"] != "slower"
    assert (floor["name"], floor["state"]) == (UNITS[door], "passed")
    assert 40 < floor["value"] < 400


def test_a_plain_command_is_gated_without_any_toggle(repo: Path) -> None:
    """Against a reference that is shown in the command's own unit, and by a floor."""
    commit(repo, "command", seconds=0.02)
    plain = ("--command", "python3 my_trainer.py", "--metric", "SPS: (\\S+)")
    saved = typed("baseline", "save", "release", *plain, "--blocks", "3", "--out", "save", cwd=repo)
    assert saved.returncode == 0, saved.stderr
    shown = typed("baseline", "show", "release", cwd=repo).stdout
    level = float(re.findall(r"  baseline: SPS ([\d.,]+), canary_s", shown)[0].replace(",", ""))
    assert 40 < level <= 400
    assert typed("baseline", "history", "release", cwd=repo).stdout.startswith("baseline SPS: 1 runs")
    asked = ("--against", "release", "--min", "10 SPS")
    done = typed("check", *plain, *asked, *SHORT, cwd=repo)
    assert done.returncode in (0, 3), done.stderr
    assert [metric["name"] for metric in json.loads(done.stdout)["metrics"]] == ["SPS", "SPS"]


@pytest.mark.parametrize(
    ("door", "options", "message"),
    [
        ("function", ("10 tokens/s",), '"10 tokens/s" is in another unit: this trainer is measured in samples/s.'),
        ("command", ("10 FPS",), '"10 FPS" is in another unit: this trainer is measured in SPS.'),
        ("command", ("10 s", "--lower-is-better"), "is a lower bound, and lower SPS is better."),
        ("function", ("episodes_per_min=5",), 'Give it in that unit, as in --min "2000 samples/s".'),
    ],
)  # fmt: skip
def test_a_floor_in_another_unit_is_one_message(door: str, options: tuple[str, ...], message: str, repo: Path) -> None:
    commit(repo, door, seconds=0.001)
    code, found, said = checked(repo, door, "--min", *options)
    assert (code, found) == (1, None)
    assert message in said
    assert len(said.splitlines()) == 1
