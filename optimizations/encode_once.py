"""Layer ``encode-once``: what depends on the market alone is computed for a whole episode in one pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from m2bench.baselines.parts import Parts, Stages
from m2bench.baselines.policy import ACCOUNT_FEATURES, AsymmetricPolicyNetwork, Block, Linear
from m2bench.baselines.trainer import Trainer

from .layer import OURS, Claim, Layer, LayerOptions, Proof


class Encoder(nn.Module):
    """Market features (M, 120) to their share of the head's first product, (M, 104).

    A product with columns that stand side by side is the sum of the products with each: those of the market and those
    of the account; and none has to be put beside another in memory.
    """

    def __init__(self, policy: AsymmetricPolicyNetwork):
        super().__init__()
        self.policy = policy

    def forward(self, market: Tensor) -> Tensor:
        macro, micro = market.split(self.policy.split[:2], dim=1)
        first, *rest = (cast(Block, block) for block in self.policy.micro)
        embedding = self.policy.macro(macro)
        detail = first.activate(_product((micro, embedding), first.linear, first.linear.weight))
        for block in rest:
            detail = block(detail)
        head = _head(self.policy)[0].linear
        return _product((embedding, detail), head, head.weight[:, :-ACCOUNT_FEATURES])


class Decider(nn.Module):
    """States (N, S), of which only the account is read, and the encoding (N, 104) of their market, to the outputs."""

    def __init__(self, policy: AsymmetricPolicyNetwork):
        super().__init__()
        self.policy = policy

    def forward(self, states: Tensor, encoding: Tensor) -> Tensor:
        first, last = _head(self.policy)
        account = _narrow_product(states[:, -ACCOUNT_FEATURES:], first.linear.weight[:, -ACCOUNT_FEATURES:])
        return _narrow_product(first.activate(encoding + account), last.weight, last.bias)


def _head(policy: AsymmetricPolicyNetwork) -> tuple[Block, nn.Linear]:
    first, last = policy.head
    return cast(Block, first), cast(nn.Linear, last)


def _product(parts: tuple[Tensor, Tensor], linear: Linear, columns: Tensor) -> Tensor:
    """Rows of two parts (M, A) and (M, B) side by side times the transpose of columns (O, A + B), with the bias."""
    one, other = parts
    width = one.shape[1]
    return nn.functional.linear(one, columns[:, :width]) + linear.product(other, columns[:, width:])


def _narrow_product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows (N, I) times the transpose of the weight (O, I), where I or O is very small.

    For a compiler it is written as a sum, which is fused with what is around it; not where it is differentiated,
    since the gradient of the weight is a sum over all rows.
    """
    if torch.is_grad_enabled() or not torch.compiler.is_compiling():
        return nn.functional.linear(x, weight, bias)
    product = (x.unsqueeze(1) * weight).sum(dim=2)
    return product if bias is None else product + bias


def divide(policy: AsymmetricPolicyNetwork) -> Stages:
    return Stages(Decider(policy), Encoder(policy))


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, stages=divide)


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    trainer.plays = trainer.encoded_steps = trainer.encodings = 0
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    passes = trainer.encodings / trainer.plays if trainer.plays else 0.0
    steps = trainer.encoded_steps / trainer.encodings if trainer.encodings else 0.0
    evidence = {"passes_per_rollout": passes, "steps_per_pass": steps}
    if passes == 1 and steps > 1:
        return Proof(True, evidence)
    return Proof(False, evidence, f"{passes:g} encoding passes of {steps:g} steps for one rollout")


LAYER = Layer(
    name="encode-once",
    part="stages",
    summary="macro and micro network see all steps of an episode in one pass, the head alone follows step by step",
    claim=Claim(low=2, high=4, text="2-4x", difficulty="medium", priority="high", source=OURS),
    compiled_apart=True,
    apply=apply,
    prove=prove,
    timed=timed,
)
