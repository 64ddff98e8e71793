"""Whether combinations compute the same, and how that was checked."""

from __future__ import annotations

from collections import Counter

from m2bench.findings.losses import CHECK as LOSSES
from m2bench.options.known_systems import DOORS
from m2bench.report.sentences import counted
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import digits


def numerics_remarks(summary: Summary) -> list[str]:
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
    unsure = [c.numerics.reasons for c in layered if c.numerics.numerics == "unchecked"]
    unchecked = Counter("; ".join(reasons.by_check.values()) for reasons in unsure if reasons is not None)
    if len(unchecked) == 1 and len(unsure) == len(layered):
        return [f"Numerics: unchecked, since {next(iter(unchecked))}."]
    said = [
        f"Numerics: in {count['same']} of {counted(len(layered), 'combination')} with layers, the losses of the first "
        "updates equal the baseline's with the same seed, within rounding and what their layers declare"
    ]
    if count["changed"]:
        said.append(f"{count['changed']} differ: see the status column. They are never recommended")
        said += _to_declare(summary)
    said += [f"Unchecked: {counted(number, 'combination')} ({why})" for why, number in unchecked.items()]
    return [". ".join(said) + "."]


def _to_declare(summary: Summary) -> list[str]:
    """What a function's module can say where a layer is meant to change its losses."""
    changed = [c.layers[0] for c in summary.combinations if len(c.layers) == 1 and c.numerics.numerics == "changed"]
    if not changed or summary.workload.spec.workload.module not in DOORS:
        return []
    allowed = ", ".join(f"{layer!r}: 0.02" for layer in changed)
    return [
        "Where that is meant, as of a lower precision or of other random numbers, declare how far they may differ, as "
        f"a share of the loss, and learning alone will tell whether it matters: CONTRACTS = {{{allowed}}}"
    ]
