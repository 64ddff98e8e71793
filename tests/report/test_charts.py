"""The charts of a report: drawn, legible, and saying in their titles what is seen."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest
from made_run import FULL, SPEC, make_run
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Annotation, Text

from m2bench.findings.summarize_ablation import summarize
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import design_of_all
from m2bench.records.figure import Figure
from m2bench.records.rules import Rules
from m2bench.report.charts import DRAWN, claims, draw_charts, learning, throughput_and_learning
from m2bench.report.charts.style import NAMES, Canvas, Chart, NotDrawn
from m2bench.report.tables.before_and_after import before_and_after_table
from m2bench.report.tables.phases import phases_table
from m2bench.summary.ablation_summary import Summary


def summary_of(folder: Path, **how: Any) -> Summary:
    with make_run(folder / "run", **how) as store:
        return summarize("run", store.record(), store.trials())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return summary_of(tmp_path_factory.mktemp("full"), spec=FULL)


Drawn = tuple[dict[str, Chart], dict[str, Drawing]]


@pytest.fixture(scope="module")
def drawn(full: Summary) -> Drawn:
    return draw_all(full)


def draw_all(summary: Summary) -> Drawn:
    """The charts as they are written, and the figures that they are written from."""
    figures: dict[str, Drawing] = {}
    finish = Canvas.finish

    def kept(self: Canvas, name: str, title: str, reading: str) -> Chart:
        figures[name] = self.figure
        return finish(self, name, title, reading)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Canvas, "finish", kept)
        return {chart.name: chart for chart in draw_charts(summary) if isinstance(chart, Chart)}, figures


@pytest.fixture(scope="module")
def charts(drawn: Drawn) -> dict[str, Chart]:
    return drawn[0]


@pytest.fixture(scope="module")
def figures(drawn: Drawn) -> dict[str, Drawing]:
    return drawn[1]


def test_a_full_run_has_all_charts(charts: dict[str, Chart]) -> None:
    assert set(charts) == {
        "contributions", "claims", "combinations", "interactions", "learning", "throughput-and-learning", "roofline",
        "phases", "noise",
    }  # fmt: skip


def test_a_chart_lies_in_the_file_of_its_name(charts: dict[str, Chart]) -> None:
    files = {Path(str(module.__file__)).stem for module in DRAWN}
    assert files == {name.replace("-", "_") for name in charts}


def test_svg_is_well_formed_and_needs_nothing_from_outside(charts: dict[str, Chart]) -> None:
    for chart in charts.values():
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == chart.title
        outside = [value for e in root.iter() for key, value in e.attrib.items() if key.endswith("href")]
        assert all(value.startswith("#") for value in outside)


def test_charts_on_one_page_share_no_identifiers(charts: dict[str, Chart]) -> None:
    seen: set[str] = set()
    for chart in charts.values():
        own = set(re.findall(r'id="([^"]+)"', chart.svg))
        assert not own & seen
        assert set(re.findall(r"url\(#([^)]+)\)", chart.svg)) <= own
        seen |= own


def test_every_colour_follows_the_surroundings(charts: dict[str, Chart]) -> None:
    """Outside of the style sheet there is no colour of the palette, only the variable that stands for it."""
    for chart in charts.values():
        drawn = re.sub(r"<style>.*?</style>", "", chart.svg, flags=re.S)
        assert not [colour for colour in NAMES if colour in drawn.lower()]
        assert "var(--c" in drawn


def test_colours_can_be_told_from_their_surface_in_light_and_dark() -> None:
    """Contrast by WCAG 2.2, 1.4.11: 3 to 1 for what is drawn, 4.5 to 1 for text."""
    from m2bench.report.charts.style import BEST, DARK, GAIN, INK, LOSS, MUTED, SERIES, SURFACE

    for colour, least in [*((text, 4.5) for text in (INK, MUTED)), *((c, 3.0) for c in (GAIN, LOSS, BEST, *SERIES))]:
        assert contrast(colour, SURFACE) >= least
        assert contrast(DARK[colour], DARK[SURFACE]) >= least


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_no_text_lies_over_another(figures: dict[str, Drawing]) -> None:
    assert len(figures["combinations"].axes[1].lines) >= 64
    assert_legible(figures)


def test_twelve_layers_with_long_names_are_legible(tmp_path: Path) -> None:
    """Of 280 combinations the ranking shows the fastest, and what the others are compared with."""
    names = tuple(f"{name}-with-a-long-name" for name in (*FULL.layers, *"ghijkl"))
    rules = Rules(excludes=((names[0], names[1]),))
    spec = RunSpec(names, design_of_all(names, rules), 1, 0, rules=rules)
    charts, figures = draw_all(summary_of(tmp_path, spec=spec))
    assert_legible(figures)
    rows = len(figures["combinations"].axes[0].lines) // 2
    assert 64 <= rows <= 64 + 13
    assert "64 fastest of 2" in charts["combinations"].reading
    assert "Empty: one needs or excludes the other" in charts["interactions"].reading


def assert_legible(figures: dict[str, Drawing]) -> None:
    for name, figure in figures.items():
        boxes = text_boxes(figure)
        over = [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if overlap(box, other)]
        assert not over, (name, over)
        width, height = figure.canvas.get_width_height()
        beyond = [text for text, (left, low, right, high) in boxes
                  if left < -1 or low < -1 or right > width + 1 or high > height + 1]  # fmt: skip
        assert not beyond, (name, beyond)


Box = tuple[float, float, float, float]


def ticks_of(axis: Any) -> list[Tick]:
    """Those that are drawn."""
    drawn: list[Tick] = axis._update_ticks()
    return drawn


def text_boxes(figure: Drawing) -> list[tuple[str, Box]]:
    """Every visible upright text with its box in pixels; slanted ones have boxes that say little."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels, drawn = set(), set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels |= {label for tick in (*axis.majorTicks, *axis.minorTicks) for label in (tick.label1, tick.label2)}
        # Labels of ticks beyond the axis exist and are not drawn.
        drawn |= {label for tick in ticks_of(axis) for label in (tick.label1, tick.label2)}
    found = []
    for artist in set(figure.findobj(Text)) - (labels - drawn):
        assert isinstance(artist, Text)
        if artist.get_visible() and artist.get_text().strip() and artist.get_rotation() in (0.0, 90.0):
            extent = artist.get_window_extent(canvas.get_renderer())
            found.append((artist.get_text(), (extent.x0, extent.y0, extent.x1, extent.y1)))
    return found


def overlap(box: Box, other: Box) -> bool:
    return min(box[2], other[2]) - max(box[0], other[0]) > 1 and min(box[3], other[3]) - max(box[1], other[1]) > 1


def test_titles_say_what_was_planted(charts: dict[str, Chart]) -> None:
    """Planted: batching 16x, amp 4x, vectorized-loss 1.25x, dataloader 0.8x; the claim of all is 1.5-2x."""
    title = charts["contributions"].title
    assert re.match(
        r"batching and amp make 94\.\d% \[94\.\d, 9[45]\.\d\] of the gain; "
        r"dataloader costs (20\.\d|19\.\d)% \[1",
        title,
    )
    assert charts["claims"].title == (
        "2 of 6 claims on speed hold (batching, amp); 4 do not (compile, vectorized-loss, dataloader, "
        "grad-accumulation)"
    )
    assert (
        "fastest reaches 80." in charts["combinations"].title or "fastest reaches 79." in charts["combinations"].title
    )
    assert "Baseline: forward and loss take 100% of one episode" in charts["phases"].title
    assert charts["interactions"].title == "No pair of layers is shown to help or hinder each other"
    assert "A/A test 1.0" in charts["noise"].title or "A/A test 0.9" in charts["noise"].title
    # 16 x 4 x 1.25 the speed, and 32 times the episodes, are later than 4 x 1.25 and no more episodes.
    assert charts["learning"].title.startswith("amp+vectorized-loss reaches the learning target first, 5.00x")


def test_the_title_on_claims_leaves_out_none(full: Summary) -> None:
    verdicts = {"batching": "exceeded", "amp": "short", "compile": "inconclusive", "dataloader": "inconclusive"}
    layers = tuple(replace(x, verdict=verdicts.get(x.name, "confirmed")) for x in full.layers)  # type: ignore[arg-type]
    chart = claims.draw(replace(full, layers=layers))
    assert isinstance(chart, Chart)
    assert chart.title == (
        "3 of 6 claims on speed hold (batching, vectorized-loss, grad-accumulation); 1 does not (amp); 2 are "
        "inconclusive (compile, dataloader)"
    )


def test_the_title_on_noise_has_the_worst_as_well(full: Summary, charts: dict[str, Chart]) -> None:
    """Of neighbours within a block, by the speeds of the baselines themselves."""
    found = [(anchor.key.split(".")[0], anchor.episodes_per_min) for anchor in full.noise.anchors]
    apart = [max(a, b) / min(a, b) for (block, a), (other, b) in pairwise(found) if block == other]
    assert f"by {median(apart):.2f}x from one to the next, at worst {max(apart):.2f}x; " in charts["noise"].title


def test_no_axis_of_a_very_noisy_run_goes_below_no_speed_at_all(full: Summary) -> None:
    repeats = replace(full.noise.repeats, aa_ratio=Figure(0.9, (0.2, 3.3)))
    _, figures = draw_all(replace(full, noise=replace(full.noise, repeats=repeats)))
    for axis in figures["noise"].axes:
        low, high = axis.get_ylim()
        assert low >= 0
        assert high > 3.3


def test_learning_says_which_curve_is_the_baselines(full: Summary, charts: dict[str, Chart]) -> None:
    name = "+".join(full.learning.cells[0].layers)
    said = f"the one without it, seed by seed; the baseline's curve is 1: {name}, which was trained in its place."
    assert said in charts["learning"].reading


def test_curves_of_equal_updates_are_told_apart(full: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that change learning are trained by themselves, though their updates are of the same size."""
    cells = tuple(replace(cell, episodes_per_update=32) for cell in full.learning.cells)
    figures = spied(monkeypatch)
    assert isinstance(learning.draw(replace(full, learning=replace(full.learning, cells=cells))), Chart)
    curves = [line for line in figures[0].axes[0].lines if not str(line.get_label()).startswith("_")]
    assert len(curves) == len(cells) == 4
    assert len({(line.get_linestyle(), line.get_marker()) for line in curves}) == 4
    assert len({line.get_color() for line in curves}) == 1


def test_every_group_of_the_front_shows_its_uncertainty(full: Summary, figures: dict[str, Drawing]) -> None:
    """A cross per group, as wide and as high as the intervals of one of its combinations."""
    (axes,) = figures["throughput-and-learning"].axes
    drawn = [tuple(map(tuple, np.asarray(line.get_data()))) for line in axes.lines]
    for group in (1, 4, 32, 128):
        members = [c for c in full.combinations if c.learning.episodes_per_update == group]
        figures_of = [(c.episodes_per_min, c.learning.episodes_to_target) for c in members]
        assert any(
            speed is not None
            and episodes is not None
            and (speed.interval, (episodes.value,) * 2) in drawn
            and ((speed.value,) * 2, episodes.interval) in drawn
            for speed, episodes in figures_of
        )


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Drawing]:
    """The figures of the charts that are drawn from here on."""
    figures: list[Drawing] = []
    finish = Canvas.finish

    def spy(canvas: Canvas, *texts: str) -> Chart:
        figures.append(canvas.figure)
        return finish(canvas, *texts)

    monkeypatch.setattr(Canvas, "finish", spy)
    return figures


@pytest.mark.parametrize("factor", np.geomspace(1, 3.2, 6))
def test_every_line_of_seconds_has_its_label_within_the_axes(
    factor: float, full: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the lines happen to lie, as they do with other numbers of episodes."""
    figures = spied(monkeypatch)
    scaled = tuple(
        replace(c, learning=replace(c.learning, episodes_to_target=times(c.learning.episodes_to_target, factor)))
        for c in full.combinations
    )
    throughput_and_learning.draw(replace(full, combinations=scaled))
    (axes,) = figures[0].axes
    frame = axes.get_window_extent()
    labels = [(text, box) for text, box in text_boxes(figures[0]) if text.endswith(" s")]
    assert len(labels) >= 5
    beyond = [text for text, (left, low, right, high) in labels
              if left < frame.x0 or low < frame.y0 or right > frame.x1 or high > frame.y1]  # fmt: skip
    assert not beyond


def times(figure: Figure | None, factor: float) -> Figure:
    assert figure is not None
    assert figure.interval is not None
    low, high = figure.interval
    return Figure(factor * figure.value, (factor * low, factor * high))


def test_a_title_keeps_figures_and_their_intervals_in_one_line(
    drawn: tuple[dict[str, Chart], dict[str, Drawing]],
) -> None:
    charts, figures = drawn
    assert any("\n" in figures[name].get_suptitle() for name in charts)
    for name, chart in charts.items():
        lines = figures[name].get_suptitle().splitlines()
        for figure in re.findall(r"\S+ \[[\d.,]+, [\d.,]+\]", chart.title):
            assert any(figure in line for line in lines)


def test_a_title_can_be_left_to_text_above_the_chart(charts: dict[str, Chart]) -> None:
    """What is cut off at the top is all of the title and no other text."""
    for chart in charts.values():
        top = float(chart.untitled.split('viewBox="0 ')[1].split()[0])
        texts = re.findall(r'<text [^>]*?(?:translate\(\S+ |y=")([\d.]+)[^>]*>([^<]*)</text>', chart.svg)
        above = "".join(text for y, text in texts if float(y) <= top)
        assert "".join(above.split()) == "".join(chart.title.split())


def test_a_learning_curve_is_named_by_the_layers_that_it_was_measured_with(
    full: Summary, charts: dict[str, Chart]
) -> None:
    said = re.findall(r"<text[^>]*>([^<]*)</text>", charts["learning"].svg)
    trained = {cell.episodes_per_update: "+".join(cell.layers) for cell in full.learning.cells}
    assert set(trained) == {1, 4, 32, 128}
    assert {f"{episodes}: {name}" for episodes, name in trained.items()} <= set(said)


def test_phases_are_shown_of_the_recommended_set_beside_the_fastest(full: Summary, charts: dict[str, Chart]) -> None:
    said = re.findall(r"<text[^>]*>([^<]*)</text>", charts["phases"].svg)
    assert full.best is not None
    assert {"baseline", "recommended: amp+vectorized-loss", f"fastest: {'+'.join(full.best.layers)}"} <= set(said)
    for table in (before_and_after_table(full), phases_table(full)):
        assert table is not None
        assert table.columns[-3:] == ("baseline", "recommended", "fastest")
    # Planted: 600 ms an episode; amp+vectorized-loss is 5 times as fast, the fastest 80 times.
    phases = phases_table(full)
    assert phases is not None
    sums = [float(cell.split()[0]) for cell in phases.rows[-1][1:]]
    assert sums == pytest.approx([600, 120, 7.5], rel=0.02)


def test_matrix_products_lie_below_what_the_machine_can_do(full: Summary, drawn: Drawn) -> None:
    """Planted: 600 operations on 600 bytes an episode, 1 million a second at most, 500,000 bytes a second."""
    charts, figures = drawn
    (axis,) = figures["roofline"].axes
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axis.lines}
    placed = {label.split(",")[0]: xy[0] for label, xy in lines.items() if "of its peak" in label}
    # 100 episodes a minute, 5 and 80 times as many.
    for role, speedup in (("baseline", 1), ("recommended", 5), ("fastest", 80)):
        assert placed[role] == pytest.approx([1.0, speedup * 100 / 60 * 600 / 1e9], rel=0.03)
    ridges = [xy[-1 if xy[0][1] < xy[-1][1] else 0] for label, xy in lines.items() if label.startswith("_") and len(xy)]
    assert [2.0, 1e-3] in [pytest.approx(list(ridge)) for ridge in ridges]
    title = charts["roofline"].title
    assert re.fullmatch(
        r"Matrix products reach 0\.10% of their peak with the baseline, [78]\.\d+% with the fastest set; "
        r"without caches, memory would allow 50\.0%",
        title,
    ), title
    assert "float32 on 2 cores: " in charts["roofline"].svg
    assert "bfloat16" not in charts["roofline"].svg  # nothing is computed in it


def test_the_bars_of_the_contributions_multiply_to_the_total(full: Summary) -> None:
    shares = [layer.speed.share.value for layer in full.layers if layer.speed.share]
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_what_a_run_has_no_figures_for_is_said(trials: int, tmp_path: Path) -> None:
    found = draw_charts(summary_of(tmp_path, spec=SPEC, trials=trials))
    missing = [chart for chart in found if isinstance(chart, NotDrawn)]
    assert {"contributions", "learning", "throughput-and-learning"} <= {chart.name for chart in missing}
    assert all(chart.reason for chart in missing)


@pytest.mark.parametrize("status", ["failed", "unsupported", "not-engaged"])
def test_a_combination_without_a_figure_is_shown_with_its_status(status: str, tmp_path: Path) -> None:
    summary = summary_of(tmp_path, spec=SPEC, faults={("amp",): (status, "for a reason")})
    ranking = next(chart for chart in draw_charts(summary) if chart.name == "combinations")
    assert isinstance(ranking, Chart)
    assert "for a reason" in ranking.svg


@pytest.mark.parametrize("seconds", [7.5, None])
def test_the_learning_chart_marks_the_baseline_where_it_was_not_trained_itself(
    seconds: float | None, full: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = spied(monkeypatch)
    arrives = None if seconds is None else Figure(seconds)
    combinations = tuple(
        c if c.layers else replace(c, learning=replace(c.learning, time_to_target_s=arrives)) for c in full.combinations
    )
    assert next(c for c in combinations if not c.layers).learning.learning_trials_of
    chart = learning.draw(replace(full, combinations=combinations))
    assert isinstance(chart, Chart)
    by_seconds = figures[0].axes[1]
    marks = [cast(Annotation, text).xy[0] for text in by_seconds.texts if text.get_text() == "baseline"]
    assert marks == ([] if seconds is None else [seconds])
    assert ("its arrival is marked" in chart.reading) == bool(marks)
