"""Layer ``amp``: mixed precision by autocast, with gradient scaling where float16 needs it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor, nn

from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import DESIGN_NOTE, Claim, Contract, Layer, LayerOptions, Proof

# torch's default of 65536 overflows on purpose in the first steps, which would skip updates that every other
# combination makes. REINFORCE's gradient of a logit is of order 1, so 1024 leaves a factor of 60 to float16's end.
INITIAL_SCALE = 1024.0
# The scale never grows, so that each halving is exactly one skipped step.
NEVER = 2**31 - 1


class MixedPrecision:
    """Autocast around the rollout; float16 gradients are scaled, bfloat16 has the range to do without.

    The rollout returns its logits in float32, so the loss is computed in float32.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.dtype = torch_device.autocast_dtype(device)
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=INITIAL_SCALE, growth_interval=NEVER, enabled=self.dtype is torch.float16
        )

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=self.dtype)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        self.scaler.step(optimizer)

    def finish_update(self) -> None:
        self.scaler.update()

    def forgives_overflow(self) -> bool:
        """A scaled gradient may overflow and costs a step; one that is not even scaled up any more may not."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1.0

    def skipped_steps(self) -> int:
        """Updates in which a gradient overflowed and was thrown away."""
        return round(math.log2(INITIAL_SCALE / self.scaler.get_scale())) if self.scaler.is_enabled() else 0


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, precision=MixedPrecision)


def prove(trainer: Trainer) -> Proof:
    """Look at the dtype of the policy's own matrix product inside the trainer's autocast."""
    weight = trainer.policy.macro.get_parameter("0.linear.weight")
    with torch.no_grad(), trainer.precision.autocast():
        seen = nn.functional.linear(torch.ones(2, weight.shape[1], device=trainer.device), weight).dtype
    skipped = trainer.precision.skipped_steps() if isinstance(trainer.precision, MixedPrecision) else 0
    left_on = torch.is_autocast_enabled(trainer.device.type)
    evidence = {"matmul_dtype": str(seen).removeprefix("torch."), "skipped_steps": skipped, "left_on": left_on}
    wanted = torch_device.autocast_dtype(trainer.device)
    if left_on:
        return Proof(False, evidence, "autocast was still on after the update that entered it")
    if seen is wanted:
        return Proof(True, evidence)
    return Proof(False, evidence, f"a matrix product inside autocast came out as {seen}, not {wanted}")


LAYER = Layer(
    name="amp",
    part="precision",
    summary="autocast, float16 with gradient scaling on MPS and CUDA, bfloat16 on CPU",
    claim=Claim(
        low=1.5,
        high=2,
        text="1.5-2x, half the memory",
        difficulty="low",
        priority="high",
        memory=0.5,
        source=DESIGN_NOTE,
    ),
    # bfloat16 keeps 8 bits and the terms of a policy gradient largely cancel: a quarter of one parameter's gradient is
    # often rounding. Where it is more, the referee knows. See docs/decisions/006-what-counts-as-the-same.md.
    contract=Contract(floor=0.4),
    compiled_apart=True,
    apply=apply,
    prove=prove,
    unsupported=lambda device, options: torch_device.why_no_autocast(device),
)
