"""Figures as they are written: no digit beyond the noise, and no figure of which nothing is known."""

from __future__ import annotations

import pytest

from m2bench.records.figure import Figure
from m2bench.text.figures import digits, in_full, within


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (-2.5, "-2.50"),
        (0.0132, "0.013"),
    ],
)
def test_digits_are_trimmed(value: float | None, text: str) -> None:
    assert digits(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0014343, "0.001434"), (0.93321, "0.9332"), (12.3456, "12.35"), (2831.4, "2,831"), (105_123.4, "105,123"),
     (1e6, "1,000,000"), (999.96, "1000")],
)  # fmt: skip
def test_a_level_in_full_has_no_exponent(value: float, text: str) -> None:
    assert in_full(value) == text


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (None, None, "-"),
        (1.234, None, "1.23x"),
        (36.52, (35.18, 37.91), "36.5x [35.2, 37.9]"),  # half-width 1.4
        (4.281, (2.384, 7.697), "4.3x [2.4, 7.7]"),  # half-width 2.7
        (8.816, (4.902, 15.86), "8.8x [4.9, 15.9]"),
        (32_396.0, (31_241.0, 33_594.0), "32,400x [31,200, 33,600]"),  # half-width 1,200
        (1_462.0, (939.0, 2_275.0), "1,460x [940, 2,280]"),  # half-width 670
        (0.013_24, (0.012_9, 0.013_6), "0.013x [0.013, 0.014]"),
        (5.0, (5.0, 5.0), "5.00x [5.00, 5.00]"),  # what does not vary
        (0.947, (0.896, 0.998), "0.95x [0.90, 0.998]"),  # a loss is shown
        (0.947, (0.896, 1.003), "0.95x [0.90, 1.00]"),  # none is
        (1.05, (1.0004, 1.1), "1.05x [1.0004, 1.10]"),
        (0.9, (0.8, 0.99999), "0.90x [0.80, 1.0000]"),  # nobody would see it
        (0.9971, (0.9962, 0.9981), "0.997x [0.996, 0.998]"),  # a figure lies within its interval
        (1.0031, (0.9962, 1.0098), "1.00x [1.00, 1.01]"),
    ],
)
def test_digits_beyond_the_noise_are_left_out(
    value: float | None, interval: tuple[float, float] | None, text: str
) -> None:
    assert within(None if value is None else Figure(value, interval), "x") == text


ABSURD = (1e-8, 3e8)


@pytest.mark.parametrize(
    ("value", "ends", "unit", "text"),
    [
        (1.7, ABSURD, "x", "not known"),
        (0.4, (0.0, 3e8), "x", "not known"),
        (1000.0, (99.0, 10_000.0), "", "not known"),
        (1000.0, (101.0, 10_000.0), "", "1,000 [100, 10,000]"),
        (3.5, (0.3, 29.0), "x", "4x [0.3, 29]"),
        (50.0, (-60.0, 150.0), "%", "not known"),
        (2.0, (0.01, 4.0), "%", "2.0% [0.0, 4.0]"),
    ],
)
def test_a_figure_whose_interval_says_nothing_is_not_known(
    value: float, ends: tuple[float, float], unit: str, text: str
) -> None:
    assert within(Figure(value, ends), unit) == text
