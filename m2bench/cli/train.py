"""The command ``train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from m2bench.errors import UserError
from m2bench.options.declared import at_least, option
from m2bench.options.known_systems import SYSTEMS
from m2bench.records.combinations import Layers

from .command import AskedSystem, command
from .console import interruptible, make_console
from .shared_options import Seeded, combination_of, known_layers, new_folder, read_layers, results_option


@dataclass(frozen=True, kw_only=True)
class Train(Seeded):
    """What ``train`` is asked for."""

    with_layers: Layers = option(
        (), "Layers to switch on, comma-separated.", spelled="--with", metavar="<names>", read=read_layers
    )
    episodes: int = option(1000, "How long to train, in the unit that the system counts.", read=at_least(1))
    out: Path | None = results_option("train-")


@command("train")
def train(asked: Train, system: AskedSystem) -> None:
    """Train one combination of layers, print its learning curve, and save a checkpoint."""
    from m2bench.inspect import train

    if system.workload.module in SYSTEMS[1:]:
        raise UserError(
            "m2bench train works for the built-in trading system only.",
            "Run your own trainer as you always do; m2bench ablate measures it.",
        )
    layers = combination_of(known_layers(system.workload, asked.with_layers), asked.with_layers)
    workload = system.with_layers(layers)
    folder = asked.out or new_folder("train-")
    with interruptible(lambda: "nothing was saved"):
        train.train_combination(workload, layers, asked.episodes, asked.seed, folder, make_console())
