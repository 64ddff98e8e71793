"""What is recommended, against cases worked out by hand, and over many runs of a known truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from simulated_runs import LAYERS, TROUBLES, TRUTHS, advise, simulate, tally

from m2bench.findings.recommendation.recommend import recommend
from m2bench.findings.recommendation.shown import ShownToHelp
from m2bench.findings.summarize_ablation import _by_speedup
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import combinations_of, make_trials
from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.factorial import Observation
from m2bench.statistics.prediction import Prediction
from m2bench.summary.ablation_summary import Recommendation
from m2bench.summary.rows import CombinationRow, LearningOfCombination, Numerics

ABC = ("a", "b", "c")
# a is worth 10x and b 1.5x whatever else is on; c costs 30 %.
FACTORS = {"a": 10.0, "b": 1.5, "c": 0.7}
CELLS: list[Layers] = [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]


def speed(layers: Layers, factors: dict[str, float] = FACTORS) -> float:
    return 100 * math.prod(factors[layer] for layer in layers)


def predict(sd: float = 0.01, factors: dict[str, float] = FACTORS, blocks: int = 4, seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    observations = [
        Observation(f"{block}.{layers}", layers, (block,), speed(layers, factors) * math.exp(rng.normal(0, sd)))
        for block in range(blocks)
        for layers in CELLS
    ]
    return Prediction(Effects(ABC, observations))


def combinations(**changes: dict[str, Any]) -> list[CombinationRow]:
    """All as they came out; ``changes`` are by name, as in a__b for a+b."""
    return [combination(layers, **changes.get("__".join(layers) or "baseline", {})) for layers in CELLS]


def combination(layers: Layers, numerics: Any = "same", **changes: Any) -> CombinationRow:
    """As it came out but for the changes, of its row or of what is known of its learning."""
    of_learning = ("learning", "time_to_target", "episodes_per_update")
    learning = {name: changes.pop(name) for name in [*changes] if name.startswith(of_learning)}
    known: dict[str, Any] = {"learning": "same", "episodes_per_update": 32 if "a" in layers else 1, **learning}
    row: dict[str, Any] = {
        "status": "ok",
        "trials": 4,
        "trials_ok": 4,
        "speedup": Figure(speed(layers) / 100),
        **changes,
    }
    return CombinationRow(
        layers,
        **row,
        numerics=Numerics(numerics),
        learning=LearningOfCombination(**known),
    )


def unknown(over: Layers, under: Layers) -> None:
    return None


def advice_of(
    documents: list[CombinationRow], speeds: Prediction, sooner: Any = unknown, spoiling: Layers = ()
) -> Recommendation:
    advice = recommend(ABC, documents, speeds, sooner, spoiling, blocks=4)
    assert advice is not None
    return advice


def test_layers_that_help_are_switched_on_and_what_costs_is_not() -> None:
    advice = advice_of(combinations(), predict())
    assert (advice.layers, advice.settled, advice.undecided) == (("a", "b"), True, ())
    assert advice.speedup is not None
    assert advice.speedup.interval is not None
    assert advice.speedup.interval[0] < 15 < advice.speedup.interval[1]
    assert {kept.layer: kept.ratio and kept.ratio.value for kept in advice.kept} == {
        "a": pytest.approx(1 / 10, rel=0.03), "b": pytest.approx(1 / 1.5, rel=0.03)}  # fmt: skip
    (left,) = advice.left_out
    assert (left.layer, left.state) == ("c", "costs")
    assert left.ratio is not None
    assert left.ratio.value == pytest.approx(0.7, rel=0.03)
    assert (advice.rivals, advice.fastest) == ((), None)


def test_the_more_layers_of_sets_are_asked_of_the_more_must_be_shown() -> None:
    """1 % for all of them together: of eight sets of three layers these are twelve questions."""
    assert ShownToHelp(CELLS, predict()).level == pytest.approx(0.01 / 12)


def test_a_layer_that_does_nothing_is_left_out_and_named_as_what_it_is() -> None:
    """On a quiet machine it is shown to gain nothing that matters, on a noisy one it is undecided."""
    neutral = FACTORS | {"b": 1.0}
    quiet = advice_of(combinations(), predict(sd=0.01, factors=neutral))
    assert (quiet.layers, quiet.settled) == (("a",), True)
    assert quiet.left_out[0].state == "negligible"
    noisy = advice_of(combinations(), predict(sd=0.1, factors=neutral, seed=1))
    assert (noisy.layers, noisy.settled, noisy.undecided) == (("a",), False, ("b",))
    assert ("a", "b") in [rival.layers for rival in noisy.rivals]
    assert noisy.more_blocks >= 1


def test_as_many_more_blocks_as_advised_settle_most_runs() -> None:
    """Some are settled at once, since a layer that does nothing may look as if it costs: those are asked nothing."""
    neutral = FACTORS | {"b": 1.0}
    settled = []
    for seed in range(14):
        first = advice_of(combinations(), predict(sd=0.08, factors=neutral, seed=seed))
        if first.settled:
            continue
        blocks = 4 + first.more_blocks
        longer = recommend(
            ABC, combinations(), predict(sd=0.08, factors=neutral, blocks=blocks, seed=100 + seed), unknown, (), blocks
        )
        assert longer is not None
        settled.append(longer.settled)
    assert len(settled) >= 7
    assert sum(settled) >= 0.6 * len(settled)


def test_without_intervals_nothing_is_shown_and_more_blocks_are_asked_for() -> None:
    advice = recommend(ABC, combinations(), predict(blocks=1), unknown, (), blocks=1, missing_blocks=4)
    assert advice is not None
    assert (advice.layers, advice.settled) == ((), False)
    assert advice.undecided == ("a", "b", "c")
    assert advice.more_blocks == 4


def test_without_intervals_nothing_is_settled_though_no_other_set_may_be_recommended() -> None:
    """How fast a set is that learns less is of interest too, and its speed has no interval."""
    wide = [combination(()), combination(("a",), learning="changed")]
    advice = recommend(ABC, wide, predict(blocks=1), unknown, (), blocks=1, missing_blocks=2)
    assert advice is not None
    assert (advice.layers, advice.settled, advice.more_blocks) == ((), False, 2)


def test_sets_of_equal_speed_are_ranked_by_their_size() -> None:
    """And not by the rounding of what is predicted: a layer that changes nothing is in no set that is the fastest."""
    equal = {"a": 1.0, "b": 1.0, "c": 0.7}
    advice = advice_of(combinations(), predict(sd=0.0, factors=equal))
    assert (advice.layers, advice.fastest) == ((), None)


def test_of_rows_of_equal_speed_the_one_with_fewer_layers_is_the_best() -> None:
    rows = [replace(combination(layers), speedup=Figure(1 + rounding)) for layers, rounding in
            ((("a", "b"), 2e-9), (("a",), 1e-9), ((), 0.0))]  # fmt: skip
    assert max(rows, key=_by_speedup).layers == ()
    assert max([*rows, replace(rows[0], speedup=Figure(1.001))], key=_by_speedup).layers == ("a", "b")


def states(advice: Recommendation) -> dict[str, str]:
    """Of the layers that are left out."""
    return {left.layer: left.state for left in advice.left_out}


@pytest.mark.parametrize(
    ("aside", "state"),
    [
        ({"status": "unsupported", "speedup": None}, "unsupported"),
        ({"status": "failed"}, "failed"),
        ({"status": "not-engaged", "speedup": None}, "not-engaged"),
        ({"numerics": "changed"}, "changed"),
    ],
)
def test_a_layer_that_cannot_join_is_not_undecided(aside: dict[str, Any], state: str) -> None:
    """However fast it is: b cannot be had beside a, and c is what it is."""
    advice = advice_of(combinations(a__b=aside), predict())
    assert advice.layers == ("a",)
    assert states(advice) == {"b": state, "c": "costs"}
    assert advice.undecided == ()
    nowhere = {"__".join(layers): aside for layers in CELLS if "b" in layers}
    without_b = Prediction(Effects(("a", "c"), [o for o in predict()._effects.observations if "b" not in o.layers]))
    advice = advice_of(combinations(**nowhere), without_b)
    assert (advice.left_out[0].state, advice.undecided) == (state, ())


def test_a_layer_that_spoils_learning_is_not_undecided() -> None:
    advice = advice_of(combinations(), predict(), spoiling=("a",))
    assert states(advice) == {"a": "spoils", "c": "costs"}
    assert advice.undecided == ()


def test_more_blocks_are_not_asked_for_where_a_fraction_cannot_tell() -> None:
    """a+b+c and its parts were never measured without b or without c: no number of blocks says what each does."""
    some: list[Layers] = [(), ("a",), ABC]
    rng = np.random.default_rng(0)
    observations = [
        Observation(f"{block}.{layers}", layers, (block,), speed(layers) * math.exp(rng.normal(0, 0.01)))
        for block in range(8)
        for layers in some
    ]
    documents = [c for c in combinations() if c.layers in some]
    advice = advice_of(documents, Prediction(Effects(ABC, observations)))
    assert (advice.layers, advice.settled) == (("a",), False)
    assert advice.more_blocks is None
    assert advice.undecided == ("b", "c")


def test_a_layer_that_is_shown_to_help_is_not_undecided_though_it_cannot_join() -> None:
    """Beside a, b gains nothing, and a was not measured without it; so a+b is not recommended, and b alone is."""
    levels: dict[Layers, float] = {
        (): 1.0, ("b",): 1.5, ("a", "b"): 15.0, ("c",): 0.7, ("b", "c"): 1.05, ("a", "c"): 10.5, ABC: 10.5,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    observations = [
        Observation(f"{block}.{cell}", cell, (block,), level * math.exp(rng.normal(0, 0.01)))
        for block in range(8)
        for cell, level in levels.items()
    ]
    documents = [c for c in combinations() if c.layers in levels]
    advice = advice_of(documents, Prediction(Effects(ABC, observations)))
    assert advice.layers == ("b",)
    assert states(advice) == {"a": "helps", "c": "costs"}
    assert (advice.undecided, advice.settled) == ((), False)


def advice_of_fraction(wrong: Callable[[Layers], bool]) -> Recommendation:
    """Eight layers, each worth 1.3x, of which 64 of 256 combinations are measured; some come out wrong."""
    layers = tuple("abcdefgh")
    spec = RunSpec(layers, ("fraction",), 3, 0)
    rng = np.random.default_rng(1)
    observations = [
        Observation(t.key, t.layers, t.mini_blocks, 1.3 ** len(t.layers) * math.exp(rng.normal(0, 0.01)))
        for t in make_trials(spec)
        if not wrong(t.layers)
    ]
    rows = [
        CombinationRow(c, "failed" if wrong(c) else "ok", trials=3, trials_ok=3 * (not wrong(c)),
                       speedup=Figure(1.3 ** len(c)), numerics=Numerics("same"),
                       learning=LearningOfCombination("same", episodes_per_update=1))
        for c in combinations_of(spec)
    ]  # fmt: skip
    assert layers not in [c.layers for c in rows]
    advice = recommend(layers, rows, Prediction(Effects(layers, observations)), unknown, (), 3, of_a_fraction=True)
    assert advice is not None
    return advice


def test_a_fraction_recommends_a_set_that_it_did_not_measure() -> None:
    advice = advice_of_fraction(lambda layers: False)
    assert advice.layers == tuple("abcdefgh")
    assert advice.speedup is not None
    assert advice.speedup.interval is not None
    assert advice.speedup.interval[0] < 1.3**8 < advice.speedup.interval[1]
    assert (advice.settled, advice.rivals) == (True, ())


def test_no_set_is_recommended_of_layers_that_never_came_out_well_together() -> None:
    """a and b fail beside each other in every combination: of a set of both no measured part may be known to fail."""
    advice = advice_of_fraction(lambda layers: {"a", "b"} <= {*layers})
    assert len(advice.layers) == 7
    assert not {"a", "b"} <= {*advice.layers}


def test_no_set_is_recommended_with_a_part_that_failed() -> None:
    """But one that was measured itself and came out well."""
    measured = combinations_of(RunSpec(tuple("abcdefgh"), ("fraction",), 3, 0))
    failing = next(c for c in measured if len(c) == 3)
    advice = advice_of_fraction(lambda layers: layers == failing)
    assert advice.layers in measured or not {*failing} <= {*advice.layers}
    assert len(advice.layers) >= 6


def test_a_combination_that_computes_something_else_is_never_recommended() -> None:
    changed = {"a": {"numerics": "changed"}, "a__b": {"numerics": "changed"}}
    assert advice_of(combinations(**changed), predict()).layers == ("b",)


def test_a_layer_that_spoils_learning_is_never_recommended_and_the_fastest_says_why() -> None:
    advice = advice_of(combinations(), predict(), spoiling=("a",))
    assert advice.layers == ("b",)
    assert advice.fastest.layers == ("a", "b")
    assert advice.fastest.but == "a changes what is learned from the same data"


# With a, fast as it is, learning takes so many times the episodes.
def learning(times: float, **changes: Any) -> list[CombinationRow]:
    seconds = {
        "__".join(layers) or "baseline": {"time_to_target_s": Figure((times if "a" in layers else 1) / speed(layers))}
        for layers in CELLS
    }
    return combinations(**{name: known | changes for name, known in seconds.items()})


def sooner_by(times: float, log_se: float) -> Any:
    def sooner(over: Layers, under: Layers) -> Estimate:
        needed = (times if "a" in over else 1) / (times if "a" in under else 1)
        return Estimate.from_log(math.log(speed(over) / speed(under) / needed), log_se, 10)

    return sooner


def test_the_time_to_the_target_decides_where_it_is_shown() -> None:
    advice = advice_of(learning(50), predict(), sooner_by(50, 0.1))
    assert (advice.layers, advice.basis) == (("b",), "time to target")
    assert advice.by_speed == ("a", "b")
    assert (advice.by_time.layers, advice.by_time.shown) == (("b",), True)
    assert advice.by_time.sooner is not None
    assert advice.by_time.sooner.value == pytest.approx(5)
    assert "learning target sooner (5.0x [" in advice.fastest.but
    assert advice.rivals == (), "a is fast, and shown to be later"


def test_where_few_seeds_show_nothing_the_speed_decides_and_both_are_told() -> None:
    advice = advice_of(learning(50), predict(), sooner_by(50, 2.0))
    assert (advice.layers, advice.basis) == (("a", "b"), "speed")
    assert (advice.by_time.layers, advice.by_time.shown) == (("b",), False)


def test_a_layer_that_changes_learning_must_be_shown_to_make_the_set_sooner_than_its_rest() -> None:
    """b+c is shown to be sooner than a+b, which is the fastest; but not that c has any part in it."""
    sizes = {"a": 32, "c": 4}
    documents = [
        combination(
            cell, time_to_target_s=Figure(1.0), episodes_per_update=math.prod(sizes.get(layer, 1) for layer in cell)
        )
        for cell in CELLS
    ]

    def sooner(over: Layers, under: Layers) -> Estimate:
        episodes = sum({"a": 4.0, "c": -0.5}.get(x, 0) * ((x in over) - (x in under)) for x in ABC)
        unsure = 1.0 if ("c" in over) != ("c" in under) and ("a" in over) == ("a" in under) else 0.1
        return Estimate.from_log(math.log(speed(over) / speed(under)) - episodes, unsure, 10)

    advice = advice_of(documents, predict(), sooner)
    assert (advice.layers, advice.basis) == (("b",), "time to target")
    assert advice.by_time is not None
    assert advice.by_time.shown


def test_what_learns_alike_and_is_faster_is_not_said_to_be_later() -> None:
    """a+b is chosen by speed and b by time. b+c is faster than both, but beside c nothing is gained by b."""
    levels = dict(zip(CELLS, (1.0, 1.2, 1.5, 1.9, 1.8, 1.0, 1.9, 1.0), strict=True))
    rng = np.random.default_rng(0)
    speeds = Prediction(
        Effects(
            ABC,
            [
                Observation(f"{block}.{cell}", cell, (block,), level * math.exp(rng.normal(0, 0.005)))
                for block in range(4)
                for cell, level in levels.items()
            ],
        )
    )

    def sooner(over: Layers, under: Layers) -> Estimate:
        needed = (50 if "a" in over else 1) / (50 if "a" in under else 1)
        return Estimate.from_log(math.log(levels[over] / levels[under] / needed), 0.1, 10)

    documents = learning(50)
    c_alone = CELLS.index(("c",))
    documents[c_alone] = replace(documents[c_alone], numerics=Numerics("changed"))
    advice = advice_of(documents, speeds, sooner)
    assert (advice.layers, advice.by_speed) == (("b",), ("a", "b"))
    assert advice.fastest is not None
    assert (advice.fastest.layers, advice.fastest.but) == (("b", "c"), "not all of its layers are shown to help")


def test_a_time_that_is_known_by_a_model_alone_decides_nothing() -> None:
    advice = advice_of(learning(50, time_to_target_modelled=True), predict(), sooner_by(50, 0.1))
    assert (advice.layers, advice.by_time) == (("a", "b"), None)


def test_what_is_shown_to_learn_otherwise_is_not_recommended_where_time_to_target_cannot_weigh_it() -> None:
    changed = {"__".join(layers): {"learning": "changed"} for layers in CELLS if "a" in layers}
    advice = advice_of(combinations(**changed), predict())
    assert advice.layers == ("b",)
    assert advice.fastest.but == "it learns differently, and no time to a target tells what that costs"


def test_a_faster_one_that_failed_once_is_named() -> None:
    failed = {"a__b": {"status": "failed", "trials_ok": 3}}
    advice = advice_of(combinations(**failed), predict())
    assert advice.layers == ("a",)
    assert advice.excluded == "a+b was excluded: 1 of its 4 trials failed"
    baseline = {"baseline": {"status": "failed", "trials": 9, "trials_ok": 8}}
    assert advice_of(combinations(**baseline), predict()).excluded is None


def test_without_two_figures_nothing_is_recommended() -> None:
    assert recommend(("a",), [], Prediction(Effects(("a",), [])), unknown, (), 3) is None
    assert recommend(ABC, combinations()[:1], predict(), unknown, (), 3) is None


@pytest.mark.parametrize("trouble", TROUBLES)
def test_over_many_runs_of_a_known_truth_no_layer_that_costs_is_recommended(trouble: str) -> None:
    """Two layers do exactly nothing. Of the runs' best raw means most would hold one of them."""
    truth = TRUTHS["two layers neutral"]
    found = tally(truth, 0.12, TROUBLES[trouble], runs=10)
    assert set(found.kinds) <= {"right", "less"}, found.kinds
    assert found.kinds["right"] >= (3 if trouble == "batching scatters 3x" else 7), "36 % scatter is too much to tell"
    assert np.mean(found.covered["gain"]) >= 0.7
    raw = [best_raw_mean(simulate(truth, 0.12, TROUBLES[trouble], seed)) for seed in range(10)]
    assert sum({"compile", "grad-accumulation"} & set(best) != set() for best in raw) >= 3


def best_raw_mean(effects: Effects) -> Layers:
    return max(effects.cells, key=lambda cell: effects.ratio(cell).ratio)


def test_a_run_that_is_too_noisy_to_tell_says_so() -> None:
    truth = TRUTHS["as measured"]
    advice = advise(simulate(truth, 0.25, TROUBLES["none"], 1), truth)
    assert not advice.settled
    assert set(advice.undecided) & set(LAYERS)
    assert advice.more_blocks is None or advice.more_blocks > 3
