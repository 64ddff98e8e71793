"""A reference over time: its levels and the checks since, with change points and slow creep. Pure but for the reading.

Only what was measured on the reference's machine and workload counts. An annotated (intended) change begins anew.

A job of equal code can be slower because its host is. So episodes/min have become slower only where they have both as
they are and in units of the fixed computation that is timed beside every trial (the canary), as in a check against a
reference. How far jobs of equal code differ is seen in the scatter of the last ones; the first level is like them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import numpy as np

from m2bench.statistics.change_points import change_points
from m2bench.statistics.least_squares import MAD_TO_SD
from m2bench.statistics.sequential import Mean, mean_of
from m2bench.statistics.steady import PENALTY

from .reading import LEVELS, StoredCheck
from .reference import Reference, level_of

LEAST_SEGMENT = 3  # runs: fewer are no level
RECENT = 5  # runs whose mean is the level of today
ALPHA = 0.01  # rate of false alarms of all series together, each time that one asks
UNDECIDED = (
    "Undecided whether it has become slower: its speed as measured and its speed relative to the fixed computation "
    "disagree, so the machine may have changed"
)
METRICS = ("episodes_per_min", "speedup")
"""Names of levels in files, in which an episode is a unit, whatever it is called."""


@dataclass(frozen=True)
class LevelPoint:
    """One run's level of a series; ``kind``: how it became a level of the reference, or "check".

    ``canary_s``: seconds of the fixed computation beside it; None where what slows down the host cancels by itself.
    """

    date: str
    commit: str
    kind: str
    value: float
    canary_s: float | None

    @property
    def at_canary(self) -> float | None:
        """Episodes in the time of the fixed computation, but for a factor: what the host's own speed does cancels."""
        return None if self.canary_s is None else self.value * self.canary_s


@dataclass(frozen=True)
class Step:
    """A change point: from this run on the level is ``ratio`` times what it was."""

    date: str
    commit: str
    ratio: float


@dataclass(frozen=True)
class Series:
    """One metric of one combination over time, and what a reader calls it (``named``).

    ``since_first``, ``since_last``: today's level over the first and the last one of the reference; ``creep``: today's
    is lower than the first by more than is allowed, for certain; ``undecided``: it is so either as it is or in units of
    the canary, but not both.
    """

    combination: str
    metric: str
    named: str
    points: list[LevelPoint]
    steps: list[Step]
    since_first: float
    since_last: float
    creep: bool
    undecided: bool

    @property
    def sentence(self) -> str:
        name = f"{self.combination} {self.named}"
        since = f"{self.since_first:.3f}x of the first level, {self.since_last:.3f}x of the last"
        text = f"{name}: {len(self.points)} runs, {since}"
        text += "".join(f"; {step.ratio:.3f}x at {step.commit} ({step.date})" for step in self.steps)
        if self.undecided:
            return f"{text}. {UNDECIDED}"
        if not self.creep:
            return text
        alone = "" if any(step.ratio <= self.since_first for step in self.steps) else ", and no single step shows it"
        return f"{text}. It has become slower since the first level{alone}"


def make_series(reference: Reference, checks: Sequence[StoredCheck], delta: float) -> list[Series]:
    """Every metric of every combination of the reference, over its own levels and these checks."""
    points: dict[tuple[str, str], list[LevelPoint]] = {}
    taken = set()
    for entry in reference.history:
        if entry.machine == reference.machine:
            taken.add((entry.date, entry.commit))
            for key, point in _points(entry.date, entry.commit, entry.kind, entry.levels):
                points.setdefault(key, []).append(point)
    for check in checks:
        is_comparable = check.machine == reference.machine and check.workload == reference.workload
        if is_comparable and (check.date, check.commit) not in taken:  # else it is a level, and would count twice
            levels = {name: level_of(recorded) for name, recorded in check.measured.items()}
            for key, point in _points(check.date, check.commit, "check", levels):
                if key in points:
                    points[key].append(point)
    named = {"episodes_per_min": reference.speed.compared}
    return [
        _examine(name, metric, named.get(metric, metric), _since_first_level(found), delta, ALPHA / len(points))
        for (name, metric), found in points.items()
    ]


def _points(
    date: str, commit: str, kind: str, levels: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[tuple[str, str], LevelPoint]]:
    """One run's points, each with the combination and the metric whose series it belongs to."""
    for name, level in levels.items():
        for metric in METRICS:
            if metric in level:
                canary_s = None if metric == "speedup" else level["canary_s"]
                yield (name, metric), LevelPoint(date, commit, kind, level[metric], canary_s)


def _since_first_level(points: Sequence[LevelPoint]) -> list[LevelPoint]:
    """In the order of time, from the first level of the reference on, or from the last one that was annotated."""
    ordered = sorted(points, key=lambda point: point.date)
    own = [index for index, point in enumerate(ordered) if point.kind in LEVELS]
    annotated = [index for index in own if ordered[index].kind == "annotated"]
    return ordered[annotated[-1] if annotated else own[0] :]


def _examine(combination: str, metric: str, named: str, points: list[LevelPoint], delta: float, alpha: float) -> Series:
    logs = [math.log(point.value) for point in points]
    at_canary = [math.log(value) for point in points if (value := point.at_canary) is not None]
    last = max(index for index, point in enumerate(points) if point.kind in LEVELS)
    today = fmean(logs[-RECENT:])
    slower = [_is_slower(values, delta, alpha) for values in (logs, at_canary) if values]
    return Series(
        combination=combination,
        metric=metric,
        named=named,
        points=points,
        steps=_steps(points, logs),
        since_first=math.exp(today - logs[0]),
        since_last=math.exp(today - logs[last]),
        creep=all(slower),
        undecided=any(slower) and not all(slower),
    )


def _is_slower(logs: Sequence[float], delta: float, alpha: float) -> bool:
    """Whether the last runs are slower than the first one, for certain, by more than a share of ``delta``.

    The first level is one run, with an error as each of the last ones has: that of a prediction from their mean.
    """
    recent = logs[1:][-RECENT:]
    if len(recent) < LEAST_SEGMENT:
        return False
    mean = mean_of(recent)
    over_first = Mean(mean.value - logs[0], math.hypot(mean.se, mean.sd), mean.degrees, mean.sd, mean.blocks)
    return over_first.upper(alpha) < math.log1p(-delta)


def _steps(points: list[LevelPoint], logs: list[float]) -> list[Step]:
    """Change points of the level; noise from the differences of neighbours, as in steady.py."""
    if len(logs) < 2 * LEAST_SEGMENT:
        return []
    noise = MAD_TO_SD * median(abs(b - a) for a, b in pairwise(logs)) / math.sqrt(2)
    scaled = np.array(logs) / max(noise, 1e-9)
    found = change_points(scaled, PENALTY * math.log(len(logs)), LEAST_SEGMENT)
    means = [fmean(logs[start:end]) for start, end in pairwise([0, *found, len(logs)])]
    return [
        Step(points[start].date, points[start].commit, math.exp(after - before))
        for start, (before, after) in zip(found, pairwise(means), strict=True)
    ]


def draw_history(series: Sequence[Series], path: Path) -> None:
    """A chart of all series, each over its first level; change points are dashed lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * len(series)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(series), 1, squeeze=False)[:, 0]
    for axis, one in zip(axes, series, strict=True):
        first = one.points[0].value
        ratios = [point.value / first for point in one.points]
        own = [index for index, point in enumerate(one.points) if point.kind in LEVELS]
        axis.plot(ratios, ".-", color="0.6")
        at_canary = [value for point in one.points if (value := point.at_canary) is not None]
        units = [value / at_canary[0] for value in at_canary]
        axis.plot(units, ":", color="tab:green", label="relative to the fixed computation")
        axis.plot(own, [ratios[index] for index in own], "o", color="tab:blue", label="level of the reference")
        dates = [point.date for point in one.points]
        for step in one.steps:
            axis.axvline(dates.index(step.date) - 0.5, linestyle="--", color="tab:red")
        axis.axhline(1.0, linewidth=0.5, color="black")
        axis.set_title(f"{one.combination}: {one.named} over its first level", fontsize="medium", loc="left")
        axis.set_xticks(range(len(dates)), [date[:10] for date in dates], rotation=45, fontsize="x-small")
    axes[0].legend(fontsize="small")
    figure.savefig(path)
