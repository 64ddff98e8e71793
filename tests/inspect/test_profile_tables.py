"""Tables of a profile: who is in them, by planted times."""

from __future__ import annotations

from typing import Any

from m2bench.inspect.profile import OPERATORS_SHOWN, kernels_table, operators_table, per_update, shorten
from m2bench.records.description import Unit


def side(**changes: Any) -> dict[str, Any]:
    return {"unit": "episode", "operators": {}, "kernels": {}, **changes}


def test_the_longest_of_both_sides_are_there_beside_what_changes_most() -> None:
    """Big ones that stay as they are, some that are there on one side only, and many small ones."""
    steady = {f"steady{i}": (1.0, 50.0 + i) for i in range(OPERATORS_SHOWN)}
    small = {f"small{i}": (1.0, 0.01) for i in range(100)}
    only_before = {f"gone{i}": (10.0, 20.0 + i) for i in range(OPERATORS_SHOWN)}
    table = operators_table(side(operators={**steady, **small, **only_before}), side(operators={**steady, **small}))
    names = [row[0] for row in table.rows]
    assert set(names[: 2 * OPERATORS_SHOWN]) == {*steady, *only_before}
    assert names[0] == f"steady{OPERATORS_SHOWN - 1}"
    rows = dict(zip(names, table.rows, strict=True))
    assert rows["gone0"] == ("gone0", "10", "20.0", "0", "0.00", "-20.00")
    assert rows["steady0"][-1] == "+0.00"
    assert len(names) <= 3 * OPERATORS_SHOWN


def test_kernels_are_listed_where_a_device_has_them() -> None:
    assert kernels_table(side(), side()) is None
    table = kernels_table(side(kernels={"sgemm": (3.0, 1.5)}), side(kernels={"hgemm": (3.0, 0.5)}))
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
    """Before, an update has 64 samples; after, 128: all is told of 64. Where updates do not tell, it is of one."""
    figures = {
        "undisturbed_ms": 0.5, "undisturbed_each_ms": [0.25, 1.0], "phases_ms": {}, "phases_each_ms": [{}, {}],
        "kernel_busy_ms": None, "launch_gap_ms": None, "operators": {"mm": (0.25, 0.125)},
        "counts": {"per_episode": {"dispatches": 0.25}, "lines": {"syncs": {"a.py:1": 0.125}}},
    }  # fmt: skip
    told = {"before": side(**figures, told_per_update=64.0), "after": side(**figures, told_per_update=128.0)}
    for found in per_update(told, Unit("sample", "samples")).values():
        assert (found["unit"], found["undisturbed_ms"], found["undisturbed_each_ms"]) == ("64 samples", 32, [16, 64])
        assert (found["operators"], found["kernel_busy_ms"]) == ({"mm": (16, 8)}, None)
        assert found["counts"] == {"per_episode": {"dispatches": 16}, "lines": {"syncs": {"a.py:1": 8}}}
    untold = {name: {**each, "told_per_update": None} for name, each in told.items()}
    assert per_update(untold, Unit("episode", "episodes"))["after"] == {**untold["after"], "unit": "episode", "size": 1}
