"""What a run of ``scale`` finds: planted speeds, crossings and limits must come back, and nothing else is said."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from made_run import STARTED
from planted_scale import (
    CPU1,
    CPU2,
    GPU,
    SET,
    SIZES,
    crossing_at,
    record_of,
    scale_spec,
    size_of,
    summary_of,
    trials_of,
)
from scipy import stats

from m2bench.findings.summarize_scale import summarize_scale
from m2bench.plan.designs import count_trials, make_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.plan.scale_trials import lines_of, point_of
from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.results import Calls, Fingerprint, LearningResult
from m2bench.records.scale_spec import Place, Point, Scale, Setting
from m2bench.report.charts import Chart, NotDrawn
from m2bench.report.content import Sentences
from m2bench.report.scale_report import draw_scale_charts, scale_content
from m2bench.report.where_to_train import where_to_train
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.scale_summary import ScalePoint, ScaleSummary

RUNS = 40


def points(summary: ScaleSummary, place: Place) -> dict[float, ScalePoint]:
    """Of the set."""
    (line,) = [line for line in summary.lines if (line.place, line.layers) == (place, SET)]
    return {point.size: point for point in line.points}


def test_a_block_holds_every_point_once_between_two_baselines() -> None:
    spec = scale_spec(CPU1, GPU)
    trials = make_trials(spec)
    assert len({trial.key for trial in trials}) == len(trials) == count_trials(spec) == 3 * 13
    for block in (1, 2, 3):
        own = [trial for trial in trials if trial.block == block]
        assert point_of(own[0]) == point_of(own[-1]) == Point(BASELINE, CPU1)
        assert len({point_of(trial).name for trial in own}) == 12
        assert len({trial.seed for trial in own}) == 1
    assert [t.key for t in trials[:13]] != [t.key.replace("b2", "b1") for t in trials[13:26]]


def test_one_environment_is_the_set_without_the_layer_that_has_several() -> None:
    (_, line) = lines_of(scale_spec(CPU1).scale or Scale())
    assert [(size, point.layers, dict(point.values)) for size, point in line.points[:2]] == [
        (1.0, ("vectorized-loss",), {}),
        (8.0, SET, {"num_envs": 8}),
    ]


def test_a_setting_of_the_trainer_itself_takes_effect_on_the_baseline_too() -> None:
    words, sizes = Setting("optimizer", ("adam", "sgd")), Setting("batch_size", (16, 64))
    scale = Scale(combinations=(BASELINE,), settings=(words, sizes), places=(CPU1,))
    assert scale.axis == sizes
    assert [(line.fixed, [size for size, _ in line.points]) for line in lines_of(scale)] == [
        ((("optimizer", "adam"),), [16.0, 64.0]),
        ((("optimizer", "sgd"),), [16.0, 64.0]),
    ]


def test_planted_speeds_and_their_crossing_come_back() -> None:
    summary = summary_of(scale_spec(CPU1, CPU2, GPU), crossing_at(64), sd=0.001)
    for place in (CPU1, CPU2, GPU):
        for size, point in points(summary, place).items():
            told = crossing_at(64)(Point(SET, place, {"num_envs": int(size)}))
            assert point.over_baseline is not None
            assert point.over_baseline.value == pytest.approx(told / 100, rel=0.01)
    assert where_to_train(summary) == "Train on the CPU with 1 thread below 64 environments, on MPS above."
    by_pair = {(row.overtaking, row.other): row for row in summary.crossings}
    (crossing,) = [row for (ahead, behind), row in by_pair.items() if summary.lines[behind].place == CPU1]
    assert (crossing.low, crossing.high) == (32.0, 128.0)
    assert scale_content(summary).headline[1] == "MPS overtakes the CPU with 1 thread between 32 and 128 environments."


def test_what_the_first_sentence_says_is_true_of_nearly_all_runs() -> None:
    """Whatever place it names at a size is the faster one there, and a crossing holds the planted one."""
    wrong, at = 0, 20
    for seed in range(RUNS):
        summary = summary_of(scale_spec(CPU1, GPU, seed=seed), crossing_at(at, 0.15), sd=0.05)
        shown = [(c.size, summary.lines[c.line].place) for c in summary.choices
                 if c.layers == SET and c.is_shown and c.line is not None]  # fmt: skip
        false = [size for size, place in shown if (place == GPU) != (size > at)]
        false += [row.low for row in summary.crossings if not row.low <= at <= row.high]
        wrong += bool(false)
    assert wrong <= stats.binom.ppf(0.999, RUNS, 0.05)


def test_places_that_are_the_same_are_hardly_ever_told_apart() -> None:
    def same(point: Point) -> float:
        return 100.0 * size_of(point)

    said = [where_to_train(summary_of(scale_spec(CPU1, CPU2, seed=seed), same, sd=0.05)) for seed in range(RUNS)]
    nothing = "No place is shown to be faster than another at any number of environments."
    assert np.mean([sentence != nothing for sentence in said]) <= stats.binom.ppf(0.999, RUNS, 0.05) / RUNS


def test_what_is_not_shown_at_an_end_is_not_said() -> None:
    """From 128 environments on the two are the same: the sentence says so and does not go on with the winner."""

    def meeting(point: Point) -> float:
        slower = point.place == GPU and size_of(point) < 100
        return 100.0 * size_of(point) * (0.5 if slower else 1.0)

    said = where_to_train(summary_of(scale_spec(CPU1, GPU), meeting, sd=0.02))
    assert said == (
        "Train on the CPU with 1 thread with 1, 8 and 32 environments; with 128 and 512 environments no place is shown "
        "to be the fastest."
    )


def test_a_single_place_is_asked_for_the_size() -> None:
    summary = summary_of(scale_spec(CPU1), crossing_at(64), sd=0.001)
    assert where_to_train(summary).startswith("Train with 512 environments on the CPU with 1 thread: ")
    same = summary_of(scale_spec(CPU1), lambda point: 100.0, sd=0.05)
    assert where_to_train(same) == "No number of environments is shown to be the fastest."


def test_a_point_without_memory_fails_alone() -> None:
    lost = Point(SET, GPU, {"num_envs": 512}).name
    summary = summary_of(scale_spec(CPU1, GPU), crossing_at(64), sd=0.001, faults={lost: "out of memory (512)"})
    assert (points(summary, GPU)[512].reason or "").startswith("failed: out of memory (512)")
    assert points(summary, GPU)[512].episodes_per_min is None
    assert points(summary, GPU)[128].episodes_per_min is not None
    last = next(c for c in summary.choices if (c.layers, c.size) == (SET, 512))
    assert (summary.lines[last.line or 0].place, last.rivals) == (CPU1, ())


def test_a_trial_that_took_too_long_says_what_to_do() -> None:
    lost = Point(SET, CPU1, {"num_envs": 8}).name
    late = summary_of(scale_spec(CPU1), crossing_at(64), faults={lost: "no result after 600 s; killed"})
    texts = [text for section in scale_content(late).sections for part in section.parts
             if isinstance(part, Sentences) for text in part.sentences]  # fmt: skip
    assert any("give it more with --trial-timeout" in text for text in texts)


def test_one_block_says_nothing_of_where() -> None:
    summary = summary_of(scale_spec(CPU1, GPU, blocks=1), crossing_at(64))
    assert where_to_train(summary).startswith("No place is shown")


def test_limits_are_the_counts_at_the_measured_rates() -> None:
    """At 1,000 units per minute, 600 operators of 10 us take a tenth of 60 ms; a million operations a sixtieth."""
    summary = summary_of(scale_spec(CPU1), lambda point: 1000.0)
    limits = points(summary, CPU1)[8.0].limits
    assert limits is not None
    drift = 1000.0 / (points(summary, CPU1)[8.0].episodes_per_min or pytest.fail("no figure")).value
    assert limits.dispatch * drift == pytest.approx(0.1)
    assert limits.arithmetic * drift == pytest.approx(1 / 60)
    assert limits.limit is None, "a tenth says nothing"
    slow = summary_of(scale_spec(CPU1), lambda point: 5000.0)
    assert (points(slow, CPU1)[8.0].limits or pytest.fail("no limits")).limit == "dispatch"


def test_sizes_are_those_asked_for() -> None:
    assert sorted(points(summary_of(scale_spec(CPU1), crossing_at(64)), CPU1)) == [float(size) for size in SIZES]
    assert len(trials_of(scale_spec(CPU1), crossing_at(64))) == 3 * 7


def test_the_time_to_the_target_is_what_a_size_needs_over_its_speed() -> None:
    """Every size is trained once a round, where it is the fastest; ten times as many need three times as many units."""
    spec = replace(scale_spec(CPU1, GPU), learning="full")
    record, stored = record_of(spec), trials_of(spec, crossing_at(64))
    for trial in remaining_trials(spec, record.description, lambda: stored):
        point = point_of(trial)
        assert trial.kind == "learning"
        assert point.place == (GPU if size_of(point) > 64 else CPU1)
        learned = LearningResult(
            curve=(), episodes_per_update=1, episodes_to_target=1000 * size_of(point) ** 0.5, proofs={}
        )
        stored.append(StoredTrial(trial, STARTED, 1.0, "ok", None, None, learned))
    assert sum(trial.spec.kind == "learning" for trial in stored) == 3 * len(SIZES)
    summary = summarize_scale("run", record, stored)
    for size, row in points(summary, GPU).items():
        assert row.episodes_to_target is not None
        assert row.episodes_to_target.value == pytest.approx(1000 * size**0.5)
        assert row.time_to_target_s is not None
        assert row.episodes_per_min is not None
        assert row.time_to_target_s.value == pytest.approx(60_000 * size**0.5 / row.episodes_per_min.value)
    (plain,) = [
        point for line in summary.lines if line.layers == BASELINE and line.place == GPU for point in line.points
    ]
    assert plain.time_to_target_s is None, "it was not trained to the target"
    told = " ".join(scale_content(summary).details)
    assert "The learning target is reached soonest with 512 environments on MPS: after " in told


def test_the_chart_shows_every_line_and_says_the_first_sentence() -> None:
    summary = summary_of(scale_spec(CPU1, GPU), crossing_at(64), sd=0.001)
    (chart,) = draw_scale_charts(summary)
    assert isinstance(chart, Chart)
    assert chart.title == where_to_train(summary).rstrip(".")
    texts = {text for element in ElementTree.fromstring(chart.svg).iter() if (text := (element.text or "").strip())}
    assert {
        "batching+vectorized-loss, MPS",
        "baseline, the CPU with 1 thread",
        "128",
        "environments (log scale)",
    } <= texts
    (missing,) = draw_scale_charts(replace(summary, axis=None))
    assert isinstance(missing, NotDrawn)


@pytest.mark.parametrize("works", [True, False])
def test_a_set_that_asks_torch_for_nothing_else_is_told(works: bool) -> None:
    """Layers that do nothing leave the fingerprint of an update as it is, at every size."""
    scale = Scale(combinations=(BASELINE, SET), settings=(Setting("size", SIZES),), places=(CPU1,))
    spec = replace(scale_spec(CPU1), scale=scale)

    def seen(trial: StoredTrial) -> StoredTrial:
        operators = {"aten.mm": Calls(2 if works and trial.spec.layers else 1, "a")}
        return replace(trial, result=replace(trial.timed, fingerprint=Fingerprint(update=4, operators=operators)))

    trials = [seen(trial) for trial in trials_of(spec, lambda point: 100.0)]
    summary = summarize_scale("run", record_of(spec), trials)
    told = [warning for warning in summary.warnings if "asks torch for nothing else" in warning]
    assert [combination_name(SET) in warning for warning in told] == ([] if works else [True])
