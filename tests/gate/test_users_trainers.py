"""The gate and a trainer of the user's own: each side runs its own copy of it, and learns the same or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_check import BASED, blocks_of, measured, outcome_of

from m2bench.errors import UserError
from m2bench.gate.agreement import learning_change, untold
from m2bench.gate.decide import decide
from m2bench.gate.differences import agreement_changes, unchecked
from m2bench.gate.layouts import refuse_shared_copy
from m2bench.gate.outputs import bencher, bigger_is_better, check_markdown, junit
from m2bench.gate.pairs import log_ratio, whole_log_ratio
from m2bench.gate.question import Question
from m2bench.gate.sides import Code
from m2bench.gate.verdict_words import sentence_of
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Rate, Unit
from m2bench.records.spec import WorkloadSpec


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """A side of the repository ``tmp_path/repo`` whose checkout is ``tmp_path/tree``."""
    repo, tree = tmp_path / "repo", tmp_path / "tree"
    for folder in (repo / "examples", repo / "new", tree / "examples"):
        folder.mkdir(parents=True)
    return Code("base", "0" * 40, dirty=False, path=tree, repo=repo, tree=tree)


def asked(folder: Path) -> WorkloadSpec:
    return WorkloadSpec(options={"trainer": "mine.py:train"}, folder=str(folder))


def test_a_folder_of_the_repository_lies_in_each_sides_checkout(code: Code, tmp_path: Path) -> None:
    assert code.place_of(str(tmp_path / "repo" / "examples")) == str(tmp_path / "tree" / "examples")
    assert code.place_of(str(tmp_path / "repo")) == str(tmp_path / "tree")
    assert code.place_of("") == ""
    assert code.place_of(str(tmp_path / "repository")) == str(tmp_path / "repository")  # another, of a longer name


def test_both_sides_never_run_the_same_copy(code: Code, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"base 0000000000 has no mine\.py\. Name a base that has it, or hold"):
        refuse_shared_copy(code, asked(tmp_path / "repo" / "examples"))
    with pytest.raises(UserError, match=r"head 0000000000 has no mine\.py\. Name one that is there, and that git does"):
        refuse_shared_copy(replace(code, side="head"), asked(tmp_path / "repo" / "examples"))
    (tmp_path / "tree" / "examples" / "mine.py").touch()
    refuse_shared_copy(code, asked(tmp_path / "repo" / "examples"))
    with pytest.raises(UserError, match="elsewhere is not in the repository"):
        refuse_shared_copy(code, asked(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="base 0000000000 has no folder new"):
        refuse_shared_copy(code, asked(tmp_path / "repo" / "new"))


def test_a_trainer_by_its_absolute_path_is_refused(code: Code, tmp_path: Path) -> None:
    """Both sides would run what lies there."""
    folder = tmp_path / "repo" / "examples"
    for options in ({"trainer": f"{folder}/mine.py:train"}, {"command": f"python {folder}/mine.py"}):
        with pytest.raises(UserError, match="both sides would run the same one"):
            refuse_shared_copy(code, replace(asked(folder), options=options))


def test_losses_stand_for_returns_that_are_not_told() -> None:
    before = replace(measured(600.0), training_return=(), losses=(0.9, 0.8, 0.7))
    after = replace(before, losses=(0.9, 0.8, 0.71))
    assert learning_change(BASELINE, [(before, before)] * 6) is None
    found = learning_change(BASELINE, [(before, after)] * 6)
    assert found is not None
    assert "with equal seeds, the loss differs from update 3 on (0.7 -> 0.71), in 6 of 6 pairs" in found


def test_a_head_that_tells_fewer_losses_cannot_be_compared() -> None:
    before = replace(measured(600.0), training_return=(), losses=(0.9,) * 100)
    silent = replace(before, losses=())
    (reason,) = untold(BASELINE, [(before, silent)])
    assert "the head reports the loss of only 0 of its" in reason.text


@pytest.mark.parametrize("turns", [(), (2, 2)], ids=["at once", "by turns"])
def test_a_head_with_larger_batches_is_compared_by_what_it_processes(turns: tuple[int, ...]) -> None:
    """Updates of 64 samples that take twice as long as those of 32 are as fast."""
    before = replace(measured(600.0), update_s=(0.1,) * 4, update_units=(32.0,) * 6, turn_updates=turns)
    after = replace(before, update_s=(0.2,) * 4, update_units=(64.0,) * 6)
    assert log_ratio(after, before) == pytest.approx(0.0)
    assert whole_log_ratio(after, before) == pytest.approx(0.0)


def test_a_trainer_that_does_not_repeat_itself_is_not_said_to_learn_otherwise() -> None:
    """Its losses differ at equal seeds, whatever the code; the gate says that it did not look."""
    trial = replace(measured(600.0), training_return=(), losses=(0.9, 0.8, 0.7))
    other = replace(trial, losses=(0.5, 0.4, 0.3))
    blocks = [{("base", BASELINE): trial, ("head", BASELINE): other} for _ in range(6)]
    question = Question((BASELINE,), delta=0.05, alpha=0.01, max_blocks=6, base="base", unit=Unit())
    assert len([*agreement_changes(question, blocks)]) == 1
    unseeded = replace(question, repeats_itself=False)
    assert [*agreement_changes(unseeded, blocks)] == []
    said = [reason.text for reason in unchecked(unseeded, blocks)]
    assert "baseline: the trainer does not repeat itself with equal seeds" in said


RATES = {
    "samples/s": (Unit("sample", "samples"), Rate("samples/s", 1 / 60), "samples/s", 10.0),
    "SPS": (Unit("run", "runs"), Rate("SPS", is_metric=True), "SPS", 600.0),
    "speed": (Unit("run", "runs"), Rate("s", 1 / 60, lower_is_better=True), "runs/min", 600.0),
    "1/loss": (Unit("run", "runs"), Rate("loss", lower_is_better=True, is_metric=True), "1/loss", 600.0),
}


@pytest.mark.parametrize("compared", RATES)
def test_services_get_the_users_unit_and_never_a_cost_for_a_gain(compared: str) -> None:
    """Of 600 units a minute; github-action-benchmark takes a larger value for a better one."""
    unit, rate, told, level = RATES[compared]
    verdict = decide(replace(BASED, unit=unit, rate=rate), blocks_of(6, noise=0.0), final=False)
    outcome = outcome_of(verdict)
    assert f"baseline: {compared} 1.000x" in sentence_of(verdict)
    assert f"| baseline | {compared} | base | 1.000x" in check_markdown(outcome)
    assert f'name="baseline {compared} against base"' in junit(outcome, strict=False)
    first, *_ = bigger_is_better(outcome)
    assert (first["name"], first["unit"]) == (f"baseline {told}", told)
    assert first["value"] == pytest.approx(level, rel=0.05)
    assert bencher(outcome)["baseline"][told]["value"] == first["value"]


@pytest.mark.parametrize(("least", "kind"), [(9.0, "pass"), (11.0, "regression")])
def test_a_floor_is_held_against_the_level_in_the_users_unit(least: float, kind: str) -> None:
    """600 samples a minute are 10 a second."""
    question = replace(BASED, base=None, combinations=(BASELINE,), rate=Rate("samples/s", 1 / 60))
    verdict = decide(replace(question, floors={"samples/s": least}), blocks_of(6), final=False)
    assert verdict.kind == kind
    assert f"floor {least:g}" in verdict.judged[0].text
    assert verdict.judged[0].value == pytest.approx(10.0, rel=0.02)
