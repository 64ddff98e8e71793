"""What a layer is: one replaced part, the claim made for it, and the proof that it worked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch

from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer

from .options import Options as Options

Evidence = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """What is said of a layer, by whom; a claim is a hypothesis here."""

    low: float
    """Least gain claimed, as a ratio; 1.0 is "no extra cost"."""
    high: float
    text: str
    difficulty: str
    priority: str
    phase: str | None = None
    """The phase that the gain is claimed for; None: the whole episode."""
    memory: float | None = None
    """What memory is claimed to become, as a ratio."""
    source: str = "design note for a crypto-trading REINFORCE trainer on an Apple M2"


@dataclass(frozen=True)
class Contract:
    """How far a combination with this layer may lie from the plain trainer's own rounding error.

    The error of loss, gradients and logits against a double-precision referee may be at most ``tolerance``
    times the plain float32 trainer's error, plus ``floor``; errors are relative. m2bench/gates.py enforces it. The
    defaults are for a layer that computes in float32, in another order.
    """

    tolerance: float = 4.0
    floor: float = 1e-5


@dataclass(frozen=True)
class Swept:
    """An option that is a number, and the word for what it is a number of."""

    option: str
    one: str
    many: str


@dataclass(frozen=True)
class Proof:
    """Whether a layer was at work, and by what it is known: in the timed window, or right after it."""

    engaged: bool
    evidence: Evidence
    reason: str | None = None


@dataclass(frozen=True)
class Layer:
    """A named replacement of one field of ``Parts``.

    ``apply`` makes the trainer's parts with the layer in; ``unsupported`` says why it cannot run on a
    device, or None; ``prove`` reads the evidence off a trainer that has been timed; ``timed`` is
    held around the timed window: there a layer begins its evidence anew, and forbids what must not happen.
    """

    name: str
    part: str
    summary: str
    claim: Claim
    apply: Callable[[Parts, Options], Parts]
    prove: Callable[[Trainer], Proof]
    contract: Contract = Contract()
    unsupported: Callable[[torch.device, Options], str | None] = lambda device, options: None
    compiles: bool = False
    """Whether the first update of a trainer with this layer includes compilation."""
    compiled_apart: bool = False
    """Whether a layer that compiles has other code to compile beside this one."""
    works_ahead: bool = False
    """Whether processes of its own go on while the trainer waits."""
    sweeps: Swept | None = None
    """What a sweep varies."""
    timed: Callable[[Trainer], AbstractContextManager[None]] = lambda trainer: nullcontext()


def loosest_contract(layers: Iterable[Layer]) -> Contract:
    """What a combination of these layers is held to."""
    contracts = [Contract(), *(layer.contract for layer in layers)]
    return Contract(max(c.tolerance for c in contracts), max(c.floor for c in contracts))


def compose(parts: Parts, layers: Iterable[Layer], options: Options) -> Parts:
    """Apply the layers; ValueError when two claim one part or one replaces another than its own."""
    claimed: dict[str, str] = {}
    for layer in layers:
        if layer.part in claimed:
            raise ValueError(f"layers {claimed[layer.part]} and {layer.name} both replace the part {layer.part!r}")
        claimed[layer.part] = layer.name
        replaced = layer.apply(parts, options)
        changed = {f.name for f in fields(Parts) if getattr(replaced, f.name) is not getattr(parts, f.name)}
        if changed != {layer.part}:
            raise ValueError(
                f"layer {layer.name} must replace the part {layer.part!r} alone, but it replaced {changed}"
            )
        parts = replaced
    return parts
