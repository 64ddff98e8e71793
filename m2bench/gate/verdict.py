"""From what was measured to a verdict, an exit code and a sentence. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.results import TrialResult
from m2bench.statistics.sequential import JOB_SD, MOST_BLOCKS, POWER, Mean, Rule, State, difference, mean_of
from m2bench.statistics.steady import steady_speed

from .agreement import broken_gates, gates_gone, learning_change, untold
from .counts import CountChange, compare_counts, counts_of, lines_of
from .measure import Block
from .pairs import log_ratio, whole_log_ratio
from .phases import PhaseChange, grown_most, median_phases
from .references import Recorded, Reference, record

Kind = Literal["pass", "regression", "inconclusive", "not comparable", "changed"]
EXIT_CODES: dict[Kind, int] = {"pass": 0, "regression": 2, "inconclusive": 3, "not comparable": 3, "changed": 4}
FLOORS = ("episodes_per_min", "speedup")

Document = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of the head. ``delta``: the share of its speed that it may lose against ``base`` (the code's name)
    or ``reference``; ``floors``: least values of the last combination's metrics, by name.

    ``in_turns``: the combinations that are timed by turns with the base. ``not_comparable``: why figures of the
    reference say nothing here; ``same_machine`` and ``same_counting``: whether its speeds and its counts do.
    """

    combinations: tuple[Layers, ...]
    delta: float
    alpha: float
    max_blocks: int
    base: str | None = None
    in_turns: tuple[Layers, ...] = ()
    reference: Reference | None = None
    floors: dict[str, float] = field(default_factory=dict)
    not_comparable: tuple[str, ...] = ()
    same_machine: bool = True
    same_counting: bool = True

    @property
    def threshold(self) -> float:
        """The least log ratio that is allowed."""
        return math.log1p(-self.delta)


@dataclass(frozen=True)
class Sample:
    """One log value per block, and those of a reference that their mean is compared with; else it is judged itself."""

    logs: list[float]
    reference: list[float] | None = None

    @property
    def mean(self) -> Mean:
        return mean_of(self.logs) if self.reference is None else difference(self.logs, self.reference, JOB_SD)


@dataclass(frozen=True)
class Metric:
    """Something gated. Of several ``samples``, all must say the same for it to be decided; the first one is shown.

    ``against``: "base", "reference" or "floor".
    """

    name: str
    combination: Layers
    against: str
    threshold: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Judged:
    """A metric after a look: a ratio (a level, against a floor) with the bounds by which it was judged."""

    metric: Metric
    state: State
    value: float
    lower: float
    upper: float
    mean: Mean

    @property
    def sd(self) -> float:
        """Of one block, on the logarithmic scale."""
        return self.mean.sd

    @property
    def text(self) -> str:
        """The figure in words."""
        name = combination_name(self.metric.combination)
        if self.metric.against == "floor":
            figures = f"{self.value:,.4g} [{self.lower:,.4g}, {self.upper:,.4g}]"
            return f"{name}: {self.metric.name} {figures}, floor {math.exp(self.metric.threshold):,.4g}"
        return f"{name}: {self.metric.name} {self.value:.3f}x [{self.lower:.3f}, {self.upper:.3f}]"


@dataclass(frozen=True)
class Verdict:
    """What the gate says. ``decided``: more blocks would not change it."""

    kind: Kind
    decided: bool
    blocks: int
    judged: list[Judged]
    changes: list[str]
    """What is computed or learned otherwise."""
    counts: list[CountChange]
    outdated: bool
    """Whether the counts are only lower than the reference's, which asks for a new one."""
    phases: dict[Layers, PhaseChange]
    """For each slower combination, the phase that has grown the most."""
    not_comparable: list[str]
    unchecked: list[str]
    """What nothing was compared with, which does not count as missing."""
    notes: list[str]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.kind]


def metrics_of(question: Question, blocks: Sequence[Block]) -> list[Metric]:
    """All that is gated, with what was measured of it so far. Which metrics there are does not depend on the blocks."""
    return [*_against_base(question, blocks), *_against_reference(question, blocks), *_against_floors(question, blocks)]


def decide(question: Question, blocks: Sequence[Block], final: bool) -> Verdict:
    """The verdict at a look; ``final``: it is the last one."""
    metrics = metrics_of(question, blocks)
    rule = Rule(question.alpha, question.max_blocks, max(1, len(metrics)))
    judged = [_judge(metric, rule) for metric in metrics] if blocks else []
    changes = list(_changes(question, blocks))
    counts, uncounted = _counts(question, blocks)
    missing = [*question.not_comparable, *uncounted, *_uncompared(question, blocks)]
    unchecked = list(_unchecked(question, blocks)) if blocks else []
    kind = _kind(judged, changes, _gated_counts(question, counts), missing)
    return Verdict(
        kind=kind,
        decided=final or kind != "inconclusive",
        blocks=len(blocks),
        judged=judged,
        changes=changes,
        counts=counts,
        outdated=bool(counts) and question.base is None and all(c.after < c.before for c in counts),
        phases=dict(_phases(question, blocks, judged)),
        not_comparable=missing,
        unchecked=unchecked,
        notes=[*_notes(question, rule, judged), *(f"Not checked: {reason}." for reason in unchecked)],
    )


def _kind(judged: list[Judged], changes: list[str], counts: list[CountChange], missing: list[str]) -> Kind:
    states = [found.state for found in judged]
    if changes:
        return "changed"
    if counts or "slower" in states:
        return "regression"
    if "undecided" in states:
        return "inconclusive"
    return "not comparable" if missing or not states else "pass"


def _gated_counts(question: Question, counts: list[CountChange]) -> list[CountChange]:
    """A base gives way to the next commit by itself; a reference that is beaten must be replaced, or it rots."""
    return counts if question.base is None else [change for change in counts if change.after > change.before]


# --- metrics


def _speeds(blocks: Sequence[Block], side: str, combination: Layers) -> list[float]:
    return [steady_speed(block[side, combination]) for block in blocks]


def _logs(values: Sequence[float], over: Sequence[float] | None = None) -> list[float]:
    if over is None:
        return [math.log(value) for value in values]
    return [math.log(value / other) for value, other in zip(values, over, strict=True)]


def _against_base(question: Question, blocks: Sequence[Block]) -> Iterator[Metric]:
    if question.base is None:
        return
    for combination in question.combinations:
        pairs = [(block["head", combination], block["base", combination]) for block in blocks]
        found = {"episodes/min": log_ratio}
        if combination in question.in_turns:
            found["episodes/min of whole windows"] = whole_log_ratio  # the other one leaves out what happens seldom
        for name, ratio in found.items():
            logs = [ratio(head, base) for head, base in pairs]
            yield Metric(name, combination, "base", question.threshold, (Sample(logs),))


def _against_reference(question: Question, blocks: Sequence[Block]) -> Iterator[Metric]:
    reference = question.reference
    if reference is None or not question.same_machine:
        return
    measured = record(blocks, question.combinations) if blocks else {}
    for combination in question.combinations:
        name = combination_name(combination)
        old = reference.combinations.get(name)
        if old is None:
            continue
        new = measured.get(name, Recorded([], [], [], {}, {}, {}, []))
        if old.speedup and BASELINE in question.combinations:
            sample = Sample(_logs(new.speedup), _logs(old.speedup))
            yield Metric("speedup", combination, "reference", question.threshold, (sample,))
        samples = (
            Sample(_logs(new.episodes_per_min), _logs(old.episodes_per_min)),
            Sample(_at_canary(new), _at_canary(old)),
        )
        yield Metric("episodes/min", combination, "reference", question.threshold, samples)


def _at_canary(recorded: Recorded) -> list[float]:
    """Log of episodes in the time of a fixed computation: what the machine's own speed does to both cancels."""
    pairs = zip(recorded.episodes_per_min, recorded.canary_s, strict=True)
    return [math.log(speed * seconds) for speed, seconds in pairs]


def _against_floors(question: Question, blocks: Sequence[Block]) -> Iterator[Metric]:
    combination = question.combinations[-1]
    for name, least in question.floors.items():
        speeds = _speeds(blocks, "head", combination)
        over = _speeds(blocks, "head", BASELINE) if name == "speedup" else None
        yield Metric(name, combination, "floor", math.log(least), (Sample(_logs(speeds, over)),))


def _judge(metric: Metric, rule: Rule) -> Judged:
    means = [sample.mean for sample in metric.samples]
    states: set[State] = {rule.judge(mean, metric.threshold) for mean in means}
    mean = means[0]
    return Judged(
        metric=metric,
        state=states.pop() if len(states) == 1 else "undecided",
        value=math.exp(mean.value),
        lower=math.exp(mean.lower(rule.alpha_to_pass)),
        upper=math.exp(mean.upper(rule.alpha_to_fail)),
        mean=mean,
    )


# --- what needs no statistics


def _results(blocks: Sequence[Block], side: str, combination: Layers) -> list[TrialResult]:
    return [block[side, combination] for block in blocks]


def _changes(question: Question, blocks: Sequence[Block]) -> Iterator[str]:
    for combination in question.combinations:
        heads = _results(blocks, "head", combination)
        bases = [] if question.base is None else _results(blocks, "base", combination)
        yield from broken_gates(combination, heads, bases)
        if bases:
            change = learning_change(combination, list(zip(bases, heads, strict=True)))
            if change is not None:
                yield change


def _uncompared(question: Question, blocks: Sequence[Block]) -> Iterator[str]:
    """What the other side was put through and the head was not."""
    for combination in question.combinations:
        heads = _results(blocks, "head", combination)
        recorded = question.reference and question.reference.combinations.get(combination_name(combination))
        if question.base is not None:
            bases = _results(blocks, "base", combination)
            yield from untold(combination, list(zip(bases, heads, strict=True)))
            yield from gates_gone(combination, [gate for base in bases for gate in base.numerics], heads)
        elif recorded:
            yield from gates_gone(combination, recorded.gates, heads)


def _unchecked(question: Question, blocks: Sequence[Block]) -> Iterator[str]:
    """What was not asked of the head, since there was nothing to compare it with."""
    if question.base is None and question.reference is None:
        yield "counts: there is no base and no reference to compare them with"
    for combination in question.combinations:
        name, bases = combination_name(combination), _results(blocks, "base", combination) if question.base else []
        if bases and not any(map(counts_of, bases)):
            yield f"counts: {name}: the base counts nothing"
        if bases and not any(base.training_return for base in bases):
            yield f"learning: {name}: the base tells no training return"
        if not any(head.numerics for head in _results(blocks, "head", combination)):
            yield f"numerics: {name}: no gate was run"


def _counts(question: Question, blocks: Sequence[Block]) -> tuple[list[CountChange], list[str]]:
    """The counts that differ, and why counts cannot be compared."""
    changes: list[CountChange] = []
    unclear: list[str] = []
    if question.reference is not None and not question.same_counting:
        unclear.append(
            "counts: the reference was counted with another version of torch or m2bench, or on another device"
        )
    for combination in question.combinations:
        heads = _results(blocks, "head", combination)
        if question.base is not None:
            bases = _results(blocks, "base", combination)
            before, lines = [counts_of(base) for base in bases], lines_of(bases)
        elif question.reference is not None and question.same_counting:
            recorded = question.reference.combinations.get(combination_name(combination))
            counts, lines = (recorded.counts, recorded.lines) if recorded else ({}, {})
            before = [counts] * len(heads)
        else:
            continue
        pairs = list(zip(before, map(counts_of, heads), strict=True))
        found, not_found = compare_counts(combination, pairs, (lines, lines_of(heads)))
        changes += found
        unclear += not_found
    return changes, unclear


def _phases(
    question: Question, blocks: Sequence[Block], judged: Sequence[Judged]
) -> Iterator[tuple[Layers, PhaseChange]]:
    for combination in {found.metric.combination: None for found in judged if found.state == "slower"}:
        heads = _results(blocks, "head", combination)
        if question.base is not None:
            bases = _results(blocks, "base", combination)
            pairs = [(median_phases([base]), median_phases([head])) for base, head in zip(bases, heads, strict=True)]
        elif question.reference is not None and question.same_machine:
            recorded = question.reference.combinations.get(combination_name(combination))
            pairs = [(recorded.phase_ms if recorded else {}, median_phases(heads))]
        else:
            continue
        grown = grown_most(pairs)
        if grown is not None:
            yield combination, grown


# --- in words


def _notes(question: Question, rule: Rule, judged: Sequence[Judged]) -> Iterator[str]:
    """What this machine could have seen, and gains."""
    compared = [found for found in judged if found.metric.against != "floor"]
    if compared:
        noisiest = min((found.mean for found in compared), key=lambda m: rule.smallest_found(m, question.threshold))
        smallest = -math.expm1(rule.smallest_found(noisiest, question.threshold))
        between = f", and {JOB_SD:.1%} between jobs" if question.reference is not None else ""
        yield (
            f"Noise: a block's ratio scatters by {noisiest.sd:.1%} (standard deviation){between}. With "
            f"{question.max_blocks} blocks, {POWER:.0%} of regressions of {smallest:.1%} or more are found."
        )
        if not rule.can_gate(noisiest, question.threshold):
            needed = rule.blocks_needed(noisiest, question.threshold)
            ways = [f"--max-blocks {needed}"] if needed < MOST_BLOCKS else []
            ways.append(f"--delta {rule.least_delta(noisiest):.0%}")
            ways += ["--base in place of a reference"] if question.reference is not None else []
            yield f"This machine cannot gate {percent(question.delta)}: take {', '.join(ways)}, or a quieter machine."
    for found in compared:
        if found.lower > 1:
            yield f"{combination_name(found.metric.combination)} is faster: {found.value:.3f}x {found.metric.name}."


def sentence(verdict: Verdict, question: Question) -> str:
    """Which verdict, and why, in one sentence."""
    blocks = f"after {verdict.blocks} blocks"
    figures = "; ".join(found.text for found in verdict.judged)
    against = _against(question)
    if verdict.kind == "changed":
        return f"Learning or numerics changed{against}: {'; '.join(verdict.changes)}."
    if verdict.kind == "regression":
        return _regression(verdict, question)
    if verdict.kind == "inconclusive":
        return f"Inconclusive {blocks}{against}: {figures}; allowed is a loss of {percent(question.delta)}."
    if verdict.kind == "not comparable":
        return f"Not comparable{against}: {'; '.join(verdict.not_comparable) or 'nothing was compared'}."
    return f"Passed {blocks}{against}: {figures}."


def percent(share: float) -> str:
    """As it is asked for: 5 %."""
    return f"{100 * share:g} %"


def _against(question: Question) -> str:
    if question.base is not None:
        return f" against base {question.base}"
    return f" against reference {question.reference.name}" if question.reference is not None else ""


def _regression(verdict: Verdict, question: Question) -> str:
    reasons, phases = [], dict(verdict.phases)
    for found in verdict.judged:
        if found.state == "slower":
            phase = phases.pop(found.metric.combination, None)  # said once, whatever else of it is slower
            reasons.append(found.text + (f", and {phase.sentence}" if phase else ""))
    reasons += [change.sentence for change in _gated_counts(question, verdict.counts)]
    if verdict.outdated and all(found.state != "slower" for found in verdict.judged):
        return f"The reference is outdated, since less is asked of the device now: {'; '.join(reasons)}."
    return f"Regression{_against(question)} after {verdict.blocks} blocks: {'; '.join(reasons)}."
