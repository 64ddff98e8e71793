"""PPO's own referee passes every layer, and catches what is planted in PPO's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m2bench.baselines.episodes import EpisodeBatch, PreparedMarket, prepare_market
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.market import Market
from m2bench.baselines.parts import Credit, Minibatch, Trajectory
from m2bench.baselines.ppo_trainer import Experience, PPOTrainer
from m2bench.optimizations import COMPILING, LAYERS, NOTE
from m2bench.optimizations.vectorized_loss import VECTORIZED, discounted_sums
from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading
from m2bench.systems.trading.referee import EPISODES, Referee, referee_episodes
from m2bench.systems.trading.system import TradingSystem

EPISODE_LENGTH = 8
SPEC = WorkloadSpec(
    device="cpu",
    options={
        "algorithm": "ppo",
        "num_envs": 12,
        "episode_length": EPISODE_LENGTH,
        "compile_backend": "aot_eager",
        "num_workers": 2,
    },
)
# Each of the six alone and all that compile nothing; what compiles is traced, which takes seconds, and stays apart.
COMBINATIONS: list[Layers] = [
    (),
    *((layer,) for layer in NOTE),
    tuple(layer for layer in LAYERS if layer not in (*COMPILING, "cuda-graphs", "data-parallel")),
    ("batching", "encode-once", "compiled-loop"),
]


@pytest.fixture(scope="module")
def work(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ppo")
    (folder / "market").mkdir()
    prepare_market(market, folder / "market")
    assert not trading.prepare(SPEC, folder)
    return folder


@pytest.mark.parametrize("layers", COMBINATIONS, ids=lambda names: "+".join(names) or "baseline")
def test_every_layer_passes_every_check_and_is_at_work(
    layers: Layers, build: Callable[[Layers], TradingSystem]
) -> None:
    system = build(layers)
    system.update()
    system.check_finite()
    checks = dict(system.check_numerics())
    with system.timed_window():  # where compiling anew is an error
        system.update()
    proofs = system.proofs()
    assert all(proof.engaged for proof in proofs.values()), proofs
    checks |= system.check_stream()
    assert list(checks) == ["gradient", "draws", "update", "stream"]
    assert all(check.same for check in checks.values()), checks


def test_the_referee_learns_where_actions_of_both_signs_are_clipped(work: Path) -> None:
    """Or a combination that does not clip at all would pass."""
    referee = Referee.load(work)
    assert referee.later is not None
    market = PreparedMarket(work / "market")
    _, forced = referee_episodes(market, EPISODE_LENGTH)
    trainer = trading.build(SPEC, work, (), seed=1).trainer
    assert isinstance(trainer, PPOTrainer)
    trainer.policy.load_state_dict(referee.weights)
    experiences = [trainer.judge(trainer.collect(forced.take([episode]))) for episode in range(EPISODES)]
    trainer.policy.load_state_dict(referee.later)
    ratio, advantages = [], []
    for experience in experiences:
        seen = experience.trajectory.seen
        assert seen is not None
        with torch.no_grad():
            outputs = trainer.look_at(seen.states.flatten(0, 1), None)
        now = torch.log_softmax(outputs[:, :3], dim=1).gather(1, experience.trajectory.actions)
        ratio.append((now - experience.log_probs).exp())
        advantages.append(experience.credit.advantages)
    r, a = torch.cat(ratio), torch.cat(advantages)
    shares = [float(((a > 0) & (r > 1.2)).double().mean()), float(((a < 0) & (r < 0.8)).double().mean())]
    assert min(shares) > 0.05, shares


def plant_credit(change: Callable[[torch.Tensor, torch.Tensor], Credit]) -> Callable[[PPOTrainer], None]:
    def plant(trainer: PPOTrainer) -> None:
        def credit(rewards, values, settings):  # type: ignore[no-untyped-def]
            return change(rewards, values)

        trainer.parts = replace(trainer.parts, objective=replace(VECTORIZED, credit=credit))

    return plant


def ended(rewards: torch.Tensor, values: torch.Tensor) -> Credit:
    """As if episodes were over where they are cut off."""
    nothing = torch.cat((values[:-1], torch.zeros_like(values[:1])))
    return VECTORIZED.credit(rewards, nothing, Hyperparameters(advantages="gae"))


def over_the_batch(rewards: torch.Tensor, values: torch.Tensor) -> Credit:
    advantages = discounted_sums(rewards + 0.99 * values[1:] - values[:-1], 0.99 * 0.95)
    return Credit((advantages - advantages.mean()) / advantages.std(correction=0), advantages + values[:-1])


def plant_forgotten_policy(trainer: PPOTrainer) -> None:
    """What the actions' probabilities were is asked of the policy as it is now: nothing is ever clipped."""
    learn_steps = trainer.learn_steps

    def learn(experience: Experience, steps: torch.Tensor) -> None:
        seen = experience.trajectory.seen
        assert seen is not None
        with torch.no_grad():
            now = trainer.look_at(seen.states.flatten(0, 1), None)[:, :3].log_softmax(dim=1)
        log_probs = now.unflatten(0, experience.log_probs.shape).gather(2, experience.trajectory.actions.unsqueeze(2))
        learn_steps(replace(experience, log_probs=log_probs.squeeze(2)), steps)

    trainer.learn_steps = learn  # type: ignore[method-assign]


def plant_unclipped(trainer: PPOTrainer) -> None:
    trainer.settings = replace(trainer.settings, clip_range=1e9)


def plant_shifted_minibatch(trainer: PPOTrainer) -> None:
    """Advantages of the steps after those whose actions they are to credit."""

    def clipped(outputs, minibatch: Minibatch, settings):  # type: ignore[no-untyped-def]
        return VECTORIZED.clipped(outputs, replace(minibatch, advantages=minibatch.advantages.roll(1, 0)), settings)

    trainer.parts = replace(trainer.parts, objective=replace(VECTORIZED, clipped=clipped))


def plant_forgotten_steps(trainer: PPOTrainer) -> None:
    """The last minibatch is that before it once more."""
    minibatches = trainer.minibatches

    def repeated(steps: int) -> Iterator[torch.Tensor]:
        *first, _ = minibatches(steps)
        return iter([*first, first[-1]])

    trainer.minibatches = repeated  # type: ignore[method-assign]


def plant_values_among_the_actions(trainer: PPOTrainer) -> None:
    """The value is drawn where it is large."""
    play = trainer.play

    def unpadded(batch: EpisodeBatch) -> Trajectory:
        trainer.settings = replace(trainer.settings, advantages="returns")
        return play(replace(batch, noise=torch.nn.functional.pad(batch.noise, (0, 1))))

    trainer.play = unpadded  # type: ignore[method-assign]


FAULTS = {
    "episodes that end where they are cut off": ("gradient", plant_credit(ended)),
    "advantages normalized over the batch": ("gradient", plant_credit(over_the_batch)),
    "nothing is clipped": ("gradient", plant_unclipped),
    "probabilities of the policy as it is now": ("gradient", plant_forgotten_policy),
    "advantages of other steps": ("gradient", plant_shifted_minibatch),
    "steps that are left out": ("gradient", plant_forgotten_steps),
    "values among the actions": ("draws", plant_values_among_the_actions),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, build: Callable[[Layers], TradingSystem]) -> None:
    check, plant = FAULTS[name]
    system = build(("batching", "vectorized-loss"))
    trainer = system.trainer
    assert isinstance(trainer, PPOTrainer)
    plant(trainer)
    assert not system.check_numerics()[check].same


def test_the_stream_and_the_orders_are_those_of_the_seed(build: Callable[[Layers], TradingSystem]) -> None:
    """A trainer that goes through the checks in between learns the same as one that does not."""
    alone, checked = build(("batching",)), build(("batching",))
    for system in (alone, checked):
        system.update()
    checked.check_numerics()
    for system in (alone, checked):
        system.update()
    for ours, theirs in zip(checked.trainer.policy.parameters(), alone.trainer.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)
