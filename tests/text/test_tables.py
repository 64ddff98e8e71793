"""What a table says of its own figures."""

from __future__ import annotations

import io

from m2bench.records.figure import Figure
from m2bench.text.console import plain_console
from m2bench.text.figures import within
from m2bench.text.tables import Table, draw_table


def test_a_table_says_why_a_figure_is_not_known() -> None:
    plain_table = Table("t", ("a",), [("2.0x [1.0, 4.0]",)], frozenset())
    unknown = Table("t", ("a",), [(within(Figure(1.7, (1e-8, 3e8)), "x"),)], frozenset(), notes=("first",))
    assert plain_table.notes == ()
    assert unknown.notes[0] == "first"
    assert "more than 100 times" in unknown.notes[1]
    assert unknown.without("a").notes == unknown.notes


def drawn(table: Table, width: int) -> list[str]:
    console = plain_console(file=io.StringIO(), width=width)
    draw_table(table, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_long_text_is_broken_into_lines_before_figures_are_left_out() -> None:
    """The figures take 13 columns and the text at least 43, with its frame."""
    text = "failed: " + "a word and another one " * 5
    table = Table(
        "t", ("memory", "speed", "status"), [("310", "1.0x", text)], frozenset(("memory", "speed")), ("memory",)
    )
    wide, narrow = drawn(table, 100), drawn(table, 55)
    assert max(map(len, wide)) <= 100
    assert "memory" in wide[2]
    assert sum("word" in line for line in wide) > 1
    assert "memory" not in narrow[2]
    assert narrow[-1] == "(Left out at this width: memory.)"
    assert "word" in "".join(drawn(table, 55))


def test_a_text_that_may_be_left_out_is_left_out_before_figures() -> None:
    table = Table(
        "t", ("speed", "because"), [("1.0x", "a word and another one " * 5)], frozenset(("speed",)), ("because",)
    )
    assert drawn(table, 80)[-1] == "(Left out at this width: because.)"
