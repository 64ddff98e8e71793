"""Layer ``grad-accumulation``: several backward passes gather the gradient of one step."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from m2bench.baselines.parts import Parts, UpdateRule
from m2bench.baselines.trainer import Trainer

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, update=UpdateRule(backwards=options.accumulation_steps))


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    trainer.backwards = trainer.steps = 0
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    per_step = trainer.backwards / trainer.steps if trainer.steps else 0.0
    evidence = {"backwards_per_step": per_step}
    if per_step > 1:
        return Proof(True, evidence)
    return Proof(False, evidence, f"{per_step:g} backward passes per optimizer step, not more than 1")


LAYER = Layer(
    name="grad-accumulation",
    part="update",
    summary="loss / 4, one optimizer step for 4 backward passes",
    claim=Claim(
        low=1.0, high=1.0, text="stability, no extra cost", difficulty="low", priority="low", source=DESIGN_NOTE
    ),
    apply=apply,
    prove=prove,
    timed=timed,
)
