"""Layer ``compile``: the policy through torch.compile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
import torch._inductor.config
from torch import Tensor, nn
from torch._dynamo.utils import counters, get_compilation_metrics
from torch.profiler import ProfilerActivity, profile

from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer
from m2bench.devices import compiler

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


class CompiledForward:
    """A compiled stage of the policy. Shapes are static, and a graph that breaks is an error, not a slow path."""

    def __init__(self, stage: nn.Module, device: torch.device, backend: str | None):
        self.backend = backend or compiler.compile_backend(device)
        self.calls = 0
        self.recompiles = 0
        torch._inductor.config.compile_threads = compiler.compiler_threads(device)
        self._compiled = torch.compile(stage, backend=self.backend, fullgraph=True, dynamic=False)

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.calls += 1
        self._last = [(x.shape, x.requires_grad) for x in inputs], torch.is_grad_enabled()
        output: Tensor = self._compiled(*inputs)
        return output

    def compiled_regions(self, trainer: Trainer) -> int:
        """How many compiled regions one more call like the last one runs through, as torch's profiler sees them."""
        shapes, grad = self._last
        inputs = [torch.zeros(shape, device=trainer.device, requires_grad=needs) for shape, needs in shapes]
        with (
            profile(activities=[ProfilerActivity.CPU]) as profiler,
            torch.set_grad_enabled(grad),
            trainer.precision.autocast(),
        ):
            self._compiled(*inputs)
        events = profiler.profiler.kineto_results.events()
        return sum(event.name().startswith("Torch-Compiled Region") for event in events)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, forward=partial(CompiledForward, backend=options.compile_backend))


@contextmanager
def timed(trainer: Trainer) -> Iterator[None]:
    """In the timed window every call must be served by a graph that is there: a recompile is an error."""
    stages = [stage for stage in trainer.called if isinstance(stage, CompiledForward)]
    compilations = len(get_compilation_metrics())
    for stage in stages:
        stage.calls = 0
    torch.compiler.set_stance("fail_on_recompile")
    try:
        yield
    finally:
        torch.compiler.set_stance("default")
        for stage in stages:
            stage.recompiles = len(get_compilation_metrics()) - compilations


def prove(trainer: Trainer) -> Proof:
    stages = [stage for stage in trainer.called if isinstance(stage, CompiledForward)]
    if len(stages) < len(trainer.called):
        return Proof(False, {}, "the policy that is called is not a compiled one")
    calls = [stage.calls for stage in stages]
    evidence = {
        "backend": stages[0].backend,
        "graphs": int(counters["stats"]["unique_graphs"]),
        "calls": sum(calls),
        "compiled_regions_per_call": min(stage.compiled_regions(trainer) for stage in stages) if all(calls) else 0,
        "recompiles": stages[0].recompiles,
        "cache": _cache(),
    }
    if not all(calls):
        return Proof(False, evidence, "the compiled policy was never called")
    if not evidence["graphs"]:
        return Proof(False, evidence, "torch.compile produced no graph and ran the policy as it is")
    if not evidence["compiled_regions_per_call"]:
        return Proof(False, evidence, "a call of the compiled policy runs through no compiled code")
    return Proof(True, evidence)


def _cache() -> str | None:
    """Whether inductor had to compile ("cold") or found everything compiled ("warm"); None for other backends."""
    if counters["inductor"]["fxgraph_cache_miss"]:
        return "cold"
    found = counters["inductor"]["fxgraph_cache_hit"] or counters["aot_autograd"]["autograd_cache_hit"]
    return "warm" if found else None


LAYER = Layer(
    name="compile",
    part="forward",
    summary="torch.compile of the policy, inductor on CPU and CUDA, aot_eager on MPS",
    claim=Claim(low=1.5, high=2.5, text="1.5-2.5x", difficulty="low", priority="high", source=DESIGN_NOTE),
    apply=apply,
    prove=prove,
    unsupported=lambda device, options: compiler.why_no_compile(
        device, options.compile_backend or compiler.compile_backend(device)
    ),
    compiles=True,
    timed=timed,
)
