"""The gate on this project itself: what is planted in a copy of it must be found, and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import m2bench
from repository import ROOT, git

PARTS = ("m2bench", "baselines", "optimizations", "pyproject.toml", "README.md")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with this project as its only commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "the project")
    return folder


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


def check_json(project: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a check of what was planted."""
    asked = ("check", "--base", "HEAD", "--episode-length", "16", "--device", "cpu", "--json", *options)
    done = m2bench(*asked, cwd=project, timeout=280)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_a_wait_alone_is_a_regression_that_names_its_line(project: Path) -> None:
    reward = "        reward = profit / CAPITAL * 100 - changed * self.trade_penalty\n"
    replace_in(project / "baselines" / "environment.py", reward, reward + "        reward[0].item()\n")
    quick = ("--layers", "batching", "--window", "0.1", "--max-blocks", "3", "--delta", "50%")
    code, document = check_json(project, *quick)
    assert code == 2, document["sentence"]
    assert document["changes"] == []
    assert "batching: 0.5 more syncs per episode" in document["sentence"]  # 16 waits, shared by 32 episodes
    assert "environment.py" in document["sentence"]
    assert "reward[0].item()" in document["sentence"]


BUSY = """        import time
        begin = time.thread_time()
        until = begin + {share} * (begin - getattr(TradingEnv, "busy_until", begin))
        while time.thread_time() < until:
            pass
        TradingEnv.busy_until = time.thread_time()
"""


@pytest.mark.slow
def test_a_slower_step_is_a_regression_that_names_its_phase(project: Path) -> None:
    """Each step of the environment works three times as long as everything since the step before.

    So much that a machine which runs other tests beside cannot hide it.
    """
    reward = "        reward = profit / CAPITAL * 100 - penalty\n"
    replace_in(project / "baselines" / "environment.py", reward, BUSY.format(share=3) + reward)
    code, document = check_json(project, "--layers", "baseline", "--window", "0.3", "--max-blocks", "4")
    assert code == 2, document["sentence"]
    assert {metric["state"] for metric in document["metrics"]} == {"slower"}  # by turns, and of whole windows
    for metric in document["metrics"]:
        assert 0.7 / 4 <= metric["value"] <= 1.5 / 4  # the work itself, and three times as long beside it
    assert document["phases"]["baseline"]["name"] == "environment"
    assert "the phase environment takes" in document["sentence"]


@pytest.mark.slow
def test_a_wait_and_a_wrong_sign_are_found(project: Path) -> None:
    """The wrong sign stands in what the referee shares, so that only the base can tell."""
    environment = project / "baselines" / "environment.py"
    batched = "        reward = profit / CAPITAL * 100 - changed * self.trade_penalty\n"
    replace_in(environment, batched, batched + "        reward[0].item()\n")
    replace_in(
        project / "baselines" / "trainer.py",
        "self.precision.backward(loss / self.parts.update.backwards)",
        "self.precision.backward(-loss / self.parts.update.backwards)",
    )
    short = ("--layers", "baseline,batching", "--episode-length", "16", "--window", "0.3", "--max-blocks", "3")
    done = m2bench("check", "--base", "HEAD", *short, "--device", "cpu", "--json", cwd=project, timeout=280)
    assert done.returncode == 4, done.stderr
    document = json.loads(done.stdout)
    assert all("the training return differs from update" in change for change in document["changes"])
    assert {change.partition(":")[0] for change in document["changes"]} == {"baseline", "batching"}
    (wait,) = [change for change in document["counts"] if change["name"] == "syncs"]
    assert (wait["combination"], wait["after"] - wait["before"]) == ("batching", 0.5)  # 16 waits, shared by 32 episodes
    assert "environment.py" in wait["sentence"]
    assert "reward[0].item()" in wait["sentence"]
