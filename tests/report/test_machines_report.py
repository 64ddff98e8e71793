"""What is said and drawn of runs on several machines, of few and of many."""

from __future__ import annotations

import pytest

from m2bench.records.figure import Figure
from m2bench.report.charts import Chart
from m2bench.report.charts.layers_across import draw_layers_across
from m2bench.report.machines_report import difference_title, differences
from m2bench.summary.machines_summary import LayerAcross, SideBySide


def found(values: list[float], p: float | None) -> SideBySide:
    """``amp`` is worth so much on the machines, and ``batching`` the same on all."""
    runs = tuple(f"machine-{number}" for number in range(len(values)))
    amp = tuple(Figure(value, (0.9 * value, 1.1 * value)) for value in values)
    alike = LayerAcross("batching", "alone", (Figure(15.0, (14.0, 16.0)),) * len(values), 0.8)
    return SideBySide(runs, runs, (LayerAcross("amp", "alone", amp, p), alike))


def test_of_many_machines_the_least_and_the_most_are_named() -> None:
    few, many = found([1.6, 1.1], 0.002), found([1.2, 1.6, 1.5, 1.1, 1.3, 1.2, 1.4, 1.25], 0.002)
    assert differences(few)[0].startswith("amp pays 1.60x on machine-0 and 1.10x on machine-1:")
    assert differences(many)[0].startswith("amp pays from 1.10x on machine-3 to 1.60x on machine-1:")
    assert differences(many)[1] == "No difference between machines is shown for batching."


@pytest.mark.parametrize("machines", [2, 3, 8])
def test_rows_that_differ_are_marked_and_all_machines_named(machines: int) -> None:
    for p, marks in ((0.002, 1), (0.2, 0), (None, 0)):
        both = found([1.0 + 0.1 * number for number in range(machines)], p)
        chart = draw_layers_across(both)
        assert isinstance(chart, Chart)
        assert chart.svg.count(">differs<") == marks
        assert all(chart.svg.count(f">{run}<") == 1 for run in both.runs)
        assert chart.title == difference_title(both)
        assert ("amp" in chart.title) == bool(marks)
