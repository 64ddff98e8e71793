"""The gate on this project itself: what is planted in a copy of it must be found, and named.

Its launchers are forked (prepared_launcher.py), and import the side's own code.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import typed
from repository import ROOT, git


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with this project as its only commit, as it is developed: each side has to be installed."""
    folder = tmp_path / "project"
    for name in ("m2bench", "baselines", "optimizations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "the project")


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


def check_json(project: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a check of what was planted."""
    asked = ("check", "--base", "HEAD", "--episode-length", "8", "--device", "cpu", "--json", *options)
    done = typed(*asked, cwd=project)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


BUSY = """        import time
        begin = time.thread_time()
        until = begin + {share} * min(begin - getattr(TradingEnv, "busy_until", begin), {longest_s})
        while time.thread_time() < until:
            pass
        TradingEnv.busy_until = time.thread_time()
"""


@pytest.mark.slow
def test_a_wait_a_slower_step_and_a_wrong_sign_are_found_at_once(project: Path) -> None:
    """The wrong sign stands in what the referee shares, so that only the base can tell.

    Each step of the plain environment works seven times as long as everything since the step before, but for what is
    done once. So much that a machine which runs other tests beside cannot hide it; it tells the size within a factor of
    two.
    """
    baselines = project / "baselines"
    wait = "        reward = profit / CAPITAL * 100 - changed * self.trade_penalty\n"
    replace_in(baselines / "environment.py", wait, wait + "        reward[0].item()\n")
    reward = "        reward = profit / CAPITAL * 100 - penalty\n"
    replace_in(baselines / "environment.py", reward, BUSY.format(share=7, longest_s=0.05) + reward)
    replace_in(
        baselines / "trainer.py",
        "self.precision.backward(loss",
        "self.precision.backward(-loss",
    )
    asked = ("--window", "0.3", "--max-blocks", "3", "--delta", "50%", "--alpha", "10%")
    code, document = check_json(project, "--layers", "baseline,batching", *asked)
    assert code == 4, document["sentence"]
    assert all("the training return differs from update" in change for change in document["changes"])
    assert {change.partition(":")[0] for change in document["changes"]} == {"baseline", "batching"}
    (more,) = [change for change in document["counts"] if change["name"] == "syncs"]
    assert (more["combination"], more["after"] - more["before"]) == ("batching", 0.25)  # 8 waits, shared by 32 episodes
    assert "environment.py" in more["sentence"]
    assert "reward[0].item()" in more["sentence"]
    slowed = [metric for metric in document["metrics"] if metric["combination"] == "baseline"]
    assert [metric["state"] for metric in slowed] == ["slower", "slower"]  # by turns, and of whole windows
    for metric in slowed:
        assert 0.5 / 8 <= metric["value"] <= 2 / 8  # the work itself, and seven times as long beside it
    assert document["phases"]["baseline"]["name"] == "environment"
