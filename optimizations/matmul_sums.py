"""Layer ``matmul-sums``: sums over all rows, in the gradients of biases and norms, as matrix products."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from m2bench.baselines.parts import Parts
from m2bench.baselines.policy import AsymmetricPolicyNetwork, Block, Linear
from m2bench.baselines.trainer import Trainer

from .layer import OURS, Claim, Layer, LayerOptions, Proof


class Spread(torch.autograd.Function):
    """A parameter (W,) as each of N rows, (N, W).

    Its gradient, the sum of the rows' gradients, is the product of a row of ones with these. Like every product, within
    autocast it reads them in autocast's precision and adds up in single precision.
    """

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, rows: int) -> Tensor:
        device = parameter.device.type
        within_autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        ctx.dtype = torch.get_autocast_dtype(device) if within_autocast else parameter.dtype
        return parameter.expand(rows, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ones = torch.ones(1, len(gradient), dtype=ctx.dtype, device=gradient.device)
        return (ones @ gradient.to(ctx.dtype))[0].to(gradient.dtype), None


def spread(parameter: Tensor, rows: int) -> Tensor:
    spread_out: Tensor = Spread.apply(parameter, rows)  # type: ignore[no-untyped-call]
    return spread_out


class SummedLinear(Linear):
    """``linear`` with its own weights, of rows (N, W)."""

    def __init__(self, linear: Linear):
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias

    def product(self, x: Tensor, columns: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().product(x, columns)
        product = nn.functional.linear(x, columns)
        return product + spread(self.bias, len(product))


class SummedNorm(nn.LayerNorm):
    """``norm`` with its own weights, of rows (N, W)."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__(norm.normalized_shape, norm.eps, device="meta")
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        normed = nn.functional.layer_norm(x, self.normalized_shape, eps=self.eps)
        return normed * spread(self.weight, len(normed)) + spread(self.bias, len(normed))


def sum_by_products(policy: AsymmetricPolicyNetwork) -> None:
    for block in blocks_of(policy):
        block.linear, block.norm = SummedLinear(block.linear), SummedNorm(block.norm)


def blocks_of(policy: AsymmetricPolicyNetwork) -> list[Block]:
    return [module for module in policy.modules() if isinstance(module, Block)]


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, sums=sum_by_products)


def prove(trainer: Trainer) -> Proof:
    """Look at what is differentiated where the policy is called: three parameters of each block, for all rows."""
    wanted, found = 3 * len(blocks_of(trainer.policy)), _spread_parameters(trainer)
    evidence = {"sums": wanted, "sums_by_products": found}
    return Proof(found == wanted, evidence, None if found == wanted else f"{found} of {wanted} sums are products")


def _spread_parameters(trainer: Trainer) -> int:
    """How often the derivative of the policy's stages goes through ``Spread``."""
    policy = deepcopy(trainer.policy).requires_grad_()  # another layer may have frozen a part of it
    stages = trainer.parts.stages(policy)
    states = torch.ones(2, sum(policy.split), device=trainer.device)
    with torch.enable_grad(), trainer.precision.autocast():
        market = [] if stages.encode is None else [stages.encode(states[:, : sum(policy.split[:2])])]
        nodes, met = [stages.decide(states, *market).grad_fn], set[Any]()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in met:
            met.add(node)
            nodes += [following for following, _ in node.next_functions]
    return sum(type(node).__name__ == f"{Spread.__name__}Backward" for node in met)


LAYER = Layer(
    name="matmul-sums",
    part="sums",
    summary="sums over all rows, in the gradients of biases and norms, as matrix products",
    claim=Claim(low=1.0, high=1.3, text="1.0-1.3x", difficulty="low", priority="medium", source=OURS),
    apply=apply,
    prove=prove,
)
