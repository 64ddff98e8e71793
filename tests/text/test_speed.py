"""Levels in the user's unit, and as they are written."""

from __future__ import annotations

import pytest

from m2bench.records.description import Rate, Unit
from m2bench.records.figure import Figure
from m2bench.text.speed import Speed


@pytest.mark.parametrize("kept", [0.5, 3.0, 640.0])
def test_a_level_is_turned_into_the_users_unit_and_its_interval_with_it(kept: float) -> None:
    unit = Unit("sample", "samples")
    per_second = Speed(unit, Rate("samples/s", 1 / 60)).level(Figure(60 * kept, (30 * kept, 120 * kept)))
    assert per_second is not None
    assert (per_second.value, *(per_second.interval or ())) == pytest.approx((kept, kept / 2, kept * 2))
    seconds = Speed(unit, Rate("s", 1 / 60, lower_is_better=True)).level(Figure(60 / kept, (30 / kept, 120 / kept)))
    assert seconds is not None
    assert (seconds.value, *(seconds.interval or ())) == pytest.approx((kept, kept / 2, kept * 2))
    assert Speed(unit, Rate()).level(Figure(kept)) == Figure(kept)
    assert Speed(unit, Rate()).level(None) is None


@pytest.mark.parametrize(
    ("level", "interval", "text"),
    [
        (0.9123, (0.9119, 0.9127), "0.912 [0.912, 0.913]"),
        (0.198, (0.1951, 0.2009), "0.198 [0.195, 0.201]"),
        (0.0234, None, "0.0234"),
        (12.34, (12.21, 12.47), "12.3 [12.2, 12.5]"),
        (1234.0, (1201.0, 1267.0), "1,234 [1,201, 1,267]"),
    ],
)
def test_a_level_has_three_digits_below_1_as_well(
    level: float, interval: tuple[float, float] | None, text: str
) -> None:
    """A metric such as an accuracy says little in two."""
    assert Speed(Unit(), Rate("accuracy", is_metric=True)).within(Figure(level, interval)) == text
