"""What the further layers compute is what the plain trainer computes, in double precision or to the bit."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
import torch

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import as_torch_sums
from m2bench.baselines.phases import phases_watched
from m2bench.baselines.policy import AsymmetricPolicyNetwork, PolicySize, make_policy
from m2bench.baselines.trainer import Trainer, baseline_parts
from m2bench.devices import torch_device
from m2bench.optimizations import compiled_loop, data_parallel, load_layer, native_features
from m2bench.optimizations.encode_once import Decider, Encoder
from m2bench.optimizations.layer import LayerOptions, compose
from m2bench.optimizations.matmul_sums import sum_by_products


@pytest.mark.parametrize("size", ["default", "deep"])
def test_a_decision_on_an_encoding_is_the_policys_decision(size: PolicySize, cpu: torch.device) -> None:
    """A product with columns side by side is the sum of the products with each of them."""
    policy = make_policy(size, 0, cpu).double()
    states = torch.randn(40, 122, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    encoding = Encoder(policy)(states[:, :120])
    torch.testing.assert_close(Decider(policy)(states, encoding), policy(states), rtol=1e-12, atol=1e-12)
    only_the_account = Decider(policy)(states[:, 120:], encoding)
    torch.testing.assert_close(only_the_account, policy(states), rtol=1e-12, atol=1e-12)


def gradients_of(policy: AsymmetricPolicyNetwork, autocast: bool) -> dict[str, torch.Tensor]:
    """In double precision, of a made-up loss of made-up states; each one's name."""
    states = torch.randn(500, 122, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        outputs = policy(states.to(next(policy.parameters()).dtype))
    outputs.double().square().sum().backward()
    return {name: each.grad.double() for name, each in policy.named_parameters() if each.grad is not None}


def test_sums_by_products_are_the_sums(cpu: torch.device) -> None:
    """In double precision to the last digits; within autocast not further off than torch's own sums."""
    truth = gradients_of(make_policy("default", 0, cpu).double(), autocast=False)
    off: dict[str, list[float]] = {name: [] for name in truth}
    for autocast, arrange in [(False, sum_by_products), (True, as_torch_sums), (True, sum_by_products)]:
        policy = make_policy("default", 0, cpu)
        arrange(policy)
        found = gradients_of(policy if autocast else policy.double(), autocast)
        assert [*found] == [*truth]
        for name, errors in off.items():
            errors.append(float((found[name] - truth[name]).norm() / truth[name].norm()))
    for name, (by_products, torchs_within_autocast, within_autocast) in off.items():
        assert by_products < 1e-12, name
        assert within_autocast < 1.3 * torchs_within_autocast + 0.004, name


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_episodes_prepared_in_c_are_those_prepared_alone(source: EpisodeSource) -> None:
    numbers = [5, 0, 5, 77, 1]
    assert_same(native_features.NativePreparation()(source, numbers), source.prepare_many(numbers))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("others", [(), ("dataloader",), ("data-parallel",)], ids=" ".join)
def test_what_is_prepared_in_c_is_told_by_the_processes_that_prepare(
    others: tuple[str, ...], source: EpisodeSource, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the timed window, of which looking at it is no part; and what is not prepared in C is missed."""
    monkeypatch.setattr(torch_device, "fast_cores", lambda: 2)
    layers = [load_layer(name) for name in ("batching", "native-features", *others)]
    options = LayerOptions(num_envs=4, num_workers=1)
    if any(layer.unsupported(cpu, options) for layer in layers):
        pytest.skip("processes are not forked here")
    parts = compose(baseline_parts(), layers, options)
    trainer = Trainer(parts, source, Hyperparameters(episode_length=source.episode_length), 0, cpu)
    try:
        trainer.update()
        with native_features.timed(trainer):
            for _ in range(2):
                trainer.update()
        first, second = (native_features.prove(trainer) for _ in range(2))
        assert first.engaged, first
        assert first.evidence["episodes"] == second.evidence["episodes"] == 8
        if not others:
            assert first.evidence == second.evidence == {
                "episodes": 8, "prepared_in_c": 8, "prepared_ahead_in_c": 0,
            }  # fmt: skip
        trainer.updates += 20  # as if they had been learned from
        assert not native_features.prove(trainer).engaged
    finally:
        trainer.close()


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_compiler_runs_in_the_set_up(source: EpisodeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in the first update, where its seconds would be those of training."""
    native_features.compiled_features.cache_clear()
    preparation = native_features.NativePreparation()
    monkeypatch.setattr(native_features, "COMPILER", ("no-such-compiler",))
    assert preparation(source, [0]).num_episodes == 1


def test_windows_beyond_the_candles_are_refused() -> None:
    candles = np.zeros((700, 20), dtype=np.float32)
    for start, steps in ((490, 4), (698, 3)):
        with pytest.raises(ValueError, match=f"700 candles do not hold the windows of episodes from {start} on"):
            native_features.windows(candles, np.array([start]), steps)


def test_a_compiler_that_fails_leaves_features_in_c_unsupported(
    monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    native_features.compiled_features.cache_clear()
    monkeypatch.setattr(native_features, "COMPILER", ("false",))
    assert native_features.why_no_c(cpu, LayerOptions()) is not None
    monkeypatch.setattr(native_features, "COMPILER", ("no-such-compiler",))
    reason = native_features.why_no_c(cpu, LayerOptions())
    assert reason == "it is compiled with no-such-compiler, which is not on the PATH"


def assert_same(found: EpisodeBatch, alone: EpisodeBatch) -> None:
    """To the bit."""
    for name in ("features", "price_changes", "noise", "numbers"):
        ours, theirs = getattr(found, name).numpy(), getattr(alone, name).numpy()
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes(), name


def test_a_torch_without_a_scan_leaves_the_compiled_loop_unsupported(
    monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch._higher_order_ops.scan", None)
        without = importlib.reload(compiled_loop).LAYER
        reason = without.unsupported(cpu, LayerOptions())
    importlib.reload(compiled_loop)
    assert reason == f"torch {torch.__version__} is without the scan operator, torch._higher_order_ops.scan"


@pytest.mark.parametrize(
    ("num_envs", "cores", "expected"), [(32, 1, 1), (32, 2, 2), (33, 2, 1), (32, 6, 4), (4, 8, 2), (12, 8, 6)]
)
def test_replicas_have_equal_shares_of_several_episodes(
    num_envs: int, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    monkeypatch.setattr(torch_device, "fast_cores", lambda: cores)
    assert data_parallel.replicas_for(num_envs) == expected
    reason = data_parallel.why_not_parallel(cpu, LayerOptions(num_envs=num_envs))
    assert (reason is None) is (expected > 1 and torch_device.worker_start_method(cpu) == "fork"), reason


@pytest.fixture
def parallel(source: EpisodeSource, cpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    if torch_device.worker_start_method(cpu) != "fork":
        pytest.skip("processes are not forked here")
    monkeypatch.setattr(torch_device, "fast_cores", lambda: 2)
    layers = [load_layer(name) for name in ("batching", "data-parallel")]
    parts = compose(baseline_parts(), layers, LayerOptions(num_envs=4))
    trainer = Trainer(parts, source, Hyperparameters(episode_length=source.episode_length), 0, cpu)
    yield trainer
    trainer.close()


def test_a_batch_that_replicas_prepare_is_the_batch_that_one_prepares(parallel: Trainer, source: EpisodeSource) -> None:
    first, second = next(parallel.batches), next(parallel.batches)
    alone = source.prepare_many([4, 5, 6, 7])
    for name in ("features", "price_changes", "noise", "numbers"):
        assert torch.equal(getattr(second, name), getattr(alone, name)), name
    assert first.numbers.tolist() == [0, 1, 2, 3]


def test_a_replica_tells_how_many_threads_it_learned_by(parallel: Trainer) -> None:
    replicas = parallel.replicas
    assert isinstance(replicas, data_parallel.ReplicaProcesses)
    parallel.update()
    assert data_parallel.prove(parallel).evidence["threads_of_each"] == [1]
    torch.set_num_threads(3)  # in this process, which does for once what a replica does
    (helper,) = replicas._helpers
    assert replicas.obey(parallel, 0, helper.gradients, data_parallel.Order()).threads == 3
    replicas.threads.add(3)
    assert not data_parallel.prove(parallel).engaged


def test_waiting_for_a_replica_is_a_phase_of_its_own(parallel: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, inside, waited_in = data_parallel._Helper.answer, list[str](), list[str]()

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        inside.append(name)
        yield
        inside.pop()

    def noted(helper: data_parallel._Helper) -> data_parallel.Done:
        waited_in.append(inside[-1])
        return answer(helper)

    monkeypatch.setattr(data_parallel._Helper, "answer", noted)
    with phases_watched(watch):
        parallel.update()
    assert waited_in == ["feed", "replicas"]


def test_a_replica_that_ends_or_fails_is_told_and_none_is_left(parallel: Trainer) -> None:
    parallel.update()
    assert isinstance(parallel.replicas, data_parallel.ReplicaProcesses)
    (process,) = (child for child in psutil.Process().children() if child.pid in parallel.replicas.learned)
    with pytest.raises(RuntimeError, match=r"(?s)learns from a share of the batch: Traceback.*OverflowError"):
        parallel.replicas.prepare([0, 1, 2, 2**80])  # the last is the other's
    process.kill()
    with pytest.raises(RuntimeError, match="which learns from a share of the batch: it has ended"):
        parallel.update()
    parallel.close()
    assert not process.is_running()
