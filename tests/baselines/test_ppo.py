"""PPO's trainer: its steps, its equalities, where it reduces to REINFORCE, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m2bench.baselines.algorithms import make_trainer
from m2bench.baselines.environment import TradingEnv
from m2bench.baselines.episodes import EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.evaluation import Evaluation
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Parts, UpdateRule
from m2bench.baselines.ppo_trainer import PPOTrainer
from m2bench.baselines.synthetic import synthetic_market
from m2bench.baselines.trainer import Trainer, baseline_parts
from m2bench.optimizations import load_layer
from m2bench.optimizations.layer import LayerOptions, compose

SETTINGS = Hyperparameters(episode_length=16, algorithm="ppo", advantages="gae")
CPU = torch.device("cpu")


def trainer(
    source: EpisodeSource, settings: Hyperparameters = SETTINGS, parts: Parts | None = None, seed: int = 0
) -> PPOTrainer:
    made = make_trainer(parts or baseline_parts(), source, settings, seed, CPU)
    assert isinstance(made, PPOTrainer)
    return made


def gradient(t: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in t.policy.named_parameters() if p.grad is not None}


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], tolerance: float = 1e-3) -> None:
    assert a.keys() == b.keys()
    for name in a:
        scale = float(b[name].abs().max()) + 1e-3
        assert float((a[name] - b[name]).abs().max()) < tolerance * scale, name


def test_one_epoch_without_values_and_clipping_is_reinforce(source: EpisodeSource) -> None:
    """Of a mean over the T decisions of an episode, where REINFORCE takes their sum."""
    once = replace(SETTINGS, advantages="returns", epochs=1, minibatches=1, entropy_coefficient=0.0, clip_range=1e9)
    ppo = trainer(source, once)
    reinforce = make_trainer(baseline_parts(), source, Hyperparameters(episode_length=16), 0, CPU)
    for t in (ppo, reinforce):
        t.gather_gradient()
    ours, theirs = gradient(ppo), gradient(reinforce)
    assert_close({name: 16 * g for name, g in ours.items()}, theirs, 1e-4)


def test_an_update_goes_through_all_steps_of_each_epoch_in_minibatches(
    source: EpisodeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = trainer(source, replace(SETTINGS, epochs=3, minibatches=4))
    taken: list[torch.Tensor] = []
    learn_steps = t.learn_steps

    def spy(experience, steps):  # type: ignore[no-untyped-def]
        taken.append(steps)
        learn_steps(experience, steps)

    monkeypatch.setattr(t, "learn_steps", spy)
    t.update()
    assert (t.updates, t.episodes) == (12, 1)
    epochs = torch.stack(taken).view(3, 16)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(16).expand(3, 16))
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3  # each in an order of its own


def test_the_order_is_that_of_the_seed_whatever_happened_in_between(source: EpisodeSource) -> None:
    one, checked, other = trainer(source), trainer(source), trainer(source, seed=1)
    list(checked.minibatches(16))
    orders = [torch.cat(list(t.minibatches(16))).tolist() for t in (one, checked, other)]
    assert orders[0] == orders[1] != orders[2]


def test_the_macro_part_moves_on_every_second_step_only(source: EpisodeSource) -> None:
    t = trainer(source)
    moved = []
    apply_gradient = t.apply_gradient

    def spy() -> None:
        before = {name: p.detach().clone() for name, p in t.policy.named_parameters()}
        apply_gradient()
        moved.append({n.split(".")[0] for n, p in t.policy.named_parameters() if not torch.equal(p, before[n])})

    t.apply_gradient = spy  # type: ignore[method-assign]
    t.update()
    assert moved == [{"micro", "head"}, {"macro", "micro", "head"}] * 8


def test_an_episode_that_is_cut_off_is_worth_the_value_of_its_last_state(source: EpisodeSource) -> None:
    """The last state is the one that the environment shows after the last decision."""
    t = trainer(source)
    batch = source.prepare(3)
    trajectory = t.collect(batch)
    env = TradingEnv()
    state, _ = env.reset(options={"episode": batch})
    for action in trajectory.actions[:, 0].tolist():
        state, *_ = env.step(action)
    value = t.policy(torch.from_numpy(state).unsqueeze(0))[0, 3].detach()
    assert trajectory.last_value is not None
    assert float(trajectory.last_value[0]) == pytest.approx(float(value), rel=1e-5)
    targets = t.judge(trajectory).credit.targets
    assert targets is not None
    assert float(targets[-1, 0]) == pytest.approx(float(trajectory.rewards[-1, 0] + 0.99 * value), rel=1e-5)


def test_the_same_policy_finds_every_action_as_probable_as_before(source: EpisodeSource) -> None:
    """So that the loss of the first minibatches is the mean advantage, the errors of the values and the entropy."""
    plain = replace(SETTINGS, entropy_coefficient=0.0, value_coefficient=0.0, minibatches=1)
    t = trainer(source, plain)
    t.learn(t.collect(source.prepare(0)))
    assert float(t.losses[0]) == pytest.approx(0.0, abs=1e-6)  # advantages have mean 0


def with_layers(*names: str, num_envs: int = 8) -> Parts:
    return compose(baseline_parts(), [load_layer(name) for name in names], LayerOptions(num_envs=num_envs))


def test_a_batchs_gradient_is_the_mean_of_its_episodes(source: EpisodeSource) -> None:
    single = trainer(source, parts=replace(baseline_parts(), update=UpdateRule(backwards=8)))
    batched = trainer(source, parts=with_layers("batching"))
    for _ in range(8):
        single.gather_gradient()
    batched.gather_gradient()
    assert_close(gradient(batched), gradient(single))


def test_four_accumulated_batches_are_one_batch_four_times_as_large(source: EpisodeSource) -> None:
    """After a whole update: as many steps, each with the same gradient."""
    accumulated = trainer(source, parts=with_layers("batching", "grad-accumulation", num_envs=2))
    large = trainer(source, parts=with_layers("batching", num_envs=8))
    start = {name: p.detach().clone() for name, p in large.policy.named_parameters()}
    for t in (accumulated, large):
        t.update()
    assert (accumulated.steps, accumulated.backwards) == (16, 64)
    for name, p in large.policy.named_parameters():
        moved = (p - start[name]).detach().norm()
        error = (accumulated.policy.get_parameter(name) - p).detach().norm()
        assert float(error / moved) < 0.02, name


def test_minibatches_must_divide_the_episode() -> None:
    with pytest.raises(ValueError, match="10 decisions cannot be divided into 4 minibatches"):
        Hyperparameters(episode_length=10, algorithm="ppo")


@pytest.fixture(scope="module")
def whole_market(tmp_path_factory: pytest.TempPathFactory) -> PreparedMarket:
    return prepare_market(synthetic_market(), tmp_path_factory.mktemp("market"))


@pytest.mark.slow
def test_ppo_learns(whole_market: PreparedMarket) -> None:
    """From below 15 % of the known good policy's return to at least 60 %, as the mean of four evaluations in a row."""
    source = EpisodeSource(whole_market, 32, seed=0)
    t = trainer(source, replace(SETTINGS, episode_length=32))
    evaluation = Evaluation(source, CPU)
    assert evaluation.good_return is not None

    def share() -> float:
        return evaluation.mean_return(t.policy) / float(evaluation.good_return or 0)

    assert share() < 0.15
    shares: list[float] = []
    while t.episodes < 200 and not (len(shares) >= 4 and sum(shares[-4:]) / 4 >= 0.6):
        for _ in range(5):
            t.update()
        shares.append(share())
    assert sum(shares[-4:]) / 4 >= 0.6, shares
