"""Layers that need or exclude each other, from the system's module to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import typed
from repository import SUPPORT

from m2bench.store.results_database import Store

TRAINER = """
NEEDS = {"more": "base"}
EXCLUDES = {"left": "right"}


def train(*, base=False, more=False, left=False, right=False):
    while True:
        yield 1
"""
ASKED = ("--workload", "ruled", "--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruled") / "run"
    done = typed("ablate", *ASKED, "--all", "--quick", "--blocks", "1", "--out", "run", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_only_what_can_be_is_run(run: Path) -> None:
    with Store.open(run) as store:
        trials, spec = store.trials(), store.record().spec
        described = {layer.name: (layer.needs, layer.excludes) for layer in store.record().description.layers}
    assert {trial.status for trial in trials} == {"ok"}
    assert len({trial.spec.layers for trial in trials}) == 3 * 3, "nothing, base, both; neither, left, right"
    assert (spec.rules.needs, spec.rules.excludes) == ((("more", "base"),), (("left", "right"),))
    assert described == {
        "base": ((), ()), "more": (("base",), ()), "left": ((), ("right",)), "right": ((), ("left",)),
    }  # fmt: skip


def test_what_is_recommended_can_be_and_the_report_says_the_rules(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert not {"left", "right"} <= {*summary["recommended"]["layers"]}
    rows = {layer["name"]: layer for layer in summary["layers"]}
    assert 1.2 < rows["more"]["alone"] < 1.8, "with base, over base"
    report = (run / "report.md").read_text()
    assert "more needs base; left and right exclude each other. So alone: the layer with what it needs" in report
    assert "all together without right" in report


def test_a_resumed_run_plans_the_same(run: Path) -> None:
    begun = typed("ablate", *ASKED, "--all", "--quick", "--blocks", "1", "--dry-run", cwd=run.parent)
    resumed = typed("ablate", "--resume", "run", "--more-blocks", "1", "--dry-run", cwd=run.parent)
    assert "9 combinations x 1 block," in begun.stdout
    assert "9 combinations x 2 blocks" in resumed.stdout
    assert "20 trials, 10 done, 10 to run" in resumed.stdout


def test_a_run_whose_layers_have_other_rules_by_now_is_not_resumed(run: Path, tmp_path: Path) -> None:
    """The module that the workers import has changed since."""
    changed = (SUPPORT / "ruled.py").read_text().replace('(("more", "base"),)', '(("more", "left"),)')
    assert "left" in changed
    (tmp_path / "ruled.py").write_text(changed)
    done = typed("ablate", "--resume", str(run), "--more-blocks", "1", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "the layers need or exclude others than this run was planned with" in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("ablate", "--layers", "more,left"),
            "the layer more needs base, which does not take part. Add base to --layers.",
        ),
        (("profile", "--layer", "more"), "more cannot be: more needs base. Add base."),
        (
            ("check", "--min", "speedup=2", "--layers", "baseline,left+right"),
            "left+right cannot be: left and right exclude each other.",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_one_message(command: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(TRAINER)
    done = typed(command[0], "trainer.py:train", *command[1:], cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
