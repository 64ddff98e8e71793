"""What a profile found: in one process, of one side, and in all, as it is written to profile.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean

from m2bench.records.combinations import combination_name
from m2bench.records.description import Unit
from m2bench.records.figure import Figure
from m2bench.records.inspected import Looks, Pictured
from m2bench.records.results import Conditions, Counts
from m2bench.records.spec import WorkloadSpec
from m2bench.summary.subject import MeasuredOn

from .device_log import NoLog
from .mps_log import MpsLog


@dataclass(frozen=True, kw_only=True)
class ProfiledSide(Pictured):
    """One side: what its first process saw, with times that are means over all processes, and each one's own.

    ``device_log``: what the device's own log says; None where it has none.
    """

    conditions: tuple[Conditions, ...]
    counts_repeat: bool
    undisturbed_each_ms: tuple[float, ...]
    phases_each_ms: tuple[Mapping[str, float], ...]
    device_log: MpsLog | NoLog | None = None

    @classmethod
    def of(cls, looks: Sequence[Looks], conditions: Sequence[Conditions]) -> ProfiledSide:
        """The side that these processes saw, the first of which took the pictures."""
        first = looks[0]
        assert isinstance(first, Pictured)
        means = {
            "undisturbed_ms": geometric_mean(each.undisturbed_ms for each in looks),
            "phases_ms": {name: fmean(each.phases_ms[name] for each in looks) for name in first.phases_ms},
            "evaluation_s": fmean(each.evaluation_s for each in looks),
        }
        return cls(
            **{**vars(first), **means},
            conditions=tuple(conditions),
            counts_repeat=all(each.counts == first.counts for each in looks),
            undisturbed_each_ms=tuple(each.undisturbed_ms for each in looks),
            phases_each_ms=tuple(each.phases_ms for each in looks),
        )

    def times(self, size: int) -> ProfiledSide:
        """The side with figures per so many units in place of one."""
        return replace(
            self,
            undisturbed_ms=size * self.undisturbed_ms,
            undisturbed_each_ms=tuple(size * ms for ms in self.undisturbed_each_ms),
            phases_ms=_scaled(self.phases_ms, size),
            phases_each_ms=tuple(_scaled(phases, size) for phases in self.phases_each_ms),
            kernel_busy_ms=None if self.kernel_busy_ms is None else size * self.kernel_busy_ms,
            launch_gap_ms=None if self.launch_gap_ms is None else size * self.launch_gap_ms,
            operators={name: (size * calls, size * ms) for name, (calls, ms) in self.operators.items()},
            kernels={name: (size * runs, size * ms) for name, (runs, ms) in self.kernels.items()},
            counts=Counts(
                _scaled(self.counts.per_episode, size),
                {name: _scaled(lines, size) for name, lines in self.counts.lines.items()},
            ),
        )

    @property
    def name(self) -> str:
        """That of its combination."""
        return combination_name(self.layers)

    def count(self, name: str) -> float:
        """How many a unit asks for."""
        return self.counts.per_episode[name]


def _scaled(figures: Mapping[str, float], size: int) -> dict[str, float]:
    return {name: size * figure for name, figure in figures.items()}


def update_of(before: ProfiledSide, unit: Unit) -> tuple[int, Unit]:
    """Per how many units figures are shown, and the name of that: as many as an update of the first side has.

    Per single sample there would be fractions of an operator. It is one where updates do not report their units.
    """
    size = max(1, round(before.told_per_update or 1))
    return (
        (size, Unit(f"update of {size:,} {unit.many}", f"updates of {size:,} {unit.many}")) if size > 1 else (1, unit)
    )


@dataclass(frozen=True)
class Predictions:
    """Ratios of time per unit, with intervals over the pairs of processes where there are several.

    ``measured``: of units timed as a whole. ``phases``: of the sums of the phases. ``remainder``: the first over the
    second; both are None for a system without phases. ``dispatches``: of the numbers of dispatched operators, as if
    each took as long as before; None where there are none.
    """

    measured: Figure
    phases: Figure | None
    remainder: Figure | None
    dispatches: float | None


@dataclass(frozen=True, kw_only=True)
class ProfileFindings:
    """Two sides, and why one is faster. ``metal_capture``: where it is, or why there is none, if it was asked for."""

    before: ProfiledSide
    after: ProfiledSide
    warnings: tuple[str, ...]
    predictions: Predictions
    sentences: tuple[str, ...]
    peak_flops: float
    machine: MeasuredOn
    workload: WorkloadSpec
    metal_capture: str | None

    @property
    def sides(self) -> Mapping[str, ProfiledSide]:
        """Both by their names."""
        return {"before": self.before, "after": self.after}
