"""Tables of a profile: who is in them, by planted times."""

from __future__ import annotations

from made_profile import EPISODE, counts, side

from m2bench.inspect.profile_records import update_of
from m2bench.inspect.profile_tables import OPERATORS_SHOWN, kernels_table, operators_table, shorten
from m2bench.records.description import Unit


def test_the_longest_of_both_sides_are_there_beside_what_changes_most() -> None:
    """Big ones that stay as they are, some that are there on one side only, and many small ones."""
    steady = {f"steady{i}": (1.0, 50.0 + i) for i in range(OPERATORS_SHOWN)}
    small = {f"small{i}": (1.0, 0.01) for i in range(100)}
    only_before = {f"gone{i}": (10.0, 20.0 + i) for i in range(OPERATORS_SHOWN)}
    before, after = {**steady, **small, **only_before}, {**steady, **small}
    table = operators_table(side(operators=before), side(operators=after), EPISODE)
    names = [row[0] for row in table.rows]
    assert set(names[: 2 * OPERATORS_SHOWN]) == {*steady, *only_before}
    assert names[0] == f"steady{OPERATORS_SHOWN - 1}"
    rows = dict(zip(names, table.rows, strict=True))
    assert rows["gone0"] == ("gone0", "10", "20.0", "0", "0.00", "-20.00")
    assert rows["steady0"][-1] == "+0.00"
    assert len(names) <= 3 * OPERATORS_SHOWN


def test_kernels_are_listed_where_a_device_has_them() -> None:
    assert kernels_table(side(), side(), EPISODE) is None
    before, after = side(kernels={"sgemm": (3.0, 1.5)}), side(kernels={"hgemm": (3.0, 0.5)})
    table = kernels_table(before, after, EPISODE)
    assert table is not None
    assert list(table.rows) == [
        ("sgemm", "3", "1.50", "0", "0.00", "-1.50"),
        ("hgemm", "0", "0.00", "3", "0.50", "+0.50"),
    ]


def test_a_kernel_with_a_page_of_arguments_keeps_both_ends() -> None:
    assert shorten("void kernel") == "void kernel"
    name = shorten("void at::elementwise<" + 500 * "x" + ">(float)")
    assert len(name) < 100
    assert name.startswith("void at::elementwise<")
    assert name.endswith(">(float)")


def test_figures_are_of_as_many_units_as_an_update_before_has() -> None:
    """An update has 64 samples: a sample of 0.5 ms makes 32 ms. Where updates do not tell, figures are of one."""
    before = side(
        (), 0.5, machine=(0.5, 2.0), phases_ms={"forward": 0.25}, operators={"mm": (0.25, 0.125)},
        counts=counts(0.25, 0.5, syncs={"a.py:1": 0.125}), told_per_update=64.0,
    )  # fmt: skip
    size, unit = update_of(before, Unit("sample", "samples"))
    assert (size, unit) == (64, Unit("update of 64 samples", "updates of 64 samples"))
    found = before.times(size)
    assert (found.undisturbed_ms, found.undisturbed_each_ms, found.kernel_busy_ms) == (32, (16, 64), None)
    assert (found.phases_ms, found.phases_each_ms) == ({"forward": 16}, ({"forward": 8}, {"forward": 32}))
    assert found.operators == {"mm": (16, 8)}
    assert found.counts == counts(16, 32, syncs={"a.py:1": 8})
    assert update_of(side(), EPISODE) == (1, EPISODE)
