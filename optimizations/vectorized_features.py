"""Layer ``vectorized-features``: the features of all episodes of a batch are prepared together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from types import FrameType, FunctionType
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource
from m2bench.baselines.features import (
    MACRO_FEATURES,
    MACRO_WINDOW,
    MICRO_FEATURES,
    MICRO_WINDOW,
    NUM_FEATURES,
    SUMMARIES,
    window_features,
)
from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer

from .layer import OURS, Claim, Layer, LayerOptions, Proof

TOGETHER = 16
"""Episodes whose sums stay in the cache."""


def prepare_together(source: EpisodeSource, episodes: Sequence[int]) -> EpisodeBatch:
    """What ``EpisodeSource.prepare_many`` prepares, to the bit."""
    draws = [source.draw(episode) for episode in episodes]
    starts = np.array([start for start, _ in draws])
    market, steps = source.market, len(draws[0][1])
    close = market.close[starts + np.arange(steps + 1)[:, None]]
    features = np.empty((steps, len(starts), MACRO_FEATURES + MICRO_FEATURES), dtype=np.float32)
    for first in range(0, len(starts), TOGETHER):
        part = slice(first, first + TOGETHER)
        summarize_windows(market.features, starts[part], features[:, part])
    return EpisodeBatch(
        features=torch.from_numpy(features),
        price_changes=torch.from_numpy((close[1:] / close[:-1] - 1.0).astype(np.float32)),
        noise=torch.from_numpy(np.stack([noise for _, noise in draws], axis=1).astype(np.float32)),
        numbers=torch.tensor(list(episodes)),
    )


def summarize_windows(features: NDArray[np.float32], starts: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """``features.window_features`` of N episodes that begin at these candles, into ``out`` (T, N, 120)."""
    steps = len(out)
    values = features[np.arange(1 - MACRO_WINDOW, steps)[:, None] + starts]
    sums = np.zeros((len(values) + 1, 2, *values.shape[1:]))
    sums[1:, 0] = values
    np.multiply(sums[1:, 0], sums[1:, 0], out=sums[1:, 1])
    for before, row in pairwise(sums):  # each row is that of all episodes
        np.add(before, row, out=row)
    for window, column in ((MACRO_WINDOW, 0), (MICRO_WINDOW, MACRO_FEATURES)):
        within = (sums[MACRO_WINDOW:] - sums[MACRO_WINDOW - window : MACRO_WINDOW - window + steps]) / window
        mean, variance = within[:, 0], within[:, 1] - within[:, 0] * within[:, 0]
        summaries = (mean, np.sqrt(np.maximum(variance, 0.0)), values[MACRO_WINDOW - 1 :])
        for first, summary in zip(
            range(column, column + SUMMARIES * NUM_FEATURES, NUM_FEATURES), summaries, strict=True
        ):
            out[:, :, first : first + NUM_FEATURES] = summary


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, preparation=prepare_together)


def calls_of(function: FunctionType, work: Callable[[], object]) -> int:
    """How often a Python function is called in some work of this thread."""
    count = 0

    def watch(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code is function.__code__

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def prove(trainer: Trainer) -> Proof:
    episodes = range(trainer.parts.rollout.num_envs)
    alone = calls_of(cast(FunctionType, window_features), lambda: trainer.prepare(episodes))
    evidence = {"episodes": len(episodes), "prepared_alone": alone}
    if alone:
        return Proof(False, evidence, f"the features of {alone} of {len(episodes)} episodes are prepared one by one")
    return Proof(True, evidence)


LAYER = Layer(
    name="vectorized-features",
    part="preparation",
    summary="features of all episodes of a batch are prepared together",
    claim=Claim(low=1.05, high=1.2, text="1.05-1.2x", difficulty="low", priority="low", source=OURS),
    apply=apply,
    prove=prove,
)
