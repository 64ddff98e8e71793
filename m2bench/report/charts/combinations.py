"""All combinations, ranked, with the layers that are on in each."""

from __future__ import annotations

from matplotlib.axes import Axes

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import NOT_KNOWN, times, times_within
from m2bench.text.speed import Speed

from .style import (
    BEST,
    GRID,
    INK,
    SURFACE,
    Chart,
    NotDrawn,
    beside,
    drawing,
    effect_colour,
    interval,
    ratio_axis,
    reach,
    span,
)

NAME = "combinations"
ROW_HEIGHT = 0.19  # inches
NOTE_CHARACTERS = 46
MOST_ROWS = 64


def draw(summary: Summary) -> Chart | NotDrawn:
    """Left, a dot for every layer that is on; right, the speedup with its interval."""
    ordered = sorted(summary.combinations, key=_rank)
    combinations = ordered if len(ordered) <= MOST_ROWS else _fastest(ordered, summary)
    rated = [figure for c in ordered if (figure := _speedup(c)) is not None]
    if len(rated) < 2:
        return NotDrawn(NAME, "fewer than two combinations have a figure")
    names, speed = [layer.name for layer in summary.layers], Speed.of(summary.system)
    chosen = None if summary.recommended is None else summary.recommended.layers
    width = {"width_ratios": [0.4 * len(names), 6.0]}
    with drawing(1.9 + ROW_HEIGHT * len(combinations), columns=2, sharey=True, gridspec_kw=width) as canvas:
        dots, speeds = canvas.axes
        _draw_dots(dots, combinations, names)
        for row, c in enumerate(combinations):
            figure = _speedup(c)
            if figure is not None:
                colour = BEST if c.layers == chosen else effect_colour(figure)
                fill = {} if c.status == "ok" and c.has_sound_numerics else {"markerfacecolor": SURFACE}
                interval(speeds, row, figure, colour, markersize=4.0, **fill)
            beside(speeds, row, _note(c, summary), fontweight="bold" if c.layers == chosen else "normal")
        if combinations != ordered:
            for axis in canvas.axes:
                axis.axhline(MOST_ROWS - 0.5, color=GRID, linewidth=0.8, linestyle="--")
        ratio_axis(speeds, *span(reach(rated)))
        speeds.spines["left"].set_visible(False)
        speeds.tick_params(axis="y", length=0, labelleft=False)
        speeds.set_xlabel(f"{speed.compared} over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(rated, speed),
            f"Filled dot: the layer is on. Point: the {speed.words.ratio}, predicted from all trials of the run, "
            "with its 95 % interval. Grey: no difference from the baseline is shown. Hollow: as measured, of a "
            "combination that does not compute the same, or whose layers were not at work in every trial."
            + (
                f" Shown are the {MOST_ROWS} fastest of {len(ordered)} combinations, and below the line the baseline "
                "and each layer alone."
                if combinations != ordered
                else ""
            ),
        )


def _fastest(ordered: list[CombinationRow], summary: Summary) -> list[CombinationRow]:
    """The fastest, and what the others are compared with."""
    rules, names = summary.rules, tuple(layer.name for layer in summary.layers)
    kept = {BASELINE, *(rules.alone(name, names)[0] for name in names)}
    return [c for rank, c in enumerate(ordered) if rank < MOST_ROWS or c.layers in kept]


def _speedup(combination: CombinationRow) -> Figure | None:
    """As predicted from all trials; as measured where it is no part of the prediction. None where it has no figure."""
    return combination.speedup and (combination.speedup_predicted or combination.speedup)


def _rank(combination: CombinationRow) -> float:
    figure = _speedup(combination)
    return -figure.value if figure else 0.0


def _draw_dots(axis: Axes, combinations: list[CombinationRow], names: list[str]) -> None:
    for row, c in enumerate(combinations):
        on = [column for column, name in enumerate(names) if name in c.layers]
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


def _note(combination: CombinationRow, summary: Summary) -> str:
    """What a row is said about beside it; nothing where its dots say all."""
    roles: dict[str, Layers | None] = {
        Speed.of(summary.system).words.best: summary.best and summary.best.layers,
        "soonest to learn": summary.soonest and summary.soonest.layers,
        "recommended": summary.recommended and summary.recommended.layers,
        "baseline": (),
    }
    marks = [role for role, layers in roles.items() if combination.layers == layers]
    figure = _speedup(combination)
    if figure is None:
        status = NOT_KNOWN if combination.status == "ok" else combination.status
        reason = combination.reason or status or "not run yet"
        marks.append(reason if len(reason) <= NOTE_CHARACTERS else reason[: NOTE_CHARACTERS - 3] + "...")
    elif combination.numerics.numerics == "changed":
        marks.append("numerics changed")
    return f"{times(figure.value)}  {', '.join(marks)}" if figure else ", ".join(marks)


def _title(rated: list[Figure], speed: Speed) -> str:
    worse, words = sum(figure.shows_loss for figure in rated), speed.words
    return (
        f"Of {len(rated)} combinations the {words.best} reaches {times_within(rated[0])} of the baseline's "
        f"{speed.noun}, the {words.worst} {times(rated[-1].value)}; {worse or 'none'} {'is' if worse < 2 else 'are'} "
        f"{words.worse} than the baseline"
    )
