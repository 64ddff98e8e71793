"""Torch's tables against known facts, and planted trouble found by its line."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import Tensor

from m2bench.audit import _findings, is_missing, watch
from m2bench.audit_command import show
from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.objective import looped_objective
from m2bench.baselines.parts import Trajectory
from m2bench.baselines.trainer import Hyperparameters, baseline_parts
from m2bench.dry_run import DryRun, dry_trainer, fused_adam_allowed
from m2bench.kernel_tables import KernelTables

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
        ("heaviside", "default", "none"),
        ("poisson", "default", "none"),
        ("take", "default", "none"),
        ("linalg_svd", "default", "falls back"),  # bound to the CPU by hand
        ("no_such_operator", "default", "unknown"),
    ],
)
def test_the_tables_know_what_is_known_of_mps(mps: KernelTables, name: str, overload: str, support: str) -> None:
    assert mps.support(name, overload) == support


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

    def objective(trajectory: Trajectory, discount: float) -> Tensor:
        return looped_objective(trajectory, discount) + plant(trajectory)

    short = EpisodeSource(source.market, episode_length=4, seed=0)
    with fused_adam_allowed():
        trainer = dry_trainer(replace(baseline_parts(), objective=objective), short, SETTINGS)
        return watch(trainer, tables, updates=1)


def test_the_baseline_lacks_nothing_and_waits_where_it_draws(source: EpisodeSource, mps: KernelTables) -> None:
    found = audited(source, mps, lambda trajectory: 0.0)
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
    (blocker,) = _findings("mps", mps, [{"layers": [], "episodes": 1, "mode": found}], 4)["blockers"]
    assert "planted constant" in blocker


def test_every_copy_of_the_baseline_is_found(source: EpisodeSource, mps: KernelTables) -> None:
    """The noise, the states of four steps, the actions and the rewards; and the rewards' way back for the returns."""
    copies = audited(source, mps, lambda trajectory: 0.0).counts.copies
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
    source: EpisodeSource, mps: KernelTables, wait: Callable[[Tensor], Tensor | float]
) -> None:
    """Each of them makes the host wait for the device (the size of a result, or its value)."""
    plain = audited(source, mps, lambda trajectory: 0.0).counts.syncs.total()
    found = audited(source, mps, lambda t: wait(t.rewards) * 1.0)
    assert found.counts.syncs.total() > plain
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
    found = _findings("mps", mps, [{"layers": [], "episodes": 1, "mode": mode} for mode in (falls, stops)], 4)
    console = Console(width=300, file=io.StringIO())
    show({**found, "torch": torch.__version__}, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "run on the CPU, with copies there and back" in text
    assert "planted fallback" in text
    (stop,) = [blocker for blocker in found["blockers"] if "cannot go beyond" in blocker]
    assert "linalg_lstsq" in stop
    assert "planted stop" in stop


def test_fused_adam_is_allowed_only_meanwhile() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, device="meta"))
    parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.Adam([parameter], fused=True)
    with DryRun(watched=lambda *_: False) as mode:
        with pytest.raises(RuntimeError, match="fused"):
            optimizer.step()
        with fused_adam_allowed():
            optimizer.step()
    assert mode.operators["_fused_adam_", "default"] == 1
