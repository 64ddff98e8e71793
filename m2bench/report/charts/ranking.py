"""All combinations, ranked, with the layers that are on in each."""

from __future__ import annotations

from matplotlib.axes import Axes

from m2bench.text.figures import NOT_KNOWN, times, times_between

from .style import (
    BEST,
    GRID,
    INK,
    SURFACE,
    Canvas,
    Chart,
    Document,
    NotDrawn,
    beside,
    effect_colour,
    interval,
    ratio_axis,
    span,
)

NAME = "combinations"
ROW_HEIGHT = 0.19  # inches
NOTE_CHARACTERS = 46


def draw(summary: Document) -> Chart | NotDrawn:
    """Left, a dot for every layer that is on; right, the speedup with its interval."""
    combinations = sorted(summary["combinations"], key=lambda c: -(_speedup(c)[0] or 0.0))
    rated = [c for c in combinations if c["speedup"] is not None]
    if len(rated) < 2:
        return NotDrawn(NAME, "fewer than two combinations have a figure")
    names = [layer["name"] for layer in summary["layers"]]
    width = {"width_ratios": [0.4 * len(names), 6.0]}
    with Canvas(1.9 + ROW_HEIGHT * len(combinations), columns=2, sharey=True, gridspec_kw=width) as canvas:
        dots, speeds = canvas.axes
        _draw_dots(dots, combinations, names)
        for row, c in enumerate(combinations):
            ratio, ends = _speedup(c)
            if ratio is not None:
                same = c["status"] == "ok" and c["numerics"] != "changed"
                colour = BEST if _is(c, summary["recommended"]) else effect_colour(ends)
                fill = {} if same else {"markerfacecolor": SURFACE}
                interval(speeds, row, ratio, ends, colour, markersize=4.0, **fill)
            beside(speeds, row, _note(c, summary), fontweight="bold" if _is(c, summary["recommended"]) else "normal")
        values = [value for c in rated for ratio, ends in [_speedup(c)] for value in (ratio, *(ends or ()))]
        ratio_axis(speeds, *span(values))
        speeds.spines["left"].set_visible(False)
        speeds.tick_params(axis="y", length=0, labelleft=False)
        speeds.set_xlabel("episodes/min over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(rated),
            "A filled dot: the layer is on. The point is the speedup, predicted from all trials of the run, with its "
            "95 % interval; grey where no difference from the baseline is shown; hollow, and as measured, where the "
            "combination computes something else or was not at work in every trial.",
        )


def _speedup(combination: Document) -> tuple[float | None, list[float] | None]:
    """As predicted from all trials, with its interval; as measured where it is no part of the prediction."""
    name = "speedup" if combination["speedup_predicted"] is None else "speedup_predicted"
    return combination[name], combination[f"{name}_ci"]


def _draw_dots(axis: Axes, combinations: list[Document], names: list[str]) -> None:
    for row, c in enumerate(combinations):
        on = [column for column, name in enumerate(names) if name in c["layers"]]
        axis.plot(range(len(names)), [row] * len(names), "o", color=GRID, markersize=5)
        axis.plot(on, [row] * len(on), "o", color=INK, markersize=5.5)
    axis.set_xticks(range(len(names)), names, rotation=60, ha="left", rotation_mode="anchor")
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set_ylim(len(combinations) - 0.4, -0.6)
    axis.set_yticks([])
    axis.xaxis.tick_top()
    axis.tick_params(axis="x", length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _is(combination: Document, other: Document | None) -> bool:
    return other is not None and combination["layers"] == other["layers"]


def _note(combination: Document, summary: Document) -> str:
    """What a row is said about beside it; nothing where its dots say all."""
    marks = [
        mark
        for mark, other in (
            ("fastest", summary["best"]),
            ("soonest to learn", summary["soonest"]),
            ("recommended", summary["recommended"]),
        )
        if _is(combination, other)
    ]
    if not combination["layers"]:
        marks.append("baseline")
    if combination["speedup"] is None:
        status = NOT_KNOWN if combination["status"] == "ok" else combination["status"]
        reason = combination["reason"] or status or "not run yet"
        marks.append(reason if len(reason) <= NOTE_CHARACTERS else reason[: NOTE_CHARACTERS - 3] + "...")
    elif combination["numerics"] == "changed":
        marks.append("computes something else")
    return f"{times(_speedup(combination)[0])}  {', '.join(marks)}" if combination["speedup"] else ", ".join(marks)


def _title(rated: list[Document]) -> str:
    (best, ends), (worst, _) = _speedup(rated[0]), _speedup(rated[-1])
    slower = sum(interval is not None and interval[1] < 1 for _, interval in map(_speedup, rated))
    title = f"The fastest of {len(rated)} combinations trains at {times_between(best, ends)} of the baseline's speed"
    return f"{title}, the slowest at {times(worst)}; {slower} are shown to be slower than the baseline"
