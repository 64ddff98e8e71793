"""Torch's tables against known facts, and planted trouble found by its line."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, tensor

from m2bench.baselines.environment import BatchedTradingEnv
from m2bench.baselines.episodes import EpisodeSource, PreparedMarket
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import LOOPED
from m2bench.baselines.parts import Trajectory
from m2bench.baselines.trainer import baseline_parts
from m2bench.inspect.audit import Audited, show_audit
from m2bench.optimizations.layer import LayerOptions
from m2bench.records.description import Unit
from m2bench.systems.trading.audit import DryRuns, _findings, audit_combinations, is_missing, train_updates, watch
from m2bench.systems.trading.dry_run import DryRun, dry_trainer, fused_adam_allowed
from m2bench.systems.trading.kernel_tables import CAVEATS, KernelTables
from m2bench.text.console import plain_console

SETTINGS = Hyperparameters(episode_length=4)


@pytest.fixture(scope="module")
def mps() -> KernelTables:
    return KernelTables("mps")


@pytest.mark.parametrize(
    ("name", "overload", "support"),
    [
        ("addmm", "default", "kernel"),
        ("native_layer_norm", "default", "kernel"),
        ("_fused_adam_", "default", "kernel"),
        ("argmax", "default", "kernel"),
        ("add", "Tensor", "kernel"),  # by the kernel of add.out
        ("add_", "Tensor", "kernel"),
        ("flatten", "using_ints", "composite"),
        ("_copy_from", "default", "kernel"),
        ("heaviside", "default", "none"),
        ("poisson", "default", "none"),
        ("take", "default", "none"),
        ("linalg_svd", "default", "falls back"),  # bound to the CPU by hand
        ("no_such_operator", "default", "unknown"),
    ],
)
def test_the_tables_know_what_is_known_of_mps(mps: KernelTables, name: str, overload: str, support: str) -> None:
    assert mps.support(name, overload) == support


def test_the_caveat_on_casts_agrees_with_the_tables(mps: KernelTables) -> None:
    """_to_copy ends in copy_, and that, on MPS, in _copy_from (ATen/native/Copy.cpp)."""
    support = {name: mps.support(name, "default") for name in ("_to_copy", "copy_", "_copy_from")}
    assert support == {"_to_copy": "composite", "copy_": "composite", "_copy_from": "kernel"}
    (caveat,) = [caveat for caveat in CAVEATS["mps"] if "_to_copy" in caveat]
    assert "_to_copy, which is composite and copies by _copy_from, which has a kernel" in caveat


def test_the_cuda_column_is_another_one() -> None:
    cuda = KernelTables("cuda")
    assert (cuda.support("heaviside", "default"), cuda.support("linalg_svd", "default")) == ("kernel", "composite")
    assert not cuda.expected_to_fail("heaviside")


def test_the_expected_failures_are_read_without_running_them(mps: KernelTables) -> None:
    assert mps.expected_to_fail("heaviside")
    assert not mps.expected_to_fail("addmm")


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="counted in torch 2.13")
def test_as_many_operators_have_kernels_as_were_counted_by_hand(mps: KernelTables) -> None:
    support = [*mps._functions.values()]
    assert len(support) == 3101
    assert support.count("kernel") == 533 + 357
    assert support.count("none") == 364


def audited(source: EpisodeSource, tables: KernelTables, plant: Callable[[Trajectory], Tensor | float]) -> DryRun:
    """One update of the baseline with something added to its loss."""

    def loss(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
        return LOOPED.policy_gradient(trajectory, settings) + plant(trajectory)

    short = EpisodeSource(source.market, episode_length=4, seed=0)
    with fused_adam_allowed():
        trainer = dry_trainer(
            replace(baseline_parts(), objective=replace(LOOPED, policy_gradient=loss)), short, SETTINGS
        )
        return watch(tables, lambda: train_updates(trainer, updates=1))


@pytest.fixture(scope="module")
def plain(source: EpisodeSource, mps: KernelTables) -> DryRun:
    """One update of the baseline as it is."""
    return audited(source, mps, lambda trajectory: 0.0)


def combination(training: DryRun) -> DryRuns:
    return DryRuns((), episodes=1, runs={"training": training})


def test_the_baseline_lacks_nothing_and_waits_where_it_draws(plain: DryRun) -> None:
    found = plain
    assert found.lines == {}
    assert found.counts.doubles.total() == 0
    draws = [count for line, count in found.counts.syncs.items() if "argmax" in line]
    assert draws == [4]


def test_a_planted_double_is_found_by_its_line(source: EpisodeSource, mps: KernelTables) -> None:
    found = audited(source, mps, lambda t: t.rewards.double().mean().float())  # planted double
    assert any("planted double" in line for line in found.counts.doubles)


def test_a_planted_double_that_nothing_uses_is_found_by_its_line(source: EpisodeSource, mps: KernelTables) -> None:
    def unused(trajectory: Trajectory) -> float:
        torch.tensor([1.0], dtype=torch.float64, device=trajectory.rewards.device)  # planted constant
        return 0.0

    found = audited(source, mps, unused)
    assert [count for line, count in found.counts.doubles.items() if "planted constant" in line] == [1]
    assert [count for line, count in found.counts.copies.items() if "planted constant" in line] == [1]
    (blocker,) = _findings("mps", mps, [combination(found)], 4).blockers
    assert "planted constant" in blocker


def test_a_constructor_is_seen_under_a_name_that_the_users_module_imported(
    source: EpisodeSource, mps: KernelTables
) -> None:
    def unused(trajectory: Trajectory) -> float:
        tensor([1.0], dtype=torch.float64, device=trajectory.rewards.device)  # planted import
        return 0.0

    found = audited(source, mps, unused)
    assert [count for line, count in found.counts.doubles.items() if "planted import" in line] == [1]
    assert [count for line, count in found.counts.copies.items() if "planted import" in line] == [1]


@pytest.mark.parametrize(
    ("look", "copies"),
    [
        (lambda r: r[[0, 1]], 1),
        (lambda r: r[[0, 1], [0, 0]], 2),
        (lambda r: r[1:, [0]], 1),
        (lambda r: r[range(2)], 1),
        (lambda r: r[np.array([0, 1])], 1),
        (lambda r: r[torch.tensor([0, 1])], 1),  # an index on the host
        (lambda r: r.clone().__setitem__([0, 1], 3.0), 1),
        (lambda r: r[torch.tensor([0, 1], device=r.device)], 1),  # by the constructor, and not by the index
        (lambda r: r[0], 0),
        (lambda r: r[1:, 0], 0),
        (lambda r: r[torch.zeros(2, dtype=torch.long, device=r.device)], 0),
    ],
)
def test_an_index_made_of_the_hosts_data_is_a_copy(
    look: Callable[[Tensor], object], copies: int, source: EpisodeSource, mps: KernelTables, plain: DryRun
) -> None:
    def objective(trajectory: Trajectory) -> float:
        look(trajectory.rewards)
        return 0.0

    counts = audited(source, mps, objective).counts
    assert counts.copies.total() - plain.counts.copies.total() == copies
    assert sum(count for line, count in counts.copies.items() if "lambda r:" in line) == copies
    assert counts.syncs == plain.counts.syncs


class RiskyEnvironment(BatchedTradingEnv):
    """What a user might change in the environment, which the plain rollout does not use, but every evaluation does."""

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        state, reward, done = super().step(action)
        torch.heaviside(reward, reward)  # planted in the evaluation
        return state, reward.double().float(), done  # planted double


def test_what_the_evaluation_alone_asks_for_is_found_by_its_line(
    prepared: PreparedMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "market").symlink_to(prepared.folder)
    clean = audit_combinations("mps", (), tmp_path, SETTINGS, LayerOptions())
    assert clean.blockers == ()
    assert {found.where for found in clean.lines["syncs"].values()} == {"training", "evaluation", "numerics"}
    monkeypatch.setattr("m2bench.baselines.evaluation.BatchedTradingEnv", RiskyEnvironment)
    planted = audit_combinations("mps", (), tmp_path, SETTINGS, LayerOptions())
    operator, *doubles = planted.blockers
    assert operator.startswith("heaviside has no mps kernel, at trading/test_audit.py:")
    assert "planted in the evaluation" in operator
    assert any("planted double" in double for double in doubles)
    assert [found.where for line, found in planted.lines["doubles"].items() if "planted" in line] == ["evaluation"]
    # What is counted per episode is of training alone.
    assert planted.combinations == clean.combinations


def test_every_copy_of_the_baseline_is_found(plain: DryRun) -> None:
    """The noise, the states of four steps, the actions and the rewards; and the rewards' way back for the returns."""
    copies = plain.counts.copies
    there = [count for line, count in copies.items() if line.startswith("baselines/rollout.py:")]
    back = [count for line, count in copies.items() if line.startswith("baselines/objective.py:")]
    assert (sorted(there), back) == ([1, 1, 1, 4], [1])
    assert sum(copies.values()) == 8


def test_a_planted_item_is_found_by_its_line(source: EpisodeSource, mps: KernelTables) -> None:
    found = audited(source, mps, lambda t: t.rewards.mean().item())  # planted item
    assert [count for line, count in found.counts.syncs.items() if "planted item" in line] == [1]


def test_a_planted_operator_without_a_kernel_is_found_by_its_line(source: EpisodeSource, mps: KernelTables) -> None:
    found = audited(source, mps, lambda t: torch.heaviside(t.rewards, t.rewards).mean())  # planted operator
    (lines,) = found.lines.values()
    assert list(found.lines) == [("heaviside", "default")]
    assert "planted operator" in next(iter(lines))


@pytest.mark.parametrize(
    "wait",
    [
        lambda r: r[r > 0].sum(),
        lambda r: r.nonzero().sum(),
        lambda r: torch.unique(r).sum(),
        lambda r: torch.masked_select(r, r > 0).sum(),
        lambda r: torch.bincount(r.long().flatten()).sum(),
        lambda r: torch.repeat_interleave(r.long().flatten()).sum(),
        lambda r: float(torch.equal(r, r)),
        lambda r: float(torch.allclose(r, r)),
        lambda r: float(r.tolist()[0][0]),
        lambda r: r.cpu().sum(),
        lambda r: 1.0 if r.sum() > 0 else 0.0,
    ],
)
def test_every_kind_of_wait_is_found(
    source: EpisodeSource, mps: KernelTables, plain: DryRun, wait: Callable[[Tensor], Tensor | float]
) -> None:
    """Each of them makes the host wait for the device (the size of a result, or its value)."""
    found = audited(source, mps, lambda t: wait(t.rewards) * 1.0)
    assert found.counts.syncs.total() > plain.counts.syncs.total()
    assert any("wait(t.rewards)" in line or "lambda r:" in line for line in found.counts.syncs)


def test_an_operator_that_falls_back_is_told_and_blocks_nothing(source: EpisodeSource, mps: KernelTables) -> None:
    found = audited(source, mps, lambda t: torch.linalg.svdvals(t.rewards).sum())  # planted fallback
    names = [name for name, _ in found.lines]
    assert "_linalg_svd" in names
    assert not is_missing(mps, "_linalg_svd", "default")


def test_what_falls_back_and_what_the_stand_in_cannot_run_are_shown_with_their_lines(
    source: EpisodeSource, mps: KernelTables
) -> None:
    falls = audited(source, mps, lambda t: torch.linalg.svdvals(t.rewards).sum())  # planted fallback
    stops = audited(source, mps, lambda t: torch.linalg.lstsq(t.rewards, t.rewards).solution.sum())  # planted stop
    found = _findings("mps", mps, [combination(mode) for mode in (falls, stops)], 4)
    console = plain_console(width=300, file=io.StringIO())
    show_audit(Audited(found, Unit("episode", "episodes"), ""), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "run on the CPU, with copies there and back" in text
    assert "planted fallback" in text
    (stop,) = [blocker for blocker in found.blockers if "cannot go beyond" in blocker]
    assert "linalg_lstsq" in stop
    assert "planted stop" in stop


def test_fused_adam_is_allowed_only_meanwhile() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, device="meta"))
    parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.Adam([parameter], fused=True)
    mode = DryRun(watched=lambda *_: False)
    with mode:
        with pytest.raises(RuntimeError, match="fused"):
            optimizer.step()
        with fused_adam_allowed():
            optimizer.step()
    assert mode.operators["_fused_adam_", "default"] == 1
