"""What a layer is: one replaced part, the claim made for it, and the proof that it worked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields

import torch

from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Parts
from m2bench.baselines.trainer import Trainer
from m2bench.records.description import Claim as Claim
from m2bench.records.description import Contract as Contract
from m2bench.records.results import Proof as Proof

from .layer_options import LayerOptions as LayerOptions

DESIGN_NOTE = "design note for a crypto-trading REINFORCE trainer on an Apple M2"
"""Where the claims of the six layers come from."""
OURS = "ours, from a profile on two cores of a server CPU"
"""Where those of the further layers come from."""
FLOAT32 = Contract()
"""That of a layer that computes in float32, in another order."""


@dataclass(frozen=True)
class Layer:
    """A named replacement of one field of ``Parts``.

    ``apply`` makes the trainer's parts with the layer in; ``unsupported`` says why it cannot run on a device, or None,
    and ``unsuited`` the same of what is to be learned; ``prove`` reads the evidence off a trainer that has been timed;
    ``timed`` is held around the timed window: there a layer begins its evidence anew, and forbids what must not happen.
    """

    name: str
    part: str
    summary: str
    claim: Claim
    apply: Callable[[Parts, LayerOptions], Parts]
    prove: Callable[[Trainer], Proof]
    contract: Contract = FLOAT32
    unsupported: Callable[[torch.device, LayerOptions], str | None] = lambda device, options: None
    unsuited: Callable[[Hyperparameters], str | None] = lambda settings: None
    compiles: bool = False
    """Whether the first update of a trainer with this layer includes compilation."""
    compiled_apart: bool = False
    """Whether a layer that compiles has other code to compile beside this one."""
    works_ahead: bool = False
    """Whether processes of its own go on while the trainer waits."""
    own_threads: bool = False
    """Whether it computes by a thread on each core, whatever torch's number of threads."""
    timed: Callable[[Trainer], AbstractContextManager[None]] = lambda trainer: nullcontext()


def loosest_contract(layers: Iterable[Layer]) -> Contract:
    """What a combination of these layers is held to."""
    contracts = [FLOAT32, *(layer.contract for layer in layers)]
    return Contract(max(c.tolerance for c in contracts), max(c.floor for c in contracts))


def compose(parts: Parts, layers: Iterable[Layer], options: LayerOptions) -> Parts:
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
