"""What a table says of its own figures."""

from __future__ import annotations

from m2bench.records.figure import Figure
from m2bench.text.figures import within
from m2bench.text.tables import Table


def test_a_table_says_why_a_figure_is_not_known() -> None:
    plain_table = Table("t", ("a",), [("2.0x [1.0, 4.0]",)], frozenset())
    unknown = Table("t", ("a",), [(within(Figure(1.7, (1e-8, 3e8)), "x"),)], frozenset(), notes=("first",))
    assert plain_table.notes == ()
    assert unknown.notes[0] == "first"
    assert "more than 100 times" in unknown.notes[1]
    assert unknown.without("a").notes == unknown.notes
