"""The command ``train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from m2bench.errors import UserError
from m2bench.options.known_systems import SYSTEMS
from m2bench.options.option import at_least, option
from m2bench.options.workload_options import check_options
from m2bench.records.combinations import Layers

from .command import AskedSystem, Given, command
from .console import interruptible, make_console
from .shared_options import Seeded, combination_of, known_layers, new_folder, read_layers, results_option

BESIDE_EVALUATE = ("evaluate", "data", "device", "debug")


@dataclass(frozen=True, kw_only=True)
class Train(Seeded):
    """What ``train`` is asked for."""

    with_layers: Layers = option(
        (), "Layers to switch on, comma-separated.", spelled="--with", metavar="<names>", read=read_layers
    )
    episodes: int = option(1000, "How long to train, in the unit that the system counts.", read=at_least(1))
    evaluate: Path | None = option(
        None, "Train nothing: evaluate this checkpoint on the held-out part of --data.", metavar="<file>", kind=str,
        read=lambda flag, typed: Path(typed),
    )  # fmt: skip
    out: Path | None = results_option("train-")


@command("train")
def train(asked: Train, system: AskedSystem, given: Given) -> None:
    """Train one combination of layers, print its learning curve, and save a checkpoint."""
    from m2bench.inspect import train

    if system.workload.module in SYSTEMS[1:]:
        raise UserError(
            "m2bench train works for the built-in trading system only.",
            "Run your own trainer as you always do; m2bench ablate measures it.",
        )
    if asked.evaluate is not None:
        _refuse_beside_evaluate(given)
        train.evaluate_checkpoint(system.workload, asked.evaluate, make_console())
        return
    layers = combination_of(known_layers(system.workload, asked.with_layers), asked.with_layers)
    workload = system.with_layers(layers)
    check_options([workload], layers)
    folder = asked.out or new_folder("train-")
    with interruptible(lambda: "nothing was saved"):
        train.train_combination(workload, layers, asked.episodes, asked.seed, folder, make_console())


def _refuse_beside_evaluate(given: Given) -> None:
    """Raise UserError for an option that says how to train."""
    for one, _ in given.typed:
        if one.name not in BESIDE_EVALUATE and not one.evaluates:
            raise UserError(f"{one.flag} has no effect beside --evaluate, which trains nothing.", "Leave it out.")
