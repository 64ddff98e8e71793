"""Layer ``compile``: the policy through torch.compile."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer
from m2bench.devices import compiler

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, forward=partial(compiler.Compiled, backend=options.compile_backend))


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    return compiler.no_recompiles([stage for stage in trainer.called if isinstance(stage, compiler.Compiled)])


def prove(trainer: Trainer) -> Proof:
    stages = [stage for stage in trainer.called if isinstance(stage, compiler.Compiled)]
    if len(stages) < len(trainer.called):
        return Proof(False, {}, "the policy that is called is not a compiled one")
    return compiler.prove_compiled(stages, "policy", trainer.device, trainer.precision.autocast)


LAYER = Layer(
    name="compile",
    part="forward",
    summary="torch.compile of the policy, inductor on CPU and CUDA, aot_eager on MPS",
    claim=Claim(low=1.5, high=2.5, text="1.5-2.5x", difficulty="low", priority="high", source=DESIGN_NOTE),
    apply=apply,
    prove=prove,
    unsupported=lambda device, options: compiler.why_no_compile(device, options.compile_backend),
    compiles=True,
    timed=timed,
)
