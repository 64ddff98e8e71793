"""Planted factors must come back from the trials, through runner, store and analysis."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_run import STARTED, description_document, make_record
from made_run import result as made_result
from scipy import stats

from m2bench.findings.summarize_ablation import summarize
from m2bench.inspect.trials_behind import trace
from m2bench.options.run_options import DEFAULT_DESIGN
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.documents import to_json
from m2bench.records.results import Conditions, Failure, NumericsCheck, PeakMemory, Proof, TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.report.remarks import remarks
from m2bench.report.tables.combinations import combinations_table
from m2bench.report.tables.responses import responses_table
from m2bench.run.trials import Watched, run_trials
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.ablation_summary import Summary

FACTORS = {"a": 10.0, "b": 0.5, "c": 1.0}
LAYERS = tuple(FACTORS)
BASELINE_SPEED = 600.0
QUIET = Conditions(other_cores=0.0)


def described(unsupported: dict[str, str] | None = None, compiling: tuple[str, ...] = ()) -> dict[str, Any]:
    document = description_document(LAYERS)
    document["workload"]["target"] = None
    for layer in document["layers"]:
        layer["unsupported"] = (unsupported or {}).get(layer["name"])
        layer["compiles"] = layer["name"] in compiling
    return document


def result(speed: float, **changes: Any) -> TrialResult:
    planted: dict[str, Any] = {
        "update_s": (60 / speed,) * 4,
        "warmup_update_s": (9.0, 0.5),
        "energy_j_per_episode": 6000 / speed,
        "numerics": {"gradient": NumericsCheck(same=True, evidence={"worst": "w"})},
        "numerics_s": 0.25,
    }
    return made_result(speed, **planted | changes)


def measured(found: TrialResult | Failure, conditions: Conditions = QUIET) -> Watched[Any]:
    return Watched(found, conditions)


def true_speed(trial: TrialSpec) -> float:
    """Speed by the planted factors, on a machine that is twice as fast in every block as in the last."""
    speed = BASELINE_SPEED * 2.0**trial.block
    for layer in trial.layers:
        speed *= FACTORS[layer]
    return speed


def run(tmp_path: Path, execute: Any, unsupported: dict[str, str] | None = None, blocks: int = 3) -> dict[str, Any]:
    """What the run's summary.json holds."""
    found: dict[str, Any] = to_json(summary_of(tmp_path, execute, unsupported, blocks))
    return found


def summary_of(tmp_path: Path, execute: Any, unsupported: dict[str, str] | None = None, blocks: int = 3) -> Summary:
    spec = RunSpec(LAYERS, ("full",), blocks, seed=0)
    record = make_record(spec, described(unsupported))
    with Store.create(tmp_path / "run", record) as store:
        run_trials(make_trials(spec), unsupported or {}, store, execute, lambda trial: None, lambda trial: None)
        return summarize("run", record, store.trials())


def find(summary: dict[str, Any], *layers: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in summary["combinations"] if c["layers"] == list(layers))
    return found


def test_planted_factors_are_recovered_whatever_the_blocks_speed(tmp_path: Path) -> None:
    summary = run(tmp_path, lambda trial, log: measured(result(true_speed(trial))))
    assert len(summary["combinations"]) == 8
    assert all(c["status"] == "ok" and c["trials"] == (6 if not c["layers"] else 3) for c in summary["combinations"])
    for layer in summary["layers"]:
        assert layer["alone"] == pytest.approx(FACTORS[layer["name"]])
        assert layer["last"] == pytest.approx(FACTORS[layer["name"]])
    assert summary["total_speedup"] == pytest.approx(5.0)
    assert find(summary, "a", "b")["speedup"] == pytest.approx(5.0)
    assert summary["best"]["speedup"] == pytest.approx(10.0)
    assert summary["noise"]["aa_ratio"] == pytest.approx(1.0)
    # 600 episodes/min doubled in blocks 1, 2, 3: the middle one is 2400.
    assert find(summary)["episodes_per_min"] == pytest.approx(2400)
    assert find(summary)["ms_per_episode"] == pytest.approx(25)


def test_a_window_without_a_steady_state_is_said_to_be_none(tmp_path: Path) -> None:
    rng = random.Random(2)

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        slow_end = 2.0 if trial.key == "b2.a" else 1.0
        update_s = [0.1 * rng.lognormvariate(0, 0.02) * (slow_end if i >= 30 else 1.0) for i in range(38)]
        return measured(result(600.0, update_s=update_s))

    summary = summary_of(tmp_path, execute)
    assert {c.layers: c.steady_trials for c in summary.combinations if len(c.layers) == 1} == {
        ("a",): 2, ("b",): 3, ("c",): 3}  # fmt: skip
    status = {row[1]: row[-1] for row in combinations_table(summary).rows}
    assert status["a"] == "ok, not steady in 1 of 3 trials"
    assert status["b"] == "ok"


def test_warmup_is_what_was_cut_from_the_window_and_what_came_before_it(tmp_path: Path) -> None:
    update_s = [0.5] * 6 + [0.1] * 40
    summary = run(tmp_path, lambda trial, log: measured(result(600.0, update_s=update_s)))
    # The first update of all, 9 s, is compilation's.
    assert find(summary)["warmup_s"] == pytest.approx(0.5 + 6 * 0.5)


def test_energy_is_attributed_like_the_speed(tmp_path: Path) -> None:
    summary = run(tmp_path, lambda trial, log: measured(result(true_speed(trial))))
    assert find(summary)["energy_j_per_episode"] == pytest.approx(6000 / 2400)
    for layer in summary["layers"]:
        energy = layer["responses"]["energy_j_per_episode"]
        assert energy["alone"] == pytest.approx(1 / FACTORS[layer["name"]])
        assert energy["shapley"] == pytest.approx(1 / FACTORS[layer["name"]])


def test_a_machine_that_tells_no_energy_has_no_figure_of_it(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, lambda trial, log: measured(result(true_speed(trial), energy_j_per_episode=None)))
    assert all(c.energy_j_per_episode is None for c in summary.combinations)
    assert summary.layers[0].responses.energy_j_per_episode.shapley is None
    table = responses_table(summary)
    assert table is not None
    assert "energy" not in " ".join(table.columns)


def test_one_wild_trial_is_flagged_widens_the_interval_and_is_kept(tmp_path: Path) -> None:
    rng = random.Random(1)

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        wild = 50.0 if trial.key == "b2.a" else 1.0
        return measured(result(true_speed(trial) * wild * rng.lognormvariate(0, 0.01)))

    summary = run(tmp_path, execute)
    assert summary["noise"]["outliers"] == ["b2.a"]
    low, high = find(summary, "a")["speedup_ci"]
    assert low < 10 * 50 ** (1 / 3) < high
    assert high / low > 5
    assert find(summary, "a")["trials_ok"] == 3
    assert summary["layers"][0]["robust_main_effect"] == pytest.approx(10.0, rel=0.1)


def test_drift_within_a_block_shows_in_the_aa_ratio_and_is_shared_out(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        return measured(result(true_speed(trial) * (1.44 if "anchor1" in trial.key else 1.0)))

    summary = run(tmp_path, execute)
    assert summary["noise"]["aa_typical"] == pytest.approx(1.44)
    # The block's baseline is the geometric mean of both: 1.2 times the first.
    assert find(summary, "a")["speedup"] == pytest.approx(10 / 1.2)


def test_drifts_in_opposite_directions_do_not_hide_each_other(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        drift = {1: 1.5, 2: 1 / 1.4, 3: 1.2}[trial.block]
        return measured(result(true_speed(trial) * (drift if "anchor1" in trial.key else 1.0)))

    noise = run(tmp_path, execute)["noise"]
    assert (noise["aa_typical"], noise["aa_worst"]) == (pytest.approx(1.4), pytest.approx(1.5))


@pytest.mark.parametrize(
    ("spread", "related", "warned"), [(0.001, True, False), (0.2, True, True), (0.2, False, False)]
)
def test_a_machine_of_varying_speed_is_told_by_its_trials_even_where_the_baselines_agree(
    spread: float, related: bool, warned: bool, tmp_path: Path
) -> None:
    rng = random.Random(4)

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        noise = math.exp(rng.gauss(0, spread)) if trial.layers else 1.0
        canary_s = (0.01 / noise / 2.0**trial.block if related else 0.01 * rng.choice((1, 1.4)),)
        return measured(result(true_speed(trial) * noise, canary_s=canary_s))

    noise = run(tmp_path, execute)["noise"]
    assert noise["aa_typical"] == pytest.approx(1.0)
    assert any("the machine's speed varied by" in warning for warning in noise["conditions"]["warnings"]) is warned


def test_a_layer_that_did_nothing_once_gets_no_number(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        engaged = trial.block != 2
        proofs = {"b": Proof(engaged, {}, "was off")} if "b" in trial.layers else {}
        return measured(result(true_speed(trial), proofs=proofs))

    summary = run(tmp_path, execute)
    assert find(summary, "b")["speedup"] is None
    layer = next(layer for layer in summary["layers"] if layer["name"] == "b")
    assert (layer["alone"], layer["last"], layer["shapley"], layer["main_effect"]) == (None, None, None, None)
    # The others are a whole design of their own.
    assert summary["total_layers"] == ["a", "c"]
    assert summary["total_speedup"] == pytest.approx(find(summary, "a", "c")["speedup"])
    others = [layer for layer in summary["layers"] if layer["name"] != "b"]
    assert math.prod(layer["shapley"] for layer in others) == pytest.approx(summary["total_speedup"])
    assert not any(layer["model_based"] for layer in others)


def test_added_last_is_paired_within_blocks(tmp_path: Path) -> None:
    """Each block has its own true ratio and level; the estimate is the geometric mean of the ratios."""

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        extra = {1: 1.0, 2: 2.0, 3: 9.0}[trial.block] if len(trial.layers) == 3 else 1.0
        speed = {1: 900.0, 2: 100.0, 3: 300.0}[trial.block]
        return measured(result(speed * extra))

    assert run(tmp_path, execute)["layers"][0]["last"] == pytest.approx(18 ** (1 / 3))


def test_a_failed_trial_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        if trial.key == "b2.a+b":
            return measured(Failure("error", "planted"))
        return measured(result(true_speed(trial)))

    summary = run(tmp_path, execute)
    failed = find(summary, "a", "b")
    assert failed["status"] == "failed"
    assert failed["reason"] == "planted (log: logs/b2.a+b.log)"
    assert (failed["trials"], failed["trials_ok"]) == (3, 2)
    assert summary["trials_done"] == summary["trials_planned"] == 27
    assert sum(c["status"] == "ok" for c in summary["combinations"]) == 7


def test_a_layer_that_did_nothing_gets_no_number(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        proofs = {layer: Proof(layer != "b", {}, "was off") for layer in trial.layers}
        return measured(result(true_speed(trial), proofs=proofs))

    summary = run(tmp_path, execute)
    idle = [c for c in summary["combinations"] if "b" in c["layers"]]
    assert len(idle) == 4
    assert all(c["status"] == "not-engaged" and c["speedup"] is None and c["reason"] == "b: was off" for c in idle)
    assert next(layer for layer in summary["layers"] if layer["name"] == "b")["alone"] is None


def test_an_unsupported_layer_is_never_run(tmp_path: Path) -> None:
    ran = []

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        ran.append(trial.layers)
        return measured(result(true_speed(trial)))

    summary = run(tmp_path, execute, {"c": "no compiler"})
    assert not any("c" in layers for layers in ran)
    assert find(summary, "a", "c")["status"] == "unsupported"
    assert find(summary, "a", "c")["reason"] == "c: no compiler"
    assert find(summary, "a", "b")["status"] == "ok"
    layer = next(layer for layer in summary["layers"] if layer["name"] == "c")
    assert (layer["alone"], layer["verdict"]) == (None, "unsupported")


def test_cold_and_warm_compilation_are_told_apart(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        if trial.layers != ("a",):
            return measured(result(true_speed(trial)))
        cold = trial.block == 1
        proof = Proof(engaged=True, evidence={"cache": "cold" if cold else "warm"})
        return measured(result(true_speed(trial), compile_s=30.0 if cold else 2.0, proofs={"a": proof}))

    summary = run(tmp_path, execute)
    assert (find(summary, "a")["compile_cold_s"], find(summary, "a")["compile_s"]) == (30.0, 2.0)
    assert find(summary)["compile_s"] is None


def test_a_first_compilation_that_was_repeated_is_still_the_cold_one(tmp_path: Path) -> None:
    """A trial beside load is repeated; a run compiles for the first time once, whatever ran beside that."""

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        if trial.layers != ("a",):
            return measured(result(true_speed(trial)))
        cold = trial.key == "b1.a"
        proof = Proof(engaged=True, evidence={"cache": "cold" if cold else "warm"})
        found = result(true_speed(trial), compile_s=30.0 if cold else 2.0, proofs={"a": proof})
        return measured(found, Conditions(other_cores=1.0 if cold else 0.0))

    spec = RunSpec(LAYERS, ("full",), 3, seed=0)
    record, trials = make_record(spec, described(compiling=("a",))), make_trials(spec)
    first = next(trial for trial in trials if trial.key == "b1.a")
    trials.append(replace(first, key="b1.a.again", repeats="b1.a"))
    with Store.create(tmp_path / "run", record) as store:
        run_trials(trials, {}, store, execute, lambda trial: None, lambda trial: None)
        summary = to_json(summarize("run", record, store.attempts()))
    assert (find(summary, "a")["compile_cold_s"], find(summary, "a")["compile_s"]) == (30.0, 2.0)


def test_compiling_has_paid_when_it_has_saved_what_it_took(tmp_path: Path) -> None:
    """Compiled by 30 s to 24,000 episodes/min from 2,400: 22.5 ms saved of each episode, give or take."""

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        scatter = 1.0 + 0.01 * ((trial.block + len(trial.key)) % 3)
        proof = Proof(engaged=True, evidence={"cache": "warm"})
        compiled = {"compile_s": 30.0, "proofs": {"a": proof}} if trial.layers == ("a",) else {}
        return measured(result(true_speed(trial) * scatter, **compiled))

    spec = RunSpec(LAYERS, ("full",), 3, seed=0)
    record = make_record(spec, described(compiling=("a",)))
    with Store.create(tmp_path / "run", record) as store:
        run_trials(make_trials(spec), {}, store, execute, lambda trial: None, lambda trial: None)
        summary = to_json(summarize("run", record, store.trials()))
    a, baseline = find(summary, "a"), find(summary)
    saved_s = 60 / baseline["episodes_per_min"] - 60 / a["episodes_per_min"]
    assert a["break_even_episodes"] == pytest.approx(30 / saved_s)
    low, high = a["speedup_ci"]
    ends = [30 / (60 / baseline["episodes_per_min"] * (1 - 1 / gain)) for gain in (high, low)]
    assert a["break_even_episodes_ci"] == pytest.approx(ends)
    assert baseline["break_even_episodes"] is None


def test_figures_of_a_combination_carry_the_t_interval_of_its_trials(tmp_path: Path) -> None:
    memory = {1: 390.0, 2: 400.0, 3: 415.0}

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        peak = PeakMemory(None, memory[trial.block])
        return measured(result(true_speed(trial), peak_memory_mb=peak))

    found = find(run(tmp_path, execute), "a")
    logs = np.log(list(memory.values()))
    expected = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert found["peak_memory_mb_ci"] == pytest.approx(expected)
    per_min, ms = found["episodes_per_min_ci"], found["ms_per_episode_ci"]
    assert ms == pytest.approx([60_000 / per_min[1], 60_000 / per_min[0]])
    assert found["mfu_ci"] == pytest.approx([600 * end / 60 / 1e6 for end in per_min])
    phases = {"phase_ms_per_episode", "phase_ms_per_episode_ci", "phases_sum_ms_ci", "setup_s_ci", "warmup_s_ci"}
    assert all(found[name] for name in phases)


def test_an_interrupted_run_shows_what_is_missing() -> None:
    spec = RunSpec(LAYERS, ("full",), 1, seed=0)
    done = [StoredTrial(t, "", 1.0, "ok", None, None, result(true_speed(t))) for t in make_trials(spec)[:3]]
    summary = to_json(summarize("run", make_record(spec, described()), done))
    assert (summary["trials_done"], summary["trials_planned"]) == (3, 9)
    missing = [c for c in summary["combinations"] if c["status"] is None]
    assert len(missing) == 5
    assert all(c["speedup"] is None and c["reason"] == "not run yet" for c in missing)


def test_without_any_trial_nothing_is_invented() -> None:
    spec = RunSpec(LAYERS, ("full",), 1, seed=0)
    summary = to_json(summarize("run", make_record(spec, described()), []))
    assert summary["best"] is None
    assert summary["noise"]["aa_ratio"] is None
    assert random.Random(0).choice(summary["layers"])["alone"] is None


def test_a_combination_that_computes_something_else_is_marked_and_never_best(tmp_path: Path) -> None:
    """One trial of three finds it, in the combination that is fastest by far."""

    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        same = trial.layers != ("a", "c") or trial.block != 2
        numerics = {"gradient": NumericsCheck(same, {"worst": "w"}, None if same else "w is off by 0.5")}
        factor = 100.0 if trial.layers == ("a", "c") else 1.0
        return measured(result(true_speed(trial) * factor, numerics=numerics))

    summary = run(tmp_path, execute)
    changed = find(summary, "a", "c")
    assert (changed["status"], changed["numerics"]) == ("ok", "changed")
    assert changed["numerics_reason"] == "gradient: w is off by 0.5"
    assert changed["speedup"] == pytest.approx(1000.0)
    assert summary["best"]["layers"] == ["a"]
    assert find(summary, "a")["numerics"] == "same"
    assert summary["gates"] == {"prepare_s": 2.0, "trials_s": pytest.approx(27 * 0.25)}


def test_a_combination_that_no_check_was_run_on_is_not_called_the_same(tmp_path: Path) -> None:
    def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
        unchecked = trial.layers == ("a", "c") and trial.block == 2
        return measured(result(true_speed(trial), **({"numerics": {}} if unchecked else {})))

    summary = summary_of(tmp_path, execute)
    unchecked = next(c for c in summary.combinations if c.layers == ("a", "c"))
    assert (unchecked.numerics.numerics, str(unchecked.numerics.reasons)) == (None, "numerics not checked")
    assert "numerics not checked" in str(combinations_table(summary).rows)
    assert summary.best is not None
    assert summary.best.layers == ("a",)


def test_each_of_twenty_layers_is_told_apart_although_their_combinations_cannot_be_gone_through() -> None:
    """Each alone, all but each, and the stack; every third layer doubles the speed."""
    layers = tuple(f"layer{number}" for number in range(20))
    spec = RunSpec(layers, DEFAULT_DESIGN, 2, seed=0, learning="off")
    document = description_document(layers)
    document["workload"]["target"] = None
    record, scatter = make_record(spec, document), random.Random(0)
    trials = [
        StoredTrial(t, STARTED, 1.0, "ok", None, None, result(
            scatter.gauss(600, 6) * 2.0 ** len({*t.layers} & {*layers[::3]}), numerics_s=0.0
        ))
        for t in make_trials(spec)
    ]  # fmt: skip
    summary = summarize("run", record, trials)
    for row in summary.layers:
        assert row.speed.alone is not None
        assert row.speed.alone.value == pytest.approx(2.0 if row.name in layers[::3] else 1.0, rel=0.1)
        assert row.speed.shapley is None, "most of what it is made of was not measured"
    assert summary.recommended is not None
    assert summary.recommended.layers
    assert {*summary.recommended.layers} <= {*layers[::3]}
    assert remarks(summary)
    assert any("layer5+" in row[0] for table in trace(record, trials, "layer3") for row in table.rows)


@pytest.mark.parametrize(
    ("taking_part", "shown"),
    [(("a", "b"), True), (("a",), False), (("a", "b", "c"), False), (("a", "c"), False), ((), False)],
)
def test_what_is_claimed_of_all_layers_of_a_source_is_shown_beside_these_alone(
    taking_part: tuple[str, ...], shown: bool
) -> None:
    """The claims of ``a`` and ``b`` are of one source, that of ``c`` is of another."""
    document = {**description_document(LAYERS), "claimed_together": {"utilization": ["15 %", "80 %"]}}
    document["layers"][2]["claim"] = {**document["layers"][2]["claim"], "source": "another"}
    spec = RunSpec(taking_part, ("full",), 1, seed=0, learning="off")
    found = summarize("run", make_record(spec, document), []).claimed_together
    assert dict(found) == ({"utilization": ["15 %", "80 %"]} if shown else {})
