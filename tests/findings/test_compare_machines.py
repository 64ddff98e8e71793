"""Runs on several machines side by side: what a layer is worth on each comes back, and where it differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from made_run import description_document, make_record, result

from m2bench.errors import UserError
from m2bench.findings import compare_machines as compared
from m2bench.findings.compare_machines import compare_machines, warn_of_machines
from m2bench.findings.summarize_ablation import summarize
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.results import Conditions
from m2bench.records.spec import WorkloadSpec
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

SPEC = RunSpec(("a", "b"), ("full",), 4, seed=0, mini_blocks_apart=True)


def make(
    folder: Path,
    factors: dict[str, float],
    seed: int,
    spec: RunSpec = SPEC,
    failed: str = "",
    pairs: Mapping[tuple[str, str], float] = MappingProxyType({}),
) -> Store:
    """A run on a machine whose mini-blocks have levels of their own, as on several machines of a kind."""
    document = description_document(spec.layers) | {"workload": {"market": {"sha256": "m"}, "target": None}}
    store = Store.create(folder, make_record(spec, document))
    rng = np.random.default_rng(seed)
    job = {layer: math.exp(rng.normal(0, 0.015)) for layer in spec.layers}
    levels = rng.normal(0, 0.2, 1 + 2 * spec.blocks)
    for trial in make_trials(spec):
        speed = 600 * math.prod(factors[layer] * job[layer] for layer in trial.layers)
        speed *= math.prod(factor for pair, factor in pairs.items() if {*pair} <= {*trial.layers})
        speed *= math.exp(rng.normal(0, 0.01) + levels[trial.mini_blocks[0]])
        ok = failed not in trial.layers
        store.add(
            StoredTrial(trial, "2026-01-01", 1.0, "ok" if ok else "failed", None, None, result(speed) if ok else None)
        )
    return store


PLANTED: list[dict[str, float]] = [{"a": 1.6, "b": 0.8}, {"a": 1.1, "b": 0.8}, {"a": 1.1, "b": 0.8}]


def test_a_layer_that_pays_on_one_machine_alone_is_found(tmp_path: Path) -> None:
    found, false_alarms, covered = 0, 0, []
    for seed in range(8):
        stores = [make(tmp_path / f"{seed}-{n}", factors, 3 * seed + n) for n, factors in enumerate(PLANTED)]
        both = compare_machines(stores)
        assert both.runs == tuple(f"{seed}-{n}" for n in range(3))
        of_a, of_b, together = both.layers
        assert (of_a.layer, of_b.layer, together.layer) == ("a", "b", None)
        found += of_a.p_holm is not None and of_a.p_holm < 0.05
        false_alarms += of_b.p_holm is not None and of_b.p_holm < 0.05
        for factors, figure in zip(PLANTED, of_a.figures, strict=True):
            assert figure is not None
            covered.append(figure.value == pytest.approx(factors["a"], rel=0.08))
        for store in stores:
            store.__exit__()
    assert found == 8
    assert false_alarms <= 2, "a twentieth, and rarely so many"
    assert all(covered)


def test_every_test_of_the_table_is_adjusted_for_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers and all together, each with p 0.02: three times as much by Bonferroni and by Holm."""
    monkeypatch.setattr(compared, "difference_p", lambda estimates, sd: 0.02)
    with ExitStack() as stack:
        stores = [stack.enter_context(make(tmp_path / str(n), factors, n)) for n, factors in enumerate(PLANTED)]
        assert [row.p_holm for row in compare_machines(stores).layers] == [pytest.approx(0.06)] * 3


def shared(factors: dict[str, dict[str, float]], seed: int, scatter: float = 0.01) -> list[StoredTrial]:
    """A run that the machines share mini-block by mini-block, each with what layers are worth there."""
    spec, rng, names = replace(SPEC, blocks=12), np.random.default_rng(seed), [*factors]
    found = []
    for trial in make_trials(spec):
        name = names[trial.mini_blocks[0] % len(names)]
        speed = 600 * math.prod(factors[name][layer] for layer in trial.layers) * math.exp(rng.normal(0, scatter))
        at = Conditions(0.0, cores=8, machine=name)
        found.append(StoredTrial(trial, "2026-01-01", 1.0, "ok", None, None, result(speed), at))
    return found


def test_layers_that_differ_between_machines_of_a_kind_are_named() -> None:
    (warning,) = warn_of_machines(SPEC, shared(dict(zip("xyz", PLANTED, strict=True)), 0))
    assert warning.startswith("intervals hold for x, y, z, not for other machines of this kind: a pays 1.1")
    assert warning.endswith("and 1.60x on x")
    assert "b pays" not in warning


def test_equal_machines_of_a_kind_are_rarely_told_apart() -> None:
    """None of two layers in 95 % of runs; by the binomial distribution at most 3 of 12 are more."""
    equal = dict.fromkeys("xy", PLANTED[0])
    told = [warn_of_machines(SPEC, shared(equal, seed))[0] for seed in range(12)]
    assert sum("no layer is shown to differ" not in warning for warning in told) <= 3


def test_one_machine_alone_and_machines_that_ran_too_little_are_told_from_equal_ones() -> None:
    assert warn_of_machines(SPEC, shared({"x": PLANTED[0]}, 0)) == []
    few = [trial for trial in shared(dict.fromkeys("xy", PLANTED[0]), 0) if trial.spec.mini_blocks[0] < 3]
    (warning,) = warn_of_machines(SPEC, few)
    assert warning.endswith("each ran too little to compare them")


def test_runs_with_other_layers_are_compared_over_what_both_have(tmp_path: Path) -> None:
    """With ``c`` the layer ``a`` is worth less, so that its average over a run with ``c`` is another one."""
    factors, beside_c = {"a": 1.5, "b": 1.2, "c": 1.1}, {("a", "c"): 0.7}
    specs = [replace(SPEC, layers=layers) for layers in (("a", "b", "c"), ("a", "b"), ("b",))]
    with ExitStack() as stack:
        stores = [
            stack.enter_context(make(tmp_path / str(n), factors, n, spec, pairs=beside_c))
            for n, spec in enumerate(specs)
        ]
        of_a, of_b, of_c, _ = compare_machines(stores).layers
    assert of_a.p_holm is not None
    assert of_a.p_holm > 0.05
    assert [None if each is None else each.value for each in of_a.figures] == [
        pytest.approx(1.5, rel=0.08), pytest.approx(1.5, rel=0.08), None,
    ]  # fmt: skip
    assert [each is None for each in of_b.figures] == [False, False, False]
    assert [each is None for each in of_c.figures] == [False, True, True]
    assert of_c.p_holm is None


def test_machines_of_one_kind_that_differ_in_speed_are_no_noise(tmp_path: Path) -> None:
    """Levels differ by 20 %, identical trials on one machine by 1 %; and there is no drift over several machines."""
    with make(tmp_path / "run", PLANTED[0], 0) as store:
        noise = summarize("run", store.record(), store.attempts()).noise
    assert noise.repeats.aa_worst is not None
    assert noise.repeats.aa_worst < 1.06
    assert noise.repeats.drift is None
    assert noise.trial_sd is not None
    assert noise.trial_sd < 0.03


def test_a_layer_that_cannot_run_on_one_machine_is_left_out_there(tmp_path: Path) -> None:
    stores = [make(tmp_path / str(n), factors, n, failed="b" * (n == 2)) for n, factors in enumerate(PLANTED)]
    of_a, of_b, _ = compare_machines(stores).layers
    assert None not in of_a.figures
    assert [figure is None for figure in of_b.figures] == [False, False, True]
    assert of_b.p_holm is not None


def test_runs_of_other_things_are_refused(tmp_path: Path) -> None:
    other = RunSpec(("a", "b"), ("full",), 4, seed=0, workload=WorkloadSpec(options={"num_envs": 64}))
    stores = [make(tmp_path / str(n), PLANTED[n], n, spec) for n, spec in enumerate((SPEC, SPEC, other))]
    with pytest.raises(UserError, match="num_envs"):
        compare_machines(stores)
