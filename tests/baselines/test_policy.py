"""The policy has the shape that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from m2bench.baselines.policy import AsymmetricPolicyNetwork, make_policy


def first_linear(block: Any) -> nn.Linear:
    linear: nn.Linear = block.linear
    return linear


def linear_layers(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Linear) for part in module.modules())


def test_the_default_size_has_about_83k_parameters() -> None:
    policy = AsymmetricPolicyNetwork(macro_features=60, micro_features=60)
    assert sum(p.numel() for p in policy.parameters()) == 83_043
    widths = [first_linear(block).out_features for block in policy.macro]
    assert widths == [128, 64, 32, 64, 128]
    assert [first_linear(block).out_features for block in policy.micro] == [128, 64]


def test_the_deep_size_has_37_macro_and_10_micro_layers() -> None:
    policy = AsymmetricPolicyNetwork(size="deep")
    assert linear_layers(policy.macro) == 37
    assert linear_layers(policy.micro) == 10
    assert not any(isinstance(part, nn.Dropout) for part in policy.modules())


@pytest.mark.parametrize("size", ["default", "deep"])
def test_gradients_reach_the_first_macro_layer(size: str, cpu: torch.device) -> None:
    policy = make_policy(size, 0, cpu)  # type: ignore[arg-type]
    policy(torch.randn(5, 122)).square().sum().backward()
    gradient = first_linear(policy.macro[0]).weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 1e-6


def test_probabilities_are_the_softmax_of_the_logits(cpu: torch.device) -> None:
    policy = make_policy("default", 0, cpu)
    states = torch.randn(7, 122)
    logits = policy(states).double()
    expected = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(policy.probabilities(states).double(), expected, rtol=1e-5, atol=1e-6)


def test_initial_weights_depend_on_the_seed_alone(cpu: torch.device) -> None:
    torch.manual_seed(1)
    one = make_policy("default", 4, cpu).state_dict()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    same = make_policy("default", 4, cpu).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    other = make_policy("default", 5, cpu).state_dict()
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["head.1.weight"], other["head.1.weight"])
