"""The visual language that all charts share, and how a chart becomes SVG and PNG.

Colours are those of Okabe & Ito, "Color Universal Design", 2008, which people with any kind of colour vision tell
apart; nothing is said by colour alone. In the SVG every colour is a variable with a value for light and one for dark
surroundings.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure

INK, MUTED, GRID, SURFACE = "#1d1c22", "#5f5d68", "#d8d6df", "#fdfdfc"
GAIN, LOSS, BEST = "#0072b2", "#d55e00", "#007d5c"
SERIES = (GAIN, "#b8720a", BEST, "#a8548a")
"""For up to four groups, each with a line style of its own."""
COMPARED: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": INK, "markerfacecolor": SURFACE, "markersize": 7},
    {"marker": "D", "color": BEST, "markersize": 6},
    {"marker": "o", "color": GAIN, "markersize": 7},
)
"""Of the baseline, the recommended set and the fastest, where these are looked at closely."""
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")

DARK = {
    INK: "#eceaf2", MUTED: "#b3b0bd", GRID: "#45434d", SURFACE: "#1b1a1f", GAIN: "#6cb8ec", LOSS: "#f59258",
    BEST: "#4cc79f", SERIES[1]: "#eab04a", SERIES[3]: "#dd93c0",
}  # fmt: skip
NAMES = {colour: f"--c{index}" for index, colour in enumerate(DARK)}

WIDTH = 9.0  # inches
DPI = 110
POINTS_PER_INCH = 72  # an SVG is drawn in points
TITLE_CHARACTERS = 92
LEGEND_CHARACTERS = 100
# The same bytes for the same figures: no dates, no random identifiers.
STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "m2bench",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": SURFACE,
    "figure.facecolor": SURFACE,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
}


_mark = ContextVar("_mark", default="")


@contextmanager
def titles_marked(mark: str) -> Iterator[None]:
    """Charts that are drawn meanwhile have ``mark`` at the end of their titles, in the picture as well."""
    token = _mark.set(mark)
    try:
        yield
    finally:
        _mark.reset(token)


@dataclass(frozen=True)
class Chart:
    """A chart that was drawn. ``title`` says what is seen, ``reading`` how to read it.

    ``title_height``: what the title takes at the top of the SVG, in its units.
    """

    name: str
    title: str
    reading: str
    svg: str
    png: bytes
    title_height: float

    @property
    def untitled(self) -> str:
        """The SVG from below its title on, for where that stands above it as text."""

        def cut(box: re.Match[str]) -> str:
            width, height = float(box[1]), float(box[2])
            return f'viewBox="0 {self.title_height:.1f} {width:g} {height - self.title_height:.1f}"'

        return re.sub(r'viewBox="0 0 (\S+) (\S+)"', cut, self.svg, count=1)


@dataclass(frozen=True)
class NotDrawn:
    """A chart that this run has no figures for, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Canvas:
    """A figure in the shared style, to be drawn in and taken as a chart from ``finish``."""

    figure: Drawing
    axes: list[Axes]

    def finish(self, name: str, title: str, reading: str) -> Chart:
        """Give the figure its title, marked where all of them are to be, and write it."""
        title += _mark.get()
        text = self.figure.suptitle("", x=0.01, horizontalalignment="left", fontsize=11.5, fontweight="bold")
        for characters in range(TITLE_CHARACTERS, 0, -4):
            text.set_text(_wrapped(title, characters))
            if text.get_window_extent().x1 <= self.figure.bbox.x1:
                break
        png = io.BytesIO()
        self.figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        svg = io.StringIO()
        self.figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        title_height = (self.figure.bbox.y1 - text.get_window_extent().y0) * POINTS_PER_INCH / self.figure.dpi
        return Chart(name, title, reading, _adapting(svg.getvalue(), name, title), png.getvalue(), title_height)


@contextmanager
def drawing(height: float, columns: int = 1, **grid: Any) -> Iterator[Canvas]:
    """A canvas with so many axes beside each other, in whose style all is drawn meanwhile."""
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Drawing(figsize=(WIDTH, height), layout="constrained")
        yield Canvas(figure, list(figure.subplots(1, columns, squeeze=False, **grid)[0]))


def _wrapped(title: str, characters: int) -> str:
    """The title in lines of so many characters, a figure and its interval in the same one."""
    tied = re.sub(r" \[([^ \]]+), ([^ \]]+)\]", "\N{NO-BREAK SPACE}[\\1,\N{NO-BREAK SPACE}\\2]", title)
    return _filled(tied, characters).replace("\N{NO-BREAK SPACE}", " ")


def _filled(text: str, characters: int) -> str:
    """In lines of so many characters, which may end within a set of layers, but not within the name of one."""
    breakable = re.sub(r"\+(?=\S)", "+\0 ", text)
    return textwrap.fill(breakable, characters, break_on_hyphens=False).replace("\0 ", "").replace("\0", "")


def _adapting(svg: str, name: str, title: str) -> str:
    """The SVG with its colours as variables, identifiers of its own, and its title as text for who cannot see it."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'id="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    for colour, variable in NAMES.items():
        svg = re.sub(colour, f"var({variable})", svg, flags=re.I)
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    light = "".join(f"{variable}:{colour};" for colour, variable in NAMES.items())
    dark = "".join(f"{NAMES[colour]}:{value};" for colour, value in DARK.items())
    css = f"svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}@media print{{svg{{{light}}}}}"
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head, body = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{label}"><style>{css}</style>{body}'


def ratio_axis(axis: Axes, low: float, high: float) -> None:
    """A log axis of ratios with its numbers as 0.5x, 1x, 20x, and a line at no effect."""
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    plain_log_ticks(axis.xaxis, low, high, "x")
    axis.axvline(1.0, color=MUTED, linewidth=1.0, zorder=0.5)
    axis.grid(axis="x", which="major", linewidth=0.6)
    axis.set_axisbelow(True)


TICK_STEPS = ((1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def plain_log_ticks(axis: Axis, low: float, high: float, unit: str = "", most: int = 8) -> None:
    """Numbers without powers of ten on a log axis: as many as there is room for, at round steps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in TICK_STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) <= most:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}{unit}"))
    axis.set_minor_formatter(NullFormatter())


def log_axes_by_units_and_seconds(by_units: Axes, by_seconds: Axes, units: str) -> None:
    """Two log axes of how long training took, beside each other."""
    for axis, counted in ((by_units, units), (by_seconds, "seconds of training")):
        axis.set_xscale("log")
        plain_log_ticks(axis.xaxis, *axis.get_xlim(), most=6)
        axis.set_xlabel(f"{counted} (log scale)")
        axis.grid(visible=True, linewidth=0.6)


def rows(axis: Axes, labels: list[str]) -> None:
    """One row per label, the first on top."""
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def beside(axis: Axes, row: float, text: str, **style: Any) -> None:
    """Text to the right of a row, outside of the axis, where nothing else is."""
    axis.text(1.015, row, text, transform=axis.get_yaxis_transform(), va="center", fontsize=9, **style)


def with_layers(what: str, layers: Layers) -> str:
    """What a legend says of a combination, in lines that have room, broken between layers."""
    named = f"{what}: {'+'.join(layers)}" if layers else what
    return _filled(named, LEGEND_CHARACTERS)


def interval(axis: Axes, row: float, figure: Figure, colour: str, **style: Any) -> None:
    """A point with its 95 % interval; hollow where there is none."""
    if figure.interval is not None:
        axis.plot(figure.interval, [row, row], color=colour, linewidth=2.0, solid_capstyle="butt")
    face = SURFACE if figure.interval is None else colour
    look: dict[str, Any] = {"marker": "o", "markersize": 6.0, "markerfacecolor": face} | style
    axis.plot([figure.value], [row], color=colour, linestyle="none", **look)


def reach(figures: Iterable[Figure]) -> list[float]:
    """All values, and the ends of their intervals."""
    return [value for figure in figures for value in (figure.value, *(figure.interval or ()))]


def span(values: list[float], margin: float = 1.15) -> tuple[float, float]:
    """Limits of a log axis that shows all values, and no effect."""
    return min(*values, 1.0) / margin, max(*values, 1.0) * margin


def shade(ratio: float, strongest: float) -> float:
    """Opacity of a cell: the more, the farther the ratio lies from no effect."""
    return 0.08 + 0.5 * min(1.0, abs(math.log(ratio)) / max(strongest, 1e-9))


def effect_colour(ratio: Figure) -> str:
    """What a ratio's interval shows: a gain, a loss, or neither."""
    return GAIN if ratio.shows_gain else LOSS if ratio.shows_loss else MUTED
