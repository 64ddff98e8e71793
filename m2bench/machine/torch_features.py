"""From which version of torch on each feature can be used on MPS; one table, which the rest asks.

Sources are issues and pull requests of pytorch/pytorch.
"""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, int]
LEAST_MACOS = 14  # for MPS, since torch 2.9 (#174454)


@dataclass(frozen=True)
class Gate:
    """A feature, the first version in which it is right (None: in none so far), and what holds otherwise."""

    feature: str
    since: Version | None
    otherwise: str
    source: str

    def open_in(self, version: Version) -> bool:
        return self.since is not None and version >= self.since


GATES = {
    "everything": Gate(
        "LayerNorm and compiled code without known wrong results", (2, 13), "an upgrade is advised", "#183893, #191976"
    ),
    "autocast": Gate("autocast to float16", (2, 5), "amp cannot run", "#99272"),
    "bfloat16": Gate("autocast to bfloat16", (2, 6), "float16 is used, as it is in later versions", "#139390"),
    "scaler": Gate("gradient scaling", (2, 8), "amp cannot run", "#150255"),
    "fused_scaler": Gate(
        "fused Adam with gradient scaling", (2, 13), "amp cannot run: fused Adam ignores skipped steps", "#186360"
    ),
    "inductor": Gate(
        "torch.compile by inductor", (2, 13), "compiled LayerNorm is wrong, so inductor is refused", "#191976"
    ),
    "layout": Gate(
        "inductor's layout optimization of convolutions", None,
        "they train slower compiled; the policy has none, with your own set TORCHINDUCTOR_LAYOUT_OPTIMIZATION=0",
        "#192551",
    ),
    "layer_norm": Gate(
        "LayerNorm on inputs without gradient", (2, 13), "its weights' gradients are wrong, which the gates find",
        "#183893",
    ),
    "sampling": Gate("torch.multinomial", None, "actions are drawn by argmax over Gumbel noise", "#192577"),
    "peak_memory": Gate(
        "peak memory", (2, 13), "trials report none; profile has a sampled peak, the most at the ends of phases",
        "#186748",
    ),
    "events": Gate("device events for timing", None, "the clock is read when the device is done", "#196395"),
    "pinning": Gate("page-locked memory and copies without waiting", None, "neither is used", "#189690"),
    "streams": Gate("copies beside computation", None, "copies wait their turn", "#191415"),
}  # fmt: skip


def is_open(name: str, version: Version) -> bool:
    """Whether the feature called ``name`` can be used in this version of torch."""
    return GATES[name].open_in(version)


def describe_gates(version: Version) -> list[dict[str, str]]:
    """What cannot be used in this version, and what holds instead."""
    return [
        {
            "feature": gate.feature,
            "needs": "no release so far" if gate.since is None else f"torch {gate.since[0]}.{gate.since[1]}",
            "otherwise": gate.otherwise,
            "source": f"pytorch/pytorch{gate.source}",
        }
        for gate in GATES.values()
        if not gate.open_in(version)
    ]
