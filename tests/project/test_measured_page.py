"""The commands in the table of docs/measured.md: the command line takes each, and tests that are named are there."""

from __future__ import annotations

import re
import shlex

import pytest
from commands import options_typed
from repository import PAGES, ROOT

from m2bench.cli.app import UsageError
from m2bench.optimizations import LAYERS

CODE = dict.fromkeys(re.findall(r"`([^`]+)`", PAGES[ROOT / "docs" / "measured.md"]))
OURS = [code for code in CODE if code.startswith("m2bench ")]
TESTS = [code for code in CODE if code.startswith(("pytest ", "python "))]


def test_all_code_on_the_page_is_a_command_or_a_layer() -> None:
    assert {*CODE} - {*OURS} - {*TESTS} == {"batching"}
    assert len(OURS) > 5


@pytest.mark.parametrize("command", [command for command in OURS if command != "m2bench --help"])
def test_the_command_line_takes_a_command_of_the_page(command: str) -> None:
    options = options_typed(command)
    named = ",".join(filter(None, (options.get(name) for name in ("layers", "layer", "with_layers"))))
    assert {*filter(None, named.split(","))} <= {*LAYERS}


@pytest.mark.parametrize("command", TESTS)
def test_a_benchmark_of_the_page_is_there(command: str) -> None:
    assert (ROOT / shlex.split(command)[1]).is_file()


@pytest.mark.parametrize("command", ["m2bench ablate --alll", "m2bench compare --to reports/first"])
def test_what_the_command_line_does_not_know_is_refused(command: str) -> None:
    with pytest.raises(UsageError):
        options_typed(command)
