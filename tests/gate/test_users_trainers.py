"""The gate and a trainer of the user's own: each side runs its own copy of it, and learns the same or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_check import measured

from m2bench.gate.agreement import learning_change, untold
from m2bench.gate.layouts import refuse_absent_folder
from m2bench.gate.pairs import log_ratio, whole_log_ratio
from m2bench.gate.sides import Code
from m2bench.records.combinations import BASELINE
from m2bench.records.errors import UserError


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """A side of the repository ``tmp_path/repo`` whose checkout is ``tmp_path/tree``."""
    repo, tree = tmp_path / "repo", tmp_path / "tree"
    for folder in (repo / "examples", repo / "new", tree / "examples"):
        folder.mkdir(parents=True)
    return Code("base", "0" * 40, dirty=False, path=tree, repo=repo, tree=tree)


def test_a_folder_of_the_repository_lies_in_each_sides_checkout(code: Code, tmp_path: Path) -> None:
    assert code.place_of(str(tmp_path / "repo" / "examples")) == str(tmp_path / "tree" / "examples")
    assert code.place_of(str(tmp_path / "repo")) == str(tmp_path / "tree")
    assert code.place_of("") == ""
    assert code.place_of(str(tmp_path / "repository")) == str(tmp_path / "repository")  # another, of a longer name


def test_both_sides_never_run_the_same_copy(code: Code, tmp_path: Path) -> None:
    refuse_absent_folder(code, str(tmp_path / "repo" / "examples"))
    with pytest.raises(UserError, match="elsewhere is not in the repository"):
        refuse_absent_folder(code, str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="base 0000000000 has no folder new"):
        refuse_absent_folder(code, str(tmp_path / "repo" / "new"))


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
    assert "the head tells the loss of only 0 of its" in reason.text


@pytest.mark.parametrize("turns", [(), (2, 2)], ids=["at once", "by turns"])
def test_a_head_with_larger_batches_is_compared_by_what_it_processes(turns: tuple[int, ...]) -> None:
    """Updates of 64 samples that take twice as long as those of 32 are as fast."""
    before = replace(measured(600.0), update_s=(0.1,) * 4, update_units=(32.0,) * 6, turn_updates=turns)
    after = replace(before, update_s=(0.2,) * 4, update_units=(64.0,) * 6)
    assert log_ratio(after, before) == pytest.approx(0.0)
    assert whole_log_ratio(after, before) == pytest.approx(0.0)
