"""Which design fits a budget of time. Pure: what a trial takes was measured before."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from m2bench.errors import UserError
from m2bench.options.run_options import DEFAULT_DESIGN
from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import Layers
from m2bench.records.rules import NO_RULES, Rules

from .designs import (
    ALL_BUT_FULL,
    FEW_LAYERS,
    HALF_GENERATORS,
    MOST_IN_FRACTION,
    MOST_IN_FULL,
    QUARTER_GENERATORS,
    choose_combinations,
    count_trials,
)
from .learners import BUDGET_SHARE

UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Cost:
    """What a run takes on this machine: seconds per speed trial, and once for what is prepared and compiled first."""

    trial_s: float
    once_s: float

    def of(self, spec: RunSpec) -> float:
        """Seconds of the whole run; learning trials take at most their share of it."""
        speed_s = self.once_s + self.trial_s * count_trials(spec)
        return speed_s / (1 - BUDGET_SHARE) if spec.learning == "quick" else speed_s


# Rough seconds of a trial beside its windows, with its numerics checks, and of first compilations, on two cores of a
# server CPU.
STARTUP_S = 2.8
COLD_COMPILE_S = 100.0


def rough_cost(spec: RunSpec, compiles: bool) -> Cost:
    """A guess before anything was measured on this machine; ``compiles``: whether a layer taking part does."""
    return Cost(STARTUP_S + spec.window.warmup_s + spec.window.timed_s, COLD_COMPILE_S if compiles else 0.0)


def parse_duration(option: str, text: str) -> float:
    """Seconds from 90s, 10m, 1.5h or a number of seconds; UserError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if found is None or float(found[1]) == 0:
        raise UserError(f"{option} {text!r} is not a time.", "Write it as 90s, 10m or 1.5h.")
    return float(found[1]) * UNIT_S[found[2] or "s"]


def designs_to_try(layers: Layers, rules: Rules = NO_RULES) -> list[tuple[tuple[str, ...], int]]:
    """Designs and blocks that these layers have, the one that tells most first."""
    has_many = rules.allows_more_than(MOST_IN_FULL, layers)
    if has_many and len(layers) > MOST_IN_FRACTION:
        return [*((DEFAULT_DESIGN, blocks) for blocks in (3, 2, 1)), (("single",), 1)]
    best = ALL_BUT_FULL if has_many else ("full",)
    ladder: list[tuple[tuple[str, ...], int]] = [(best, 3), (best, 2), (best, 1)]
    if not rules and len(layers) <= FEW_LAYERS:
        if len(layers) in HALF_GENERATORS:
            ladder += [(("half",), 2), (("half",), 1)]
        if len(layers) in QUARTER_GENERATORS:
            ladder.append((("quarter",), 1))
    elif rules.allows_more_than(len(choose_combinations(layers, ("fraction",), rules)), layers):
        ladder.append((("fraction",), 1))
    return [*ladder, (DEFAULT_DESIGN, 1), (("single",), 1)]


# What a design with fewer trials no longer tells.
GIVEN_UP = {
    "full": "repetition: intervals rest on fewer blocks and are wider",
    "half": "every layer alone and added last, and with it the verdicts on the claims; Shapley values rest on a model "
    "of main effects and pairs",
    "single,leave-one-out,fraction": "repetition: intervals rest on fewer blocks and are wider",
    "fraction": "every layer alone and added last, and with it the verdicts on the claims: those combinations are "
    "known by a model of main effects and pairs",
    "quarter": "every layer alone and added last, the verdicts on the claims, and interactions: main effects may mix "
    "with them",
    "single,leave-one-out,stack": "main effects and interactions: each layer is measured alone and added last only",
    "single": "everything but each layer alone",
}


def fit_budget(spec: RunSpec, budget_s: float, cost: Cost) -> tuple[RunSpec, str]:
    """The best design that fits the budget, and what it gives up against the first one of the ladder.

    Raises UserError when none fits.
    """
    ladder = designs_to_try(spec.layers, spec.rules)
    for place, (design, blocks) in enumerate(ladder):
        chosen = replace(spec, design=design, blocks=blocks)
        if cost.of(chosen) <= budget_s:
            given_up = GIVEN_UP[",".join(design)] if place else "nothing"
            return chosen, (
                f"{budget_s / 60:.3g} minutes have room for --design {','.join(design)} --blocks {blocks}: "
                f"{count_trials(chosen)} trials, about {cost.of(chosen) / 60:.0f} minutes. Given up: {given_up}."
            )
    least_s = cost.of(replace(spec, design=ladder[-1][0], blocks=1))
    raise UserError(
        f"--budget {budget_s:.0f}s is too short: the smallest design takes about {least_s:.0f} s on this machine.",
        "Give more time, fewer --layers, or --quick.",
    )
