"""The asymmetric macro/micro policy network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .episodes import NUM_ACTIONS
from .features import MACRO_FEATURES, MICRO_FEATURES
from .hyperparameters import PolicySize as PolicySize

MACRO_OUTPUT = 128
MACRO_LAYERS: dict[PolicySize, tuple[int, ...]] = {
    "default": (128, 64, 32, 64, MACRO_OUTPUT),
    "deep": (128,) * 8 + (64,) * 7 + (32,) * 7 + (64,) * 7 + (MACRO_OUTPUT,) * 8,
}
MICRO_LAYERS: dict[PolicySize, tuple[int, ...]] = {
    "default": (128, 64),
    "deep": (128,) * 5 + (64,) * 5,
}
HEAD_WIDTH = 104  # makes the default size 83,043 parameters
LAST_BIAS = "head.1.bias"  # as many as there are outputs
ACCOUNT_FEATURES = 2  # position, cash / capital


class Linear(nn.Linear):
    """``product``: of rows (N, I) and some columns (O, I) of the weight, with the bias."""

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.weight)

    def product(self, x: Tensor, columns: Tensor) -> Tensor:
        return nn.functional.linear(x, columns, self.bias)


class Block(nn.Module):
    """Linear, LayerNorm, ReLU; with a way around where the width stays, or 37 of them would not train."""

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.linear = Linear(width_in, width_out)
        self.norm = nn.LayerNorm(width_out)
        self.around = width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.activate(self.linear(x))
        return x + y if self.around else y

    def activate(self, y: Tensor) -> Tensor:
        """What is done with the product (N, width)."""
        # In mixed precision too a norm computes in that of its weights. Autocast sees to it on CUDA and MPS, not on a
        # CPU, where the gradients of its weights would be added up in bfloat16, and lose most of themselves.
        return torch.relu(self.norm(y.to(self.norm.weight.dtype)))


class AsymmetricPolicyNetwork(nn.Module):
    """Macro encoder-decoder, micro network that also reads the macro embedding, decision head.

    ``forward`` takes states (N, macro + micro + 2) and gives logits (N, 3), ``with_values`` (N, 4): the last column is
    the state's value, the return that is expected from it. The macro part (``macro``) is trained at its own rate;
    ``micro`` and ``head`` form the other part.
    """

    def __init__(
        self,
        macro_features: int = MACRO_FEATURES,
        micro_features: int = MICRO_FEATURES,
        size: PolicySize = "default",
        with_values: bool = False,
    ):
        super().__init__()
        self.with_values = with_values
        self.split = (macro_features, micro_features, ACCOUNT_FEATURES)
        micro_layers = MICRO_LAYERS[size]
        self.macro = _stack((macro_features, *MACRO_LAYERS[size]))
        self.micro = _stack((micro_features + MACRO_OUTPUT, *micro_layers))
        self.head = nn.Sequential(
            Block(MACRO_OUTPUT + micro_layers[-1] + ACCOUNT_FEATURES, HEAD_WIDTH),
            nn.Linear(HEAD_WIDTH, NUM_ACTIONS + with_values),
        )

    def forward(self, states: Tensor) -> Tensor:
        macro, micro, account = states.split(self.split, dim=1)
        embedding = self.macro(macro)
        detail = self.micro(torch.cat((micro, embedding), dim=1))
        outputs: Tensor = self.head(torch.cat((embedding, detail, account), dim=1))
        return outputs

    def probabilities(self, states: Tensor) -> Tensor:
        """Action probabilities (N, 3)."""
        return torch.softmax(self(states)[:, :NUM_ACTIONS], dim=1)


def make_policy(
    size: PolicySize, seed: int, device: torch.device, with_values: bool = False
) -> AsymmetricPolicyNetwork:
    """A policy whose initial weights depend on ``seed`` alone: made on the host, then moved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = AsymmetricPolicyNetwork(size=size, with_values=with_values)
    return policy.to(device)


def _stack(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
