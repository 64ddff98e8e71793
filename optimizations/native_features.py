"""Layer ``native-features``: the features of all episodes of a batch are prepared in C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource
from m2bench.baselines.features import MACRO_FEATURES, MACRO_WINDOW, MICRO_FEATURES, MICRO_WINDOW, NUM_FEATURES
from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import OURS, Claim, Layer, LayerOptions, Proof

# What features.window_features computes, operation by operation, so that every bit is the same: hence no fused
# multiply-add. ``sums`` and ``squares`` are the prefix sums of one episode.
SOURCE = f"""
#include <math.h>
#include <stdint.h>
enum {{ F = {NUM_FEATURES}, MACRO = {MACRO_WINDOW}, MICRO = {MICRO_WINDOW} }};

static void summarize(const double *sums, const double *squares, const float *last, int64_t end, int64_t window,
                      float *restrict out) {{
    for (int f = 0; f < F; f++) {{
        double mean = (sums[end * F + f] - sums[(end - window) * F + f]) / window;
        double variance = (squares[end * F + f] - squares[(end - window) * F + f]) / window - mean * mean;
        out[f] = (float)mean;
        out[F + f] = (float)sqrt(variance > 0.0 ? variance : 0.0);
        out[2 * F + f] = last[f];
    }}
}}

/* features (candles, F), starts (episodes), scratch 2 (steps + MACRO) F, out (steps, episodes, 6 F). */
void window_features(const float *features, const int64_t *starts, int64_t episodes, int64_t steps, double *scratch,
                     float *out) {{
    int64_t rows = steps + MACRO - 1;
    double *sums = scratch, *squares = scratch + (rows + 1) * F;
    for (int64_t n = 0; n < episodes; n++) {{
        const float *stretch = features + (starts[n] - MACRO + 1) * F;
        for (int f = 0; f < F; f++)
            sums[f] = squares[f] = 0.0;
        for (int64_t row = 0; row < rows; row++)
            for (int f = 0; f < F; f++) {{
                double value = stretch[row * F + f];
                sums[(row + 1) * F + f] = sums[row * F + f] + value;
                squares[(row + 1) * F + f] = squares[row * F + f] + value * value;
            }}
        for (int64_t step = 0; step < steps; step++) {{
            const float *last = stretch + (step + MACRO - 1) * F;
            float *row = out + (step * episodes + n) * 6 * F;
            summarize(sums, squares, last, step + MACRO, MACRO, row);
            summarize(sums, squares, last, step + MACRO, MICRO, row + 3 * F);
        }}
    }}
}}
"""
# Beside -O3: what lets it use vectors, but changes no result.
COMPILER = (
    "cc",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)


@cache
def compiled_features() -> ctypes.CDLL:
    """Compiled once for a process and those forked from it. CalledProcessError where that fails."""
    with TemporaryDirectory() as folder:
        source, made = Path(folder, "features.c"), Path(folder, "features.so")
        source.write_text(SOURCE)
        subprocess.run([*COMPILER, source, "-o", made, "-lm"], check=True, capture_output=True, text=True)
        return ctypes.CDLL(str(made))


class NativePreparation:
    """What ``EpisodeSource.prepare_many`` prepares, to the bit.

    It is compiled when it is made, before any process is forked. ``prepared``: how many episodes so far, by all
    processes that have it. ``before``: what was prepared, and what was learned from, before the timed window.
    """

    def __init__(self) -> None:
        compiled_features()
        # Of the kind of process that data loaders and replicas are.
        context = get_context(torch_device.worker_start_method(torch.device("cpu")))
        self.prepared = context.Value("q")
        self.before = (0, 0)

    def __call__(self, source: EpisodeSource, episodes: Sequence[int]) -> EpisodeBatch:
        starts, noise = zip(*map(source.draw, episodes), strict=True)
        features = windows(source.market.features, np.array(starts), len(noise[0]))
        with self.prepared:
            self.prepared.value += len(starts)
        return source.batch(np.array(starts), np.stack(noise, axis=1), episodes, features)


def windows(features: NDArray[np.float32], starts: NDArray[np.int64], steps: int) -> NDArray[np.float32]:
    """``features.window_features`` of N episodes that begin at these candles, (T, N, 120)."""
    if not (features.flags.c_contiguous and starts.min() + 1 >= MACRO_WINDOW and starts.max() + steps <= len(features)):
        raise ValueError(f"{len(features)} candles do not hold the windows of episodes from {starts.min()} on")
    out = np.empty((steps, len(starts), MACRO_FEATURES + MICRO_FEATURES), dtype=np.float32)
    scratch = np.empty(2 * (steps + MACRO_WINDOW) * NUM_FEATURES)
    whole = ctypes.c_int64
    compiled_features().window_features(
        *(array.ctypes.data_as(ctypes.c_void_p) for array in (features, starts)),
        whole(len(starts)),
        whole(steps),
        *(array.ctypes.data_as(ctypes.c_void_p) for array in (scratch, out)),
    )
    return out


def why_no_c(device: torch.device, options: LayerOptions) -> str | None:
    if shutil.which(COMPILER[0]) is None:
        return f"it is compiled with {COMPILER[0]}, which is not on the PATH"
    try:
        compiled_features()
    except (subprocess.CalledProcessError, OSError) as error:
        words = getattr(error, "stderr", "") or str(error)
        return f"{COMPILER[0]} cannot compile it ({words.strip().splitlines()[0]})"
    return None


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, preparation=NativePreparation())


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    preparation = trainer.parts.preparation
    assert isinstance(preparation, NativePreparation)
    preparation.before = (preparation.prepared.value, trainer.episodes)
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    """At work: what was learned from in the window was prepared in C, in it or, by a data loader, before it."""
    preparation = trainer.parts.preparation
    if not isinstance(preparation, NativePreparation):
        return Proof(False, {"prepared_in_c": 0}, "no episode is prepared in C")
    prepared, learned = preparation.before
    ahead, episodes = max(0, prepared - learned), trainer.episodes - learned
    in_c = preparation.prepared.value - prepared
    evidence = {"episodes": episodes, "prepared_in_c": in_c, "prepared_ahead_in_c": ahead}
    if ahead + in_c >= episodes:
        return Proof(True, evidence)
    return Proof(False, evidence, f"{ahead + in_c} of {episodes} episodes were prepared in C")


LAYER = Layer(
    name="native-features",
    part="preparation",
    summary="features of all episodes of a batch are prepared in compiled C",
    claim=Claim(low=1.1, high=1.3, text="1.1-1.3x", difficulty="medium", priority="low", source=OURS),
    apply=apply,
    prove=prove,
    unsupported=why_no_c,
    timed=timed,
)
