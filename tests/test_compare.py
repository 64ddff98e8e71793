"""Two runs with planted speeds: what changed between them must come back, and nothing else."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from test_analysis import result

from m2bench.compare import compare, show_comparison
from m2bench.errors import UserError
from m2bench.plan import make_trials
from m2bench.spec import RunSpec, WorkloadSpec
from m2bench.store import RunRecord, Store, StoredTrial
from m2bench.trace import trace

LAYERS = ("a", "b")
SPEC = RunSpec(LAYERS, ("full",), 4, seed=0)


def make(folder: Path, factors: dict[str, float], seed: int, chip: str = "one", spec: RunSpec = SPEC,
         market: str = "m") -> Store:  # fmt: skip
    machine = {"chip": chip, "physical_cores": 2, "logical_cores": 2, "memory_mb": 1.0, "python": "3"}
    description = {
        "machine": machine,
        "device": {"device": "cpu", "device_name": "x", "torch": "2", "torch_threads": 2},
        "workload": {"market": {"sha256": market}, "target": None},
        "layers": [],
    }
    store = Store.create(folder, RunRecord(spec, "", description))
    rng = np.random.default_rng(seed)
    for trial in make_trials(spec):
        speed = 600 * factors.get("", 1.0) * math.prod(factors[layer] for layer in trial.layers)
        speed *= math.exp(rng.normal(0, 0.01))
        store.add(StoredTrial(trial, "2026-01-01", 1.0, "ok", None, f"logs/{trial.key}.log", result(speed)))
    return store


def within(found: dict[str, Any], truth: float) -> bool:
    low, high = found["change_ci"]
    return bool(low <= truth <= high)


def test_what_changed_is_found_and_the_rest_is_the_same(tmp_path: Path) -> None:
    hits = []
    for seed in range(40):
        with (
            make(tmp_path / f"a{seed}", {"a": 10.0, "b": 0.5}, 2 * seed) as first,
            make(tmp_path / f"b{seed}", {"a": 11.0, "b": 0.5, "": 1.2}, 2 * seed + 1) as second,
        ):
            document = compare(first, second)
        a, b = document["layers"]
        assert a["change"] == pytest.approx(1.1, rel=0.05)
        hits += [within(a, 1.1), within(b, 1.0)]
        # Half of the combinations hold the layer that gained.
        assert document["absolute"]["change"] == pytest.approx(1.2 * math.sqrt(1.1), rel=0.02)
    assert np.mean(hits) >= 0.85


def test_runs_of_other_machines_are_compared_by_their_ratios_alone(tmp_path: Path) -> None:
    with (
        make(tmp_path / "a", {"a": 2.0, "b": 1.0}, 0) as first,
        make(tmp_path / "b", {"a": 2.0, "b": 1.0, "": 50.0}, 1, chip="another") as second,
    ):
        document = compare(first, second)
    assert (document["same_machine"], document["absolute"]) == (False, None)
    assert within(document["layers"][0], 1.0)
    console = Console(width=120, file=io.StringIO())
    show_comparison(document, console)
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "Absolute figures are not comparable" in text
    assert "chip: one and another" in text


@pytest.mark.parametrize("market", ["m", "another"])
def test_runs_that_trained_different_things_are_refused(market: str, tmp_path: Path) -> None:
    spec = SPEC if market != "m" else replace(SPEC, workload=WorkloadSpec(num_envs=64))
    with (
        make(tmp_path / "a", {"a": 2.0, "b": 1.0}, 0) as first,
        make(tmp_path / "b", {"a": 2.0, "b": 1.0}, 1, spec=spec, market=market) as second,
        pytest.raises(UserError, match=r"num_envs|another market"),
    ):
        compare(first, second)


# --- from a figure to its trials


def test_the_trace_of_a_layer_shows_every_pair_and_its_trials(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        pairs, alone, anchors = trace(SPEC, store.trials(), "a")
    assert [row[0] for row in pairs.rows] == ["baseline", "b"]
    assert [row[5] for row in pairs.rows] == ["50.0%", "50.0%"]
    assert len(alone.rows) == 4
    assert len(anchors.rows) == 8
    assert alone.rows[0][6] == "logs/b1.a.log"


def test_the_trace_of_a_combination_and_of_the_baseline(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        (both,) = trace(SPEC, store.trials(), "b+a")
        (baseline,) = trace(SPEC, store.trials(), "baseline")
    assert (len(both.rows), len(baseline.rows)) == (4, 8)


def test_a_name_that_is_nothing_of_the_run_is_refused() -> None:
    with pytest.raises(UserError, match="neither a layer of this run nor a combination"):
        trace(SPEC, [], "a+c")
