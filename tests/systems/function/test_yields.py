"""A run of a trainer that yields losses, from the command to the summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import typed

TRAINER = """
import time
import numpy as np

TARGET = {target}

def train(*, moved=False, wide=False, seed=0):
    rng = np.random.default_rng(seed if {heeds_seed} else None)
    truth, weights = rng.standard_normal((2, 8))
    batch = 64 if wide else 16
    while True:
        x = rng.standard_normal((batch, 8))
        errors = x @ weights - x @ truth
        time.sleep(0.001)
        weights = weights - 4e-3 * (1.01 if moved else 1.0) * errors @ x / batch
        yield {{"samples": batch, "loss": np.mean(errors**2)}}
"""


def ablated(folder: Path, heeds_seed: bool = True, target: str = "None", learning: str = "quick") -> dict[str, Any]:
    (folder / "my_trainer.py").write_text(TRAINER.format(heeds_seed=heeds_seed, target=target))
    options = (
        "--design",
        "single",
        "--blocks",
        "2",
        "--quick",
        "--threads",
        "1",
        "--learning",
        learning,
        "--out",
        "run",
    )
    done = typed("ablate", "my_trainer.py:train", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "run" / "summary.json").read_text())
    return found


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return ablated(tmp_path_factory.mktemp("yields"))


def test_first_losses_and_learning_are_told(summary: dict[str, Any]) -> None:
    """One layer moves the weights by a hundredth more, the other learns a quarter as much from a sample."""
    rows = {tuple(c["layers"]): c for c in summary["combinations"]}
    assert rows[()]["numerics"] == "same"
    assert rows["moved",]["numerics"] == "changed"
    assert rows["moved",]["numerics_reason"].startswith("losses: update 2 has the loss")
    assert rows["wide",]["numerics"] == "unchecked"
    layers = {layer["name"]: layer for layer in summary["layers"]}
    assert layers["wide"]["episodes_needed"] == pytest.approx(4, rel=0.2)
    assert layers["wide"]["learning_effect"] < -0.1
    assert layers["moved"]["learning"] == "same"
    assert (summary["learning"]["told"], summary["recommended"] and summary["recommended"]["layers"]) == ("loss", [])


def test_a_trainer_that_ignores_its_seed_is_found(tmp_path: Path) -> None:
    found = ablated(tmp_path, heeds_seed=False)
    assert {c["numerics"] for c in found["combinations"]} == {"unchecked"}
    assert all("does not repeat itself with equal seeds" in c["numerics_reason"] for c in found["combinations"])


def test_a_target_is_trained_for(tmp_path: Path) -> None:
    found = ablated(tmp_path, target="{'loss': 1.0}", learning="full")
    assert found["learning"]["target"]["measure"] == "loss"
    baseline = next(c for c in found["combinations"] if not c["layers"])
    wide = next(c for c in found["combinations"] if c["layers"] == ["wide"])
    assert wide["episodes_to_target"] / baseline["episodes_to_target"] == pytest.approx(4, rel=0.3)
    assert (
        "a loss of 1.00, as the mean over the updates of the last two fifths"
        in (tmp_path / "run" / "report.md").read_text()
    )
