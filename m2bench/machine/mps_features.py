"""From which version of torch on each feature can be used on MPS; one table, which the rest asks.

Sources are issues and pull requests of pytorch/pytorch.
"""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.records.description import MissingFeature

Version = tuple[int, int]
LEAST_MACOS = 14  # for MPS, since torch 2.9 (#174454)


@dataclass(frozen=True)
class Feature:
    """What it is, the first version in which it is right (None: in none so far), and what holds otherwise."""

    name: str
    since: Version | None
    otherwise: str
    source: str

    def is_right_in(self, version: Version) -> bool:
        return self.since is not None and version >= self.since

    @property
    def release(self) -> str | None:
        """The torch that has it."""
        return None if self.since is None else f"torch {self.since[0]}.{self.since[1]}"


FEATURES = {
    "everything": Feature(
        "LayerNorm and compiled code without known wrong results", (2, 13), "an upgrade is advised", "#183893, #191976"
    ),
    "autocast": Feature("autocast to float16", (2, 5), "amp cannot run", "#99272"),
    "bfloat16": Feature("autocast to bfloat16", (2, 6), "float16 is used, as it is in later versions", "#139390"),
    "scaler": Feature("gradient scaling", (2, 8), "amp cannot run", "#150255"),
    "fused_scaler": Feature(
        "fused Adam with gradient scaling", (2, 13), "amp cannot run: fused Adam ignores skipped steps", "#186360"
    ),
    "inductor": Feature(
        "torch.compile by inductor", (2, 13), "compiled LayerNorm is wrong, so inductor is refused", "#191976"
    ),
    "layout": Feature(
        "inductor's layout optimization of convolutions", None,
        "they train slower compiled; the policy has none, with your own set TORCHINDUCTOR_LAYOUT_OPTIMIZATION=0",
        "#192551",
    ),
    "layer_norm": Feature(
        "LayerNorm on inputs without gradient", (2, 13),
        "its weights' gradients are wrong, which the numerics checks find", "#183893",
    ),
    "sampling": Feature("torch.multinomial", None, "actions are drawn by argmax over Gumbel noise", "#192577"),
    "peak_memory": Feature(
        "peak memory", (2, 13), "trials report none; profile has a sampled peak, the most at the ends of phases",
        "#186748",
    ),
    "events": Feature("device events for timing", None, "the clock is read when the device is done", "#196395"),
    "pinning": Feature("page-locked memory and copies without waiting", None, "neither is used", "#189690"),
    "streams": Feature("copies beside computation", None, "copies wait their turn", "#191415"),
}  # fmt: skip


def is_usable(name: str, version: Version) -> bool:
    """Whether the feature called ``name`` can be used in this version of torch."""
    return FEATURES[name].is_right_in(version)


def missing_features(version: Version) -> list[MissingFeature]:
    """What cannot be used in this version, and what holds instead."""
    return [
        MissingFeature(
            feature=feature.name,
            needs=feature.release or "no release so far",
            otherwise=feature.otherwise,
            source=f"pytorch/pytorch{feature.source}",
            release=feature.release,
        )
        for feature in FEATURES.values()
        if not feature.is_right_in(version)
    ]
