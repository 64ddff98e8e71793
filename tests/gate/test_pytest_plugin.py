"""``pytest --m2bench`` as a user would type it, and what its tests make of a check. A real one: test_gate_command."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from commands import environment
from made_check import BASED, against, blocks_of, outcome_of, reference_of, with_state

from m2bench.gate import outputs
from m2bench.gate.counts import CountChange
from m2bench.gate.decide import decide
from m2bench.gate.outcome import CheckOutcome
from m2bench.gate.pytest_plugin import Gate, GateItem, Suite, _options
from m2bench.gate.reasons import Aspect, Reason
from m2bench.gate.verdict import Verdict


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a project of one test."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")
    alone = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("beside", [("-n", "2"), ("--dist", "load", "--tx", "2*popen")])
def test_beside_other_tests_it_is_refused(beside: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--m2bench", *beside)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "Run it with -n 0." in done.stderr
    assert "Traceback" not in done.stderr


def test_other_tests_may_run_side_by_side(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-n", "1")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("words", [("--m2bench", "test_one.py"), ("--m2bench=main",), ("--m2bench=",)])
def test_a_word_that_is_no_option_is_not_taken_for_the_gates(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *words)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert f"{words[-1].removeprefix('--m2bench=')!r} is no option of m2bench check." in done.stderr
    assert '--m2bench="--base HEAD~1"' in done.stderr


def test_options_that_end_within_quotes_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="cannot be split into words: No closing quotation"):
        _options("--command 'python train.py")


@pytest.mark.parametrize("option", ["--m2bench", "--m2bench=--base main", "--m2bench=--strict"])
def test_only_the_named_tests_are_collected_beside_the_gates(option: str, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    done = run_pytest(tmp_path, "test_one.py", option, "--collect-only")
    collected = [line for line in done.stdout.splitlines() if "::" in line or line.startswith("m2bench check: ")]
    assert len(collected) == 1 + len(Aspect), done.stdout + done.stderr


@pytest.mark.parametrize("plugins", [(), ("-p", "no:timeout"), ("-p", "no:timeout", "-p", "no:xdist")])
def test_it_needs_no_other_plugin(plugins: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--m2bench", "--strict-markers", "--collect-only", *plugins)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"m2bench check: {aspect}" in done.stdout for aspect in Aspect)


def test_a_gate_that_fails_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def refused(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "error: the base 'nowhere' is no commit\n")

    monkeypatch.setattr(subprocess, "run", refused)
    gate = Gate(["--base", "nowhere"], tmp_path)
    for _ in Aspect:
        with pytest.raises(pytest.fail.Exception, match="the base 'nowhere' is no commit"):
            gate.suite()
    assert len(commands) == 1


def suite_of(outcome: CheckOutcome, strict: bool = False) -> Suite:
    """What pytest reads of the check."""
    (cases,) = ElementTree.fromstring(outputs.junit(outcome, strict))
    return Suite(cases, outcome.reproduce)


def outcomes(session: pytest.Session, suite: Suite) -> list[str]:
    """What the gate's tests make of a check: speed, counts, and learning and numerics."""
    gate = Gate([], Path())
    gate.suite = lambda: suite  # type: ignore[method-assign]
    found = []
    for aspect in Aspect:
        item = GateItem.from_parent(session, name=f"m2bench check: {aspect}", gate=gate, aspect=aspect)
        try:
            item.runtest()
            found.append("passed")
        except pytest.fail.Exception:
            found.append("failed")
        except pytest.skip.Exception:
            found.append("skipped")
    return found


def against_reference(**changes: Any) -> Verdict:
    question = against(reference_of(blocks_of(6)), **changes)
    return decide(question, blocks_of(3), final=True)


def about(aspect: Aspect) -> dict[str, list[Reason]]:
    return {"not_comparable": [Reason((aspect,), "a topic", "it is gone")]}


ONE = with_state("passed").verdict
MORE, LESS = CountChange((), "syncs", 1, 3), CountChange((), "syncs", 3, 1)
ELSEWHERE = against_reference(same_machine=False)
CHECKS: dict[str, tuple[CheckOutcome, list[str]]] = {
    "equal code": (outcome_of(ONE), ["passed", "passed", "passed"]),
    "slower": (with_state("slower"), ["failed", "passed", "passed"]),
    "a noisy machine": (with_state("undecided"), ["skipped", "passed", "passed"]),
    "more of a count": (outcome_of(ONE, counts=[MORE]), ["passed", "failed", "passed"]),
    "less of it than the base": (outcome_of(ONE, counts=[LESS]), ["passed", "passed", "passed"]),
    "less of it than a reference": (outcome_of(ELSEWHERE, counts=[LESS]), ["passed", "failed", "passed"]),
    "learns otherwise": (outcome_of(ONE, changes=["baseline: other returns"]), ["passed", "passed", "failed"]),
    "a count that is gone": (outcome_of(ONE, **about(Aspect.COUNTS)), ["passed", "skipped", "passed"]),
    "a numerics check that is gone": (outcome_of(ONE, **about(Aspect.AGREEMENT)), ["passed", "passed", "skipped"]),
    "another machine": (outcome_of(ELSEWHERE, **about(Aspect.SPEED)), ["skipped", "passed", "passed"]),
    "nothing measured": (outcome_of(decide(BASED, [], final=True)), ["skipped", "skipped", "skipped"]),
    "floors alone": (
        outcome_of(decide(replace(BASED, base=None, floors={"speedup": 20.0}), blocks_of(6), final=False)),
        ["passed", "skipped", "passed"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKS)
def test_each_aspect_is_a_test_of_its_own(case: str, request: pytest.FixtureRequest) -> None:
    outcome, expected = CHECKS[case]
    assert outcomes(request.session, suite_of(outcome)) == expected
    undecided = "skipped" if case == "floors alone" else "failed"  # what nobody asked for is not undecided
    strict = [undecided if found == "skipped" else found for found in expected]
    assert outcomes(request.session, suite_of(outcome, strict=True)) == strict


def test_a_failure_says_how_to_see_it_again(request: pytest.FixtureRequest) -> None:
    gate = Gate([], Path())
    gate.suite = lambda: suite_of(with_state("slower"))  # type: ignore[method-assign]
    item = GateItem.from_parent(request.session, name="m2bench check: speed", gate=gate, aspect=Aspect.SPEED)
    with pytest.raises(pytest.fail.Exception, match=r"episodes/min .*x.*\nAgain: git checkout 0+ && m2bench check"):
        item.runtest()


@pytest.mark.parametrize("options", [[], ["--junit", "mine.xml"]])
def test_a_junit_file_of_the_users_own_is_written_as_well(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checked(command: list[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        (cwd / command[command.index("--junit") + 1]).write_text(outputs.junit(with_state("slower"), strict=False))
        return subprocess.CompletedProcess(command, 2, '{"reproduce": "m2bench check"}', "")

    monkeypatch.setattr(subprocess, "run", checked)
    (said,) = Gate(options, tmp_path).suite().messages(Aspect.SPEED, "failure")
    assert said.startswith("baseline: episodes/min")
    assert [path.name for path in tmp_path.iterdir()] == options[1:]
