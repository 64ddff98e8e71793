"""Every command that README and documentation show is one that the command line takes: as it stands, and read in full.

Some are run as well (test_readme.py, test_command_page.py, tests/fleet); what a command computes is tested elsewhere.
"""

from __future__ import annotations

import re
import shlex

import pytest
from commands import asked_for
from repository import ROOT

from m2bench.cli.app import UsageError
from m2bench.cli.command import AskedSystem
from m2bench.errors import UserError
from m2bench.optimizations import LAYERS
from m2bench.options.known_systems import PROGRAMS
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.command.system import load_workload

PAGES = {
    path: path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.stem != "CHANGELOG"
}
# Named by their beginning, where a sentence is about them.
BEGINNINGS = {"m2bench ablate --command", "m2bench check --base", "m2bench init", "m2bench audit"}
MEASURED = PAGES[ROOT / "docs" / "measured.md"]


def commands_shown(page: str) -> list[str]:
    """In blocks of a shell's lines, with or without its prompt and over several lines, and within sentences."""
    blocks = re.findall(r"```(?:sh|console|yaml)\n(.*?)```", page, flags=re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    alone = [found[0] for line in lines if (found := re.findall(r"(?:^|run: |&& |\$ |/)(m2bench .*)$", line.strip()))]
    return [*alone, *re.findall(r"`(m2bench [^`\n]+)`", page)]


SHOWN = dict.fromkeys(command for page in PAGES.values() for command in commands_shown(page))


def unknown_layers(command: str) -> set[str]:
    """Layers that a command names and its system has not; of a user's function nothing is known.

    Raises UserError where the command line cannot be read, or the toggles and metrics of a user's own.
    """
    arguments = asked_for(command)
    workloads = [each.workload for each in arguments.values() if isinstance(each, AskedSystem)]
    known = {"all", "baseline", *LAYERS}
    for workload in workloads:
        if workload.module in PROGRAMS:
            program = load_workload(workload)
            known |= {*program.layers()} if "toggle" in workload.options else set()
        elif workload.module != WorkloadSpec.module:
            return set()
    asked = [each for each in arguments.values() if not isinstance(each, AskedSystem)]
    named = [getattr(each, name, None) or () for each in asked for name in ("layers", "layer", "with_layers")]
    return {*re.findall(r"[a-z][a-z-]*", " ".join(map(str, named)))} - known


@pytest.mark.parametrize("command", [c for c in SHOWN if c not in BEGINNINGS and not c.endswith("--help")])
def test_the_command_line_takes_a_command_that_is_shown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which a toggle sets: it is refused where it is set already
    assert not unknown_layers(command)


def test_commands_are_found_wherever_they_are_shown() -> None:
    page = '```sh\nm2bench a\n```\n```console\n$ m2bench b \\\n    --to "c"\nout\n```\nAs `m2bench d e` does.\n'
    assert [shlex.split(command) for command in commands_shown(page)] == [
        ["m2bench", "a"], ["m2bench", "b", "--to", "c"], ["m2bench", "d", "e"],
    ]  # fmt: skip
    assert len(SHOWN) > 80


@pytest.mark.parametrize("command", ["ablate --alll", "compare --to reports/first", "baseline save release --block 3"])
def test_an_option_that_the_command_line_does_not_know_is_refused(command: str) -> None:
    with pytest.raises(UsageError):
        asked_for(f"m2bench {command}")


@pytest.mark.parametrize("command", ["ablate --device tpu", "ablate --command 'a' --toggle b", "check --min 3"])
def test_a_value_that_an_option_cannot_have_is_refused(command: str) -> None:
    with pytest.raises(UserError):
        unknown_layers(f"m2bench {command}")


@pytest.mark.parametrize(
    "command", ["train --with batch,amp", "profile --layer batch", "check --layers baseline,amp+batch"]
)
def test_a_layer_that_there_is_not_is_found(command: str) -> None:
    assert unknown_layers(f"m2bench {command}") == {"batch"}


def test_all_code_on_the_page_of_what_was_measured_is_a_command_or_a_layer() -> None:
    code = {*re.findall(r"`([^`]+)`", MEASURED)}
    others = {each for each in code if not each.startswith(("m2bench ", "pytest ", "python "))}
    assert others
    assert others <= {*LAYERS}


@pytest.mark.parametrize("command", dict.fromkeys(re.findall(r"`((?:pytest|python) [^`]+)`", MEASURED)))
def test_a_benchmark_of_that_page_is_there(command: str) -> None:
    assert (ROOT / shlex.split(command)[1]).is_file()
