"""A learning trial of systems whose curve is known, and of a real one that learns."""

from __future__ import annotations

import math
from pathlib import Path

import fake_workload
import numpy as np
import pytest
import torch

from m2bench.baselines.environment import TRADE_PENALTY, TradingEnv
from m2bench.baselines.episodes import EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.evaluation import TARGET_SHARE, Evaluation
from m2bench.baselines.market import Market
from m2bench.baselines.policy import make_policy
from m2bench.errors import TrainerError, TrainingEnded
from m2bench.records.combinations import Layers
from m2bench.records.description import Target
from m2bench.records.results import LearningResult, NumericsCheck
from m2bench.records.spec import TrialSpec, WorkloadSpec
from m2bench.statistics.learning_curve import evaluation_episodes
from m2bench.systems.defaults import CompletedWorkload
from m2bench.systems.interface import Told
from m2bench.worker.learning_trial import run_learning_trial


def trial(*layers: str, limit_s: float = 60.0) -> TrialSpec:
    return TrialSpec("learn1.x", layers, 1, 0, "learning", limit_s)


def learn(tmp_path: Path, spec: TrialSpec, faults: str = "", target: float = 1.0) -> LearningResult:
    goal = Target(measure="greedy", value=target)
    return run_learning_trial(CompletedWorkload(fake_workload), WorkloadSpec(data=faults), tmp_path, spec, goal)


@pytest.mark.parametrize("layers", [(), ("batching",), ("grad-accumulation",), ("batching", "grad-accumulation")])
def test_a_known_curve_arrives_when_it_must(layers: Layers, tmp_path: Path) -> None:
    result = learn(tmp_path, trial(*layers))
    size = math.prod((fake_workload.EPISODES, *(fake_workload.EPISODE_FACTORS[layer] for layer in layers)))
    assert result.episodes_per_update == size
    values: list[float] = []
    numbers: list[float] = []
    for after in evaluation_episodes():
        numbers.append(after)
        values += [2.0 * (1 - 0.5 ** (after // size / 10))] if after >= size else []
        if len(values) >= 6 and sum(values[-6:]) / 6 >= 1.0:
            break
    last, before = sum(values[-6:]) / 6, sum(values[-7:-1]) / 6
    share = (1.0 - before) / (last - before)
    assert result.episodes_to_target == pytest.approx(numbers[-2] ** (1 - share) * after**share)
    assert [point.after for point in result.curve] == numbers
    for point in result.curve:
        assert point.episodes == point.after // size * size
        assert point.mean_return == pytest.approx(2.0 * (1 - 0.5 ** (point.episodes / size / 10)))
    times = [point.train_s for point in result.curve]
    assert times == sorted(times)


def test_a_policy_is_evaluated_once_where_it_is_to_count_once(tmp_path: Path) -> None:
    """Six policies make a window, after so many updates, and not one policy that six evaluations found."""
    goal = Target(measure="greedy", value=0.2, first_units=1.0, each_policy_once=True)
    workload = CompletedWorkload(fake_workload)
    result = run_learning_trial(workload, WorkloadSpec(data=""), tmp_path, trial("batching"), goal)
    size = result.episodes_per_update
    assert [point.after for point in result.curve] == [point.episodes for point in result.curve]
    assert [point.episodes / size for point in result.curve][:6] == [1, 2, 3, 4, 5, 6]
    returns = [2.0 * (1 - 0.5 ** (updates / 10)) for updates in range(1, 8)]
    assert sum(returns[:6]) / 6 >= 0.2
    assert result.episodes_to_target == 6 * size


def test_a_target_out_of_reach_ends_at_the_limit(tmp_path: Path) -> None:
    result = learn(tmp_path, trial(limit_s=0.2), target=2.1)
    assert result.episodes_to_target is None
    assert result.curve[-1].episodes > 0


def test_training_that_does_not_stay_finite_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        learn(tmp_path, trial(), "=diverge")


def test_other_episodes_than_the_right_ones_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = {"stream": NumericsCheck(False, {}, "episode 3 was consumed where 2 was due")}
    monkeypatch.setattr(fake_workload.FakeSystem, "check_stream", lambda self: verdict)
    with pytest.raises(RuntimeError, match="episode 3 was consumed"):
        learn(tmp_path, trial())


# --- what updates tell


class Telling:
    """Its loss halves with every 10 updates of 32 samples, if it tells one; it ends after so many."""

    def __init__(self, units: float = 32.0, tells: str = "loss", every: int = 1, ends: float = math.inf):
        self.units, self.tells, self.every, self.ends, self.updates = units, tells, every, ends, 0

    def update(self) -> Told:
        if self.updates >= self.ends:
            raise TrainingEnded("it ended")
        value = 2.0 * 0.5 ** (self.updates * self.units / 320)
        told = Told(units=self.units)
        if self.updates % self.every == 0:
            told = Told(self.units, value) if self.tells == "loss" else Told(self.units, None, -value)
        self.updates += 1
        return told

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> Telling:
        return self


def tell(system: Telling, target: Target, limit_s: float = 20.0) -> LearningResult:
    return run_learning_trial(
        CompletedWorkload(system), WorkloadSpec(device="cpu"), Path(), trial(limit_s=limit_s), target
    )


HALF = Target(measure="loss", value=1.0, first_units=32.0)


@pytest.mark.parametrize("units", [8.0, 32.0, 128.0])
def test_a_loss_arrives_where_the_mean_of_its_last_updates_does(units: float) -> None:
    """The same curve whatever the samples of an update: worked out with every loss where it was learned from."""
    result = tell(Telling(units), HALF)
    grid: list[float] = []
    points: list[tuple[float, float, list[float]]] = []
    at = 32.0
    while len(grid) < 60:
        grid.append(at)
        at = math.ceil(1.1 * at)
    before = -1.0
    for after in grid:
        new = [u for u in np.arange(0, after + 1, units) if before < u <= after]
        points.append((after, 2.0 * np.mean([0.5 ** (u / 320) for u in new]) if new else points[-1][1], new))
        before = after
    assert [point.after for point in result.curve] == grid[: len(result.curve)]
    for point, (_, value, new) in zip(result.curve, points, strict=False):
        assert point.mean_return == pytest.approx(value)
        assert not new or point.episodes == new[-1]
    trained = [(after, value) for (after, value, _), point in zip(points, result.curve, strict=False) if point.episodes]
    means = [(trained[i][0], np.mean([v for _, v in trained[i - 5 : i + 1]])) for i in range(5, len(trained))]
    (low, above), (high, below) = means[-2:]
    assert below <= 1.0 < above
    share = (1.0 - above) / (below - above)
    assert result.episodes_to_target == pytest.approx(low ** (1 - share) * high**share)


def test_a_return_arrives_from_below() -> None:
    assert tell(Telling(tells="return"), Target(measure="return", value=-1.0, first_units=32.0)).episodes_to_target == (
        tell(Telling(), HALF).episodes_to_target
    )


def test_a_loss_that_is_told_now_and_then_holds_until_the_next() -> None:
    seldom, always = tell(Telling(every=4), HALF), tell(Telling(), HALF)
    assert seldom.episodes_to_target == pytest.approx(always.episodes_to_target, rel=0.2)


def test_a_trainer_that_ends_has_not_arrived_and_one_that_ends_at_once_is_an_error() -> None:
    result = tell(Telling(ends=8), HALF)
    assert result.episodes_to_target is None
    assert result.curve[-1].after <= 8 * 32
    with pytest.raises(TrainerError, match="it ended"):
        tell(Telling(ends=0), HALF)


def test_a_trainer_that_never_tells_what_its_target_is_of_is_an_error() -> None:
    with pytest.raises(TrainerError, match="it yielded no return in 0 s"):
        tell(Telling(), Target(measure="return", value=1.0), limit_s=1e-4)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Telling()
    told = system.update

    def diverges() -> Told:
        return told() if system.updates < 3 else Told(32.0, torch.tensor(math.nan))

    monkeypatch.setattr(system, "update", diverges)
    with pytest.raises(FloatingPointError, match="update 4: the loss is not finite"):
        tell(system, HALF)


# --- what is measured on which market


def unknown_market(market: Market, tmp_path: Path, volatility: float) -> Evaluation:
    """The same candles, calmer, without the hidden state that the known good policy trades on."""
    close = 100 * (market.close / 100) ** volatility
    changes = {"name": "unknown", "deviation": np.zeros(0), "close": close}
    prepared = prepare_market(Market(**{**vars(market), **changes}), tmp_path)
    return Evaluation(EpisodeSource(prepared, 16, seed=1), torch.device("cpu"))


def test_a_market_with_a_known_good_policy_asks_for_a_share_of_its_return(source: EpisodeSource) -> None:
    evaluation = Evaluation(source, torch.device("cpu"))
    target, good = evaluation.target, evaluation.good_return
    assert target is not None
    assert good is not None
    assert (target.measure, target.target_return) == ("greedy", pytest.approx(TARGET_SHARE * good))
    policy = make_policy("default", 0, torch.device("cpu"))
    assert evaluation.learned_return(policy) == evaluation.mean_return(policy)


def test_elsewhere_the_target_lies_between_drawing_at_random_and_staying_out(market: Market, tmp_path: Path) -> None:
    evaluation = unknown_market(market, tmp_path, volatility=0.05)
    target = evaluation.target
    assert target is not None
    assert (target.measure, target.good_return) == ("sampled", 0.0)
    rng = np.random.default_rng(0)
    steps, draws = 16, 40_000
    actions = rng.integers(3, size=(steps, draws))
    position, changes = np.zeros(draws), np.zeros(draws)
    for action in actions:
        now = np.where(action == 0, position, np.where(action == 1, 1, -1))
        changes += now != position
        position = now
    expected = -TRADE_PENALTY * changes.mean()
    assert target.ignorant_return == pytest.approx(expected, abs=4 * TRADE_PENALTY * changes.std() / draws**0.5)
    assert target.target_return == pytest.approx((1 - TARGET_SHARE) * target.ignorant_return)


def test_where_luck_outweighs_what_can_be_learned_there_is_no_target(market: Market, tmp_path: Path) -> None:
    assert unknown_market(market, tmp_path, volatility=1.0).target is None


def test_the_sampled_measure_draws_from_the_policy_step_by_step(market: Market, tmp_path: Path) -> None:
    unknown = unknown_market(market, tmp_path, volatility=1.0)
    policy = make_policy("default", 0, torch.device("cpu"))
    batch = unknown.source.evaluation_batch()
    noise = unknown._noise
    total = 0.0
    for episode in range(batch.num_episodes):
        env = TradingEnv()
        state, _ = env.reset(options={"episode": batch.take([episode])})
        for step in range(len(noise)):
            with torch.no_grad():
                logits = policy(torch.from_numpy(state).unsqueeze(0))[0]
            state, reward, _, _, _ = env.step(int((logits + noise[step, episode]).argmax()))
            total += reward
    assert unknown.learned_return(policy) == pytest.approx(total / batch.num_episodes, rel=1e-3)
    assert unknown.learned_return(policy) != unknown.mean_return(policy)


@pytest.mark.slow
def test_the_trading_system_reaches_its_target(tmp_path: Path) -> None:
    from m2bench.systems.trading import system as trading

    spec = WorkloadSpec(device="cpu", options={"episode_length": 64})
    target = trading.describe(spec, tmp_path).workload.target
    assert target is not None
    result = run_learning_trial(
        CompletedWorkload(trading),
        spec,
        tmp_path,
        trial("batching", "vectorized-loss", limit_s=120),
        target,
    )
    assert result.episodes_to_target is not None
    assert result.curve[0].mean_return < target.value / 2
    assert all(proof.engaged for proof in result.proofs.values())
    assert isinstance(PreparedMarket(tmp_path / "market").facts["candles"], int)
