"""Throughput against learning: fast is worth little where it needs more units."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes

from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.speed import Speed

from .style import GRID, INK, MARKERS, MUTED, SERIES, SURFACE, Chart, NotDrawn, drawing, plain_log_ticks, reach

NAME = "throughput-and-learning"
LABEL_MARGIN = 0.035  # of an axis: half of a label's width and height, and a little more
SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


@dataclass(frozen=True)
class PlacedCombination:
    """A combination that has both figures."""

    row: CombinationRow
    speed: Figure
    """As it is shown."""
    episodes: Figure
    """To the target."""

    @property
    def modelled(self) -> bool:
        return self.row.learning.time_to_target_modelled


def draw(summary: Summary) -> Chart | NotDrawn:
    """A point per combination: its speed, and the units it needs to the target (fewer is higher)."""
    speed, units = Speed.of(summary.system), summary.system.unit.many
    placed = [
        PlacedCombination(c, level, c.learning.episodes_to_target)
        for c in summary.combinations
        if (level := speed.level(c.episodes_per_min)) and c.learning.episodes_to_target
    ]
    if len(placed) < 2:
        return NotDrawn(NAME, f"fewer than two combinations have both a speed and {units} to a target")
    groups = sorted({point.row.learning.episodes_per_update or 0 for point in placed})
    with drawing(5.2) as canvas:
        (axis,) = canvas.axes
        axis.set_xscale("log")
        axis.set_yscale("log")
        for index, group in enumerate(groups):
            members = [point for point in placed if point.row.learning.episodes_per_update == group]
            _draw_group(axis, members, index, _label(group, members))
        front = _front([point for point in placed if not point.modelled])
        axis.step(
            [point.speed.value for point in front], [point.episodes.value for point in front], where="pre",
            color=INK, linewidth=1.2, zorder=0.8,
        )  # fmt: skip
        xs, ys = reach(point.speed for point in placed), reach(point.episodes for point in placed)
        axis.set_xlim(min(xs) / 1.4, max(xs) * 1.4)
        axis.set_ylim(max(ys) * 1.5, min(ys) / 1.5)
        _draw_seconds(axis, speed.rate.factor)
        plain_log_ticks(axis.xaxis, *axis.get_xlim())
        plain_log_ticks(axis.yaxis, *axis.get_ylim()[::-1])
        axis.set_xlabel(f"{speed.heading} (log scale)")
        axis.set_ylabel(f"{units} to the target (log scale, fewer is higher)")
        canvas.figure.legend(
            loc="outside lower center", ncols=len(groups), title=f"{units} per update: layers that all of them have"
        )
        return canvas.finish(
            NAME,
            _title(front, summary),
            f"Right is faster, up needs fewer {units}. Along a grey line the seconds to the target are the same. The "
            "dark line joins the combinations that no other beats in both, by point estimates. Hollow points are "
            "modelled. Crosses: 95 % intervals of the fastest of each group; those of the others are similar.",
        )


def _draw_group(axis: Axes, members: list[PlacedCombination], index: int, label: str) -> None:
    """The points of a group, hollow where they are modelled, and the intervals of its fastest."""
    colour = SERIES[index % len(SERIES)]
    for modelled in (False, True):
        some = [point for point in members if point.modelled == modelled]
        axis.plot(
            [point.speed.value for point in some],
            [point.episodes.value for point in some],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            color=colour,
            markerfacecolor=SURFACE if modelled else colour,
            alpha=0.85,
            label=None if modelled else label,
        )
    _draw_intervals(axis, members, colour)


def _label(episodes_per_update: float, members: list[PlacedCombination]) -> str:
    """The group, and the layers that all its combinations have."""
    shared = [layer for layer in members[0].row.layers if all(layer in point.row.layers for point in members)]
    return f"{episodes_per_update}: {'+'.join(shared)}" if shared else str(episodes_per_update)


def _draw_intervals(axis: Axes, members: list[PlacedCombination], colour: str) -> None:
    """A group's uncertainty at its fastest combination: at every one, crosses would hide the points."""
    fastest = max(members, key=lambda point: (not point.modelled, point.speed.value))
    speed, episodes = fastest.speed, fastest.episodes
    if speed.interval is not None:
        axis.plot(speed.interval, [episodes.value] * 2, color=colour, linewidth=1.8, zorder=3)
    if episodes.interval is not None:
        axis.plot([speed.value] * 2, episodes.interval, color=colour, linewidth=1.8, zorder=3)


def _front(placed: list[PlacedCombination]) -> list[PlacedCombination]:
    """From the fastest on, every combination that needs fewer units than all faster ones; the slowest first."""
    front: list[PlacedCombination] = []
    for point in sorted(placed, key=lambda point: (-point.speed.value, point.episodes.value)):
        if not front or point.episodes.value < front[-1].episodes.value:
            front.append(point)
    return front[::-1]


def _draw_seconds(axis: Axes, factor: float) -> None:
    """Lines of equal time to target, each interrupted by its label where it is about to leave the axes.

    ``factor``: what units per minute are multiplied with where they are shown.
    """
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    least_x, most_x = _inset(left, right)
    least_y, most_y = _inset(top, bottom)
    for seconds in SECONDS:
        per_episode = seconds / 60 / factor
        axis.plot([left, right], [left * per_episode, right * per_episode], color=GRID, linewidth=0.8, zorder=0.4)
        x = min(most_x, most_y / per_episode)
        if x >= least_x and x * per_episode >= least_y:
            axis.text(
                x, x * per_episode, f"{seconds:,g} s", fontsize=8, color=MUTED, ha="center", va="center", zorder=0.5,
                bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip


def _inset(low: float, high: float) -> tuple[float, float]:
    """Ends of a log axis, moved in so far that a label there lies within."""
    margin = (high / low) ** LABEL_MARGIN
    return low * margin, high / margin


def _title(front: list[PlacedCombination], summary: Summary) -> str:
    verb = "combinations are" if len(front) != 1 else "combination is"
    both = f"both speed and {summary.system.unit.many} to the target"
    first = f"{len(front)} {verb} beaten by no other in {both} (point estimates)"
    if summary.soonest is None:
        return first
    return f"{first}; {'+'.join(summary.soonest.layers) or 'the baseline'} reaches the target first"
