"""The checks pass every working combination and catch every planted fault, each by the one it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from broken_layers import FAULTS
from shares import CHECKS, FURTHER_COMBINATIONS, WEIGHTS, combinations_of

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource, PreparedMarket
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.trainer import Trainer
from m2bench.records.combinations import Layers
from m2bench.records.results import NumericsCheck
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading
from m2bench.systems.trading.options import TradingOptions
from m2bench.systems.trading.referee import EPISODES, Referee, flat_weights, referee_episodes
from m2bench.systems.trading.system import TradingSystem

EPISODE_LENGTH = 8
# Of what compiles, the forward pass is traced here; test_layers.py has its backward pass traced as well.
SPEC = WorkloadSpec(
    device="cpu",
    options={"num_envs": 12, "episode_length": EPISODE_LENGTH, "compile_backend": "eager", "num_workers": 2},
)
NUMERICS = ("gradient", "draws", "update")


def outcomes(system: TradingSystem) -> dict[str, NumericsCheck]:
    system.update()
    system.check_finite()
    checks = system.check_numerics()
    system.update()
    return {**checks, **system.check_stream()}


@pytest.mark.parametrize(
    "layers", [*combinations_of(CHECKS), *FURTHER_COMBINATIONS], ids=lambda names: "+".join(names) or "baseline"
)
def test_every_combination_passes_every_check(layers: Layers, build: Callable[[Layers], TradingSystem]) -> None:
    checks = outcomes(build(layers))
    assert list(checks) == [*NUMERICS, "stream"]
    assert all(check.same for check in checks.values()), checks


class WrongBeyond(torch.autograd.Function):
    """The identity; its backward pass forgets all rows from LARGEST on."""

    LARGEST = 12 * EPISODE_LENGTH

    @staticmethod
    def forward(context: Any, rows: torch.Tensor) -> torch.Tensor:
        return rows.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.cat((gradient[: WrongBeyond.LARGEST], torch.zeros_like(gradient[WrongBeyond.LARGEST :])))


@pytest.mark.parametrize(("num_envs", "same"), [(12, True), (13, False)])
@pytest.mark.parametrize("others", [(), ("vectorized-loss", "grad-accumulation")])
def test_the_gradient_is_judged_at_the_size_that_is_timed(
    others: Layers, num_envs: int, same: bool, work: Path
) -> None:
    """On MPS, gradients of many rows were reported wrong (pytorch/pytorch#177116); a sweep comes to such sizes."""
    system = trading.build(
        replace(SPEC, options={**SPEC.options, "num_envs": num_envs}), work, ("batching", *others), seed=1
    )
    rows: list[int] = []

    def forward(states: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            rows.append(len(states))
        logits: torch.Tensor = WrongBeyond.apply(system.trainer.policy(states))
        return logits

    system.trainer.forward = forward
    system.update()
    timed = rows.copy()
    check = system.check_numerics()["gradient"]
    assert {*timed} == {num_envs * EPISODE_LENGTH}
    assert {*rows[len(timed) :]} == {*timed}
    assert check.same is same, check


def test_all_combinations_consume_the_same_stream(build: Callable[[Layers], TradingSystem]) -> None:
    """Whatever the batch size, the workers, and how far each has trained."""
    hashes = set()
    for layers in ((), ("batching",), ("dataloader",), ("batching", "dataloader", "grad-accumulation")):
        system = build(layers)
        system.update()
        hashes.add(system.check_stream()["stream"].evidence["sha256"])
    assert len(hashes) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught_by_its_check(name: str, build: Callable[[Layers], TradingSystem]) -> None:
    fault = FAULTS[name]
    system = build(fault.layers)
    fault.plant(system.trainer)
    if fault.check == "finite":
        system.update()
        with pytest.raises(FloatingPointError, match=r"update 1: the gradient of .* is not finite .*vectorized-loss"):
            system.check_finite()
    elif fault.check == "reached":
        with pytest.raises(RuntimeError, match=r"no gradient has reached micro"):
            system.update()
    elif fault.check == "engaged":
        system.update()
        proof = system.proofs()[fault.layers[0]]
        assert not proof.engaged
        assert proof.reason
    else:
        checks = outcomes(system)
        assert not checks[fault.check].same
        assert checks[fault.check].reason


@pytest.mark.parametrize("episodes_per_update", [1, 4, 12, 48])
def test_combinations_with_equal_episodes_per_update_end_with_equal_weights(
    episodes_per_update: int, work: Path, build: Callable[[Layers], TradingSystem]
) -> None:
    """After four updates on the same episodes with the same actions: both parts of the policy moved, twice and more."""
    _, forced = referee_episodes(PreparedMarket(work / "market"), EPISODE_LENGTH)
    group = [layers for layers in combinations_of(WEIGHTS) if _episodes_per_update(layers) == episodes_per_update]
    assert len(group) == 6
    moved: dict[Layers, torch.Tensor] = {}
    for layers in group:
        system = build(layers)
        assert system.episodes_per_update == episodes_per_update
        moved[layers] = _four_updates(system.trainer, forced)
    reference = next(change for layers, change in moved.items() if "amp" not in layers)
    for layers, change in moved.items():
        error = float((change - reference).norm() / reference.norm())
        # Adam divides a gradient by its size, so that where it is all rounding, the step is too.
        assert error < (0.6 if "amp" in layers else 5e-3), (layers, error)


def _episodes_per_update(layers: Layers) -> int:
    accumulated = TradingOptions().accumulation_steps if "grad-accumulation" in layers else 1
    return accumulated * (SPEC.options["num_envs"] if "batching" in layers else 1)


def _four_updates(trainer: Trainer, forced: EpisodeBatch) -> torch.Tensor:
    size, backwards = trainer.parts.rollout.num_envs, trainer.parts.update.backwards
    start = flat_weights(trainer)
    for update in range(4):
        for backward in range(backwards):
            first = (update * backwards + backward) * size
            trainer.learn_from(forced.take([episode % EPISODES for episode in range(first, first + size)]))
        trainer.apply_gradient()
    return flat_weights(trainer) - start


def test_the_trainer_is_given_back_as_it_was(build: Callable[[Layers], TradingSystem]) -> None:
    """A trainer that goes through the checks in between learns the same as one that does not."""
    alone, checked = build(("batching",)), build(("batching",))
    for system in (alone, checked):
        for _ in range(3):
            system.update()
    checked.check_numerics()
    for system in (alone, checked):
        for _ in range(3):
            system.update()
    assert checked.trainer.updates == alone.trainer.updates == 6
    for ours, theirs in zip(checked.trainer.policy.parameters(), alone.trainer.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_referees_gradient_is_the_slope_of_its_loss(work: Path) -> None:
    """Against finite differences of the loss in double precision, in random directions."""
    market = PreparedMarket(work / "market")
    referee = Referee.load(work)
    _, forced = referee_episodes(market, EPISODE_LENGTH)
    exact = _double_trainer(market, referee)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in exact.policy.parameters()]
        slope = (referee.exact.gradients[1] * torch.cat([d.flatten() for d in direction])).sum()
        losses = []
        for step in (1e-8, -1e-8):  # too small to cross a kink of a ReLU
            with torch.no_grad():
                for p, w, d in zip(exact.policy.parameters(), referee.weights.values(), direction, strict=True):
                    p.copy_(w.double() + step * d)
            exact.losses = []
            exact.learn_from(forced.take([1]))
            losses.append(float(exact.losses[0]))
        assert (losses[0] - losses[1]) / 2e-8 == pytest.approx(float(slope), rel=1e-4)


def _double_trainer(market: PreparedMarket, referee: Referee) -> Trainer:
    from m2bench.systems.trading.referee import _double_parts

    source = EpisodeSource(market, EPISODE_LENGTH, seed=0)
    settings = Hyperparameters(episode_length=EPISODE_LENGTH)
    trainer = Trainer(_double_parts(), source, settings, 0, torch.device("cpu"))
    trainer.policy.load_state_dict(referee.weights)
    assert all(p.dtype is torch.float64 for p in trainer.policy.parameters())
    return trainer


def test_forced_actions_are_taken_whatever_the_policy_says(work: Path) -> None:
    market = PreparedMarket(work / "market")
    _, forced = referee_episodes(market, EPISODE_LENGTH)
    trainer = _double_trainer(market, Referee.load(work))
    for episode in range(2):
        actions = trainer.play(forced.take([episode])).actions.squeeze(1)
        assert torch.equal(actions, forced.noise[:, episode].argmax(dim=1))


def test_the_deep_policy_passes_the_checks_too(deep_work: Path) -> None:
    spec = WorkloadSpec(
        device="cpu", options={"num_envs": EPISODES, "episode_length": EPISODE_LENGTH, "policy": "deep"}
    )
    six = ("batching", "vectorized-loss", "grad-accumulation")
    for layers in ((), six[:2], six, ("batching", "vectorized-loss", "encode-once", "frozen-macro")):
        system = trading.build(spec, deep_work, layers, seed=1)
        checks = outcomes(system)
        assert all(check.same for check in checks.values()), checks
