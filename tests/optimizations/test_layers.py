"""Every layer replaces one part, computes the same thing, and proves that it was at work."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import fields, replace
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import pytest
import torch
from every import every_combination
from shares import (
    COMPILE,
    FURTHER_COMBINATIONS,
    FURTHER_ON_GPUS,
    GRADIENT,
    ON_CUDA,
    OTHERS,
    SHARES,
    combinations_of,
)
from torch.utils._python_dispatch import TorchDispatchMode

from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer, baseline_parts
from m2bench.devices import torch_device
from m2bench.optimizations import LAYERS, NOTE, RULES, load_layer, native_features
from m2bench.optimizations.amp import INITIAL_SCALE, NEVER, MixedPrecision
from m2bench.optimizations.layer import Layer, LayerOptions, compose

SETTINGS = Hyperparameters(episode_length=12)
# aot_eager traces as inductor does but compiles nothing, so that combinations with it take a second each.
OPTIONS = LayerOptions(num_envs=4, compile_backend="aot_eager", num_workers=2, accumulation_steps=2)
TRIED = combinations_of(GRADIENT)
DESIGN_NOTE = {
    "batching": (10, 20),
    "amp": (1.5, 2),
    "compile": (1.5, 2.5),
    "vectorized-loss": (2, 3),
    "dataloader": (1.3, 1.8),
    "grad-accumulation": (1, 1),
}


def make(
    source: EpisodeSource, names: tuple[str, ...], options: LayerOptions = OPTIONS, device: str = "cpu"
) -> Trainer:
    parts = compose(baseline_parts(), [load_layer(name) for name in names], options)
    # Of the first seeds the one with the fewest draws that are near ties, which bfloat16 may turn.
    return Trainer(parts, source, SETTINGS, seed=4, device=torch.device(device))


def test_names_files_and_parts_match_one_to_one() -> None:
    folder = Path(str(__import__("m2bench.optimizations", fromlist=["x"]).__file__)).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "layer", "layer_options"}
    assert files == set(LAYERS.values())
    loaded = [load_layer(name) for name in LAYERS]
    assert [layer.name for layer in loaded] == list(LAYERS)
    assert {layer.part for layer in loaded} == {field.name for field in fields(Parts)}


@pytest.mark.parametrize("name", NOTE)
def test_claims_are_those_of_the_design_note(name: str) -> None:
    claim = load_layer(name).claim
    assert (claim.low, claim.high) == DESIGN_NOTE[name]


def test_two_layers_for_one_part_are_refused() -> None:
    batching = load_layer("batching")
    with pytest.raises(ValueError, match="both replace the part 'rollout'"):
        compose(baseline_parts(), [batching, replace(batching, name="other")], OPTIONS)


def test_a_layer_that_replaces_another_part_than_its_own_is_refused() -> None:
    wrong = replace(load_layer("batching"), part="feed")
    with pytest.raises(ValueError, match="must replace the part 'feed' alone"):
        compose(baseline_parts(), [wrong], OPTIONS)


@pytest.fixture(scope="module")
def referee(source: EpisodeSource) -> dict[int, dict[str, torch.Tensor]]:
    """Gradients of the plain trainer over the first 1, 2, 4 and 8 episodes."""
    gradients = {}
    for episodes in (1, 2, 4, 8):
        t = make(source, ())
        for _ in range(episodes):
            t.gather_gradient()
        gradients[episodes] = {
            n: p.grad.clone() / episodes for n, p in t.policy.named_parameters() if p.grad is not None
        }
    return gradients


def test_the_tests_that_share_the_combinations_have_each_of_them() -> None:
    """And in each share any two layers beside ``compile`` meet in all four ways, any four in all without it."""
    every = every_combination(tuple(NOTE))
    shares = [combinations_of(share) for share in SHARES]
    times = Counter(chain(*shares))
    assert times == {layers: 1 if COMPILE in layers else 2 for layers in every}
    for share, (compiled, count) in product(shares, ((True, 2), (False, 4))):
        for together in combinations(OTHERS, count):
            met = {tuple(layer in layers for layer in together) for layers in share if (COMPILE in layers) is compiled}
            assert len(met) == 2**count


@pytest.mark.parametrize("names", [*TRIED, *FURTHER_COMBINATIONS], ids=lambda names: "+".join(names) or "baseline")
def test_every_combination_has_the_plain_trainers_gradient_and_proof(
    names: tuple[str, ...], source: EpisodeSource, referee: dict[int, dict[str, torch.Tensor]]
) -> None:
    torch.compiler.reset()
    t = make(source, names)
    t.updates = SETTINGS.macro_interval - 1  # the macro part has its turn
    if "native-features" in names:
        native_features.timed(t)  # by the updates it knows how many episodes were learned from
    try:
        for _ in range(t.parts.update.backwards):
            t.gather_gradient()
        expected = referee[t.parts.episodes_per_update]
        got = {name: p.grad for name, p in t.policy.named_parameters()}
        whole = torch.cat([expected[n].flatten() for n in expected])
        ours = torch.cat([g.flatten() for n, g in got.items() if g is not None])
        # bfloat16 keeps 8 bits of each product, float32 24, and may turn a draw that was a near tie.
        tolerance = 0.3 if "amp" in names else 1e-3
        assert float((ours - whole).norm() / whole.norm()) < tolerance
        t.apply_gradient()
        t.update()
        for name in names:
            proof = load_layer(name).prove(t)
            assert proof.engaged, (name, proof)
    finally:
        t.close()


@pytest.mark.parametrize("name", LAYERS)
def test_the_plain_trainer_proves_no_layer(name: str, source: EpisodeSource) -> None:
    torch.compiler.reset()
    t = make(source, ())
    t.update()
    proof = load_layer(name).prove(t)
    assert not proof.engaged
    assert proof.reason


def test_autocast_that_is_off_is_not_engaged(source: EpisodeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.cuda.amp.autocast does on a machine without CUDA: nothing, without a word."""
    t = make(source, ("amp",))
    monkeypatch.setattr(t.precision, "autocast", lambda: torch.autocast("cpu", enabled=False))
    t.update()
    assert not load_layer("amp").prove(t).engaged


def test_a_loader_without_workers_is_not_engaged(source: EpisodeSource) -> None:
    t = make(source, ("dataloader",), replace(OPTIONS, num_workers=1))
    try:
        t.update()
        t.feed.served_by = {os.getpid()}  # type: ignore[attr-defined]
        assert not load_layer("dataloader").prove(t).engaged
    finally:
        t.close()


def test_the_timed_window_forbids_recompiling(source: EpisodeSource) -> None:
    torch.compiler.reset()
    layer: Layer = load_layer("compile")
    t = make(source, ("compile",))
    t.update()
    with layer.timed(t):
        t.update()
        with pytest.raises(Exception, match="recompile"):
            t.forward(torch.zeros(5, 122))
    assert layer.prove(t).evidence["calls"] == source.episode_length + 1
    assert layer.prove(t).evidence["recompiles"] == 0
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["batching", "compile", "dataloader"])
def test_evidence_from_before_the_timed_window_does_not_count(name: str, source: EpisodeSource) -> None:
    torch.compiler.reset()
    t = make(source, (name,))
    try:
        t.update()
        with load_layer(name).timed(t):
            pass
        assert not load_layer(name).prove(t).engaged
    finally:
        t.close()


def test_the_scaler_counts_skipped_steps() -> None:
    precision = MixedPrecision(torch.device("cpu"))
    assert precision.skipped_steps() == 0  # bfloat16 is not scaled
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=INITIAL_SCALE, growth_interval=NEVER)
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    for factor in (1.0, float("inf"), 1.0, float("inf")):
        optimizer.zero_grad()
        precision.backward((parameter * factor).sum())
        precision.unscale(optimizer)
        precision.step(optimizer)
        precision.finish_update()
    assert precision.skipped_steps() == 2
    assert parameter.tolist() == [-1.0, -1.0]  # two of the four steps were made


@pytest.mark.parametrize("pair", [pair for pair in combinations(LAYERS, 2) if pair not in RULES.excludes])
def test_composing_does_not_depend_on_the_order(pair: tuple[str, str]) -> None:
    one, other = (load_layer(name) for name in pair)
    a = compose(baseline_parts(), [one, other], OPTIONS)
    b = compose(baseline_parts(), [other, one], OPTIONS)
    assert a.episodes_per_update == b.episodes_per_update
    assert [type(getattr(a, f.name)) for f in fields(Parts)] == [type(getattr(b, f.name)) for f in fields(Parts)]


def scanned_in_python(step: Any, carry: Any, rows: tuple[torch.Tensor, ...]) -> tuple[Any, list[torch.Tensor]]:
    """What a scan is, without a compiler."""
    found = []
    for row in zip(*rows, strict=True):
        carry, outputs = step(carry, row)
        found.append(outputs)
    return carry, [torch.stack(column) for column in zip(*found, strict=True)]


class AnyNumber(TorchDispatchMode):
    """On the meta device a number that is read back is 0: there is nothing else to read."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 0
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and str((kwargs or {}).get("device")) == "cpu":
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("names", [*TRIED, *FURTHER_ON_GPUS], ids=lambda names: "+".join(names) or "baseline")
def test_every_combination_keeps_its_tensors_on_the_device(
    names: tuple[str, ...], source: EpisodeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run on a device that is not the host: an operator that mixes the two raises, as it would on a GPU.

    The meta device knows neither autocast nor a fused Adam, and torch.compile does not trace inside a dispatch
    mode; none of them moves a tensor.
    """
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, lr, fused: adam(parameters, lr=lr))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr("m2bench.optimizations.compiled_loop.scan", scanned_in_python)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch_device, "autocast_dtype", lambda _: torch.bfloat16)
    short = EpisodeSource(source.market, episode_length=3, seed=0)
    with AnyNumber():
        t = make(short, names, device="meta")
        try:
            for _ in range(2):
                assert t.update().is_meta
            assert all(loss.is_meta for loss in t.losses)
        finally:
            t.close()


@pytest.mark.cuda
@pytest.mark.parametrize(
    "names",
    [*every_combination(tuple(NOTE)), *FURTHER_ON_GPUS, *ON_CUDA],
    ids=lambda names: "+".join(names) or "baseline",
)
def test_every_combination_runs_on_cuda(names: tuple[str, ...], source: EpisodeSource) -> None:
    _runs_on("cuda", names, source)


@pytest.mark.mps
@pytest.mark.parametrize(
    "names", [*every_combination(tuple(NOTE)), *FURTHER_ON_GPUS], ids=lambda names: "+".join(names) or "baseline"
)
def test_every_combination_runs_on_mps(names: tuple[str, ...], source: EpisodeSource) -> None:
    _runs_on("mps", names, source)


def _runs_on(device: str, names: tuple[str, ...], source: EpisodeSource) -> None:
    torch.compiler.reset()
    t = make(source, names, device=device)
    try:
        returns = [float(t.update()) for _ in range(4)]
        assert all(torch.isfinite(p).all() for p in t.policy.parameters())
        assert len(returns) == 4
        for name in names:
            proof = load_layer(name).prove(t)
            assert proof.engaged, (name, proof)
    finally:
        t.close()
