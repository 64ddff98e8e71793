"""The options of the layers. Without torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.options.option import TRAINING, SizeOption, at_least, option

ENVIRONMENTS = SizeOption(option="num_envs", one="environment", many="environments")


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Choices of the user that some layers take; ``layer`` names the one that an option is for.

    Those without ``commands`` are no options of the command line: their values are stored with every run all the same.
    """

    num_envs: int = option(
        32,
        "Episodes in one batch, for the layer batching.",
        read=at_least(2),
        layer="batching",
        size_as=ENVIRONMENTS,
    )
    compile_backend: str | None = option(
        None,
        "Backend of torch.compile.",
        shown="inductor; aot_eager on mps",
        layer="compile",
        commands=(*TRAINING, "scale", "forward", "layers"),
    )
    num_workers: int = option(4, "Processes that load data.", layer="dataloader", commands=())
    accumulation_steps: int = option(4, "Backward passes per step.", layer="grad-accumulation", commands=())
