"""Counts against closed forms, and planted syncs, copies and doubles found by their line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from shares import COUNTS, HERE, combinations_of
from torch import nn

from m2bench.baselines.phases import AroundPhase
from m2bench.devices import torch_device
from m2bench.devices.counters import COUNTED, OWN_FORMULAS, CountingMode, PieceCounts, count_pieces
from m2bench.optimizations import RULES
from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading

CPU, META = torch.device("cpu"), torch.device("meta")
STEPS, ENVIRONMENTS = 6, 4
OPTIONS = {"episode_length": STEPS, "num_envs": ENVIRONMENTS, "num_workers": 1, "compile_backend": "eager"}
SPEC = WorkloadSpec(device="cpu", options=OPTIONS)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    trading.describe(SPEC, folder)
    return folder


def counted(work: Path, layers: Layers, spec: WorkloadSpec = SPEC, seed: int = 0) -> dict[str, float]:
    system = trading.build(spec, work, layers, seed)
    try:
        system.update()
        per_episode = system.count().per_episode
    finally:
        system.close()
    return {**per_episode}


def flops_of_one_state(policy: nn.Module) -> tuple[int, int]:
    """Forward and backward: 2 n m for a product with an (n, m) matrix; twice that backwards, for weights and inputs."""
    shapes = [(m.in_features, m.out_features) for m in policy.modules() if isinstance(m, nn.Linear)]
    forward = sum(2 * n * m for n, m in shapes)
    # The first layer of the macro part reads the market alone, and needs no gradient of its input.
    market = 2 * shapes[0][0] * shapes[0][1]
    return forward, 2 * forward - market


@pytest.mark.parametrize("layers", [(), ("vectorized-loss",), ("amp",), ("dataloader",), ("grad-accumulation",)])
def test_flops_of_an_episode_are_those_of_its_forward_and_backward_passes(work: Path, layers: Layers) -> None:
    policy = trading.build(SPEC, work, (), 0).trainer.policy
    forward, backward = flops_of_one_state(policy)
    expected = STEPS * (forward + backward)
    if "vectorized-loss" in layers:
        expected += 2 * STEPS * STEPS  # returns as one product with the triangle of discounts
    found = counted(work, layers)
    assert found["flops"] == expected
    assert found["half_flops"] == expected * ("amp" in layers)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_bytes_of_products_are_those_of_the_matrices(dtype: torch.dtype, size: int) -> None:
    """A linear layer of n inputs, m outputs and b rows: three products, of b m n multiply-adds each."""
    b, n, m = 6, 5, 3
    x, weight = torch.ones(b, n, dtype=dtype, requires_grad=True), torch.ones(m, n, dtype=dtype, requires_grad=True)
    with CountingMode(CPU) as mode:
        torch.nn.functional.linear(x, weight).backward(torch.ones(b, m, dtype=dtype))
        x.mul(2).sum()  # no product
    assert mode.counts.flops == 3 * 2 * b * n * m
    assert mode.counts.half_flops == mode.counts.flops * (size == 2)
    # Forwards x, weight and outputs; backwards the gradient of the outputs with each of them, and what comes of it.
    assert mode.counts.product_bytes == size * 3 * (b * n + m * n + b * m)


def bytes_of_one_state(policy: nn.Module) -> int:
    """In float32: inputs, weights and outputs of each product, forwards with the bias, backwards for both factors."""
    total = 0
    for number, m in enumerate(m for m in policy.modules() if isinstance(m, nn.Linear)):
        of_a_product = m.in_features + m.out_features + m.in_features * m.out_features
        total += of_a_product * (2 if number == 0 else 3) + m.out_features * (m.bias is not None)
    return 4 * total


def test_bytes_of_an_episodes_products_are_those_of_its_networks(work: Path) -> None:
    policy = trading.build(SPEC, work, (), 0).trainer.policy
    assert counted(work, ())["product_bytes"] == STEPS * bytes_of_one_state(policy)


def test_batching_plays_without_gradients_and_passes_forward_once_more(work: Path) -> None:
    policy = trading.build(SPEC, work, (), 0).trainer.policy
    forward, backward = flops_of_one_state(policy)
    assert counted(work, ("batching",))["flops"] == STEPS * (2 * forward + backward)


def test_compiled_matrix_products_are_counted_and_fused_operators_are_gone(work: Path) -> None:
    spec = WorkloadSpec(device="cpu", options={**OPTIONS, "compile_backend": "aot_eager"})
    compiled, plain = counted(work, ("compile",), spec), counted(work, ())
    assert compiled["flops"] == plain["flops"]
    assert compiled["dispatches"] != plain["dispatches"]


@pytest.mark.parametrize("layers", combinations_of(COUNTS), ids="+".join)
def test_counts_are_the_same_twice_and_do_not_depend_on_the_seed(work: Path, layers: Layers) -> None:
    assert counted(work, layers) == counted(work, layers, seed=1)


@pytest.mark.parametrize(
    "layers",
    [(), *(RULES.alone(layer, HERE)[0] for layer in HERE), RULES.fullest(HERE)],
    ids="+".join,
)
def test_the_pieces_stand_for_whole_updates(work: Path, layers: Layers) -> None:
    """Two updates, one of which is the macro part's, counted from one end to the other."""
    system = trading.build(SPEC, work, layers, 0)
    try:
        system.update()
        system.update()
        trainer, mode = system.trainer, CountingMode(CPU)
        with mode, system.watch_phases(mode.phase), trainer.replicas.in_turn():
            for _ in range(2):
                for _ in range(trainer.parts.update.backwards):
                    trainer.gather_gradient()
                trainer.apply_gradient()
        per_episode = system.count().per_episode
    finally:
        system.close()
    episodes = 2 * system.episodes_per_update
    assert per_episode == pytest.approx({name: mode.counts.total(name) / episodes for name in COUNTED}, rel=1e-12)


@pytest.mark.skipif("data-parallel" not in HERE, reason="processes are not forked here, or there is one core")
def test_what_other_processes_multiply_is_counted(work: Path) -> None:
    alone, shared = (counted(work, ("batching", *more)) for more in ((), ("data-parallel",)))
    assert shared["flops"] == alone["flops"]


def test_later_backward_passes_add_to_the_gradient(work: Path) -> None:
    """One addition per parameter; the first of an update takes the gradients over as they are."""
    system = trading.build(SPEC, work, ("grad-accumulation",), 0)
    system.update()
    mode = CountingMode(CPU)
    kernels = []
    with mode:
        for _ in range(3):
            mode.counts = PieceCounts()
            system.trainer.gather_gradient()
            kernels.append(mode.counts.kernels)
    additions = len(list(system.trainer.policy.parameters()))
    assert [later - kernels[0] for later in kernels[1:]] == [additions, additions]


def test_the_baseline_reads_one_action_a_step_and_batching_none(work: Path) -> None:
    system = trading.build(SPEC, work, (), 0)
    assert counted(work, ())["syncs"] == STEPS
    (line,) = system.count().lines["syncs"]
    assert line.startswith("baselines/rollout.py:")
    assert "argmax" in line
    assert counted(work, ("batching", "vectorized-loss"))["syncs"] == 0


def test_operators_are_counted_one_by_one() -> None:
    with CountingMode(CPU) as mode:
        a = torch.ones(2, 3)  # an allocation and a fill
        b = a.t()  # a view
        c = a @ b  # 2 * 2 * 3 * 2 operations
        c.add_(1)
    assert (mode.counts.dispatches, mode.counts.kernels, mode.counts.flops) == (4, 3, 24)


def test_a_planted_sync_and_a_planted_double_are_found_by_their_line() -> None:
    x = torch.ones(3)
    with CountingMode(CPU) as mode:
        value = x.sum().item()  # planted sync
        positive = x[x > value - 3.5]  # planted mask
        doubled = positive.double()  # planted double
    assert len(doubled) == 3
    assert ["planted sync" in line or "planted mask" in line for line in mode.counts.syncs] == [True, True]
    assert all("devices/test_counters.py:" in line and "planted double" in line for line in mode.counts.doubles)
    assert mode.counts.doubles.total() == 1


def test_a_copy_between_devices_is_found_by_its_line() -> None:
    with CountingMode(META) as mode:
        there = torch.ones(3).to(META)  # planted copy
        torch.ones(3).to(CPU)
    assert there.device == META
    (line,) = mode.counts.copies
    assert "planted copy" in line
    assert mode.counts.syncs.total() == 0


def test_a_copy_by_a_helper_of_ours_is_found_where_it_is_asked_for() -> None:
    with CountingMode(META) as mode:
        torch_device.to_device(torch.ones(3), META)  # planted request
    (line,) = mode.counts.copies
    assert "devices/test_counters.py:" in line
    assert "planted request" in line


def test_a_tensor_made_on_the_device_of_the_hosts_data_is_a_copy() -> None:
    there = torch.ones(3, device=META)
    with CountingMode(META) as mode:
        torch.tensor([1.0, 2.0], device=META)  # planted
        torch.tensor(data=[1.0], device=META)  # planted
        torch.as_tensor([1.0, 2.0], device=META)  # planted
        torch.asarray([1.0, 2.0], device=META)  # planted
        there.new_tensor([1.0, 2.0])  # planted
        torch.tensor([1.0], dtype=torch.float64, device=META)  # planted double
        torch.as_tensor(torch.ones(3), device=META)  # planted, and seen by the dispatcher
        torch.as_tensor(np.ones(3, np.float32), device=META)  # planted, and seen by the dispatcher
        # These stay where they are.
        torch.tensor([1.0, 2.0])
        torch.as_tensor(there)
        torch.ones(3, device=META)
    assert mode.counts.copies.total() == 8
    assert len(mode.counts.copies) == 8
    assert all("planted" in line for line in mode.counts.copies)
    (line,) = mode.counts.doubles
    assert "planted double" in line
    assert mode.counts.doubles.total() == 1
    assert torch.tensor.__module__ != CountingMode.__module__  # all is as it was


def test_an_index_on_the_host_is_a_copy_and_only_a_mask_on_the_device_is_waited_for() -> None:
    there, places, mask = torch.ones(3, device=META), torch.tensor([0, 1]), torch.tensor([True, True, False])
    with CountingMode(META) as mode:
        there[places]  # planted copy
        there[places.to(META)]
    assert [count for line, count in mode.counts.copies.items() if "planted copy" in line] == [1]
    with CountingMode(CPU) as mode:
        torch.ones(3)[mask]
        torch.ones(3)[places]
    assert (mode.counts.copies.total(), mode.counts.syncs.total()) == (0, 1)


def test_what_the_host_does_for_itself_is_not_asked_of_the_device() -> None:
    there, here = torch.ones(2, 2, device=META), torch.ones(2, 2, dtype=torch.float64)
    with CountingMode(META) as mode:
        (here @ here).sum().item()
        there @ there
    counts = mode.counts
    assert (counts.dispatches, counts.kernels, counts.flops) == (1, 1, 2 * 2 * 2 * 2)
    assert counts.syncs.total() == counts.doubles.total() == 0


def test_counts_of_pieces_are_divided_by_their_episodes() -> None:
    x = torch.ones(3)

    class System:
        def synchronize(self) -> None:
            pass

        def watch_phases(self, watch: AroundPhase) -> AbstractContextManager[None]:
            self.phase = watch
            return nullcontext()

        def pieces(self) -> Iterator[tuple[Callable[[], object], int | None]]:
            yield self.fed, 4
            yield lambda: [x * 2, x * 3], 8
            yield lambda: x - 1, None

        def fed(self) -> None:
            with self.phase("feed"):
                x.exp()  # the host's own work
            with self.phase("loss"):
                x.log()

    assert count_pieces(System(), CPU).per_episode["dispatches"] == 1 / 4 + 2 / 8


def test_linear_has_the_products_of_the_operators_it_stands_for() -> None:
    """On MPS it is one operator, whose formula torch does not have; here inference mode makes it one."""
    x, weight = torch.ones(5, 4), torch.ones(3, 4)
    with torch.inference_mode(), CountingMode(torch.device("cpu")) as mode:
        torch.nn.functional.linear(x, weight)
    assert mode.counts.flops == 2 * 5 * 4 * 3
    assert OWN_FORMULAS[torch.ops.aten.linear_backward](x, torch.ones(5, 3), weight, [True, True, True]) == 2 * (2 * 60)
    assert OWN_FORMULAS[torch.ops.aten.linear_backward](x, torch.ones(5, 3), weight, [False, True, True]) == 2 * 60


def test_bytes_are_those_of_the_tensors_that_kernels_take_and_give() -> None:
    """A product of (4, 8) and (8, 16) in float32 reads both and writes (4, 16); a view moves nothing."""
    one, other = torch.ones(4, 8), torch.ones(8, 16)
    with CountingMode(CPU) as mode:
        torch.mm(one, other)
        one.t()
    assert mode.counts.bytes == 4 * (4 * 8 + 8 * 16 + 4 * 16)
