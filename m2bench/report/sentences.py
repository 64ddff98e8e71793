"""Words that several parts of a report use: names, lists, warnings, which combinations are looked at closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2bench.machine.checks import warnings_of_machine
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.matmul_peaks import MatmulPeak
from m2bench.records.refusals import mark_of
from m2bench.records.rules import Rules
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.summary.subject import MeasuredOn
from m2bench.text.speed import Speed


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(number: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def machine_name(summary: Summary) -> str:
    """What a reader calls the machine: its GPU where that has a memory of its own, else its chip."""
    chip, device = summary.machine.machine.chip, summary.machine.device
    if is_own_program(summary):
        return chip  # what it computes on, it chooses itself
    name = chip if device.memory_mb is None else device.device_name
    return f"{name} ({summary.device})"


def name_of_peak(peak: MatmulPeak, device: str) -> str:
    """``bfloat16 on 2 cores``; of a GPU, which computes as a whole, its precision alone."""
    return f"{peak.precision} on {counted(peak.cores, 'core')}" if device == "cpu" else peak.precision


def marked(text: str, summary: Summary) -> str:
    """A title or first sentence, with a mark where the figures come from a device that computes wrongly."""
    return text + mark_of(summary.device_faults)


def warnings(measured_on: MeasuredOn, others: Sequence[str]) -> list[str]:
    """What can make every figure doubtful, of the machine and ``others``: for the place right under the headline."""
    found = (*warnings_of_machine(measured_on.machine, measured_on.device), *others)
    return [f"Warning: {warning}." for warning in found]


def tells_of_learning(summary: Summary) -> bool:
    """Whether anything is known of what the layers do to learning."""
    return any(layer.learning.learning != "not told" for layer in summary.layers)


def is_own_program(summary: Summary) -> bool:
    """Whether a trial is a program of the user's, of which nothing is known but its output."""
    return summary.workload.description.own_program


def compared(summary: Summary) -> dict[str, CombinationRow]:
    """The combinations that are looked at closely, by their role; none where the baseline has no figure.

    The baseline, the recommended one and the best one, under both names where these are the same; the baseline alone
    where there is nothing to recommend it against.
    """
    best = Speed.of(summary.system).words.best
    measured = {c.layers: c for c in summary.combinations if c.speedup is not None}
    if BASELINE not in measured:
        return {}
    roles: dict[Layers, list[str]] = {BASELINE: ["baseline"]}
    if summary.recommended is not None:
        roles.setdefault(summary.recommended.layers, []).append("recommended")
    if summary.recommended is not None and summary.best is not None:
        roles.setdefault(summary.best.layers, []).append(best)
    return {", ".join(names): measured[layers] for layers, names in roles.items() if layers in measured}


def named_in_brackets(shown: Mapping[str, CombinationRow]) -> str:
    """Which layers stand behind the roles of ``compared``, for a title: `` (recommended: a+b; fastest: a+b+c)``."""
    named = "; ".join(f"{role}: {combination_name(c.layers)}" for role, c in shown.items() if c.layers)
    return f" ({named})" if named else ""


def recommended(summary: Summary) -> CombinationRow | None:
    """The recommended combination; None where the run does not recommend any, or did not measure it."""
    advice = summary.recommended
    return next((c for c in summary.combinations if advice and c.layers == advice.layers), None)


def rules_in_words(rules: Rules) -> str:
    """``b needs a; c and d exclude each other``."""
    needs = [f"{layer} needs {needed}" for layer, needed in rules.needs]
    return "; ".join([*needs, *(f"{one} and {other} exclude each other" for one, other in rules.excludes)])


def together(summary: Summary, before: str = " ") -> str:
    """What the total is of: ``all together``, and what is not in it. ``before``: what stands before that."""
    absent = [layer.name for layer in summary.layers if layer.name not in summary.total_layers]
    return f"all together{before}without {', '.join(absent)}" if absent else "all together"


def claims(summary: Summary) -> list[str]:
    """One sentence per layer on what was claimed for it."""
    return [f"{layer.name}: {layer.verdict_sentence}." for layer in summary.layers if layer.verdict]
