"""The speeds that are judged by statistics: which there are, and what a look says of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.statistics.sequential import JOB_SD, Mean, MetricState, Rule, difference, mean_of
from m2bench.statistics.steady import steady_speed
from m2bench.text.figures import in_full

from .pairs import Block, log_ratio, whole_log_ratio
from .question import EPISODES, SPEEDUP, Question
from .references.reference import Recorded, record

Against = Literal["base", "reference", "floor"]


@dataclass(frozen=True)
class Sample:
    """One log value per block. Where there are those of a reference, the difference of both means is judged."""

    logs: list[float]
    reference: list[float] | None = None

    @property
    def mean(self) -> Mean:
        return mean_of(self.logs) if self.reference is None else difference(self.logs, self.reference, JOB_SD)


@dataclass(frozen=True)
class GatedMetric:
    """A speed that is judged. It is decided when all ``samples`` say the same; the first one is shown."""

    name: str
    combination: Layers
    against: Against
    threshold: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class JudgedMetric:
    """A metric after a look: a ratio (a level, against a floor) with the bounds by which it was judged."""

    metric: GatedMetric
    state: MetricState
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
            figures = f"{in_full(self.value)} [{in_full(self.lower)}, {in_full(self.upper)}]"
            return f"{name}: {self.metric.name} {figures}, floor {in_full(math.exp(self.metric.threshold))}"
        return f"{name}: {self.metric.name} {self.value:.3f}x [{self.lower:.3f}, {self.upper:.3f}]"


def metrics_of(question: Question, blocks: Sequence[Block]) -> list[GatedMetric]:
    """All metrics, with what was measured of them so far. Which ones there are does not depend on the blocks."""
    return [*_against_base(question, blocks), *_against_reference(question, blocks), *_against_floors(question, blocks)]


def judge_metric(metric: GatedMetric, rule: Rule) -> JudgedMetric:
    """What the rule says of the metric now."""
    means = [sample.mean for sample in metric.samples]
    states: set[MetricState] = {rule.judge(mean, metric.threshold) for mean in means}
    mean = means[0]
    return JudgedMetric(
        metric=metric,
        state=states.pop() if len(states) == 1 else "undecided",
        value=math.exp(mean.value),
        lower=math.exp(mean.lower(rule.alpha_to_pass)),
        upper=math.exp(mean.upper(rule.alpha_to_fail)),
        mean=mean,
    )


def _speeds(blocks: Sequence[Block], side: str, combination: Layers) -> list[float]:
    return [steady_speed(block[side, combination]) for block in blocks]


def _logs(values: Sequence[float], over: Sequence[float] | None = None) -> list[float]:
    if over is None:
        return [math.log(value) for value in values]
    return [math.log(value / other) for value, other in zip(values, over, strict=True)]


def _against_base(question: Question, blocks: Sequence[Block]) -> Iterator[GatedMetric]:
    if question.base is None:
        return
    for combination in question.combinations:
        pairs = [(block["head", combination], block["base", combination]) for block in blocks]
        found = {question.speed.compared: log_ratio}
        if combination in question.in_turns:
            # The trimmed mean leaves out what is rare.
            found[f"{question.speed.compared} of whole windows"] = whole_log_ratio
        for name, ratio in found.items():
            logs = [ratio(head, base) for head, base in pairs]
            yield GatedMetric(name, combination, "base", question.threshold, (Sample(logs),))


def _against_reference(question: Question, blocks: Sequence[Block]) -> Iterator[GatedMetric]:
    if question.reference is None or not question.same_machine:
        return
    measured = record(blocks, question.combinations) if blocks else {}
    for combination in question.combinations:
        old = question.recorded(combination)
        if old is None:
            continue
        new = measured.get(combination_name(combination), Recorded([], [], [], {}, {}, {}, []))
        if old.speedup and BASELINE in question.combinations:
            sample = Sample(_logs(new.speedup), _logs(old.speedup))
            yield GatedMetric(SPEEDUP, combination, "reference", question.threshold, (sample,))
        samples = (
            Sample(_logs(new.episodes_per_min), _logs(old.episodes_per_min)),
            Sample(_at_canary(new), _at_canary(old)),
        )
        yield GatedMetric(question.speed.compared, combination, "reference", question.threshold, samples)


def _at_canary(recorded: Recorded) -> list[float]:
    """Log of episodes in the time of a fixed computation: what the machine's own speed does to both cancels."""
    pairs = zip(recorded.episodes_per_min, recorded.canary_s, strict=True)
    return [math.log(speed * seconds) for speed, seconds in pairs]


def _against_floors(question: Question, blocks: Sequence[Block]) -> Iterator[GatedMetric]:
    combination = question.combinations[-1]
    speeds = _speeds(blocks, "head", combination)
    for name, least in question.floors.items():
        over = _speeds(blocks, "head", BASELINE) if name == SPEEDUP else None
        levels = speeds if name in (EPISODES, SPEEDUP) else [question.speed.value(kept) for kept in speeds]
        yield GatedMetric(name, combination, "floor", math.log(least), (Sample(_logs(levels, over)),))
