"""The options of the trading system. Without torch, so that the command line can read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from m2bench.baselines.hyperparameters import (
    CURRICULUM,
    Advantages,
    Algorithm,
    Hyperparameters,
    PolicySize,
    RateScaling,
    in_whole_updates,
)
from m2bench.errors import UserError
from m2bench.optimizations import COMPILING, LAYERS, NOTE, RECOMMENDED, RULES
from m2bench.optimizations.layer_options import LayerOptions
from m2bench.options.known_systems import KnownSystem
from m2bench.options.option import TRAINING, at_least, in_range, one_of, option, options_of
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factor
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import Options, WorkloadSpec

SOURCES = ("synthetic", "eurusd-1h")
POLICIES = ("default", "deep")
LR_SCALINGS = ("none", "sqrt", "linear")
ALGORITHMS = {"reinforce": "REINFORCE", "ppo": "PPO"}
ADVANTAGES = {"returns": "discounted returns", "gae": "generalized advantage estimates"}
LEARNING = (*TRAINING, "scale")


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
        128,
        "Decisions per episode.",
        read=at_least(2),
        evaluates=True,
        commands=(*TRAINING, "scale", "audit"),
        default_of={"audit": 8},
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
    algorithm: str = option(
        "reinforce",
        f"How the policy learns: {', '.join(ALGORITHMS)}.",
        read=one_of(tuple(ALGORITHMS)),
        commands=LEARNING,
    )
    advantages: str | None = option(
        None,
        "What an action is credited with: returns, its discounted return; or gae, the generalized advantage estimate.",
        read=one_of(tuple(ADVANTAGES)),
        shown="gae with ppo, else returns",
        commands=LEARNING,
    )
    gae_lambda: float | None = option(
        None,
        "Lambda of the advantages, with gae.",
        read=in_range(0, 1),
        shown=str(Hyperparameters.gae_lambda),
        commands=LEARNING,
    )
    clip_range: float | None = option(
        None,
        "How far a step of ppo moves the probability of an action, as a share.",
        read=in_range(0.001, 10),
        shown=str(Hyperparameters.clip_range),
        commands=LEARNING,
    )
    epochs: int | None = option(
        None,
        "How often ppo goes through the same episodes.",
        read=at_least(1),
        shown=str(Hyperparameters.epochs),
        commands=LEARNING,
    )
    minibatches: int | None = option(
        None,
        "Steps of the optimizer in an epoch of ppo.",
        read=at_least(1),
        shown=str(Hyperparameters.minibatches),
        commands=LEARNING,
    )
    curriculum: bool = option(False, "Begin with short episodes on calm stretches of the market.", commands=("train",))


PPO_ALONE = ("clip_range", "epochs", "minibatches")


def unused_options(options: Options) -> Mapping[str, UserError]:
    """By their names, the options that have no effect beside the others, and what to say of each."""
    asked = _asked(options)
    unused = {
        name: UserError(f"{_flag(name)} has no effect without ppo.", "Add --algorithm ppo, or leave it out.")
        for name in (PPO_ALONE if asked.algorithm != "ppo" else ())
        if getattr(asked, name) is not None
    }
    advantages = advantages_of(asked)
    if asked.gae_lambda is not None and advantages != "gae":
        unused["gae_lambda"] = UserError(
            f"--gae-lambda has no effect with --advantages {advantages}, for which the policy learns no values.",
            "Add --advantages gae, or leave it out.",
        )
    return unused


def check_trading_options(options: Options, layers: Layers) -> None:
    """Raise UserError for options of the trading system, by their names, that cannot be together with these layers."""
    asked = _asked(options)
    try:
        settings = hyperparameters_of(asked)
    except ValueError as error:
        raise UserError(f"{error}.", "Choose another --episode-length, or number of --minibatches.") from error
    try:
        in_whole_updates(settings.curriculum, episodes_per_update(asked, layers))
    except ValueError as error:
        raise UserError(f"{error}.", "Choose a smaller --num-envs, or fewer layers.") from error


def episodes_per_update(asked: TradingOptions, layers: Layers) -> int:
    """How many episodes an update learns from with these layers."""
    at_once = asked.num_envs if "batching" in layers else 1
    return at_once * (asked.accumulation_steps if "grad-accumulation" in layers else 1)


def _asked(options: Options) -> TradingOptions:
    known = {one.name for one in options_of(TradingOptions)}
    return TradingOptions(**{name: value for name, value in options.items() if name in known})


def hyperparameters_of(asked: TradingOptions) -> Hyperparameters:
    """What is learned with these options, and how. Raises ValueError where that cannot be."""
    given = {name: getattr(asked, name) for name in ("gae_lambda", "clip_range", "epochs", "minibatches")}
    return Hyperparameters(
        policy_size=cast(PolicySize, asked.policy),
        episode_length=asked.episode_length,
        lr_scaling=cast(RateScaling, asked.lr_scaling),
        algorithm=cast(Algorithm, asked.algorithm),
        advantages=cast(Advantages, advantages_of(asked)),
        curriculum=CURRICULUM if asked.curriculum else (),
        **{name: value for name, value in given.items() if value is not None},
    )


def advantages_of(asked: TradingOptions) -> str:
    """What actions are credited with: by default what is usual with the algorithm."""
    return asked.advantages or {"ppo": "gae", "reinforce": "returns"}[asked.algorithm]


def _flag(name: str) -> str:
    return next(one.flag for one in options_of(TradingOptions) if one.name == name)


@dataclass(frozen=True, kw_only=True)
class MarketOptions:
    """What is traded."""

    data: str = option(
        WorkloadSpec.data,
        f"Market data: {', '.join(SOURCES)}, or a file of candles; FILE#SYMBOL picks one symbol of a file.",
        read=locate_data,
        commands=(*TRAINING, "scale"),
    )


LEARNING_FACTORS = (
    Factor(
        "ppo", "more stable than REINFORCE", {"algorithm": "ppo"}, off={"algorithm": "reinforce"}, claims="steadiness"
    ),
    Factor(
        "gae", "advantages of less variance", {"advantages": "gae"}, off={"advantages": "returns"}, claims="steadiness"
    ),
    Factor("curriculum", "train progressively", {"curriculum": True}, off={"curriculum": False}),
)

KNOWN = KnownSystem(
    (*options_of(MarketOptions), *options_of(TradingOptions)),
    NamedLayers(
        tuple(LAYERS), RULES, sets={"note": tuple(NOTE)}, default="note", compiling=COMPILING, recommended=RECOMMENDED
    ),
    check=check_trading_options,
    unused=unused_options,
    factors={"learning": LEARNING_FACTORS},
)
