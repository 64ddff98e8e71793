"""Two runs with planted speeds: what changed between them must come back, and nothing else."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import description_document, make_record, result
from scipy import stats

from m2bench.errors import UserError
from m2bench.findings.compare_runs import _absolute, _over, compare_runs
from m2bench.inspect.trials_behind import trace
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.figure import Figure
from m2bench.records.rules import Rules
from m2bench.records.spec import WorkloadSpec
from m2bench.report.compared_runs import show_comparison
from m2bench.statistics.estimate import Estimate
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial
from m2bench.text.console import plain_console

LAYERS = ("a", "b")
SPEC = RunSpec(LAYERS, ("full",), 4, seed=0)


def make(folder: Path, factors: dict[str, float], seed: int, chip: str = "one", spec: RunSpec = SPEC,
         market: str = "m", levels: dict[int, float] | None = None, together: float = 1.0,
         changed: str | None = None) -> Store:  # fmt: skip
    machine = {"chip": chip, "physical_cores": 2, "logical_cores": 2, "memory_mb": 1.0, "python": "3"}
    document = description_document(()) | {
        "machine": machine,
        "device": {"device": "cpu", "device_name": "x", "torch": "2", "torch_threads": 2},
        "workload": {"market": {"sha256": market}, "target": None},
    }
    store = Store.create(folder, make_record(spec, document))
    rng = np.random.default_rng(seed)
    for trial in make_trials(spec):
        speed = 600 * factors.get("", 1.0) * math.prod(factors[layer] for layer in trial.layers)
        speed *= math.exp(rng.normal(0, 0.01)) * (levels or {}).get(trial.block, 1.0)
        speed *= together if len(trial.layers) == 2 else 1.0
        losses = () if changed is None else (1.5 if changed in trial.layers else 1.0,) * 6
        measured = replace(result(speed), losses=losses)
        store.add(StoredTrial(trial, "2026-01-01", 1.0, "ok", None, f"logs/{trial.key}.log", measured))
    return store


def test_what_computes_something_else_is_compared_as_little_as_it_is_reported(tmp_path: Path) -> None:
    """Trials with b tell other losses than the baseline with their seed, so their speeds say nothing of b."""
    stores = [make(tmp_path / name, {"a": 10.0, "b": 3.0}, seed, changed="b") for seed, name in enumerate("xy")]
    with stores[0] as first, stores[1] as second:
        found = compare_runs(first, second)
    assert {row.layer for row in found.layers if row.change is not None} == {"a"}


def within(change: Figure | None, truth: float) -> bool:
    assert change is not None
    assert change.interval is not None
    low, high = change.interval
    return low <= truth <= high


def test_what_changed_is_found_and_the_rest_is_the_same(tmp_path: Path) -> None:
    hits = []
    for seed in range(40):
        with (
            make(tmp_path / f"a{seed}", {"a": 10.0, "b": 0.5}, 2 * seed) as first,
            make(tmp_path / f"b{seed}", {"a": 11.0, "b": 0.5, "": 1.2}, 2 * seed + 1) as second,
        ):
            document = compare_runs(first, second)
        assert [(found.layer, found.effect) for found in document.layers] == [
            (layer, effect) for layer in LAYERS for effect in ("Shapley value", "main effect")
        ]
        for found in document.layers:
            truth = {"a": 1.1, "b": 1.0}[found.layer]
            assert found.change is not None
            assert found.change.value == pytest.approx(truth, rel=0.05)
            hits.append(within(found.change, truth))
        assert document.absolute is not None
        assert document.absolute.change is not None
        assert document.absolute.change.value == pytest.approx(1.2, rel=0.03)
    assert np.mean(hits) >= 0.85


def test_absolute_speeds_are_compared_over_blocks_whose_levels_differ(tmp_path: Path) -> None:
    """Nothing changed but the machine's moments: at most a twentieth of the intervals may miss that."""
    misses = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        levels = [{block: math.exp(rng.normal(0, 0.1)) for block in range(1, 5)} for _ in range(2)]
        with (
            make(tmp_path / f"a{seed}", {"a": 2.0, "b": 1.0}, 2 * seed, levels=levels[0]) as first,
            make(tmp_path / f"b{seed}", {"a": 2.0, "b": 1.0}, 2 * seed + 1, levels=levels[1]) as second,
        ):
            absolute = compare_runs(first, second).absolute
            misses.append(not within(absolute.change if absolute else None, 1.0))
    assert np.mean(misses) <= stats.binom.ppf(0.999, 60, 0.05) / 60


@pytest.mark.parametrize(("blocks", "scatter"), [(3, 0.01), (3, 0.03), (5, 0.02), (9, 0.05)])
def test_absolute_speeds_of_jobs_that_are_shifted_as_a_whole_are_covered(blocks: int, scatter: float) -> None:
    """Equal code, each job shifted by 3 % as a whole: its blocks do not show that, and the interval must hold."""
    rng = np.random.default_rng(0)
    runs = rng.normal(0, 0.03, (1500, 2, 1)) + rng.normal(0, scatter, (1500, 2, blocks))
    found = [_absolute(list(a), list(b)) for a, b in runs]
    covered = np.mean([f is not None and f.interval is not None and f.interval[0] <= 1 <= f.interval[1] for f in found])
    assert covered >= stats.binom.ppf(0.001, 1500, 0.95) / 1500


@pytest.mark.parametrize("se", [0.002, 0.02])
def test_ratios_of_jobs_that_differ_in_what_a_layer_gains_are_covered(se: float) -> None:
    """Equal code, but what a job's layer gains is off by 1.5 %, as the gate has seen it of jobs of equal code."""
    rng = np.random.default_rng(1)
    gains = math.log(10) + rng.normal(0, 0.015, (1500, 2)) + rng.normal(0, se, (1500, 2))
    found = [_over(*(Estimate.from_log(gain, se, 100) for gain in run)) for run in gains]
    covered = np.mean([f is not None and f.interval is not None and f.interval[0] <= 1 <= f.interval[1] for f in found])
    assert covered >= stats.binom.ppf(0.001, 1500, 0.95) / 1500


def test_with_very_noisy_blocks_the_interval_of_absolute_speeds_is_welchs() -> None:
    a, b = [10.0, 30.0, 20.0, 25.0], [50.0, 40.0, 62.0]
    found = _absolute(a, b)
    assert found is not None
    assert found.interval is not None
    exact = stats.ttest_ind(b, a, equal_var=False)
    low, high = exact.confidence_interval(0.95)
    assert math.log(found.ratio) == pytest.approx(np.mean(b) - np.mean(a))
    # Degrees of freedom are rounded down, which widens it a little.
    assert math.log(found.interval[0]) <= low
    assert math.log(found.interval[1]) >= high
    assert found.degrees == int(exact.df)


def test_layers_are_compared_over_what_both_runs_have(tmp_path: Path) -> None:
    """Beside ``a`` the layer ``b`` gains 3 times more; a run without ``a`` cannot know."""
    spec = RunSpec(("b",), ("full",), 4, seed=0)
    with (
        make(tmp_path / "a", {"a": 2.0, "b": 1.0}, 0, together=3.0) as first,
        make(tmp_path / "b", {"a": 2.0, "b": 1.0}, 1, spec=spec) as second,
    ):
        found = compare_runs(first, second).layers
    assert {b.layer for b in found} == {"b"}
    assert [b.change and b.change.value for b in found] == pytest.approx([1.0, 1.0], rel=0.03)


def test_runs_of_other_machines_are_compared_by_their_ratios_alone(tmp_path: Path) -> None:
    with (
        make(tmp_path / "a", {"a": 2.0, "b": 1.0}, 0) as first,
        make(tmp_path / "b", {"a": 2.0, "b": 1.0, "": 50.0}, 1, chip="another") as second,
    ):
        document = compare_runs(first, second)
    assert (document.same_machine, document.absolute) == (False, None)
    assert within(document.layers[0].change, 1.0)
    console = plain_console(width=120, file=io.StringIO())
    show_comparison(document, console)
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "Absolute speeds cannot be compared, since the machines differ" in text
    assert "chip: one and another" in text


@pytest.mark.parametrize("market", ["m", "another"])
def test_runs_that_trained_different_things_are_refused(market: str, tmp_path: Path) -> None:
    spec = SPEC if market != "m" else replace(SPEC, workload=WorkloadSpec(options={"num_envs": 64}))
    with (
        make(tmp_path / "a", {"a": 2.0, "b": 1.0}, 0) as first,
        make(tmp_path / "b", {"a": 2.0, "b": 1.0}, 1, spec=spec, market=market) as second,
        pytest.raises(UserError, match=r"different things \(another (num_envs|market)\), so"),
    ):
        compare_runs(first, second)


# --- from a figure to its trials


def test_the_trace_of_a_layer_shows_every_pair_and_its_trials(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        figures, pairs, alone, anchors = trace(store.record(), store.trials(), "a")
    assert [row[0] for row in figures.rows] == ["alone", "added last", "main effect", "Shapley value"]
    for row in figures.rows:
        ratio, low, high = (float(figure) for figure in re.findall(r"[0-9.]+", row[1]))
        assert low < 10 < high
        assert ratio == pytest.approx(10, rel=0.02)
        assert float(row[2]) < 0.001
    assert alone.title == "Trials of a"  # and no table of what it did to learning, which this system does not tell
    assert [row[0] for row in pairs.rows] == ["baseline", "b"]
    assert [row[5] for row in pairs.rows] == ["50.0%", "50.0%"]
    assert len(alone.rows) == 4
    assert len(anchors.rows) == 8
    assert (alone.columns[-1], alone.rows[0][-1]) == ("log", "logs/b1.a.log")


def test_the_trace_of_a_layer_that_needs_another_has_the_trials_of_its_figures(tmp_path: Path) -> None:
    spec = replace(SPEC, rules=Rules(needs=(("b", "a"),)))
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0, spec=spec) as store:
        *_, with_it, without = trace(store.record(), store.trials(), "b")
    assert [(table.title, len(table.rows)) for table in (with_it, without)] == [
        ("Trials of a+b", 4),
        ("Trials of a", 4),
    ]


def test_a_run_that_tells_nothing_of_learning_has_no_trace_of_it(tmp_path: Path) -> None:
    with (
        make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store,
        pytest.raises(UserError, match="no learning trials: "),
    ):
        trace(store.record(), store.trials(), "learning")


def test_the_trace_of_a_combination_and_of_the_baseline(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        (both,) = trace(store.record(), store.trials(), "b+a")
        (baseline,) = trace(store.record(), store.trials(), "baseline")
    assert (len(both.rows), len(baseline.rows)) == (4, 8)


def test_the_trace_of_the_noise_is_that_of_all_anchors(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        (anchors,) = trace(store.record(), store.trials(), "noise")
        (baseline,) = trace(store.record(), store.trials(), "baseline")
    assert anchors.rows == baseline.rows


def test_the_trace_of_a_pair_shows_the_four_kinds_of_trials(tmp_path: Path) -> None:
    with make(tmp_path / "a", {"a": 10.0, "b": 0.5}, 0) as store:
        figures, pair = trace(store.record(), store.trials(), "a*b")
    (fitted,) = figures.rows
    ratio, low, high = (float(figure) for figure in re.findall(r"[0-9.]+", fitted[1]))
    assert low < 1 < high
    assert ratio == pytest.approx(1.0, abs=0.03)
    assert [row[:2] for row in pair.rows] == [("no", "no"), ("no", "yes"), ("yes", "no"), ("yes", "yes")]
    assert [float(row[2].replace(",", "")) for row in pair.rows] == pytest.approx([600, 300, 6000, 3000], rel=0.02)


def test_a_name_that_is_nothing_of_the_run_is_refused() -> None:
    with pytest.raises(UserError, match="neither a layer of this run nor a combination"):
        trace(make_record(SPEC), [], "a+c")
