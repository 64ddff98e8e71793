"""Which numbers are read from the output of a command, and what stands for several of them."""

from __future__ import annotations

import math

import pytest

from m2bench.errors import TrainerError, UserError
from m2bench.systems.command.metrics import Readings, ReadMetric, counting, ranked_value, read_metrics, shown_value


def found(metric: str, *lines: str) -> list[float]:
    metrics = read_metrics([metric])
    readings = Readings(metrics)
    for line in lines:
        readings.read_line(line)
    readings.end()
    return readings[metrics[0]]


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        ("SPS: ([0-9.]+)", "step 3, SPS: 120.5, loss 2", 120.5),
        ("SPS: ([0-9.,]+)", "SPS: 1,234.5", 1234.5),
        ("SPS: ([0-9.,]+)", "SPS: 1,234,567.", 1234567.0),
        ("SPS: (\\S+)", "SPS: 1e3", 1000.0),
        ("SPS: (\\S+)", "SPS: -2.5E-1", -0.25),
        ("SPS: (\\S+)", "SPS: .5", 0.5),
        ("([0-9.]+)it/s", "9%| | 3/4 [00:01<00:02, 12.5it/s]", 12.5),
        ("took ([0-9.]+)ms", "took 7ms", 7.0),
        ("^[0-9]+,([0-9.]+),", "100,0.5,2033", 0.5),
        ("step-([0-9]+)", "step-12 done", 12.0),
        ("loss (-[0-9.]+)", "loss -0.5", -0.5),
    ],
)
def test_a_pattern_finds_a_number(pattern: str, line: str, value: float) -> None:
    assert found(pattern, line) == [value]


@pytest.mark.parametrize(("text", "is_it"), [("nan", math.isnan), ("inf", math.isinf), ("-inf", math.isinf)])
def test_what_is_no_finite_number_is_found_as_such(text: str, is_it: object) -> None:
    (value,) = found("SPS: (\\S+)", f"SPS: {text}")
    assert callable(is_it)
    assert is_it(value)
    with pytest.raises(TrainerError, match=f"--metric SPS is {text}"):
        shown_value("SPS", [1.0, value])


@pytest.mark.parametrize(
    ("pattern", "line", "message"),
    [
        ("SPS: ([0-9.]+)", "SPS: 1.2k", "'1.2', which is followed by 'k'"),
        ("took ([0-9.]+)", "took 12ms", "followed by 'ms'"),
        ("SPS: ([0-9.]+)", "SPS: 1,234.5", "only the part '1' of a number"),
        ("SPS: ([0-9]+)", "SPS: 12.5", "only the part '12' of a number"),
        ("SPS: ([0-9.]+)", "SPS: 1e3", "only the part '1' of a number"),
        ("([0-9]+) it", "12.5 it", "only the part '5' of a number"),
        ("([0-9.]+) loss", "-0.5 loss", "only the part '0.5' of a number"),
        ("SPS: (\\S+)", "SPS: fast", "'fast', which is not a number"),
        ("SPS: (\\S+)", "SPS: 0,5", "'0,5', which is not a number"),
        ("SPS: (\\S+)", "SPS: 1,2345", "'1,2345', which is not a number"),
        ("SPS: (\\S+)", "SPS: 1_000", "'1_000', which is not a number"),
    ],
)
def test_a_number_that_could_be_another_is_refused(pattern: str, line: str, message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        found(pattern, line)


def test_json_is_read_from_lines_or_from_the_whole_output() -> None:
    assert found("json:sps", "start", '{"sps": 5}', "not json {", '{"sps": "1,500.5"}', '{"other": 1}') == [5.0, 1500.5]
    assert found("json:train.sps", "{", '"train": {"sps": 7},', '"x": {"train.sps": 8}', "}") == [7.0]
    assert found("json:train.sps", '{"train.sps": 9}') == [9.0]
    assert found("json:runs.1.t", '{"runs": [{"t": 1}, {"t": 2}]}') == [2.0]
    assert found("json:sps", '{"sps": null}', "[1, 2]", "5") == []


@pytest.mark.parametrize("value", ["true", '"fast"', "[1]", "{}"])
def test_json_that_holds_no_number_is_refused(value: str) -> None:
    with pytest.raises(TrainerError, match="which is not a number"):
        found("json:sps", f'{{"sps": {value}}}')


def test_standard_error_is_searched_for_patterns_alone() -> None:
    metrics = read_metrics(["SPS (\\d+)", "json:sps"])
    readings = Readings(metrics)
    readings.read_line('{"sps": 3}')
    readings.read_error_line('SPS 4 {"sps": 5}')
    readings.read_error_line('{"sps": 6}')
    readings.end()
    assert [readings[metric] for metric in metrics] == [[4.0], [3.0]]


def test_the_last_value_counts_or_those_after_the_warm_up() -> None:
    assert counting([1.0, 2.0, 4.0], 0) == [4.0]
    assert counting([1.0, 2.0, 4.0], 1) == [2.0, 4.0]


def test_equal_pieces_of_work_are_ranked_by_all_that_they_took() -> None:
    """100 steps at 50/s and 100 at 200/s took 2.5 s: 80/s, and 0.0125 s a step."""
    assert ranked_value("SPS", [50.0, 200.0], lower_is_better=False) == pytest.approx(80.0)
    assert ranked_value("s/step", [0.02, 0.005], lower_is_better=True) == pytest.approx(1 / 80.0)
    assert shown_value("loss", [-1.0, 0.0]) == -0.5


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_what_has_no_ratio_is_not_ranked(value: float) -> None:
    with pytest.raises(TrainerError, match="must be greater than 0"):
        ranked_value("SPS", [value], lower_is_better=False)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("SPS: ([0-9.]+)", "SPS"),
        ("time/fps[ |]+([0-9]+)", "time/fps"),
        ("mean of runs = (\\S+)", "mean of runs"),
        ("(\\d+\\.\\d+)\\s*it/s", "it/s"),
        ("x (?P<sps>[0-9.]+)", "sps"),
        ("([0-9]+)", "metric"),
        ("json:train.sps", "sps"),
        ("time", "time_s"),
    ],
)
def test_a_metric_has_the_name_that_the_pattern_gives_it(typed: str, name: str) -> None:
    assert read_metrics([typed])[0].name == name


def test_without_a_metric_it_is_the_time() -> None:
    assert read_metrics([]) == (ReadMetric("time_s"),)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["SPS: ("], "is not a regular expression"),
        (["SPS"], "has 0 groups"),
        (["(a)(b)"], "has 2 groups"),
        (["json:"], "names no key"),
        (["x ([0-9]+)", "x: ([0-9]+)"], "two metrics are called x"),
        (["time", "time_s: ([0-9]+)"], "two metrics are called time_s"),
    ],
)
def test_a_metric_that_cannot_be_read_is_refused(typed: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_metrics(typed)
