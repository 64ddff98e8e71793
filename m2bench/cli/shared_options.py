"""Options that several commands share, and how what is typed is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from m2bench.errors import UserError
from m2bench.options.known_systems import known_system
from m2bench.options.option import in_range, option
from m2bench.records.combinations import Layers
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec

MAX_SEED = 2**32 - 1


def read_names(typed: str, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Comma-separated names; UserError for one that is not known, or for none."""
    names = tuple(name.strip() for name in typed.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"unknown {kind} {', '.join(map(repr, unknown))}." if unknown else f"no {kind} was named."
        raise UserError(wrong, f"There are: {', '.join(known)}.")
    return names


def read_layers(flag: str, typed: str) -> Layers:
    """Names of layers; which there are, the system knows (``known_layers``)."""
    names = tuple(name.strip() for name in typed.split(",") if name.strip())
    if not names:
        raise UserError(f"{flag} names no layer.", "Name some, comma-separated.")
    return names


def combination_of(known: NamedLayers, named: Collection[str]) -> Layers:
    """Those of the known layers that are named, to be on together. Raises UserError where they cannot be, too."""
    from m2bench.plan.taking_part import refuse_impossible

    combination = layers_named(known, named)
    refuse_impossible(combination, known.rules)
    return combination


def layers_taking_part(workload: WorkloadSpec, named: Collection[str] | None) -> NamedLayers:
    """The same of layers that take part in a run, with their rules; a set is named as well as a layer.

    Without any the system's default. Raises UserError where the rules contradict each other, too.
    """
    from m2bench.plan.taking_part import taking_part

    known = known_layers(workload, named)
    return taking_part(known, layers_named(known, known.named(named)))


def known_layers(workload: WorkloadSpec, named: Collection[str] | None = None) -> NamedLayers:
    """All layers of a system; those ``named`` where it names none, since its description alone may tell them.

    Raises UserError where the user's code cannot be imported.
    """
    at_hand = known_system(workload.module).layers
    if at_hand.names:
        return at_hand
    from m2bench.run.describe import named_layers

    found = named_layers(workload)
    return found if found.names or named is None else NamedLayers(tuple(named), found.rules.among(tuple(named)))


def layers_named(known: NamedLayers, named: Collection[str]) -> Layers:
    """Those of the known layers that are named, in their order. Raises UserError for one that is not known."""
    read_names(",".join(named), known.names, "layer") if named else ()
    return tuple(layer for layer in known.names if layer in named)


def read_duration(flag: str, typed: str) -> float:
    """Seconds."""
    from m2bench.plan.budget import parse_duration

    return parse_duration(flag, typed)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What draws random numbers."""

    seed: int = option(0, "Seed of weights, data and the order of trials.", read=in_range(0, MAX_SEED))


@dataclass(frozen=True, kw_only=True)
class TakingPart:
    """What is done with some layers or with all."""

    layers: Layers | None = option(
        None,
        "Layers to compare, comma-separated; note stands for the six of the trading system, all for every layer.",
        metavar="<names>",
        read=read_layers,
        shown="note; all for your own trainer",
    )


@dataclass(frozen=True, kw_only=True)
class AsJson:
    """What can answer in JSON."""

    as_json: bool = option(False, "Print JSON instead of text.", spelled="--json", asks=False)


def results_option(kind: str = "", what: str = "results") -> Any:
    """Declare the folder that a command writes to; see ``new_folder``."""
    return option(None, f"Folder for the {what}.", shown=f"reports/{kind}<time>", asks=False)


def new_folder(kind: str = "") -> Path:
    """Where the results of a command of this kind go where no folder was named."""
    return Path("reports") / datetime.now().strftime(f"{kind}%Y-%m-%d-%H%M%S")
