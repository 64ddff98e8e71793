"""How noisy the run was, and what that hides."""

from __future__ import annotations

from m2bench.records.figure import Figure, ScatterGroup
from m2bench.records.results import RunConditions
from m2bench.report.sentences import counted, listed
from m2bench.summary.noise import Noise, Repeats, Timing
from m2bench.text.figures import times, times_within
from m2bench.text.repeats import aa_in_words, drift_in_words
from m2bench.text.speed import Speed

LACK_OF_FIT = 0.05  # the p value below which the second-order model is said to miss something


def noise_remarks(noise: Noise, speed: Speed) -> list[str]:
    """How noisy the machine was, and what that hides."""
    again = _run_again(noise.conditions)
    if noise.repeats.aa_ratio is None:
        return again
    return [
        _aa_test(noise.repeats, noise.repeats.aa_ratio),
        *again,
        *_canary(noise.conditions, speed),
        *(
            []
            if noise.repeats.drift is None
            else [f"Over the baseline trials {drift_in_words(noise.repeats.drift, speed.noun)}."]
        ),
        *_scatter(noise),
        *_timing(noise.timing),
        *_doubts(noise),
    ]


def _aa_test(repeats: Repeats, ratio: Figure) -> str:
    return (
        f"A/A test: one half of the identical baseline trials over the other half is {times_within(ratio)} "
        f"({counted(repeats.aa_pairs, 'pair')}), {aa_in_words(ratio.interval)}. Neighbouring baseline "
        f"trials differed by {_more(repeats.aa_typical)} (median) and at most {_more(repeats.aa_worst)}."
    )


def _canary(conditions: RunConditions, speed: Speed) -> list[str]:
    """By how much the machine's own speed varied, and whether that was seen in the trials."""
    if conditions.canary_spread is None:
        return []
    related = "were" if conditions.canary_related else "are not shown to be"
    return [
        f"The machine's speed varied by {_more(conditions.canary_spread)} during the run, by a fixed computation "
        f"beside the trials (5th to 95th percentile). Trials {related} {speed.words.worse} when it was slow."
    ]


def _scatter(noise: Noise) -> list[str]:
    """How much single trials scatter, and what can be detected in spite of it."""
    notes = []
    if noise.min_detectable is not None:
        notes.append(
            f"The standard deviation of one trial is {noise.trial_sd or 0.0:.1%}. The smallest main effect that such a "
            f"run detects in 80 % of cases is {_more(noise.min_detectable)}."
        )
    if len(noise.scatter_groups) > 1:
        groups = ", ".join(f"{group.sd:.1%} {_members(group)}" for group in noise.scatter_groups)
        notes.append(
            f"Trials differ in their standard deviation: {groups}. Every interval uses that of its own trials."
        )
    return notes


def _timing(timing: Timing) -> list[str]:
    if timing.window_error is None:
        return []
    return [
        f"The mean of a timed window has a standard error of {timing.window_error:.1%} (median; worst "
        f"{timing.window_error_worst or 0.0:.1%}); the timer takes {_at_most(timing.timer_share_worst or 0.0)} of "
        "an update."
    ]


def _doubts(noise: Noise) -> list[str]:
    """Trials that lie far off, and main effects that are averages of unlike effects."""
    notes = []
    if noise.outliers:
        notes.append(
            f"Outliers, kept in all figures: {', '.join(noise.outliers)}. Robust estimates of the main effects are in "
            "summary.json."
        )
    if noise.lack_of_fit_p is not None and noise.lack_of_fit_p < LACK_OF_FIT:
        notes.append(
            "Interactions of three or more layers matter here (lack of fit of the second-order model, p = "
            f"{noise.lack_of_fit_p:.2g}): main effects are averages over very different combinations."
        )
    return notes


def _run_again(conditions: RunConditions) -> list[str]:
    """How many trials were run a second time because of other load."""
    if conditions.repeated_trials:
        were = "1 trial was" if conditions.repeated_trials == 1 else f"{conditions.repeated_trials} trials were"
        return [
            f"{were} run again at the end of a block, because other processes kept cores busy. Figures use the attempt "
            "with less other load."
        ]
    return ["No trial was run again because of other load."] if conditions.busy_trials else []


def _more(ratio: float | None) -> str:
    """By how much a ratio is above 1."""
    return "" if ratio is None else f"{ratio - 1:.1%}" if ratio < 2 else times(ratio)


def _at_most(share: float) -> str:
    return "less than 0.01 %" if share < 1e-4 else f"at most {share:.2%}"


def _members(group: ScatterGroup) -> str:
    """Which trials scatter alike: ``with a and without b``."""
    parts = [f"{word} {listed(layers)}" for word, layers in (("with", group.on), ("without", group.off)) if layers]
    return " and ".join(parts)
