"""Planted effects must come back, with intervals that hold what they promise, on machines that misbehave."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from every import every_combination
from scipy import stats
from statsmodels.robust.robust_linear_model import RLM
from statsmodels.stats.multitest import multipletests

from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.figure import ScatterGroup
from m2bench.records.spec import TrialSpec
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, typical
from m2bench.statistics.factorial import Observation
from m2bench.statistics.least_squares import Fit, Scatter
from m2bench.statistics.multiple_tests import holm
from m2bench.statistics.shapley import shapley_weights

SIX = ("batching", "amp", "compile", "vectorized", "loader", "accumulation")
FACTORS = dict(zip(SIX, (2.5, -0.3, 0.2, 0.1, 0.0, 0.02), strict=True))
PAIRS = {("batching", "compile"): 0.15, ("amp", "loader"): -0.1}
TRIPLE = {("batching", "amp", "vectorized"): 0.2}


@cache
def truth(layers: Layers) -> float:
    """Log response of a combination, above the baseline's."""
    parts = {(layer,): value for layer, value in FACTORS.items()} | PAIRS | TRIPLE
    return sum(value for names, value in parts.items() if set(names) <= set(layers))


@dataclass
class Machine:
    """What a machine does to the logarithm of a speed, over the trials of a run in their order."""

    sigma: float = 0.03
    drift: float = 0.0
    block_sd: float = 0.0
    autocorrelation: float = 0.0
    spike_share: float = 0.0
    heavy_tails: bool = False
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def noise(self, blocks: list[int]) -> np.ndarray:
        n = len(blocks)
        scale = self.sigma / math.sqrt(3) if self.heavy_tails else self.sigma
        raw = scale * (self.rng.standard_t(3, n) if self.heavy_tails else self.rng.standard_normal(n))
        for i in range(1, n):
            raw[i] = self.autocorrelation * raw[i - 1] + math.sqrt(1 - self.autocorrelation**2) * raw[i]
        shifts = self.rng.normal(0, self.block_sd, max(blocks) + 1)
        spikes = -0.3 * (self.rng.random(n) < self.spike_share)
        return raw + shifts[blocks] + spikes + self.drift * np.linspace(0, 1, n)


@pytest.mark.parametrize(
    ("count", "design", "missing"), [(1, "full", 4), (2, "full", 2), (6, "full", 0), (6, "single", 1)]
)
def test_how_many_blocks_are_missing_for_intervals(count: int, design: str, missing: int) -> None:
    layers = SIX[:count]
    assert observe(Machine(), layers, blocks=1, design=design).blocks_missing(1) == missing
    assert observe(Machine(), layers, blocks=1 + missing, design=design).scatter is not None
    if missing:
        assert observe(Machine(), layers, blocks=missing, design=design).scatter is None
    unmeasured = Effects(layers, [])
    assert unmeasured.blocks_missing(1) == 0


@cache
def trials_of(layers: Layers, design: str, blocks: int, seed: int) -> list[TrialSpec]:
    return make_trials(RunSpec(layers, (design,), blocks, seed))


def observe(machine: Machine, layers: Layers = SIX, blocks: int = 3, seed: int = 0, design: str = "full") -> Effects:
    trials = trials_of(layers, design, blocks, seed)
    noise = machine.noise([trial.block for trial in trials])
    return Effects(
        layers,
        [
            Observation(t.key, t.layers, t.mini_blocks, 600 * math.exp(truth(t.layers) + e))
            for t, e in zip(trials, noise, strict=True)
        ],
    )


@cache
def true_shapley(layer: str) -> float:
    """The mean over all orders of switching on, one by one."""
    gains = []
    for order in permutations(SIX):
        before = tuple(x for x in SIX if x in order[: order.index(layer)])
        after = tuple(x for x in SIX if x in before or x == layer)
        gains.append(truth(after) - truth(before))
    return float(np.mean(gains))


@cache
def true_main(layer: str) -> float:
    others = [c for c in every_combination(SIX) if layer not in c]
    return float(np.mean([truth(tuple(x for x in SIX if x in c or x == layer)) - truth(c) for c in others]))


# --- without noise, everything is exact


def test_an_effect_as_small_as_rounding_is_none() -> None:
    """Intervals of a metric that does not scatter at all are as narrow as rounding."""
    rounding, tiny = Estimate.from_log(5e-13, 1e-14, 50), Estimate.from_log(1e-6, 1e-8, 50)
    assert (rounding.ratio, rounding.figure.shows_effect, rounding.p) == (1.0, False, pytest.approx(1.0))
    assert tiny.figure.shows_gain


def test_planted_values_are_recovered_exactly() -> None:
    effects = observe(Machine(sigma=1e-9, block_sd=0.5))
    for layer in SIX:
        shapley, modelled = effects.shapley(layer)
        assert shapley is not None
        assert not modelled
        assert math.log(shapley.ratio) == pytest.approx(true_shapley(layer), abs=1e-6)
        assert math.log(effects.main_effect(layer).ratio) == pytest.approx(true_main(layer), abs=0.02)
    for combination in every_combination(SIX):
        ratio = effects.ratio(combination)
        assert ratio is not None
        assert math.log(ratio.ratio) == pytest.approx(truth(combination), abs=1e-6)


def test_shapley_values_multiply_to_the_total_speedup() -> None:
    effects = observe(Machine(sigma=0.2, block_sd=0.3))
    product = math.prod(effects.shapley(layer)[0].ratio for layer in SIX)
    assert product == pytest.approx(effects.ratio(SIX).ratio, rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shapley_weights_are_the_average_over_all_orders(count: int) -> None:
    layers = SIX[:count]
    rng = np.random.default_rng(count)
    value = {c: rng.normal() for c in every_combination(layers)}
    for layer in layers:
        slow = []
        for order in permutations(layers):
            before = tuple(x for x in layers if x in order[: order.index(layer)])
            slow.append(value[tuple(x for x in layers if x in before or x == layer)] - value[before])
        fast = sum(weight * value[c] for c, weight in shapley_weights(layers, layer).items())
        assert fast == pytest.approx(np.mean(slow))


# --- against an independent library


def test_estimates_are_those_of_statsmodels() -> None:
    effects = observe(Machine(sigma=0.1, block_sd=0.2), layers=SIX[:3], blocks=3)
    frame = pd.DataFrame(
        [
            {
                "y": math.log(o.value),
                "cell": "+".join(o.layers) or "0",
                "block": o.mini_blocks[0],
                **{layer: 0.5 if layer in o.layers else -0.5 for layer in SIX[:3]},
            }
            for o in effects.observations
        ]
    )
    second = smf.ols("y ~ (batching + amp + compile)**2 + C(block)", frame).fit()
    cells = smf.ols("y ~ C(cell, Treatment('0')) + C(block)", frame).fit()
    sigma_ratio = math.sqrt(cells.mse_resid / second.mse_resid)
    main = effects.main_effect("amp")
    assert math.log(main.ratio) == pytest.approx(second.params["amp"])
    assert main.log_se == pytest.approx(second.bse["amp"] * sigma_ratio)
    pair = effects.interaction(("batching", "compile"))
    assert math.log(pair.ratio) == pytest.approx(second.params["batching:compile"])
    name = "C(cell, Treatment('0'))[T.batching+amp]"
    cell = effects.ratio(("batching", "amp"))
    assert math.log(cell.ratio) == pytest.approx(cells.params[name])
    assert np.log(cell.interval) == pytest.approx(cells.conf_int().loc[name].to_numpy())
    assert cell.p == pytest.approx(cells.pvalues[name])
    assert effects.lack_of_fit_p() == pytest.approx(cells.compare_f_test(second)[1])


def test_the_ends_of_a_share_are_where_it_is_just_not_refuted() -> None:
    """By the definition: log part - s * log total is at its 5 % limit there, and 0 at the share itself."""
    effects = observe(Machine(), blocks=2)
    total = effects.ratio(SIX)
    assert total is not None
    shares = {layer: effects.share(layer) for layer in SIX}
    assert sum(share.ratio for share in shares.values() if share) == pytest.approx(1.0)
    for layer, share in shares.items():
        assert share is not None
        assert share.interval is not None
        for s, p in ((share.ratio, 1.0), *((end, 0.05) for end in share.interval)):
            weights = dict(shapley_weights(SIX, layer))
            weights[SIX] -= s
            weights[BASELINE] += s
            rest = effects.contrast(weights)
            assert rest is not None
            assert rest.p == pytest.approx(p, abs=1e-6)


def test_the_ends_of_a_part_of_the_gains_are_where_it_is_just_not_refuted() -> None:
    effects = observe(Machine(), blocks=2)
    gaining = [layer for layer in SIX if true_shapley(layer) > 0.1]
    makers = gaining[:2]
    part = effects.share_of(makers, gaining)
    assert part.ratio == pytest.approx(sum(map(true_shapley, makers)) / sum(map(true_shapley, gaining)), abs=0.03)
    assert part.interval is not None
    for s, p in ((part.ratio, 1.0), *((end, 0.05) for end in part.interval)):
        weights: dict[Layers, float] = {}
        for layer in gaining:
            for cell, weight in shapley_weights(SIX, layer).items():
                weights[cell] = weights.get(cell, 0.0) + ((layer in makers) - s) * weight
        rest = effects.contrast(weights)
        assert rest is not None
        assert rest.p == pytest.approx(p, abs=1e-6)


def test_a_part_of_the_gains_that_rests_on_a_model_has_no_interval() -> None:
    effects = observe(Machine(), design="half")
    assert effects.share_of(SIX[:1], SIX[:2]).interval is None


def test_what_is_typical_of_trials_is_their_geometric_mean_with_its_t_interval() -> None:
    values = [3.0, 4.0, 6.0]
    found = typical(values)
    assert found is not None
    assert found.ratio == pytest.approx(72 ** (1 / 3))
    logs = np.log(values)
    assert found.interval == pytest.approx(np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))))
    assert typical([]) is None
    for few in ([5.0], [0.0, 0.0, 1.0]):
        alone = typical(few)
        assert alone is not None
        assert (alone.ratio, alone.interval) == (pytest.approx(few[0]), None)


def test_holm_adjusts_as_written_down_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    for seed in range(5):
        p_values = np.random.default_rng(seed).uniform(0, 0.2, 15).tolist()
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


# --- the intervals hold what they promise

MACHINES = {
    "quiet": Machine(),
    "drifting": Machine(drift=0.2),
    "jumpy": Machine(block_sd=0.1, autocorrelation=0.5),
    "spiky": Machine(spike_share=0.02, heavy_tails=True),
}
RUNS = 200


DESIGNS = {"1 block": ("full", 1), "half": ("half", 3)}


def coverage(machine: Machine, design: str, blocks: int, runs: int) -> dict[str, float]:
    """The share of 95 % intervals that hold the truth, for each kind of figure and for each layer's main effect."""
    shapley = {layer: true_shapley(layer) for layer in SIX}
    covered: dict[str, list[bool]] = defaultdict(list)
    for run in range(runs):
        effects = observe(machine, seed=run, design=design, blocks=blocks)
        figures = [(("shapley", layer), effects.shapley(layer)[0], shapley[layer]) for layer in SIX]
        figures += [(("main", layer), effects.main_effect(layer), true_main(layer)) for layer in SIX]
        # Cells of one run share their baseline and err together: of each run every fourth one, in turn.
        figures += [(("cell", "+".join(c)), effects.ratio(c), truth(c)) for c in effects.cells[1 + run % 4 :: 4]]
        for (kind, name), estimate, true in figures:
            low, high = np.log(estimate.interval)
            covered[kind].append(low <= true <= high)
            if kind != "cell":
                covered[f"{kind} {name}"].append(low <= true <= high)
    return {kind: float(np.mean(hits)) for kind, hits in covered.items()}


@pytest.mark.parametrize("name", MACHINES)
def test_95_percent_intervals_cover_the_truth_in_92_to_98_percent(name: str) -> None:
    machine = Machine(**{**vars(MACHINES[name]), "rng": np.random.default_rng(len(name))})
    for kind, held in coverage(machine, "full", 3, RUNS).items():
        # Of one layer alone there are a sixth of the intervals: four standard errors of chance are left to it.
        chance = 0.0 if kind in ("shapley", "main", "cell") else 4 * math.sqrt(0.05 * 0.95 / RUNS)
        assert 0.92 - chance <= held <= 0.98 + chance, (kind, held)


@pytest.mark.parametrize("design", ["1 block", "half"])
def test_smaller_designs_have_wider_intervals_that_hold_the_truth_as_well(design: str) -> None:
    """Here interactions of three layers are taken for noise, or predicted as nothing: intervals may be too wide, not
    too narrow."""
    held = coverage(Machine(block_sd=0.1, rng=np.random.default_rng(5)), *DESIGNS[design], 100)
    for kind in ("shapley", "main", "cell"):
        assert held[kind] >= 0.92, (kind, held[kind])


def test_a_linear_drift_moves_no_main_or_two_way_effect_by_its_standard_error() -> None:
    for seed in range(5):
        still = observe(Machine(rng=np.random.default_rng(seed)), seed=seed)
        drifting = observe(Machine(drift=0.2, rng=np.random.default_rng(seed)), seed=seed)
        for layer in SIX:
            one, other = still.main_effect(layer), drifting.main_effect(layer)
            assert abs(math.log(one.ratio / other.ratio)) < one.log_se
        for pair in combinations(SIX, 2):
            one, other = still.interaction(pair), drifting.interaction(pair)
            assert abs(math.log(one.ratio / other.ratio)) < one.log_se


@pytest.mark.parametrize("name", MACHINES)
def test_identical_code_is_declared_different_in_5_percent_at_most(name: str) -> None:
    machine = Machine(**{**vars(MACHINES[name]), "rng": np.random.default_rng(7)})
    alarms: dict[str, list[bool]] = defaultdict(list)
    for run in range(RUNS):
        trials = trials_of(SIX[:3], "full", 3, run)
        noise = machine.noise([trial.block for trial in trials])
        effects = Effects(
            SIX[:3],
            [Observation(t.key, t.layers, t.mini_blocks, math.exp(e)) for t, e in zip(trials, noise, strict=True)],
        )
        alarms["main"] += [effects.main_effect(layer).p < 0.05 for layer in SIX[:3]]
        alarms["pair"] += [effects.interaction(pair).p < 0.05 for pair in combinations(SIX[:3], 2)]
        alarms["cell"] += [effects.ratio(cell).p < 0.05 for cell in effects.cells[1:]]
    for kind, found in alarms.items():
        # Cells share their baseline, so they err together: a run counts as one.
        independent = RUNS if kind == "cell" else len(found)
        assert np.mean(found) <= stats.binom.ppf(0.999, independent, 0.05) / independent, (kind, np.mean(found))


# --- trials that do not all scatter alike


def test_layers_that_change_the_scatter_are_found_and_no_others() -> None:
    """Planted: with batching three times the scatter. The rule is to find one where there is none in 1 % of runs."""
    found = [unequal(seed, times=3.0).scatter for seed in range(20)]
    assert all(scatter is not None for scatter in found)
    for scatter in found:
        quiet, noisy = sorted(scatter.groups, key=lambda group: group.sd)
        assert (quiet.on, quiet.off, noisy.on, noisy.off) == ((), ("batching",), ("batching",), ())
        assert quiet.sd == pytest.approx(0.03, rel=0.35)
        assert noisy.sd == pytest.approx(0.09, rel=0.35)
    alike = [unequal(seed, times=1.0).scatter for seed in range(100)]
    assert sum(len(scatter.groups) > 1 for scatter in alike) <= 5


def unequal(seed: int, times: float) -> Effects:
    """A run whose trials with batching scatter so many times as much as the others, by 3 %."""
    rng = np.random.default_rng(seed)
    trials = trials_of(SIX, "full", 3, seed)
    sds = [0.03 * (times if "batching" in trial.layers else 1.0) for trial in trials]
    return Effects(
        SIX,
        [
            Observation(t.key, t.layers, t.mini_blocks, math.exp(truth(t.layers) + rng.normal(0, sd)))
            for t, sd in zip(trials, sds, strict=True)
        ],
    )


def test_intervals_hold_where_one_half_of_the_trials_scatters_three_times_as_much() -> None:
    """By one pooled scatter 81 to 88 % did of those that compare noisy combinations, and all of the quiet ones."""
    held: dict[str, list[bool]] = defaultdict(list)
    everything = {layer: tuple(other for other in SIX if other != layer) for layer in SIX}
    for seed in range(60):
        effects = unequal(seed, times=3.0)
        figures = [("alone, quiet", effects.ratio((layer,)), truth((layer,))) for layer in SIX[1:]]
        figures.append(("alone, noisy", effects.ratio(("batching",)), truth(("batching",))))
        figures += [("last", effects.ratio(SIX, rest), truth(SIX) - truth(rest)) for rest in everything.values()]
        figures.append(("total", effects.ratio(SIX), truth(SIX)))
        figures += [("shapley", effects.shapley(layer)[0], true_shapley(layer)) for layer in SIX]
        figures += [("main", effects.main_effect(layer), true_main(layer)) for layer in SIX]
        for kind, estimate, true in figures:
            low, high = np.log(estimate.interval)
            held[kind].append(low <= true <= high)
    for kind, hits in held.items():
        chance = 3.3 * math.sqrt(0.05 * 0.95 / 60)  # figures of one run err together: each run counts as one
        assert 0.95 - chance <= np.mean(hits), (kind, np.mean(hits))
    assert np.mean(held["alone, quiet"]) <= 0.99


def test_the_variance_of_a_weighted_sum_is_that_of_its_groups() -> None:
    """Two groups of known variance: 4 x 0.25^2 x 9 + 2 x 0.5^2 x 1; degrees by Satterthwaite's formula by hand."""
    groups = (ScatterGroup(("a",), (), 3.0, 10.0), ScatterGroup((), ("a",), 1.0, 20.0))
    scatter = Scatter(groups, np.array([0, 0, 0, 0, 1, 1]))
    se, degrees = scatter.of_weights(np.array([0.25, 0.25, 0.25, 0.25, 0.5, -0.5]))
    assert se**2 == pytest.approx(2.25 + 0.5)
    assert degrees == pytest.approx(2.75**2 / (2.25**2 / 10 + 0.5**2 / 20))


# --- what is missing, and what stands out


MISSING = (("amp", "loader"), ("batching", "amp", "vectorized"), ("compile", "accumulation"))


def test_with_combinations_missing_shapley_values_are_near_and_say_that_they_rest_on_a_model() -> None:
    whole = observe(Machine(sigma=0.001))
    effects = Effects(SIX, [o for o in whole.observations if o.layers not in MISSING])
    for missing in MISSING:
        assert effects.ratio(missing) is None
    for layer in SIX:
        shapley, modelled = effects.shapley(layer)
        assert modelled
        assert math.log(shapley.ratio) == pytest.approx(true_shapley(layer), abs=0.02)


@pytest.mark.parametrize("missing", [MISSING[:1], MISSING, tuple(c for c in every_combination(SIX) if len(c) == 5)])
def test_intervals_of_shapley_values_hold_the_truth_with_combinations_missing(missing: tuple[Layers, ...]) -> None:
    """The planted interaction of three layers is what the second-order model does not know."""
    held = []
    for seed in range(60):
        whole = observe(Machine(sigma=0.02, block_sd=0.1, rng=np.random.default_rng(seed)), seed=seed)
        effects = Effects(SIX, [o for o in whole.observations if o.layers not in missing])
        for layer in SIX:
            shapley, _ = effects.shapley(layer)
            held.append(shapley.interval[0] <= math.exp(true_shapley(layer)) <= shapley.interval[1])
    assert np.mean(held) >= 0.92


@pytest.mark.parametrize("failed", [(3, 4), (1, 8), tuple(range(9))])
def test_what_nothing_ties_together_gets_no_figure(failed: tuple[int, ...]) -> None:
    """Without the anchors between them, mini-blocks of one block are as good as different machines."""
    whole = observe(Machine(sigma=0.02, block_sd=0.5), blocks=1)
    gone = {f"b1.anchor{number}" for number in failed}
    effects = Effects(SIX, [o for o in whole.observations if o.key not in gone])
    exact = {c: r for c in every_combination(SIX) if (r := effects.ratio(c)) is not None}
    for combination, ratio in exact.items():
        assert math.log(ratio.ratio) == pytest.approx(truth(combination), abs=0.2)
    assert len(exact) < 64
    for layer in SIX:
        shapley, _ = effects.shapley(layer)
        assert shapley is None or math.log(shapley.ratio) == pytest.approx(true_shapley(layer), abs=0.2)
    effects.outliers()  # does not stumble over columns that depend on each other


def test_a_quarter_of_the_combinations_gives_main_effects_that_may_mix_with_interactions() -> None:
    effects = observe(Machine(sigma=0.01), design="quarter", blocks=2)
    assert effects.mixed
    assert not observe(Machine(sigma=0.01), design="half").mixed
    chosen = effects.cells
    for layer in SIX:
        on = np.mean([truth(c) for c in chosen if layer in c])
        off = np.mean([truth(c) for c in chosen if layer not in c])
        assert math.log(effects.main_effect(layer).ratio) == pytest.approx(on - off, abs=0.02)
        assert effects.shapley(layer) == (effects.main_effect(layer), True)


def test_a_layer_that_never_ran_gets_no_estimate() -> None:
    whole = observe(Machine())
    effects = Effects(SIX, [o for o in whole.observations if "compile" not in o.layers])
    assert effects.shapley("compile") == (None, True)
    assert effects.main_effect("compile") is None
    assert effects.ratio(("compile",)) is None


def test_a_design_without_all_pairs_gives_ratios_but_no_main_effects() -> None:
    effects = observe(Machine(), design="single")
    assert math.log(effects.ratio(("amp",)).ratio) == pytest.approx(FACTORS["amp"], abs=0.1)
    assert effects.main_effect("amp") is None
    assert effects.lack_of_fit_p() is None


def test_one_block_takes_its_noise_from_the_high_interactions() -> None:
    effects = observe(Machine(sigma=0.05), blocks=1)
    sigma, degrees = effects.scatter.sd, effects.scatter.degrees
    assert degrees > 30
    assert 0.03 < sigma < 0.12  # the planted triple adds to it
    assert effects.main_effect("amp").interval is not None


def test_next_to_no_trials_give_no_intervals() -> None:
    effects = Effects(SIX[:1], [Observation("a", BASELINE, (1,), 2.0), Observation("b", SIX[:1], (1,), 6.0)])
    ratio = effects.ratio(SIX[:1])
    assert (ratio.ratio, ratio.interval) == (pytest.approx(3.0), None)


def test_outliers_are_flagged_and_not_dropped() -> None:
    whole = observe(Machine(sigma=0.02))
    wild = whole.observations[40]
    with_wild = [
        Observation(o.key, o.layers, o.mini_blocks, o.value * (5 if o is wild else 1)) for o in whole.observations
    ]
    effects = Effects(SIX, with_wild)
    assert effects.outliers() == [wild.key]
    assert len(effects.observations) == len(whole.observations)
    robust = effects.robust_main_effects()
    for layer in SIX:
        assert math.log(robust[layer]) == pytest.approx(true_main(layer), abs=0.03)


def test_robust_coefficients_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    design, variances = rng.normal(size=(60, 4)), rng.choice([1.0, 4.0], 60)
    y = design @ [1.0, 0.0, -1.0, 0.5] + rng.standard_t(2, 60)
    fit = Fit(design, y, variances)
    root = np.sqrt(variances)
    theirs = RLM(y / root, design / root[:, None]).fit(tol=1e-12, maxiter=200).params
    assert fit.robust_coefficients() == pytest.approx(theirs, abs=1e-5)
    assert np.abs(fit.coefficients - theirs).max() > 0.01


def test_lack_of_fit_is_found_where_three_layers_interact() -> None:
    assert observe(Machine(sigma=0.02)).lack_of_fit_p() < 0.01
    flat = observe(Machine(sigma=0.02))
    without = [
        Observation(
            o.key,
            o.layers,
            o.mini_blocks,
            o.value * math.exp(-sum(v for names, v in TRIPLE.items() if set(names) <= set(o.layers))),
        )
        for o in flat.observations
    ]
    assert Effects(SIX, without).lack_of_fit_p() > 0.01
