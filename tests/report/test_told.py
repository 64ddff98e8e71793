"""What a report says of numerics and learning that come from what a trainer yields."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simulated_trainers as simulated
from simulated_trainers import ignores_seed

from m2bench.findings.summarize_ablation import summarize
from m2bench.options.known_systems import DOORS
from m2bench.records.figure import Figure
from m2bench.report.charts import Chart, NotDrawn, learning
from m2bench.report.charts.style import Canvas
from m2bench.report.details import details
from m2bench.report.remarks import remarks
from m2bench.report.tables.impact import impact_table
from m2bench.report.tables.learning import learning_table
from m2bench.summary.ablation_summary import Gains, Summary
from m2bench.summary.rows import Claimed

FUNCTION = DOORS[0]


@pytest.fixture(scope="module")
def summary() -> Summary:
    made = simulated.record(["exact", "wide", "percent", "half"], 5)
    return summarize("run", made, simulated.trials(made))


def test_faster_but_learns_less_is_said_plainly(summary: Summary) -> None:
    """Three times the speed and twice the samples are half as soon again; what half costs in time is not in the run."""
    (line,) = [line for line in details(summary) if "learns less" in line]
    wide, half = line.split("; ")
    found = re.fullmatch(
        r"wide is (.*)x \[.*\] as fast, but learns less from the same samples: it needs (.*)x \[.*\] as many for the "
        r"same mean loss, and has it (.*)x \[.*\] sooner",
        wide,
    )
    assert found is not None
    assert [float(figure) for figure in found.groups()] == pytest.approx([3.0, 2.0, 1.5], rel=0.05)
    assert half.startswith("half learns less from the same samples: it needs ")


def test_the_tables_speak_of_losses_and_samples(summary: Summary) -> None:
    learning = learning_table(summary)
    assert learning is not None
    assert learning.columns[2:4] == ("samples needed", "time to same loss")
    because = {row[0]: row[-1] for row in learning.rows}
    assert because["wide"].startswith("learns less from the same samples: learned -")
    assert because["exact"] == (
        "mean loss so far within 10%, samples for the same mean loss within 1.25x: learned +0% [+0%, +0%], 5 seeds"
    )
    assert any(
        "here the time to the same mean loss, over equal samples" in note for note in impact_table(summary).notes
    )


def test_a_layer_is_unchecked_where_it_is_in_no_combination_that_was_compared(summary: Summary) -> None:
    """``wide`` always processes more in an update; what the others compute is known."""
    table = impact_table(summary)
    column = table.columns.index("numerics")
    assert {row[0]: row[column] for row in table.rows if row[0] in ("wide", "exact")} == {
        "wide": "unchecked",
        "exact": "-",
    }
    with_wide = [replace(c, layers=(*c.layers, "exact")) if c.layers == ("wide",) else c for c in summary.combinations]
    mixed = impact_table(replace(summary, combinations=tuple(with_wide)))
    assert {row[0]: row[column] for row in mixed.rows}["exact"] == "-"


def test_the_remarks_say_how_it_was_found(summary: Summary) -> None:
    (numerics,) = [note for note in remarks(summary) if note.startswith("Numerics")]
    assert numerics == (
        "Numerics: in 1 of 4 combinations with layers, the losses of the first updates equal the baseline's with the "
        "same seed, within rounding and what their layers declare. 2 differ: see the status column. They are never "
        "recommended. Unchecked: 1 combination (the first update processes 128 samples and the baseline's 32, so "
        "their losses are of different data)."
    )
    (learning,) = [note for note in remarks(summary) if note.startswith("Learning")]
    assert (
        "by the loss that the updates of the speed trials report, over equal samples and with equal seeds" in learning
    )


def test_a_trainer_that_ignores_its_seed_is_said_to() -> None:
    made = simulated.record(["percent"], 3)
    summary = summarize("run", made, simulated.trials(made, ignores_seed))
    assert {c.numerics.numerics for c in summary.combinations} == {"unchecked"}
    (numerics,) = [note for note in remarks(summary) if note.startswith("Numerics")]
    assert numerics.startswith(
        "Numerics: unchecked, since the baseline does not repeat itself with equal seeds: update 1 has the loss "
    )


def test_a_function_whose_losses_differ_is_told_how_to_declare_that(summary: Summary) -> None:
    spec = summary.workload.spec
    asked = replace(spec, workload=replace(spec.workload, module=FUNCTION))
    theirs = replace(summary, workload=replace(summary.workload, spec=asked))
    (numerics,) = [note for note in remarks(theirs) if note.startswith("Numerics")]
    assert "declare how far they may differ, as a share of the loss, " in numerics
    assert ": CONTRACTS = {'percent': 0.02, 'half': 0.02}. " in numerics


def test_a_combination_of_one_layer_learns_as_its_layer_does(summary: Summary) -> None:
    """Also where it computes something else: its trials were compared as all others."""
    of_layers = {(layer.name,): layer.learning.learning for layer in summary.layers}
    assert of_layers[("percent",)] == "same"
    assert {c.layers: c.learning.learning for c in summary.combinations if c.layers} == of_layers


def test_no_row_stands_for_all_layers_where_they_were_not_measured_together(summary: Summary) -> None:
    assert summary.total_speedup is None
    assert [row[0] for row in impact_table(summary).rows] == [layer.name for layer in summary.layers]


def test_other_claims_are_spoken_of_where_there_are_any(summary: Summary) -> None:
    def notes(text: str) -> str:
        claim = Claimed((1.1, 1.5), text)
        layers = tuple(replace(layer, claim=claim, verdict="confirmed") for layer in summary.layers)
        return " ".join(impact_table(replace(summary, layers=layers)).notes)

    assert "verdict: on the claimed speed" in notes("1.1-1.5x")
    assert "memory and stability" not in notes("1.1-1.5x")
    assert "memory and stability" in notes("1.1-1.5x, half the memory")


def test_what_nobody_is_advised_to_switch_on_is_not_said_to_make_the_gain(summary: Summary) -> None:
    assert summary.recommended is not None
    gains = Gains(("exact",), ("exact",), Figure(1.0))
    advised, not_advised = (
        replace(summary, gains=gains, recommended=replace(summary.recommended, layers=layers))
        for layers in (("exact",), ())
    )
    assert any("exact makes all of the gain" in line for line in details(advised))
    assert not any("of the gain" in line for line in details(not_advised))


def test_what_computes_or_learns_otherwise_is_not_recommended(summary: Summary) -> None:
    assert summary.recommended is not None
    assert summary.recommended.layers == ("exact",)
    states = {left.layer: left.state for left in summary.recommended.left_out}
    assert states["half"] == "spoils"
    assert summary.recommended.fastest is not None
    assert "learns differently" in summary.recommended.fastest.but


def test_losses_are_drawn_by_samples_and_by_seconds(summary: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1,000 samples a second exact learns the same from each, 1.2 times as fast; wide needs twice as many."""
    figures: list[Any] = []
    finish = Canvas.finish

    def kept(canvas: Canvas, *said: str) -> Chart:
        figures.append(canvas.figure)
        return finish(canvas, *said)

    monkeypatch.setattr(Canvas, "finish", kept)
    chart = learning.draw(summary)
    assert isinstance(chart, Chart)
    assert chart.title == "The loss by samples and by seconds: baseline, recommended, fastest"
    by_samples, by_seconds = figures[0].axes
    lines = {line.get_label(): line.get_xydata() for line in by_samples.lines}
    assert [*lines] == ["baseline", "recommended: exact", "fastest: wide"]
    for speed, own, timed in zip((1.0, 1.2, 3.0), lines.values(), by_seconds.lines, strict=True):
        assert timed.get_xdata() == pytest.approx(own[:, 0] / (1000 * speed), rel=0.03)
        assert [*timed.get_ydata()] == [*own[:, 1]]
    level = float(np.sqrt(lines["baseline"][0, 1] * lines["baseline"][-1, 1]))
    samples = [float(np.interp(-level, -own[:, 1], own[:, 0])) for own in lines.values()]
    assert samples[1:] == pytest.approx([samples[0], 2 * samples[0]], rel=0.15)


def test_a_curve_has_all_that_was_told(summary: Summary) -> None:
    """Each point is the mean since the one before, so together they have the sum of all losses."""
    curve = next(found.curve for found in summary.learning.told_curves if not found.layers)
    ends = np.array([units for units, _ in curve])
    summed = float(np.diff(ends, prepend=0.0) @ np.array([mean for _, mean in curve]))
    told = simulated.losses(None)[:5].mean(axis=0)
    whole = int(ends[-1] // simulated.BATCH)
    exact = simulated.BATCH * told[:whole].sum() + (ends[-1] % simulated.BATCH) * told[whole]
    assert summed == pytest.approx(exact, rel=0.02)


def test_without_losses_no_curve_is_drawn(summary: Summary) -> None:
    untold = replace(summary, learning=replace(summary.learning, told=None, told_curves=()))
    assert learning.draw(untold) == NotDrawn("learning", "this run has no learning trials")
