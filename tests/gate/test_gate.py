"""The gate's verdicts, references, history and outputs, from measurements with planted answers."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_check import (
    BASED,
    COMBINATIONS,
    FAST,
    MACHINE,
    SPEEDS,
    against,
    blocks_of,
    document_of,
    measured,
    outcome_of,
    reference_of,
    result,
    with_state,
)
from typer.testing import CliRunner

from m2bench.cli.app import app
from m2bench.errors import UserError
from m2bench.gate import outputs, run_check
from m2bench.gate.agreement import first_parted, learning_change
from m2bench.gate.asked import Asked, question_of
from m2bench.gate.counts import compare_counts, repeated_counts
from m2bench.gate.decide import decide
from m2bench.gate.facts import SideFacts
from m2bench.gate.layouts import has_module, layout_of
from m2bench.gate.measure import DivergedError, Request, known_part, run_block
from m2bench.gate.metrics import metrics_of
from m2bench.gate.outcome import CheckOutcome
from m2bench.gate.pairs import Block, grown_most, log_ratio, whole_log_ratio
from m2bench.gate.preparation import Sides
from m2bench.gate.question import Question
from m2bench.gate.reasons import Aspect, Reason
from m2bench.gate.references import stored
from m2bench.gate.references.history import make_series
from m2bench.gate.references.promotion import taken_over
from m2bench.gate.references.reading import StoredCheck, read_check
from m2bench.gate.references.reference import Recorded, Reference, record, with_level
from m2bench.gate.sides import Code
from m2bench.gate.verdict import Verdict
from m2bench.gate.verdict_words import sentence_of
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.description import Description, Unit
from m2bench.records.documents import read
from m2bench.records.results import NumericsCheck, TrialResult
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.statistics.first_updates import FIRST_UPDATES
from m2bench.text.console import plain_console

STEPS = Unit("step", "steps")


# --- pairs


def in_turns(speeds: list[float], updates: int = 3) -> TrialResult:
    update_s = [60 / speed for speed in speeds for _ in range(updates)]
    return measured(1.0, update_s=update_s, turn_updates=[updates] * len(speeds))


def test_turns_are_compared_one_by_one() -> None:
    """The machine slows down to a half on the way, and another process disturbs each side once."""
    base = [600.0, 600.0, 600.0, 600.0, 300.0, 300.0, 300.0, 300.0]
    head = [0.9 * speed for speed in base]
    base[2], head[5] = 30.0, 20.0
    assert log_ratio(in_turns(head), in_turns(base)) == pytest.approx(math.log(0.9))


def test_whole_windows_are_compared_where_there_are_no_turns() -> None:
    assert log_ratio(measured(540), measured(600)) == pytest.approx(math.log(0.9))
    assert log_ratio(in_turns([540.0, 540.0]), measured(600)) == pytest.approx(math.log(0.9))


def test_what_happens_seldom_and_takes_long_is_in_the_whole_windows_alone() -> None:
    head = [600.0] * 9 + [60.0]
    assert log_ratio(in_turns(head), in_turns([600.0] * 10)) == pytest.approx(0.0)
    # Nine turns of a tenth of a second and one of a whole one, instead of ten of a tenth.
    assert whole_log_ratio(in_turns(head), in_turns([600.0] * 10)) == pytest.approx(math.log(1 / 1.9))


def test_code_that_stalls_now_and_then_does_not_pass() -> None:
    question = replace(BASED, in_turns=(BASELINE, FAST))
    blocks = blocks_of(6)
    for block in blocks:
        for side, combination in block:
            speed = SPEEDS[combination]
            turns = [speed] * 20 if side == "base" else [speed] * 19 + [speed / 5]
            block[side, combination] = in_turns(turns)
    verdict = decide(question, blocks, final=False)
    assert {(found.metric.name, found.state) for found in verdict.judged} == {
        ("episodes/min", "passed"), ("episodes/min of whole windows", "slower"),
    }  # fmt: skip
    assert verdict.exit_code == 2


# --- verdicts against a base


def test_equal_code_passes() -> None:
    verdict = decide(BASED, blocks_of(6), final=False)
    assert (verdict.kind, verdict.exit_code, verdict.decided) == ("pass", 0, True)
    assert sentence_of(verdict).startswith("Passed after 6 blocks against base abc: baseline: episodes/min 1.0")


def test_a_check_speaks_of_the_units_of_the_system() -> None:
    counts = {"per_episode": {"dispatches": 100.0, "syncs": 3.0}, "lines": {}}
    changes: dict[str, Any] = {"phase_ms_per_episode": {"forward": 60.0}, "counts": counts}
    verdict = decide(replace(BASED, unit=STEPS), blocks_of(6, 0.85, **changes), final=False)
    assert all(
        said in sentence_of(verdict) for said in ("baseline: steps/min 0.8", "ms per step", "1 more syncs per step")
    )
    outcome = outcome_of(verdict)
    assert {metric["unit"] for metric in outputs.bigger_is_better(outcome)} == {"steps/min", "x"}
    assert not re.search(r"\bepisodes?\b", json.dumps(outcome.to_json()))


def test_slower_code_is_a_regression_that_names_the_phase() -> None:
    slower = {"environment": 6.0, "forward": 30.1}
    verdict = decide(BASED, blocks_of(6, 0.85, phase_ms_per_episode=slower), final=False)
    assert (verdict.kind, verdict.exit_code) == ("regression", 2)
    said = sentence_of(verdict)
    assert "the phase environment takes +5 ms per episode (1 -> 6)" in said
    assert "0.85" in said


def test_a_noisy_machine_is_told_that_it_cannot_gate() -> None:
    blocks = blocks_of(14, noise=0.15)
    assert not decide(BASED, blocks[:6], final=False).decided
    verdict = decide(BASED, blocks, final=True)
    assert (verdict.kind, verdict.exit_code) == ("inconclusive", 3)
    (said,) = [note for note in verdict.notes if "too noisy" in note]
    assert said.startswith("This machine is too noisy to detect a loss of 5 %. Use --max-blocks ")


def test_with_the_delta_that_a_noisy_machine_is_told_equal_code_passes_in_half_of_the_cases() -> None:
    runs = [blocks_of(14, noise=0.15, seed=seed) for seed in range(40)]
    told = [re.findall(r"--delta (\d+)%", " ".join(decide(BASED, run, final=True).notes)) for run in runs]
    delta = median(int(percent) for (percent,) in told) / 100  # each is told it by its own scatter
    kinds = {share: [decide(replace(BASED, delta=share * delta), run, final=True).kind for run in runs]
             for share in (0.6, 1.0, 1.4)}  # fmt: skip
    assert kinds[0.6].count("pass") <= 8
    assert 12 <= kinds[1.0].count("pass") <= 28
    assert kinds[1.4].count("pass") >= 32


def test_a_quiet_machine_is_told_what_it_would_have_found() -> None:
    (note,) = decide(BASED, blocks_of(6), final=False).notes
    assert "80% of regressions of 5." in note  # next to no noise: hardly more than the 5 % that are allowed


@pytest.mark.parametrize(("change", "kind"), [(+1.0, "regression"), (-1.0, "pass")])
def test_counts_are_compared_exactly(change: float, kind: str) -> None:
    counts = {"per_episode": {"dispatches": 100.0, "syncs": 2.0 + change},
              "lines": {"syncs": {"a/b.py:9 x.item()": 2.0, "a/c.py:3 y.item()": 1.0}}}  # fmt: skip
    verdict = decide(BASED, blocks_of(6, counts=counts), final=False)
    assert verdict.kind == kind
    first = verdict.counts[0]
    assert (first.name, first.after - first.before) == ("syncs", change)
    assert first.lines == ("a/c.py:3 y.item()",)  # the other line has only moved
    assert len(verdict.counts) == 2  # in both combinations


def test_a_count_that_varies_is_no_count() -> None:
    varying = [
        measured(600, counts={"per_episode": {"syncs": syncs, "kernels": 5.0}, "lines": {}}) for syncs in (1.0, 2.0)
    ]
    assert repeated_counts(varying) == {"kernels": 5.0}


@pytest.mark.parametrize(
    ("after", "changes", "unclear"),
    [
        ([3.0, 5.0, 4.0], [], 0),  # the seed decides, on both sides alike
        ([4.0, 6.0, 5.0], [(3.0, 4.0)], 0),
        ([3.0, 6.0, 5.0], [(5.0, 6.0)], 0),  # more with most seeds, and fewer with none
        ([3.0, 6.0, 4.0], [], 1),
        ([2.0, 6.0, 4.0], [], 1),
        ([3.0, 5.0, None], [], 1),
        ([None, None, None], [], 1),
    ],
)
def test_counts_are_compared_between_trials_of_one_seed(
    after: list[float | None], changes: list[tuple[float, float]], unclear: int
) -> None:
    pairs = [
        ({"syncs": old}, {} if new is None else {"syncs": new}) for old, new in zip((3.0, 5.0, 4.0), after, strict=True)
    ]
    found, why = compare_counts(BASELINE, pairs)
    assert [(change.before, change.after) for change in found] == changes
    assert len(why) == unclear


def test_a_head_that_counts_nothing_any_more_does_not_pass() -> None:
    verdict = decide(BASED, on("head", blocks_of(6), counts=None), final=False)
    assert verdict.kind == "not comparable"
    assert "syncs is no longer counted on both sides" in sentence_of(verdict)


def test_more_graphs_are_more_counts() -> None:
    def evidence(graphs: int) -> list[TrialResult]:
        proof = {"engaged": True, "evidence": {"graphs": graphs, "recompiles": 0}}
        return [replace(measured(600, proofs={"compile": proof}), counts=None)]

    ((change,), unclear) = compare_counts(("compile",), [(repeated_counts(evidence(2)), repeated_counts(evidence(3)))])
    assert unclear == []
    assert change.sentence(BASED.unit) == "compile: 1 more compiled graphs (2 -> 3)"


def test_only_what_is_counted_per_unit_is_called_so() -> None:
    before = {"syncs": 1.0, "compiled graphs": 1.0, "compiled regions per call": 1.0, "recompiles": 0.0}
    changes, _ = compare_counts(BASELINE, [(before, {name: value + 1 for name, value in before.items()})])
    assert [change.name for change in changes if "per step" in change.sentence(STEPS)] == ["syncs"]


def test_a_base_without_counts_phases_or_returns_is_gated_by_its_speed() -> None:
    told_nothing: dict[str, Any] = {"counts": None, "phase_ms_per_episode": {}, "training_return": (), "numerics": {}}
    blocks = on("base", blocks_of(6, 0.85), **told_nothing)
    verdict = decide(BASED, blocks, final=False)
    assert (verdict.kind, verdict.counts, verdict.changes, verdict.phases) == ("regression", [], [], {})
    assert list(map(str, verdict.unchecked)) == [
        f"{topic}: {name}: the base {nothing}"
        for name in ("baseline", "+".join(FAST))
        for topic, nothing in (("counts", "has no counts"), ("learning", "reports neither a return nor a loss"))
    ]
    assert [reason.aspects for reason in verdict.unchecked] == [(Aspect.COUNTS,), (Aspect.AGREEMENT,)] * 2


def on(changed: str, blocks: list[Block], **changes: Any) -> list[Block]:
    """The blocks with other trials of one side."""
    return [
        {(side, c): replace(trial, **changes) if side == changed else trial for (side, c), trial in block.items()}
        for block in blocks
    ]


def test_what_neither_side_shows_is_said_not_to_be_checked() -> None:
    """Code whose base has lost its numerics checks as well would pass in silence ever after."""
    verdict = decide(BASED, on("base", blocks_of(6, gates={}), numerics={}), final=False)
    assert verdict.kind == "pass"
    assert "Not checked: numerics: baseline: no numerics check was run." in verdict.notes


def test_a_head_with_fewer_numerics_checks_than_the_reference_does_not_pass() -> None:
    question = against(reference_of(blocks_of(6)))
    verdict = decide(question, blocks_of(6, seed=1, gates={}), final=False)
    assert (verdict.kind, verdict.exit_code) == ("not comparable", 3)
    assert "numerics: baseline: the check gradient is no longer run" in sentence_of(verdict)


def test_a_numerics_check_of_the_head_counts() -> None:
    gates = {"gradient": {"same": False, "evidence": {}, "reason": "weight is off"}}
    verdict = decide(BASED, blocks_of(6, gates=gates), final=False)
    assert (verdict.kind, verdict.exit_code) == ("changed", 4)
    assert "the numerics check gradient fails: weight is off" in sentence_of(verdict)
    assert "on the base as well" not in sentence_of(verdict)


def test_a_fault_that_the_base_has_as_well_is_said_to_be_no_change() -> None:
    wrong = {"gradient": {"same": False, "evidence": {}, "reason": "weight is off"}}
    broken = {"gradient": NumericsCheck(same=False, evidence={}, reason="weight is off")}
    blocks = on("base", blocks_of(6, gates=wrong), numerics=broken)
    verdict = decide(BASED, blocks, final=False)
    assert verdict.exit_code == 4  # numerics that are wrong are never green
    assert "weight is off (it fails on the base as well)" in sentence_of(verdict)


def test_other_returns_from_the_same_episodes_are_another_learning() -> None:
    verdict = decide(BASED, blocks_of(6, training_return=[0.5, 0.7, 0.11, 0.9, 1.1, 1.2]), final=False)
    assert verdict.exit_code == 4
    assert "the training return differs from update 3 on (0.1 -> 0.11), in 6 of 6 pairs" in sentence_of(verdict)


@pytest.mark.parametrize("sound", range(8))
def test_a_head_that_diverges_has_changed_whenever_it_does(sound: int) -> None:
    """In its first block, or after so many sound ones."""
    sound_blocks = blocks_of(14)

    class Diverging:
        def __init__(self) -> None:
            self.facts = {"head": replace(facts_of(THEN), device_faults=())}

        def run_block(self, number: int, request: Request) -> Block:
            if number > sound:
                raise DivergedError("the loss is not finite")
            return sound_blocks[number - 1]

    question = replace(BASED, alpha=1e-9)  # undecided until then
    request = Request(WorkloadSpec(), WindowSpec(), COMBINATIONS, seed=0, trial_timeout_s=1.0)
    blocks, verdict = run_check._measure(question, request, Diverging(), plain_console(file=io.StringIO()))  # type: ignore[arg-type]
    assert (verdict.exit_code, verdict.decided, verdict.changes) == (4, True, ["the loss is not finite"])
    assert len(blocks) == (sound if sound >= 3 else 0)


def test_rounding_is_no_other_learning() -> None:
    returns = result(600)["training_return"]
    rounded = [value * (1 + 1e-6) for value in returns]
    assert first_parted(returns, rounded) is None
    late = returns[:FIRST_UPDATES] + [value + 1 for value in returns[FIRST_UPDATES:]]
    assert first_parted([rounded[0], *returns[1:]], late) is None
    assert first_parted(returns, [math.nan, *returns[1:]]) == 1
    same, flipped = measured(600), measured(600, training_return=[value + 1 for value in returns])
    assert learning_change(BASELINE, [(same, same)] * 3 + [(same, flipped)] * 3) is None  # half of them: luck
    assert learning_change(BASELINE, [(same, same)] * 2 + [(same, flipped)] * 4) is not None


def test_sides_that_round_alike_must_learn_alike_to_the_end() -> None:
    """A learning rate that falls to nothing after the first updates, say."""
    returns = [0.5, 0.7, 0.1, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert first_parted(returns, [*returns[:7], 1.5, 1.6]) == 8
    assert first_parted(returns, returns[:7]) is None


NEVER_COMPARED: dict[str, dict[str, Any]] = {
    "numerics: baseline: the check gradient is no longer run": {"numerics": {}},
    "learning: baseline: the head reports the training return of only 0 of its 4 updates": {"training_return": ()},
    "the head reports the training return of only 3 of its 4 updates": {"training_return": (0.5, 0.7, 0.1)},
}


@pytest.mark.parametrize("said", NEVER_COMPARED)
def test_a_head_that_shows_less_than_the_base_does_not_pass(said: str) -> None:
    changes = NEVER_COMPARED[said]
    verdict = decide(BASED, on("head", blocks_of(6), **changes), final=False)
    assert (verdict.kind, verdict.exit_code) == ("not comparable", 3)
    assert said in sentence_of(verdict)
    # The other way round it shows more, which nobody has to answer for.
    assert decide(BASED, on("base", blocks_of(6), **changes), final=False).kind == "pass"


def test_the_phase_that_grew_most() -> None:
    found = grown_most([({"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 2.1, "new": 0.4})])
    assert found is not None
    assert (found.name, found.before_ms, found.after_ms) == ("a", 1.0, 1.5)
    assert grown_most([({"a": 1.0}, {"a": 0.9})]) is None
    assert grown_most([({}, {"a": 1.0})]) is None


def test_what_the_machine_did_to_both_of_a_pair_is_no_growth_of_a_phase() -> None:
    """10 ms are planted in a phase of 50, on a machine that is half as fast for every second pair."""
    pairs = [({"update": 50.0 * slow, "forward": 30.0 * slow}, {"update": 60.0 * slow, "forward": 30.0 * slow})
             for slow in (1.0, 2.0, 1.0, 2.0, 1.0)]  # fmt: skip
    pairs[1] = (pairs[1][0], pairs[0][1])  # and once it has changed in the middle of a pair
    found = grown_most(pairs)
    assert found is not None
    assert (found.name, found.after_ms - found.before_ms) == ("update", 10.0)


def test_a_block_measures_both_sides_in_turns() -> None:
    request = Request(WorkloadSpec(), WindowSpec(), COMBINATIONS, seed=7, trial_timeout_s=1.0)
    order: list[tuple[str, Layers, int]] = []

    def run(sides: Sequence[str], trial: TrialSpec) -> dict[str, TrialResult]:
        order.extend((side, trial.layers, trial.seed) for side in sides)
        return {side: measured(600) for side in sides}

    for number in (1, 2):
        assert set(run_block(number, ("base", "head"), request, run)) == {
            (side, combination) for side in ("base", "head") for combination in COMBINATIONS
        }
    assert order == [
        ("base", BASELINE, 7), ("head", BASELINE, 7), ("base", FAST, 7), ("head", FAST, 7),
        ("head", FAST, 8), ("base", FAST, 8), ("head", BASELINE, 8), ("base", BASELINE, 8),
    ]  # fmt: skip


def test_a_module_lent_by_an_installation_is_not_the_sides_own(tmp_path: Path) -> None:
    """This project's own editable installation would lend a package of the same name what it lacks."""
    package = tmp_path / "m2bench"
    package.mkdir()
    (package / "__init__.py").touch()
    code = Code("base", "0" * 40, dirty=False, path=tmp_path)
    assert not has_module(code, "m2bench.turns")
    (package / "turns.py").touch()
    assert has_module(replace(code, side="head"), "m2bench.turns")  # of one side it is asked once


@pytest.mark.parametrize("launcher", ["m2bench.worker.launcher", "m2bench.launcher"])
def test_the_code_of_an_earlier_version_is_asked_where_it_keeps_things(launcher: str, tmp_path: Path) -> None:
    """Its ``worker`` is a module, and what was no folder then must not be taken from an installation."""
    path = (tmp_path / launcher.replace(".", "/")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    for file in (tmp_path / "m2bench" / "__init__.py", path.parent / "__init__.py", path):
        file.touch()
    if launcher == "m2bench.launcher":
        (path.parent / "worker.py").touch()
    layout = layout_of(Code("base", "0" * 40, dirty=False, path=tmp_path))
    assert layout.launcher == launcher
    assert layout.module_of("their.trainer") == "their.trainer"
    assert layout.module_of(WorkloadSpec.module) == layout.trading


def test_code_without_a_launcher_cannot_be_gated(tmp_path: Path) -> None:
    (tmp_path / "m2bench").mkdir()
    (tmp_path / "m2bench" / "__init__.py").touch()
    with pytest.raises(UserError, match="cannot be asked for trials"):
        layout_of(Code("base", "0" * 40, dirty=False, path=tmp_path))


def test_code_that_does_not_know_a_field_yet_is_asked_without_it() -> None:
    known = ["warmup_s", "timed_s"]
    assert known_part(WindowSpec(timed_s=3.0), known) == {"warmup_s": WindowSpec.warmup_s, "timed_s": 3.0}
    with pytest.raises(UserError, match="does not know the option timed_updates yet, which is 9 here"):
        known_part(WindowSpec(timed_updates=9), known)


# --- references

OTHER_MACHINE = Reason((Aspect.SPEED,), "speeds", "another machine")


def test_a_reference_gates_speedup_and_speed() -> None:
    question = against(reference_of(blocks_of(6)))
    assert [(m.name, m.combination) for m in metrics_of(question, [])] == [
        ("episodes/min", BASELINE), ("speedup", FAST), ("episodes/min", FAST),
    ]  # fmt: skip
    assert decide(question, blocks_of(6, seed=1), final=False).exit_code == 0
    assert decide(question, blocks_of(6, 0.8, seed=1), final=False).exit_code == 2


def test_what_jobs_differ_by_no_number_of_blocks_lessens() -> None:
    """So that 5 % cannot be told, and the user learns what can."""
    question = against(reference_of(blocks_of(14)), delta=0.05)
    verdict = decide(question, blocks_of(14, seed=1), final=True)
    assert verdict.kind == "inconclusive"
    (said,) = [note for note in verdict.notes if "too noisy" in note]
    assert "--max-blocks" not in said
    assert "--delta 9%, --base instead of a reference, or a quieter machine" in said
    assert decide(replace(question, delta=0.09), blocks_of(14, seed=1), final=True).kind == "pass"


@pytest.mark.parametrize("machine", [0.74, 1.26])
@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_a_machine_that_runs_slower_today_is_no_regression(machine: float, noise: float) -> None:
    """What slows down everything slows down the fixed computation beside the trials as well."""
    question = against(reference_of(blocks_of(6, noise=noise)))
    for seed in range(1, 21):
        assert decide(question, blocks_of(14, noise=noise, machine=machine, seed=seed), final=True).exit_code in (0, 3)


def test_on_another_machine_speeds_neither_pass_nor_fail() -> None:
    """What a layer gains differs from machine to machine, so that a reference of another one tells nothing."""
    question = against(reference_of(blocks_of(6)), same_machine=False, not_comparable=(OTHER_MACHINE,))
    for ratio in (1.0, 0.8):
        verdict = decide(question, blocks_of(3, ratio, machine=5.0), final=False)
        assert (verdict.kind, verdict.exit_code, verdict.judged) == ("not comparable", 3, [])
    more = {"per_episode": {"dispatches": 100.0, "syncs": 3.0}, "lines": {}}
    assert decide(question, blocks_of(3, counts=more), final=True).exit_code == 2


def test_counts_of_a_reference_are_gated_both_ways() -> None:
    question = against(reference_of(blocks_of(6)))
    fewer = {"per_episode": {"dispatches": 90.0, "syncs": 2.0}, "lines": {}}
    verdict = decide(question, blocks_of(6, seed=1, counts=fewer), final=False)
    assert verdict.exit_code == 2
    assert sentence_of(verdict).startswith(
        "The reference release is outdated, since the code asks less of the device now"
    )
    counted_otherwise = replace(question, same_counting=False)
    assert decide(counted_otherwise, blocks_of(6, seed=1, counts=fewer), final=False).kind == "not comparable"


THEN = {"chip": "one", "torch": "2.0", "m2bench": "0.1", "counting": "3", "memory_mb": 8000.0}


CLAIM = {"low": 1.0, "high": 2.0, "text": "", "difficulty": "", "priority": ""}


def facts_of(facts: dict[str, Any], layers: dict[str, bool] | None = None) -> SideFacts:
    """What code says of itself on a machine like this; ``layers``: whether each of them works ahead."""
    common = {"part": "p", "claim": CLAIM, "exact": True, "compiles": False, "unsupported": None}
    described = [{"name": name, "works_ahead": ahead, **common} for name, ahead in (layers or {}).items()]
    document = {
        "system": {"unit": {"one": "episode", "many": "episodes"}, "facts": {}, "no_target_because": None},
        "machine": {"logical_cores": 2, "physical_cores": 2, "python": "3", **facts},
        "device": {"device": "cpu", "torch": facts["torch"], "torch_threads": 1},
        "workload": {"market": {"name": "m", "sha256": "0"}, "options": {"episode_length": 128}, "target": None},
        "layers": described,
        "counting": facts["counting"],
    }
    return SideFacts(read(Description, document))


def reference_made_on(facts: dict[str, Any]) -> tuple[Request, Reference]:
    """What was asked for there, and what was saved of it."""
    request = Request(WorkloadSpec(), WindowSpec(), COMBINATIONS, seed=0, trial_timeout_s=1.0)
    there = facts_of(facts)
    reference = replace(
        reference_of(blocks_of(6)),
        counted_by=there.counted_by,
        machine=there.machine,
        workload=there.workload(request.workload),
    )
    return request, reference


@pytest.mark.parametrize(
    ("now", "speeds", "counts"),
    [
        ({}, True, True),
        ({"m2bench": "0.2"}, True, False),
        ({"counting": "4"}, True, False),
        ({"torch": "3.0"}, False, False),
        ({"chip": "another"}, False, True),
    ],
)
def test_what_a_reference_can_be_asked_depends_on_what_measured_it(
    now: dict[str, str], speeds: bool, counts: bool
) -> None:
    request, reference = reference_made_on(THEN)
    question = asked_of_reference(request, reference, THEN | now)
    assert (question.same_machine, question.same_counting) == (speeds, counts)
    assert bool(question.not_comparable) is not speeds  # what cannot be compared of counts is said with the counts


def asked_of_reference(request: Request, reference: Reference, facts: dict[str, Any]) -> Question:
    """What a check asks against a reference, on a machine with these facts."""
    sides = SimpleNamespace(base=None, facts={"head": facts_of(facts)}, takes_turns=lambda _: False)
    asked = Asked(request, delta=0.1, alpha=0.01, max_blocks=14, against=reference.name)
    return question_of(asked, sides, reference)  # type: ignore[arg-type]


def test_combinations_that_a_reference_lacks_are_not_comparable() -> None:
    request, reference = reference_made_on(THEN)
    beside = replace(request, combinations=(*COMBINATIONS, ("amp",)))
    question = asked_of_reference(beside, reference, THEN)
    (reason,) = question.not_comparable
    assert str(reason) == "amp: the reference release has only baseline, batching+vectorized-loss"
    assert reason.aspects == (Aspect.SPEED, Aspect.COUNTS)  # learning is compared with a base alone
    assert question.reference == reference
    assert asked_of_reference(request, reference, THEN).not_comparable == ()


def test_a_reference_of_another_workload_compares_nothing() -> None:
    request, reference = reference_made_on(THEN)
    other = replace(request, workload=replace(request.workload, options={"episode_length": 64}))
    question = asked_of_reference(other, reference, THEN)
    (reason,) = question.not_comparable
    assert reason.text == "the reference release is of another workload (episode_length: 128 and 64)"
    assert (question.reference, metrics_of(question, [])) == (None, [])
    verdict = decide(question, [], final=True)
    assert (verdict.kind, verdict.exit_code) == ("not comparable", 3)


def test_what_works_ahead_is_not_timed_by_turns() -> None:
    """Its episodes would be prepared while it waits, and cost nothing."""
    sides = Sides({}, {"head": facts_of(THEN, {"dataloader": True, "batching": False})}, Path(), know_turns=True)
    taken = {c: sides.takes_turns(c) for c in (BASELINE, ("batching",), ("dataloader",), ("batching", "dataloader"))}
    assert taken == {BASELINE: True, ("batching",): True, ("dataloader",): False, ("batching", "dataloader"): False}
    assert not replace(sides, know_turns=False).takes_turns(("batching",))


def test_floors_are_gated() -> None:
    def kind(**floors: float) -> Verdict:
        return decide(replace(BASED, base=None, floors=floors), blocks_of(6), final=False)

    assert kind(speedup=20.0, episodes_per_min=2000.0).exit_code == 0
    assert kind(speedup=40.0).exit_code == 2
    assert kind(speedup=20.0, episodes_per_min=50_000.0).exit_code == 2
    assert not kind(speedup=30.0).decided


def test_a_reference_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = reference_of(blocks_of(6))
    stored.write_reference(tmp_path, saved)
    assert stored.find(tmp_path, "release") == saved
    assert stored.read_references(tmp_path) == [saved]
    assert (tmp_path / stored.FOLDER / "release.json").stat().st_size < 10_000


def test_a_reference_of_an_earlier_layout_is_of_the_same_workload(tmp_path: Path) -> None:
    """It names the module of the trading system by where that was."""
    reference = with_level(None, reference_made_on(THEN)[1], "saved")
    path = stored.write_reference(tmp_path, reference)
    text = path.read_text()
    assert text.count(WorkloadSpec.module) == 1
    path.write_text(text.replace(WorkloadSpec.module, "m2bench.workload"))
    assert stored.find(tmp_path, "release") == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a reference of m2bench"),
        ('{"format": "m2bench reference", "schema": 99}', "schema 99"),
        ('{"format": "m2bench reference", "schema": 1}', "schema 1, and this m2bench reads schema 2"),
        ('{"format": "m2bench reference", "schema": 2, "combinations": {"a": {"x": 1}}}', "is damaged"),
        ('{"format": "m2bench reference", "schema": 2}', "is damaged"),
    ],
)
def test_a_reference_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / stored.FOLDER / "release.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        stored.find(tmp_path, "release")


NAN, INF = math.nan, math.inf
RECORDED = ("combinations", "baseline")
DAMAGE: list[tuple[tuple[str | int, ...], list[Any]]] = [
    (("created",), [None, 3, ""]),
    (("commit",), [None, ["abc"], ""]),
    (("counted_by",), [None, 0.1, ""]),
    (("machine",), [None, {}, "one", {"device": "cpu", "torch": "2"}]),
    (("machine", "torch"), [None, 2, ""]),
    (("workload",), [None, {}, []]),
    (("combinations",), [None, {}, []]),
    (RECORDED, [None, {}, [1.0]]),
    ((*RECORDED, "episodes_per_min"), [None, [], [600.0], [600.0] * 5, "fast", 600.0]),
    ((*RECORDED, "episodes_per_min", 0), [0.0, -1.0, NAN, INF, 10**400, "600", None, True, [600.0]]),
    ((*RECORDED, "speedup"), [None, [1.0] * 6]),
    ((*RECORDED, "canary_s"), [None, [], [0.01] * 5, [0.01] * 7]),
    ((*RECORDED, "canary_s", 5), [0.0, NAN, -INF, "0.01"]),
    ((*RECORDED, "counts"), [None, [], {"syncs": "two"}, {"syncs": NAN}, {"syncs": -1}]),
    ((*RECORDED, "lines"), [None, [], {"syncs": 2}, {"syncs": {"a.py:7 x": None}}]),
    ((*RECORDED, "phase_ms"), [None, [], {"forward": INF}]),
    ((*RECORDED, "gates"), [None, "gradient", {}]),
    (("combinations", "batching+vectorized-loss", "speedup"), [[], [30.0] * 5, [30.0, NAN] * 3]),
    (("history",), [None, [], {}]),
    (("history", 0), [None, {}, "saved"]),
    (("history", 0, "date"), [None, 2026, ""]),
    (("history", 0, "kind"), [None, "", "found"]),
    (("history", 0, "commit"), [None, 7]),
    (("history", 0, "reason"), [7, []]),
    (("history", 0, "machine"), [None, {}, {**MACHINE, "chip": "two"}]),
    (("history", 0, "levels"), [None, {}, [], {"baseline": 600.0}, {"baseline": {}}]),
    (("history", 0, "levels", "baseline", "canary_s"), [None, 0.0, NAN, "fast"]),
    (("history", 0, "levels", "baseline", "episodes_per_min"), [None, 0.0, NAN, INF, "fast"]),
]
GONE = object()


def damaged(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(document))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return dict(copy)


@pytest.mark.parametrize(("place", "values"), DAMAGE, ids=[".".join(map(str, place)) for place, _ in DAMAGE])
def test_a_damaged_reference_is_refused_with_what_is_wrong(
    place: tuple[str | int, ...], values: list[Any], tmp_path: Path
) -> None:
    path = stored.write_reference(tmp_path, reference_of(blocks_of(6)))
    sound = json.loads(path.read_text())
    for value in [*values, GONE]:
        path.write_text(json.dumps(damaged(sound, place, value)))
        for load in (lambda: stored.find(tmp_path, "release"), lambda: stored.read_references(tmp_path)):
            with pytest.raises(UserError, match=r"release\.json is damaged: ") as refused:
                load()
            assert str(place[0]) in str(refused.value)
            assert "Restore it from git, or delete it and save it anew: m2bench baseline save" in str(refused.value)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../evil", "", ".hidden", "a/b"):
        with pytest.raises(UserError, match="cannot be the name"):
            stored.find(tmp_path, name)


def test_a_full_disk_leaves_the_old_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = reference_of(blocks_of(6))
    stored.write_reference(tmp_path, old)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device; the one that was there is kept"):
        stored.write_reference(tmp_path, reference_of(blocks_of(6, seed=9)))
    assert stored.find(tmp_path, "release") == old
    assert [path.name for path in (tmp_path / stored.FOLDER).iterdir()] == ["release.json"]


# --- promotion and history


def write_check(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "check.json").write_text(json.dumps(document))
    return folder


def sd_of(recorded: Recorded) -> float:
    return float(np.std(np.log(recorded.episodes_per_min)))


def test_promoting_takes_level_and_spread_annotating_the_level_alone(tmp_path: Path) -> None:
    reference = reference_of(blocks_of(6, noise=0.02))
    folder = write_check(tmp_path / "check", document_of(blocks_of(6, 0.8, noise=0.001, seed=1)))
    promoted = taken_over(reference, folder, "promoted", None)
    annotated = taken_over(reference, folder, "annotated", "a larger network")
    for found in (promoted, annotated):
        assert found.levels()["baseline"]["episodes_per_min"] == pytest.approx(480, rel=0.01)
        assert len(found.history) == 2
    before, kept, taken = (sd_of(found.combinations["baseline"]) for found in (reference, annotated, promoted))
    assert kept == pytest.approx(before, rel=0.01)
    assert taken < before / 4
    assert annotated.history[-1].reason == "a larger network"


def test_a_check_that_cannot_be_promoted_is_refused(tmp_path: Path) -> None:
    reference = reference_of(blocks_of(6))
    good = document_of(blocks_of(6))
    cases = {
        "trained something else": {**good, "workload": {"data": "other"}},
        "is not a result of this version of m2bench check": {"hello": 1},
        "learning or numerics changed": {**good, "changes": ["baseline: other returns"]},
        "measured nothing": {**good, "measured": {}},
    }
    for number, (message, document) in enumerate(cases.items()):
        with pytest.raises(UserError, match=message):
            taken_over(reference, write_check(tmp_path / str(number), document), "promoted", None)
    with pytest.raises(UserError, match="cannot be read"):
        taken_over(reference, tmp_path / "nowhere", "promoted", None)


@pytest.mark.parametrize("kind", ["promoted", "annotated"])
def test_a_check_of_some_combinations_does_not_replace_all(kind: str, tmp_path: Path) -> None:
    document = document_of(blocks_of(6))
    del document["measured"]["batching+vectorized-loss"]
    with pytest.raises(UserError) as refused:
        taken_over(reference_of(blocks_of(6)), write_check(tmp_path / "check", document), kind, None)
    assert "did not measure batching+vectorized-loss, which release has" in str(refused.value)
    assert "m2bench check --against release --layers baseline,batching+vectorized-loss" in str(refused.value)


@pytest.mark.parametrize("key", ["date", "head", "machine", "workload", "measured"])
def test_a_damaged_check_is_no_level_and_no_history(key: str, tmp_path: Path) -> None:
    reference = reference_of(blocks_of(6))
    for number, value in enumerate((GONE, None, {}, [], {"baseline": {}})):
        folder = write_check(tmp_path / str(number), damaged(document_of(blocks_of(6)), (key,), value))
        with pytest.raises(UserError, match=r"is damaged|measured nothing|trained something else"):
            taken_over(reference, folder, "promoted", None)
    assert not any(check.workload == reference.workload for check in stored.load_checks(tmp_path))


def test_an_annotated_reference_can_be_read_again_where_the_old_one_had_no_speedup(tmp_path: Path) -> None:
    whole = reference_of(blocks_of(10))
    fast = replace(whole.combinations["batching+vectorized-loss"], speedup=[])
    old = replace(whole, combinations={"batching+vectorized-loss": fast})
    folder = write_check(tmp_path / "check", document_of(blocks_of(6)))
    stored.write_reference(tmp_path, taken_over(old, folder, "annotated", "the baseline too"))
    assert stored.find(tmp_path, "release").combinations == record(blocks_of(6), COMBINATIONS)


def checks_with(ratios: list[float]) -> list[StoredCheck]:
    return [
        read_check(
            document_of(blocks_of(6, ratio, noise=0.003, seed=day), f"2026-03-{day + 1:02}T00:00:00+00:00", f"c{day}")
        )
        for day, ratio in enumerate(ratios)
    ]


def test_slow_creep_is_found_that_no_single_step_shows() -> None:
    reference = reference_of(blocks_of(6, noise=0.003))
    creeping = make_series(reference, checks_with([0.995**day for day in range(24)]), delta=0.05)
    speed = next(one for one in creeping if (one.combination, one.metric) == ("baseline", "episodes_per_min"))
    assert speed.creep
    assert speed.since_first == pytest.approx(0.995**21, abs=0.01)
    assert all(step.ratio > 0.93 for step in speed.steps)
    assert not any(one.creep for one in make_series(reference, checks_with([1.0] * 24), delta=0.05))


def test_a_step_is_dated() -> None:
    reference = reference_of(blocks_of(6, noise=0.003))
    found = make_series(reference, checks_with([1.0] * 10 + [0.9] * 10), delta=0.05)
    (step,) = next(one for one in found if one.metric == "episodes_per_min").steps
    assert step.commit == "c10"
    assert step.ratio == pytest.approx(0.9, abs=0.01)


def test_an_intended_change_begins_anew() -> None:
    reference = reference_of(blocks_of(6))
    lower = replace(reference_of(blocks_of(6, 0.7)), created="2026-02-15T00:00:00+00:00")
    reference = replace(reference, history=with_level(reference, lower, "annotated", "a larger network").history)
    assert not any(one.creep for one in make_series(reference, checks_with([0.7] * 10), delta=0.05))


def test_checks_of_other_machines_are_no_history() -> None:
    reference = reference_of(blocks_of(6))
    foreign = [replace(check, machine={**MACHINE, "chip": "two"}) for check in checks_with([0.5] * 5)]
    assert all(len(one.points) == 1 for one in make_series(reference, foreign, delta=0.05))


# --- outputs


def test_junit_skips_what_is_undecided_unless_one_is_strict() -> None:
    undecided = with_state("undecided")
    for strict, tag in ((False, "skipped"), (True, "failure")):
        suite = ElementTree.fromstring(outputs.junit(undecided, strict))[0]
        assert suite.get("tests") == "3"
        assert len(suite.findall(f"testcase/{tag}")) == 1
    changed = outcome_of(undecided.verdict, changes=["baseline: other returns"])
    suite = ElementTree.fromstring(outputs.junit(changed, False))[0]
    assert suite.get("failures") == "1"


def junit_outcomes(outcome: CheckOutcome, strict: bool = False) -> dict[str, str]:
    suite = ElementTree.fromstring(outputs.junit(outcome, strict))[0]
    return {case.get("name", ""): case[0].tag if len(case) else "passed" for case in suite}


def test_junit_calls_nothing_passed_that_was_not_compared() -> None:
    one = with_state("passed").verdict
    uncounted = outcome_of(one, not_comparable=[Reason((Aspect.COUNTS,), "counts", "baseline: syncs is gone")])
    assert junit_outcomes(uncounted) == {
        "baseline episodes/min against base": "passed", "counts": "skipped", "learning and numerics": "passed"
    }  # fmt: skip
    assert junit_outcomes(uncounted, strict=True)["counts"] == "failure"
    gone = outcome_of(one, not_comparable=[Reason((Aspect.AGREEMENT,), "numerics", "baseline: a check is gone")])
    assert junit_outcomes(gone)["learning and numerics"] == "skipped"
    floors = decide(replace(BASED, base=None, floors={"speedup": 20.0}), blocks_of(6), final=False)
    for strict in (False, True):  # nobody asked for them
        assert junit_outcomes(outcome_of(floors), strict)["counts"] == "skipped"
    question = against(reference_of(blocks_of(6)), same_machine=False, not_comparable=(OTHER_MACHINE,))
    assert junit_outcomes(outcome_of(decide(question, blocks_of(3), final=True))) == {
        "speed not compared: speeds": "skipped", "counts": "passed", "learning and numerics": "passed"
    }  # fmt: skip
    request, reference = reference_made_on(THEN)
    other = replace(request, workload=replace(request.workload, options={"episode_length": 64}))
    nothing = outcome_of(decide(asked_of_reference(other, reference, THEN), [], final=True))
    assert set(junit_outcomes(nothing).values()) == {"skipped"}
    assert "speed not compared: workload" in junit_outcomes(nothing)


def test_github_gets_a_summary_and_at_most_ten_annotations(tmp_path: Path) -> None:
    verdict = decide(BASED, blocks_of(6), final=False)
    outcome = outcome_of(verdict, kind="changed", changes=[f"change {number} of 5%" for number in range(30)])
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    lines = outputs.tell_github(outcome, False, environment)
    assert len(lines) == 10
    assert lines[0].startswith("::error title=m2bench check::Learning or numerics changed against base abc: change 0")
    assert lines[1] == "::error title=m2bench check::change 0 of 5%25"
    assert "| baseline | episodes/min | base | 1.00" in (tmp_path / "summary").read_text()
    assert outputs.tell_github(outcome, False, {}) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_a_full_disk_does_not_cost_the_verdict(as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_check, "run_check", lambda *_: outcome_of())
    monkeypatch.setattr(os, "fsync", full)
    arguments = ["check", "--min", "episodes_per_min=1", "--layers", "baseline", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, *(["--json"] if as_json else [])])
    assert "Passed after 6 blocks against base abc" in done.stdout
    assert isinstance(done.exception, UserError)
    assert "check.json cannot be written: No space left on device" in str(done.exception)


def test_a_step_summary_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    with pytest.raises(UserError, match=r"the step summary .* cannot be written"):
        outputs.tell_github(outcome_of(), False, environment)


@pytest.mark.parametrize(("strict", "level"), [(False, "warning"), (True, "error")])
def test_what_is_inconclusive_is_a_warning(strict: bool, level: str) -> None:
    assert next(outputs.annotated(outcome_of(kind="inconclusive"), strict)).startswith(f"::{level} ")


def test_histories_of_other_services_get_their_formats() -> None:
    outcome = outcome_of()
    entries = outputs.bigger_is_better(outcome)
    assert {(e["name"], e["unit"]) for e in entries} == {
        ("baseline episodes_per_min", "episodes/min"),
        ("batching+vectorized-loss episodes_per_min", "episodes/min"),
        ("batching+vectorized-loss speedup", "x"),
    }
    measures = outputs.bencher(outcome)
    speed = measures["baseline"]["episodes-per-min"]
    assert speed["lower_value"] < speed["value"] < speed["upper_value"]
    assert measures["batching+vectorized-loss"]["speedup"]["value"] == pytest.approx(30, rel=0.01)
