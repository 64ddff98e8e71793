"""A budget takes the best design that fits, by times that are known here."""

from __future__ import annotations

import pytest

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.plan.budget import Cost, designs_to_try, fit_budget, parse_duration
from m2bench.plan.designs import make_trials
from m2bench.plan.learners import BUDGET_SHARE

SIX = ("a", "b", "c", "d", "e", "f")


def spec(layers: tuple[str, ...] = SIX, learning: str = "off") -> RunSpec:
    return RunSpec(layers, ("full",), 3, 0, learning=learning)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), (" 2 m ", 120)])
def test_times_are_understood(text: str, seconds: float) -> None:
    assert parse_duration("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "-5m", "0", "5 days", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a time"):
        parse_duration("--budget", text)


@pytest.mark.parametrize(
    ("budget_s", "design", "blocks"),
    [(217, "full", 3), (215, "full", 2), (80, "full", 1), (70, "half", 2), (40, "half", 1), (20, "quarter", 1),
     (10, "single", 1)],
)  # fmt: skip
def test_the_best_design_that_fits_is_taken(budget_s: float, design: str, blocks: int) -> None:
    """At a second per trial; a full design of six layers has 72 trials a block."""
    chosen, said = fit_budget(spec(), budget_s, Cost(1.0, 0.0))
    assert (chosen.design, chosen.blocks) == ((design,), blocks)
    assert len(make_trials(chosen)) <= budget_s
    assert f"--design {design} --blocks {blocks}" in said
    assert ("Given up: nothing" in said) == (budget_s == 217)


def test_learning_and_first_compilations_take_their_share() -> None:
    assert Cost(1.0, 84.0).of(spec()) == 216 + 84
    assert Cost(1.0, 84.0).of(spec(learning="quick")) == pytest.approx(300 / (1 - BUDGET_SHARE))


def test_a_budget_too_short_for_anything_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(UserError, match="the smallest design takes about 8 s"):
        fit_budget(spec(), 5, Cost(1.0, 0.0))


@pytest.mark.parametrize("count", range(1, 7))
def test_every_candidate_exists_for_these_layers(count: int) -> None:
    for design, blocks in designs_to_try(SIX[:count]):
        assert make_trials(RunSpec(SIX[:count], design, blocks, 0))
