"""Throughput against learning: fast is worth little where it needs more episodes."""

from __future__ import annotations

from matplotlib.axes import Axes

from .style import GRID, INK, MARKERS, MUTED, SERIES, SURFACE, Canvas, Chart, Document, NotDrawn, plain_log_ticks

NAME = "throughput-and-learning"
LABEL_MARGIN = 0.035  # of an axis: half of a label's width and height, and a little more
SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


def draw(summary: Document) -> Chart | NotDrawn:
    """A point per combination: its speed, and the episodes it needs to the target (fewer is higher)."""
    placed = [c for c in summary["combinations"] if c["episodes_per_min"] and c["episodes_to_target"]]
    if len(placed) < 2:
        return NotDrawn(NAME, "fewer than two combinations have both a speed and episodes to a target")
    groups = sorted({c["episodes_per_update"] for c in placed})
    with Canvas(5.2) as canvas:
        (axis,) = canvas.axes
        axis.set_xscale("log")
        axis.set_yscale("log")
        for index, group in enumerate(groups):
            members = [c for c in placed if c["episodes_per_update"] == group]
            for modelled in (False, True):
                some = [c for c in members if c["time_to_target_modelled"] == modelled]
                axis.plot(
                    [c["episodes_per_min"] for c in some],
                    [c["episodes_to_target"] for c in some],
                    linestyle="none",
                    marker=MARKERS[index % len(MARKERS)],
                    color=SERIES[index % len(SERIES)],
                    markerfacecolor=SURFACE if modelled else SERIES[index % len(SERIES)],
                    alpha=0.85,
                    label=None if modelled else _label(group, members),
                )
            _draw_intervals(axis, members, SERIES[index % len(SERIES)])
        front = _front([c for c in placed if not c["time_to_target_modelled"]])
        axis.step(
            [c["episodes_per_min"] for c in front], [c["episodes_to_target"] for c in front], where="pre",
            color=INK, linewidth=1.2, zorder=0.8,
        )  # fmt: skip
        xs, ys = (_reach(placed, name) for name in ("episodes_per_min", "episodes_to_target"))
        axis.set_xlim(min(xs) / 1.4, max(xs) * 1.4)
        axis.set_ylim(max(ys) * 1.5, min(ys) / 1.5)
        _draw_seconds(axis)
        plain_log_ticks(axis.xaxis, *axis.get_xlim())
        plain_log_ticks(axis.yaxis, *axis.get_ylim()[::-1])
        axis.set_xlabel("episodes/min (log scale)")
        axis.set_ylabel("episodes to the target (log scale, fewer is higher)")
        canvas.figure.legend(
            loc="outside lower center", ncols=len(groups), title="episodes per update, and the layers that make them so"
        )
        return canvas.finish(
            NAME,
            _title(front, summary),
            "To the right is faster, up needs fewer episodes. Along a grey line the seconds to the target are the "
            "same. The dark line joins the combinations that none beats in both, by point estimates; hollow points are "
            "by a model. Crosses: 95 % intervals of the fastest of each group, which the others' are like.",
        )


def _label(episodes_per_update: int, members: list[Document]) -> str:
    """The group, and the layers that all its combinations have."""
    shared = [layer for layer in members[0]["layers"] if all(layer in c["layers"] for c in members)]
    return f"{episodes_per_update}: {'+'.join(shared)}" if shared else str(episodes_per_update)


def _draw_intervals(axis: Axes, members: list[Document], colour: str) -> None:
    """A group's uncertainty at its fastest combination: at every one, crosses would hide the points."""
    fastest = max(members, key=lambda c: (not c["time_to_target_modelled"], c["episodes_per_min"]))
    speed, episodes = fastest["episodes_per_min"], fastest["episodes_to_target"]
    for name, xs, ys in (
        ("episodes_per_min_ci", None, [episodes] * 2),
        ("episodes_to_target_ci", [speed] * 2, None),
    ):
        ends = fastest[name]
        if ends is not None:
            axis.plot(xs or ends, ys or ends, color=colour, linewidth=1.8, zorder=3)


def _reach(placed: list[Document], name: str) -> list[float]:
    """All values of a figure, and the ends of their intervals."""
    return [value for c in placed for value in (c[name], *(c[f"{name}_ci"] or ()))]


def _front(placed: list[Document]) -> list[Document]:
    """From the fastest on, every combination that needs fewer episodes than all faster ones; the slowest first."""
    front: list[Document] = []
    for c in sorted(placed, key=lambda c: (-c["episodes_per_min"], c["episodes_to_target"])):
        if not front or c["episodes_to_target"] < front[-1]["episodes_to_target"]:
            front.append(c)
    return front[::-1]


def _draw_seconds(axis: Axes) -> None:
    """Lines of equal time to target, each interrupted by its label where it is about to leave the axes."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    least_x, most_x = _inset(left, right)
    least_y, most_y = _inset(top, bottom)
    for seconds in SECONDS:
        per_episode = seconds / 60
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


def _title(front: list[Document], summary: Document) -> str:
    soonest = summary["soonest"]
    name = "+".join(soonest["layers"]) or "the baseline" if soonest else None
    count = f"{len(front)} combination{'s are' if len(front) != 1 else ' is'}"
    first = f"By point estimates {count} beaten by none in both speed and learning"
    return f"{first}, and {name} reaches the target soonest" if name else first
