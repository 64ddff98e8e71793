"""Layer ``frozen-macro``: no gradient of the macro part where the update leaves it alone and discards it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from m2bench.baselines.parts import Parts
from m2bench.baselines.policy import AsymmetricPolicyNetwork
from m2bench.baselines.trainer import Trainer

from .layer import OURS, Claim, Layer, LayerOptions, Proof


def freeze(policy: AsymmetricPolicyNetwork, macro_is_due: bool) -> None:
    for parameter in policy.macro.parameters():
        parameter.requires_grad_(macro_is_due)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, gradients=freeze)


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    trainer.steps = trainer.discarded = 0
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    evidence = {"updates": trainer.steps, "discarded_gradients": trainer.discarded}
    if trainer.discarded:
        return Proof(False, evidence, f"{trainer.discarded} updates computed a gradient of the macro part for nothing")
    if trainer.steps < trainer.settings.macro_interval:
        return Proof(False, evidence, "there was no update that leaves the macro part alone")
    return Proof(True, evidence)


LAYER = Layer(
    name="frozen-macro",
    part="gradients",
    summary="no gradient of the macro part in updates that leave it alone",
    claim=Claim(low=1.1, high=1.3, text="1.1-1.3x", difficulty="low", priority="medium", source=OURS),
    compiled_apart=True,
    apply=apply,
    prove=prove,
    timed=timed,
)
