"""Layers of users' functions that did nothing are told from those that did, in trials as they are run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import working_trainer
from commands import typed

from m2bench.findings.engagement import judge_engagement
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.rows import Engagement

BLOCKS = 4


@pytest.fixture(scope="module", params=["idle_trainer", "working_trainer"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    options = ("--design", "single", "--quick", "--blocks", "1", "--threads", "1")
    done = typed("ablate", f"{request.param}:train", *options, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return request.param, folder / "run"


def judged_at(speed: Callable[[StoredTrial], float], folder: Path) -> dict[str, Engagement]:
    """What is said of the run's layers where its block had been run several times at these speeds.

    The speeds that were measured are noise, in which one layer of a hundred that do nothing seems to have an effect.
    """
    with Store.open(folder) as store:
        record, trials = store.record(), store.trials()
    assert {trial.status for trial in trials} == {"ok"}
    copies = [
        replace(trial, spec=replace(trial.spec, key=f"b{block}.{trial.spec.key}", block=block, mini_blocks=(block,)),
                result=replace(trial.timed, update_s=(60 / speed(trial),), update_units=(1.0,)))
        for block in range(1, BLOCKS + 1)
        for trial in trials
    ]  # fmt: skip
    return dict(judge_engagement(record, copies).layers)


def scattered(faster: tuple[str, ...] = ()) -> Callable[[StoredTrial], float]:
    """Speeds that scatter by 3 %; with one of these layers 1.3 times as fast."""
    rng = np.random.default_rng(0)
    return lambda trial: float(
        100 * np.exp(0.03 * rng.standard_normal()) * (1.3 if {*faster} & {*trial.spec.layers} else 1)
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there two of the layers do something")
def test_layers_that_did_nothing_are_found_and_those_that_did_are_not_taken_for_them(run: tuple[str, Path]) -> None:
    """Also of those of which no effect on the time is to be seen."""
    name, folder = run
    found = {layer: each.engagement for layer, each in judged_at(scattered(), folder).items()}
    if name == "idle_trainer":
        assert found == dict.fromkeys(found, "not-engaged")
        assert len(found) == 8
    else:
        working = {layer: state for layer, state in found.items() if layer not in working_trainer.OUTSIDE_TORCH}
        assert working == dict.fromkeys(working, "engaged")
        assert len(working) == 10


def test_what_takes_less_time_and_does_not_differ_works_outside_of_torch(run: tuple[str, Path]) -> None:
    name, folder = run
    if name == "working_trainer":
        faster = working_trainer.OUTSIDE_TORCH
        found = judged_at(scattered(faster), folder)
        assert {found[layer].engagement for layer in faster} == {"outside torch"}


def test_it_stands_in_the_report(run: tuple[str, Path]) -> None:
    """Of a run of one block, whose speeds have no intervals."""
    _, folder = run
    summary = json.loads((folder / "summary.json").read_text())
    assert {layer["engagement"] for layer in summary["layers"]} <= {"engaged", "unproved"}
    unproved = [layer["name"] for layer in summary["layers"] if layer["engagement"] == "unproved"]
    assert unproved
    assert "since nothing that torch does differs" in (folder / "report.md").read_text()
