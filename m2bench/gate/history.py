"""A reference over time: its levels and the checks since, with change points and slow creep. Pure but for the reading.

Only what was measured on the reference's machine and workload counts. An annotated (intended) change begins anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from m2bench.effects import MAD_TO_SD
from m2bench.steady import PENALTY

from .job import FORMAT
from .outputs import geometric, levels
from .references import Reference
from .sequential import mean_of
from .soundness import LEVELS, refuse_unsound_check

LEAST_SEGMENT = 3  # runs: fewer are no level
RECENT = 5  # runs whose mean is the level of today
ALPHA = 0.01

Document = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One run's level of a series; ``kind``: how it became a level of the reference, or "check"."""

    date: str
    commit: str
    kind: str
    value: float


@dataclass(frozen=True)
class Step:
    """A change point: from this run on the level is ``ratio`` times what it was."""

    date: str
    commit: str
    ratio: float


@dataclass(frozen=True)
class Series:
    """One metric of one combination over time. ``since_first``, ``since_last``: today's level over the first and the
    last one of the reference; ``creep``: today's is lower than the first by more than is allowed, for certain.
    """

    combination: str
    metric: str
    points: list[Point]
    steps: list[Step]
    since_first: float
    since_last: float
    creep: bool

    @property
    def sentence(self) -> str:
        name = f"{self.combination} {self.metric}"
        since = f"{self.since_first:.3f}x of the first level, {self.since_last:.3f}x of the last"
        text = f"{name}: {len(self.points)} runs, {since}"
        text += "".join(f"; {step.ratio:.3f}x at {step.commit} ({step.date})" for step in self.steps)
        if not self.creep:
            return text
        alone = "" if any(step.ratio <= self.since_first for step in self.steps) else ", and no single step shows it"
        return f"{text}. It has become slower since the first level{alone}"


def read_checks(folder: Path) -> list[Document]:
    """All documents of checks below the folder, the oldest first; damaged files and those of others are passed over."""
    found = []
    for path in sorted(folder.rglob("check.json")):
        try:
            document = json.loads(path.read_text())
            refuse_unsound_check(document)
        except (OSError, ValueError):
            continue
        if document.get("format") == FORMAT:
            found.append(document)
    return sorted(found, key=lambda document: str(document["date"]))


def make_series(reference: Reference, checks: Sequence[Document], delta: float) -> list[Series]:
    """Every metric of every combination of the reference, over its own levels and these checks."""
    points: dict[tuple[str, str], list[Point]] = {}
    for entry in reference.history:
        if entry["machine"] == reference.machine:
            for name, metrics in entry["levels"].items():
                for metric, value in metrics.items():
                    point = Point(entry["date"], entry["commit"], entry["kind"], value)
                    points.setdefault((name, metric), []).append(point)
    for check in checks:
        if check["machine"] == reference.machine and check["workload"] == reference.workload:
            for name, metric, values in levels(check):
                point = Point(check["date"], check["head"]["name"], "check", geometric(values)[0])
                if (name, metric) in points:
                    points[name, metric].append(point)
    return [
        _examine(name, metric, _since_annotated(sorted(found, key=lambda p: p.date)), delta)
        for (name, metric), found in points.items()
    ]


def _since_annotated(points: list[Point]) -> list[Point]:
    first = max((index for index, point in enumerate(points) if point.kind == "annotated"), default=0)
    return points[first:]


def _examine(combination: str, metric: str, points: list[Point], delta: float) -> Series:
    logs = [math.log(point.value) for point in points]
    own = [log for log, point in zip(logs, points, strict=True) if point.kind in LEVELS]
    recent = logs[-RECENT:]
    today = fmean(recent)
    creep = len(recent) >= LEAST_SEGMENT and mean_of(recent).upper(ALPHA) - own[0] < math.log1p(-delta)
    return Series(
        combination=combination,
        metric=metric,
        points=points,
        steps=_steps(points, logs),
        since_first=math.exp(today - own[0]),
        since_last=math.exp(today - own[-1]),
        creep=creep,
    )


def _steps(points: list[Point], logs: list[float]) -> list[Step]:
    """Change points of the level, by PELT as in steady.py; noise from the differences of neighbours."""
    if len(logs) < 2 * LEAST_SEGMENT:
        return []
    import numpy as np
    from ruptures import Pelt

    noise = MAD_TO_SD * median(abs(b - a) for a, b in pairwise(logs)) / math.sqrt(2)
    scaled = np.array(logs) / max(noise, 1e-9)
    ends = Pelt(model="l2", min_size=LEAST_SEGMENT, jump=1).fit(scaled).predict(PENALTY * math.log(len(logs)))
    starts = [0, *ends[:-1]]
    means = [fmean(logs[start:end]) for start, end in zip(starts, ends, strict=True)]
    return [
        Step(points[start].date, points[start].commit, math.exp(after - before))
        for start, (before, after) in zip(starts[1:], pairwise(means), strict=True)
    ]


def draw(series: Sequence[Series], path: Path) -> None:
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
        axis.plot(own, [ratios[index] for index in own], "o", color="tab:blue", label="level of the reference")
        dates = [point.date for point in one.points]
        for step in one.steps:
            axis.axvline(dates.index(step.date) - 0.5, linestyle="--", color="tab:red")
        axis.axhline(1.0, linewidth=0.5, color="black")
        axis.set_title(f"{one.combination}: {one.metric} over its first level", fontsize="medium", loc="left")
        axis.set_xticks(range(len(dates)), [date[:10] for date in dates], rotation=45, fontsize="x-small")
    axes[0].legend(fontsize="small")
    figure.savefig(path)
