"""From the trials of a run of ``scale`` to figures: levels, which place leads at which size, what limits each. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from m2bench.plan.designs import count_trials
from m2bench.plan.scale_trials import Line, lines_of, point_of, points_of
from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.description import PlaceLimits
from m2bench.records.scale_spec import Point, Scale, Value
from m2bench.statistics.estimate import Estimate, figure_of, typical
from m2bench.statistics.speed_by_size import BySize, crossings, levels, ratios
from m2bench.store.stored_trial import RunRecord, StoredTrial, settled
from m2bench.summary.scale_summary import (
    Choice,
    CrossingRow,
    FastestPoint,
    Limit,
    Limits,
    ScaleLine,
    ScalePoint,
    ScaleSummary,
)
from m2bench.summary.subject import MeasuredOn, Trained

from .combination_rows import worst_outcome
from .fingerprints import Fingerprints
from .noise import measure_repeats, warnings_of
from .responses import speed

SCALE_SCHEMA = 1
TELLS = 0.2
"""The least share of the time by which a limit is told: parts that are known are small where nobody counts the rest."""


def summarize_scale(run: str, record: RunRecord, attempts: list[StoredTrial]) -> ScaleSummary:
    """The summary of a run of ``scale``, finished or not, from all trials that it has stored."""
    scale = record.spec.scale
    assert scale is not None
    trials = [trial for trial in settled(attempts) if trial.spec.kind == "speed"]
    measured = _Measured.of(scale, trials)
    lines = lines_of(scale)
    compared = _Compared(lines, measured)
    needed = _episodes_to_target(lines, settled(attempts))
    return ScaleSummary(
        schema=SCALE_SCHEMA,
        run=run,
        started=record.started,
        trials_done=len(trials),
        trials_planned=count_trials(record.spec),
        system=record.description.system,
        machine=MeasuredOn(record.description.machine, record.description.device),
        workload=Trained(record.description.workload, record.spec),
        axis=scale.axis,
        places=record.prepared.places,
        repeats=measure_repeats([trial for trial in trials if point_of(trial.spec).name == measured.baseline]),
        repeated_trials=sum(trial.spec.repeats is not None for trial in attempts),
        warnings=(
            *warnings_of([trial.conditions for trial in trials if trial.conditions], "trial"),
            *_not_at_work(trials),
        ),
        lines=tuple(_summarize_line(line, measured, record, needed) for line in lines),
        choices=tuple(compared.choices()),
        crossings=tuple(compared.crossings()),
        fastest=compared.fastest(),
    )


@dataclass(frozen=True)
class _Measured:
    """The trials of each point by its name, and the logarithms of the speeds of those that all came out well."""

    trials: Mapping[str, list[StoredTrial]]
    logs: Mapping[str, Mapping[int, float]]
    baseline: str

    @classmethod
    def of(cls, scale: Scale, trials: list[StoredTrial]) -> _Measured:
        by_point: dict[str, list[StoredTrial]] = defaultdict(list)
        for trial in trials:
            by_point[point_of(trial.spec).name].append(trial)
        good = {name: own for name, own in by_point.items() if _why_no_figures(own) is None}
        return cls(by_point, {name: _by_block(own) for name, own in good.items()}, points_of(scale)[0].name)

    def line(self, line: Line) -> BySize:
        """The logarithms of a line's speeds by size and block."""
        return {size: self.logs[point.name] for size, point in line.points if point.name in self.logs}


def _not_at_work(trials: list[StoredTrial]) -> list[str]:
    """A warning for each set with which torch is asked for just what it is asked for without, at some point at least.

    Only where systems prove nothing of their layers themselves are there fingerprints.
    """
    at_point: dict[str, list[StoredTrial]] = defaultdict(list)
    for trial in trials:
        if trial.result is not None and _why_no_figures([trial]) is None:
            at_point[replace(point_of(trial.spec), layers=BASELINE).name].append(trial)
    alike = {layers for own in at_point.values() for layers in Fingerprints(own).like_the_baseline()}
    return [
        f"an update with {combination_name(layers)} asks torch for nothing else than one of the baseline: as far as "
        "these layers work in torch, they are not on; m2bench ablate tells which"
        for layers in sorted(alike)
    ]


def _why_no_figures(own: list[StoredTrial]) -> str | None:
    status, reason = worst_outcome(own)
    if status != "ok":
        return ": ".join(filter(None, (status, reason)))
    return None if all(trial.timed.same_numerics for trial in own) else "numerics changed"


def _by_block(own: list[StoredTrial]) -> dict[int, float]:
    """Of the baseline, which a block has twice, the mean."""
    found: dict[int, list[float]] = defaultdict(list)
    for trial in own:
        found[trial.spec.block].append(math.log(speed(trial)))
    return {block: fmean(logs) for block, logs in found.items()}


class _Compared:
    """Lines of the same combination against each other; all intervals hold together."""

    def __init__(self, lines: list[Line], measured: _Measured):
        self._lines = lines
        self._logs = [measured.line(line) for line in lines]
        self._sets: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            self._sets[line.layers].append(number)
        self._pairs = [pair for own in self._sets.values() for pair in combinations(own, 2)]
        at_once = max(1, sum(len({*self._logs[one]} & {*self._logs[other]}) for one, other in self._pairs))
        self._ratios = {(a, b): ratios(self._logs[a], self._logs[b], at_once) for a, b in self._pairs}

    def ratio(self, one: int, other: int, size: float) -> Estimate | None:
        """One line over another at a size; None where they do not both have it."""
        if (one, other) in self._ratios:
            return self._ratios[one, other].get(size)
        found = self._ratios.get((other, one), {}).get(size)
        return found and found.inverse()

    def choices(self) -> Iterator[Choice]:
        """Of every combination at every size the fastest line."""
        for layers, own in self._sets.items():
            sizes = sorted({size for number in own for size, _ in self._lines[number].points})
            for size in sizes if len(own) > 1 else ():
                there = [number for number in own if size in self._logs[number]]
                best = max(there, key=lambda number: fmean(self._logs[number][size].values()), default=None)
                yield Choice(layers, size, best, tuple(self._rivals(best, there, size)))

    def _rivals(self, best: int | None, there: list[int], size: float) -> Iterator[int]:
        for other in there:
            if best is not None and other != best:
                ratio = self.ratio(best, other, size)
                if ratio is None or not ratio.figure.shows_gain:
                    yield other

    def crossings(self) -> Iterator[CrossingRow]:
        for (one, other), found in self._ratios.items():
            for crossing in crossings(found):
                above, below = (one, other) if crossing.overtakes else (other, one)
                yield CrossingRow(above, below, crossing.at, crossing.low, crossing.high)

    def fastest(self) -> FastestPoint | None:
        """Among all points of the set, which is the last of the combinations."""
        own = [number for number, line in enumerate(self._lines) if line.layers == self._lines[-1].layers]
        points = {(number, size): logs for number in own for size, logs in self._logs[number].items()}
        if not points:
            return None
        best = max(points, key=lambda point: fmean(points[point].values()))
        others = [point for point in points if point != best]
        apart = {
            float(place): {block: log - points[other][block] for block, log in points[best].items()}
            for place, other in enumerate(others)
        }
        over = levels(apart, len(points) * len(others) // 2)  # of all pairs, since the best is chosen among them
        rivals = tuple(others[int(place)] for place, ratio in over.items() if not ratio.figure.shows_gain)
        return FastestPoint(*best, rivals)


Needed = Mapping[tuple[float, tuple[tuple[str, Value], ...]], Estimate | None]
"""Units to the learning target, by size and the values of the other settings."""


def _episodes_to_target(lines: list[Line], trials: list[StoredTrial]) -> Needed:
    """From the learning trials of the set; None where one did not arrive. They are of one place, and hold for all."""
    arrivals: dict[str, list[float | None]] = defaultdict(list)
    for trial in trials:
        if trial.spec.kind == "learning":
            arrivals[point_of(trial.spec).name].append(trial.episodes_to_target)
    found: dict[tuple[float, tuple[tuple[str, Value], ...]], Estimate | None] = {}
    for line in lines:
        for size, point in line.points:
            if point.name in arrivals and line.layers == lines[-1].layers:
                units = [value for value in arrivals[point.name] if value is not None]
                found[size, line.fixed] = typical(units) if len(units) == len(arrivals[point.name]) else None
    return found


def _summarize_line(line: Line, measured: _Measured, record: RunRecord, needed: Needed) -> ScaleLine:
    logs = measured.line(line)
    points = len(measured.logs)
    speeds = levels(logs, max(1, points))
    over = ratios(logs, {size: measured.logs.get(measured.baseline, {}) for size in logs}, max(1, points - 1))
    limits = next((limits for limits in record.prepared.places if limits.place == line.place), None)
    learns = line.layers == lines_of(record.spec.scale)[-1].layers if record.spec.scale else False
    return ScaleLine(
        line.layers,
        line.place,
        dict(line.fixed),
        tuple(
            _with_target(
                _summarize_point(
                    size, point, measured.trials.get(point.name, []), speeds.get(size), over.get(size), limits
                ),
                speeds.get(size),
                needed.get((size, line.fixed)) if learns else None,
            )
            for size, point in line.points
        ),
    )


def _with_target(point: ScalePoint, level: Estimate | None, needed: Estimate | None) -> ScalePoint:
    """With the time to the target: the units that it takes over their speed."""
    time_min = None if needed is None or level is None else needed.over(level)
    return replace(
        point,
        episodes_to_target=figure_of(needed),
        time_to_target_s=figure_of(time_min and time_min.scaled(60)),
    )


def _summarize_point(
    size: float,
    point: Point,
    trials: list[StoredTrial],
    level: Estimate | None,
    over_baseline: Estimate | None,
    place: PlaceLimits | None,
) -> ScalePoint:
    status, _ = worst_outcome(trials)
    results = [trial.timed for trial in trials] if level is not None else []
    return ScalePoint(
        size=size,
        layers=point.layers,
        status=status,
        reason=_why_no_figures(trials),
        trials=len(trials),
        episodes_per_min=figure_of(level),
        over_baseline=figure_of(over_baseline),
        peak_memory_mb=figure_of(typical(mb for r in results if (mb := r.peak_memory_mb.main_mb) is not None)),
        limits=_limits(trials, level, place),
    )


def _limits(trials: list[StoredTrial], level: Estimate | None, place: PlaceLimits | None) -> Limits | None:
    """What the counts of an episode take at least where it is trained; None where nothing is counted."""
    counted = [trial.timed.counts.per_episode for trial in trials if trial.result and trial.timed.counts]
    if place is None or level is None or not counted:
        return None
    counts, unit_s = counted[0], 60 / level.ratio
    shares: dict[Limit, float] = {
        "dispatch": counts.get("dispatches", 0.0) * place.dispatch_s / unit_s,
        "arithmetic": counts.get("flops", 0.0) / place.peak_flops / unit_s,
        "memory": counts.get("bytes", 0.0) / place.bytes_per_s / unit_s,
    }
    largest = max(shares, key=lambda name: shares[name])
    return Limits(**shares, limit=largest if shares[largest] >= TELLS else None)
