"""What the further layers compute is what the plain trainer computes, in double precision or to the bit."""

from __future__ import annotations

import pytest
import torch

from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.policy import PolicySize, make_policy
from m2bench.optimizations import vectorized_features
from m2bench.optimizations.encode_once import Decider, Encoder


@pytest.mark.parametrize("size", ["default", "deep"])
def test_a_decision_on_an_encoding_is_the_policys_decision(size: PolicySize, cpu: torch.device) -> None:
    """A product with columns side by side is the sum of the products with each of them."""
    policy = make_policy(size, 0, cpu).double()
    states = torch.randn(40, 122, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    encoding = Encoder(policy)(states[:, :120])
    torch.testing.assert_close(Decider(policy)(states, encoding), policy(states), rtol=1e-12, atol=1e-12)
    only_the_account = Decider(policy)(states[:, 120:], encoding)
    torch.testing.assert_close(only_the_account, policy(states), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("together", [1, 2, 16])
def test_episodes_prepared_together_are_those_prepared_alone(
    together: int, source: EpisodeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectorized_features, "TOGETHER", together)
    numbers = [5, 0, 5, 77, 1]
    found = vectorized_features.prepare_together(source, numbers)
    alone = source.prepare_many(numbers)
    for name in ("features", "price_changes", "noise", "numbers"):
        ours, theirs = getattr(found, name), getattr(alone, name)
        assert ours.dtype is theirs.dtype
        assert torch.equal(ours, theirs), name
