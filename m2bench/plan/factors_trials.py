"""The trials of ``ablate --factors``: every combination once with each seed, in random order. Pure."""

from __future__ import annotations

import random

from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import Layers, combination_name, layers_of
from m2bench.records.factors_spec import Factors
from m2bench.records.spec import TrialSpec

MOST_OF_TIMEOUT = 0.5
"""A trial that does not arrive must end by itself before it would be killed."""


def factor_block(spec: RunSpec, factors: Factors, block: int) -> list[TrialSpec]:
    """The trials of one seed, counted from 1."""
    cells = factors.combinations
    shuffled = random.Random(f"{spec.seed}/{block}").sample(cells, len(cells))
    return [
        TrialSpec(
            f"s{block}.{combination_name(chosen)}", factors.layers_of(chosen, spec.layers), block,
            seed=spec.seed + block - 1, kind="learning", limit_s=MOST_OF_TIMEOUT * spec.trial_timeout_s,
            options=factors.options_of(chosen),
        )
        for chosen in shuffled
    ]  # fmt: skip


def factors_of(trial: TrialSpec) -> Layers:
    """The factors and crossed layers that are on in a trial."""
    return layers_of(trial.key.partition(".")[2])
