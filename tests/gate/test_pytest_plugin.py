"""``pytest --m2bench`` as a user would type it, and what its tests make of a check. A real one: test_gate_command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import environment
from made_check import full_document

from m2bench.gate.aspects import ASPECTS
from m2bench.gate.pytest_plugin import Gate, GateItem


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


@pytest.mark.parametrize("option", ["--m2bench", "--m2bench=--base main", "--m2bench=--strict"])
def test_only_the_named_tests_are_collected_beside_the_gates(option: str, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    done = run_pytest(tmp_path, "test_one.py", option, "--collect-only")
    collected = [line for line in done.stdout.splitlines() if "::" in line or line.startswith("m2bench check: ")]
    assert len(collected) == 1 + len(ASPECTS), done.stdout + done.stderr


@pytest.mark.parametrize("plugins", [(), ("-p", "no:timeout"), ("-p", "no:timeout", "-p", "no:xdist")])
def test_it_needs_no_other_plugin(plugins: tuple[str, ...], tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--m2bench", "--strict-markers", "--collect-only", *plugins)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"m2bench check: {aspect}" in done.stdout for aspect in ASPECTS)


def test_a_gate_that_fails_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def refused(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "error: the base 'nowhere' is no commit\n")

    monkeypatch.setattr(subprocess, "run", refused)
    gate = Gate(["--base", "nowhere"], tmp_path)
    for _ in ASPECTS:
        with pytest.raises(pytest.fail.Exception, match="the base 'nowhere' is no commit"):
            gate.document()
    assert len(commands) == 1


def outcomes(session: pytest.Session, document: dict[str, Any], *options: str) -> list[str]:
    """What the gate's tests make of a check's document: speed, counts, and learning and numerics."""
    gate = Gate(list(options), Path())
    gate.document = lambda: document  # type: ignore[method-assign]
    found = []
    for aspect in ASPECTS:
        item = GateItem.from_parent(session, name=f"m2bench check: {aspect}", gate=gate)
        try:
            item.runtest()
            found.append("passed")
        except pytest.fail.Exception:
            found.append("failed")
        except pytest.skip.Exception:
            found.append("skipped")
    return found


def count_change(before: float, after: float) -> dict[str, Any]:
    return {"before": before, "after": after, "sentence": f"baseline: {before} -> {after}"}


def with_state(state: str) -> dict[str, Any]:
    document = full_document()
    document["metrics"][0]["state"] = state
    return document


CHECKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "equal code": (full_document(), ["passed", "passed", "passed"]),
    "slower": (with_state("slower"), ["failed", "passed", "passed"]),
    "a noisy machine": (with_state("undecided"), ["skipped", "passed", "passed"]),
    "more of a count": (full_document(counts=[count_change(1, 3)]), ["passed", "failed", "passed"]),
    "less of it than the base": (full_document(counts=[count_change(3, 1)]), ["passed", "passed", "passed"]),
    "less of it than a reference": (
        full_document(counts=[count_change(3, 1)], base=None, reference="release"), ["passed", "failed", "passed"],
    ),
    "learns otherwise": (full_document(changes=["baseline: other returns"]), ["passed", "passed", "failed"]),
    "a count that is gone": (full_document(not_comparable=["counts: baseline"]), ["passed", "skipped", "passed"]),
    "a gate that is gone": (full_document(not_comparable=["numerics: baseline"]), ["passed", "passed", "skipped"]),
    "returns that are gone": (full_document(not_comparable=["learning: baseline"]), ["passed", "passed", "skipped"]),
    "another machine": (
        full_document(metrics=[], base=None, reference="release", not_comparable=["speeds: another machine"]),
        ["skipped", "passed", "passed"],
    ),
    "another workload": (
        full_document(metrics=[], base=None, reference="release", blocks=0, not_comparable=["another workload"]),
        ["skipped", "skipped", "skipped"],
    ),
    "floors alone": (full_document(base=None, unchecked=["counts: no base"]), ["passed", "skipped", "passed"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKS)
def test_each_aspect_is_a_test_of_its_own(case: str, request: pytest.FixtureRequest) -> None:
    document, expected = CHECKS[case]
    assert outcomes(request.session, document) == expected
    undecided = "skipped" if case == "floors alone" else "failed"  # what nobody asked for is not undecided
    strict = [undecided if outcome == "skipped" else outcome for outcome in expected]
    assert outcomes(request.session, document, "--strict") == strict


def test_a_failure_says_how_to_see_it_again(request: pytest.FixtureRequest) -> None:
    gate = Gate([], Path())
    gate.document = lambda: with_state("slower")  # type: ignore[method-assign]
    item = GateItem.from_parent(request.session, name="m2bench check: speed", gate=gate)
    with pytest.raises(pytest.fail.Exception, match=r"episodes/min 1\.000x\nAgain: m2bench check --base abc"):
        item.runtest()
