"""The options of the trading system. Without torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.errors import UserError
from m2bench.optimizations import COMPILING, LAYERS, NOTE, RECOMMENDED, RULES
from m2bench.optimizations.layer_options import LayerOptions
from m2bench.options.declared import TRAINING, at_least, one_of, option, options_of
from m2bench.options.known_systems import KnownSystem
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec

SOURCES = ("synthetic", "eurusd-1h")
POLICIES = ("default", "deep")
LR_SCALINGS = ("none", "sqrt", "linear")


def locate_data(flag: str, typed: str) -> str:
    """A file by its absolute path, since workers run in another folder; a source by its name.

    Raises UserError where the path may not be looked at.
    """
    if typed in SOURCES:
        return typed
    from m2bench.baselines.candle_columns import SYMBOL_MARK, split_symbol

    try:
        path, symbol = split_symbol(typed)
        located = str(path.resolve()) if path.exists() else str(path)
        return located if symbol is None else f"{located}{SYMBOL_MARK}{symbol}"
    except OSError as error:
        raise UserError(
            f"{typed} cannot be read: {error.strerror}.", "Check the permissions of the file and its folder."
        ) from error


@dataclass(frozen=True, kw_only=True)
class TradingOptions(LayerOptions):
    """How the policy trades and learns, and the options of the layers."""

    episode_length: int = option(
        128, "Decisions per episode.", read=at_least(2), commands=(*TRAINING, "scale", "audit"), default_of={"audit": 8}
    )
    policy: str = option(
        "default",
        f"Size of the policy network: {', '.join(POLICIES)}.",
        read=one_of(POLICIES),
        commands=(*TRAINING, "scale", "forward", "audit"),
    )
    lr_scaling: str = option(
        "none",
        f"How the learning rates grow with the episodes per update: {', '.join(LR_SCALINGS)}.",
        read=one_of(LR_SCALINGS),
        commands=("ablate", "train"),
    )


@dataclass(frozen=True, kw_only=True)
class MarketOptions:
    """What is traded."""

    data: str = option(
        WorkloadSpec.data,
        f"Market data: {', '.join(SOURCES)}, or a file of candles; FILE#SYMBOL picks one symbol of a file.",
        read=locate_data,
        commands=(*TRAINING, "scale"),
    )


KNOWN = KnownSystem(
    (*options_of(MarketOptions), *options_of(TradingOptions)),
    NamedLayers(
        tuple(LAYERS), RULES, sets={"note": tuple(NOTE)}, default="note", compiling=COMPILING, recommended=RECOMMENDED
    ),
)
