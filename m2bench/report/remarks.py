"""What a reader must know to weigh the figures: how they were measured, and how sure they are."""

from __future__ import annotations

from collections import Counter

from m2bench.findings.losses import CHECK as LOSSES
from m2bench.findings.noise import aa_in_words, drift_in_words
from m2bench.records.description import System, Target, Unit
from m2bench.records.noise import Noise, RunConditions, ScatterGroup
from m2bench.records.summary import LearningSummary, Summary
from m2bench.text.figures import digits, percent, times, times_within
from m2bench.text.speed import Speed

from .sentences import counted, is_own_program, listed, rules_of, tells_of_learning


def remarks(summary: Summary) -> list[str]:
    """One sentence or a few on each matter."""
    blocks, speed = summary.workload["spec"]["blocks"], Speed.of(summary.system)
    missing = {f"{name}: {why}" for c in summary.combinations for name, why in c.usage.telemetry_not_available.items()}
    return [
        f"{summary.trials_done} of {summary.trials_planned} {speed.words.trial}s done, in {counted(blocks, 'block')}. "
        "Each trial is a process of its own and one observation. Ratios are least-squares estimates on logarithms with "
        "a level for every mini-block; intervals are t intervals.",
        *_told_apart(summary),
        *summary.workload.get("market_remarks", []),
        *_noise(summary.noise, speed),
        *_numerics(summary),
        *_learning(summary),
        *_memory(summary),
        *([OF_PHASES] if any(c.usage.phase_ms_per_episode for c in summary.combinations) else []),
        *_usage(summary),
        *(f"Not available on this machine ({found})." for found in sorted(missing)),
    ]


def _told_apart(summary: Summary) -> list[str]:
    """What a fraction tells apart and what it does not."""
    layers, rules = tuple(summary.workload["spec"]["layers"]), rules_of(summary)
    possible, measured = len(rules.allowed(layers)), len(summary.combinations)
    if measured == possible or not summary.interactions:
        return []
    return [
        f"{measured} of {possible:,} possible combinations are in the design. Effects of layers and of pairs of layers "
        "are told apart from each other. Those of three or more layers are not: where there are any, they are part of "
        "the figures of layers and pairs, and of what is predicted of combinations that were not measured."
    ]


def _memory(summary: Summary) -> list[str]:
    """Whose memory is told, if any is."""
    if all(c.peak_memory_mb is None for c in summary.combinations):
        return []
    return [OF_MEMORY_OF_A_PROGRAM if is_own_program(summary) else OF_MEMORY]


OF_MEMORY = (
    "Memory is the peak of the device's allocator. On the CPU it is the peak of the trial's main process, torch "
    "included, without the processes that load data."
)
OF_MEMORY_OF_A_PROGRAM = "Memory is the peak of the largest process of the command, on the host."
OF_PHASES = (
    "Phases are timed after the timed window, waiting for the device at the end of each phase (waiting for "
    "data is from the timed window). They show where the time goes and do not feed the speed."
)


def _usage(summary: Summary) -> list[str]:
    """What is counted, and what the columns are shares of, as far as any of it is told."""
    usages, said = [c.usage for c in summary.combinations], []
    if any(usage.dispatches_per_episode is not None for usage in usages):
        said.append(
            "Dispatched operators, values read by the host (on a GPU each is a wait for the device) and matrix-product "
            f"operations are counted outside of the timed window, without the preparation of "
            f"{summary.system.unit.many}; operators that a compiler has fused are not counted."
        )
    if any(usage.utilization is not None for usage in usages):
        said.append(f"Utilization is {_utilization_of(summary)}.")
    if any(usage.mfu is not None for usage in usages):
        said.append(
            "The matrix-product peak is the highest float32 rate measured on this machine, "
            f"{summary.peak_flops / 1e9:,.0f} GFLOP/s; products of a lower precision are compared with it as well."
        )
    return [" ".join(said)] if said else []


def _utilization_of(summary: Summary) -> str:
    """What the column is a share of, by what the trials told (usage.py)."""
    if "device_telemetry" in summary.machine:
        return "that of the GPU"
    if any(c.usage.telemetry.get("own_cpu_share") is not None for c in summary.combinations):
        return "the share of all cores that the trial's own processes used"
    return "that of all cores together"


def _noise(noise: Noise, speed: Speed) -> list[str]:
    """How noisy the machine was, and what that hides."""
    repeats, spread, timing = noise.repeats, noise.conditions.canary_spread, noise.timing
    again = _run_again(noise.conditions)
    if repeats.aa_ratio is None:
        return again
    notes = [
        f"A/A test: one half of the identical baseline trials over the other half is {times_within(repeats.aa_ratio)} "
        f"({counted(repeats.aa_pairs, 'pair')}), {aa_in_words(repeats.aa_ratio.interval)}. Neighbouring baseline "
        f"trials differed by {_more(repeats.aa_typical)} (median) and at most {_more(repeats.aa_worst)}.",
        *again,
    ]
    if spread is not None:
        related = "were" if noise.conditions.canary_related else "are not shown to be"
        notes.append(
            f"The machine's speed varied by {_more(spread)} during the run, by a fixed computation beside the trials "
            f"(5th to 95th percentile). Trials {related} {speed.words.worse} when it was slow."
        )
    if repeats.drift is not None:
        notes.append(f"Over the baseline trials {drift_in_words(repeats.drift, speed.noun)}.")
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
    if timing.window_error is not None:
        notes.append(
            f"The mean of a timed window has a standard error of {timing.window_error:.1%} (median; worst "
            f"{timing.window_error_worst or 0.0:.1%}); the timer takes {_at_most(timing.timer_share_worst or 0.0)} of "
            "an update."
        )
    if noise.outliers:
        notes.append(
            f"Outliers, kept in all figures: {', '.join(noise.outliers)}. Robust estimates of the main effects are in "
            "summary.json."
        )
    if noise.lack_of_fit_p is not None and noise.lack_of_fit_p < 0.05:
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


def _numerics(summary: Summary) -> list[str]:
    """What the comparison with the plain trainer found, and what it cost."""
    if any(LOSSES in (c.numerics.checks or {}) for c in summary.combinations):
        return _losses(summary)
    verdicts = [c.numerics.numerics for c in summary.combinations if c.numerics.numerics is not None]
    changed = verdicts.count("changed")
    if "unchecked" in verdicts:
        return []  # which stands under the table of layers
    if not verdicts:
        return ["No combination has been compared with the plain trainer yet."]
    spent = summary.checks.prepare_s + summary.checks.trials_s
    found = (
        f"{changed} of {len(verdicts)} combinations do not compute what the plain trainer computes: see the status "
        "column. Their figures are shown, and they are never recommended"
        if changed
        else f"All {len(verdicts)} measured combinations compute what the plain trainer computes, within the "
        "tolerances of their layers"
    )
    draws = [found for c in summary.combinations for found in (c.numerics.checks or {}).get("draws", ())]
    ties = (
        f"{sum(d['rounding_ties'] for d in draws):,} rounding ties in {sum(d['draws'] for d in draws):,} drawn actions"
    )
    return [
        f"{found}. Compared are loss and gradients with a float64 reference, drawn actions ({ties}), updates, and the "
        f"{summary.system.unit.many} consumed; this took {digits(spent)} s of the run."
    ]


def _losses(summary: Summary) -> list[str]:
    """What comparing the first losses with the baseline's found."""
    layered = [c for c in summary.combinations if c.layers and c.numerics.numerics is not None]
    count = Counter(c.numerics.numerics for c in layered)
    said = [
        f"Numerics: {count['same']} of {counted(len(layered), 'combination')} with layers tell the losses that the "
        "baseline with the same seed tells in its first updates, to within rounding and what their layers declare"
    ]
    if count["changed"]:
        said.append(f"{count['changed']} do not: see the status column; what differs is never recommended")
    unsure = [c.numerics.reasons for c in layered if c.numerics.numerics == "unchecked"]
    unchecked = Counter("; ".join(reasons.by_check.values()) for reasons in unsure if reasons is not None)
    said += [f"Unchecked: {counted(number, 'combination')}, {why}" for why, number in unchecked.items()]
    return [". ".join(said) + "."]


def _learning(summary: Summary) -> list[str]:
    """How learning was measured, and what went wrong with it."""
    learning, target = summary.learning, summary.learning.target
    if not tells_of_learning(summary):
        return []  # which stands under the table of layers
    if learning.mode == "off":
        return ["Learning was not measured (--learning off)."]
    unit, speed = summary.system.unit, Speed.of(summary.system)
    notes = [] if learning.told is None else [_told(learning, learning.told, summary.system)]
    if target is None:
        return notes or [f"Learning was not measured: {summary.system.no_target_because}."]
    notes += [
        f"Learning target: {_target(target, learning, unit)}. Time to target is {unit.many} to target divided by "
        f"{speed.in_words}, without compiling.",
        f"Two combinations learn the same if their learning curves differ by less than {learning.margin:.0%} of what "
        f"there is to learn and their {unit.many} to target by less than {learning.episodes_margin}x (two one-sided "
        "tests at 5 %; one seed is one observation), or if equal numerics prove it. Gain surviving: the part of a "
        f"shown gain in {speed.label} that is left as time to target. Net loss: the target is reached later than by "
        "the baseline. "
        f"{counted(learning.trials, 'learning trial')} ({counted(learning.rounds, 'round')} of one seed) took "
        f"{digits(learning.elapsed_s)} s, {percent(learning.share_of_run)} of the trials' time.",
    ]
    modelled = sum(c.learning.time_to_target_modelled for c in summary.combinations)
    if modelled:
        notes.append(
            f"* The time to target of {counted(modelled, 'combination')} is modelled: a layer in it was trained only "
            f"at other {unit.many} per update, and is assumed to need the same multiple of {unit.many} here. A "
            "modelled time is never named as the soonest."
        )
    reasons = Counter(
        c.learning.time_to_target_reason for c in summary.combinations if c.learning.time_to_target_reason and c.trials
    )
    notes += [f"{counted(count, 'combination')} without a time to target: {why}." for why, count in reasons.items()]
    return notes + [f"A learning trial has no result: {failure}." for failure in learning.failed]


def _target(target: Target, learning: LearningSummary, unit: Unit) -> str:
    """What is to be reached, and where that comes from."""
    if target.share is None:
        return (
            f"a {target.measure} of {digits(target.value)}, as the mean of what the updates of the last two fifths of "
            f"the {unit.many} tell"
        )
    policy = "greedy policy" if target.measure == "greedy" else "policy, drawing its actions,"
    start = target.ignorant_return
    come_from = f", counted from the {digits(start)} % of random actions" if start else ""
    return (
        f"the {policy} earns {digits(target.value)} % per held-out {unit.one} (mean of "
        f"{learning.evaluations_averaged} evaluations), which is {target.share:.0%} of what {target.good_policy} "
        f"earns ({digits(target.good_return)} %){come_from}"
    )


def _told(learning: LearningSummary, measure: str, system: System) -> str:
    """How learning was compared by what the updates of the speed trials told, and why by that."""
    units, because = system.unit.many, system.no_target_because or "no two seeds of learning trials can be compared"
    return (
        f"Learning is compared by the {measure} that the updates of the speed trials tell, over equal {units} and with "
        f"equal seeds: {because}. A layer learns the same if the mean {measure} so far differs by less than "
        f"{learning.margin:.0%} of what the trials learned, and the {units} for the same mean {measure} by less than "
        f"{learning.episodes_margin}x (two one-sided tests at 5 %; one seed is one observation)."
    )
