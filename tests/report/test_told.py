"""What a report says of numerics and learning that come from what a trainer yields."""

from __future__ import annotations

import re

import pytest
import simulated_trainers as simulated
from simulated_trainers import ignores_seed

from m2bench.findings.summarize import summarize
from m2bench.records.summary import Summary
from m2bench.report.details import details
from m2bench.report.remarks import remarks
from m2bench.report.tables.impact import impact_table
from m2bench.report.tables.learning import learning_table


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
    assert (
        "Unchecked: 1 combination (the baseline does not repeat itself with equal seeds: update 1 has the" in numerics
    )


def test_what_computes_or_learns_otherwise_is_not_recommended(summary: Summary) -> None:
    assert summary.recommended is not None
    assert summary.recommended.layers == ("exact",)
    states = {left.layer: left.state for left in summary.recommended.left_out}
    assert states["half"] == "spoils"
    assert summary.recommended.fastest is not None
    assert "learns differently" in summary.recommended.fastest.but
